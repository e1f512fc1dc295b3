// The largest images that are decoded, of every format, in the decoder that ships: what its codec takes for them, in time
// and memory, is what a decoder is given. The files flat.* of testdata/ were made with cjxl, avifenc, heif-enc and
// opj_compress of one grey, in a size just below the codec's limit.
#include <sys/resource.h>

#include <fstream>
#include <future>
#include <iterator>
#include <string>

#include "common/clock.h"
#include "decoder/client.h"
#include "decoder/sandbox.h"
#include "decoder/testing/bombs.h"
#include "gtest/gtest.h"

namespace imgfleet::decoder {
namespace {

std::string TestFile(const std::string& name) {
  std::ifstream file("decoder/testdata/" + name, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Bytes that were resident at most in one of the decoders that have ended.
uint64_t MostOfADecoder() {
  rusage used;
  getrusage(RUSAGE_CHILDREN, &used);
  return static_cast<uint64_t>(used.ru_maxrss) << 10;
}

static_assert(kProcessBytes >= SandboxLimits().memory_bytes + (16 << 20));

TEST(LargestTest, FitsIntoADecoder) {
  const struct {
    const char* format;
    std::string file;
    // Of what has no more pixels than its header and a few.
    Decoding::Kind kind = Decoding::kDecoded;
  } kFiles[] = {{"png", BlackPng(16'384, 16'384)},
                {"gif", HugeGif(16'384), Decoding::kTruncated},
                {"jpeg", HugeProgressiveJpeg(8'840), Decoding::kTruncated},
                {"webp", HugeWebp(9'690)},
                {"tiff", BlackTiff(8'190)},
                {"j2k", TestFile("flat.j2k")},
                {"jp2", TestFile("flat.jp2")},
                {"avif", TestFile("flat.avif")},
                {"jxl", TestFile("flat.jxl")},
                {"jxl", TestFile("flat_modular.jxl")},
                {"heic", TestFile("flat.heic")}};
  for (const auto& one : kFiles) {
    Client client({.program = "decoder/imgfleet-decoder", .processes = 1}, Clock::System());
    std::promise<Decoding> promise;
    DecodeRequest request;
    request.format = one.format;
    request.file = one.file;
    request.done = [&promise](Decoding decoding) { promise.set_value(std::move(decoding)); };
    client.Decode(std::move(request));
    const Decoding decoding = promise.get_future().get();
    EXPECT_EQ(int{decoding.kind}, int{one.kind}) << one.format << ": " << decoding.message;
    EXPECT_LT(one.file.size(), 1u << 20) << one.format;
    EXPECT_LT(MostOfADecoder(), kProcessBytes) << one.format;
  }
  // Else no decoder was measured.
  EXPECT_GT(MostOfADecoder(), 256u << 20);
}

}  // namespace
}  // namespace imgfleet::decoder
