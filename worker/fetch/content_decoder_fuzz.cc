// Fuzzes the undoing of Content-Encoding. The first byte chooses the coding and how the input is cut; the rest is the
// body. What must hold: pieces are small, nothing comes after a stop, how the input is cut changes nothing.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "worker/fetch/content_decoder.h"

namespace imgfleet::fetch {
namespace {

constexpr size_t kMost = 1 << 20;

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

struct Decoded {
  std::string bytes;
  ContentDecoder::Result result = ContentDecoder::Result::kOk;
  bool finished = false;
};

Decoded Decode(Coding coding, absl::string_view encoded, size_t step) {
  ContentDecoder decoder(coding);
  Decoded decoded;
  bool stopped = false;
  while (!encoded.empty() && decoded.result == ContentDecoder::Result::kOk) {
    const size_t size = std::min(step, encoded.size());
    decoded.result = decoder.Decode(encoded.substr(0, size), [&](absl::string_view piece) {
      Require(!stopped, "nothing after a stop");
      Require(!piece.empty() && piece.size() <= 16384, "small pieces");
      decoded.bytes.append(piece.data(), piece.size());
      stopped = decoded.bytes.size() > kMost;
      return !stopped;
    });
    encoded.remove_prefix(size);
  }
  Require(stopped == (decoded.result == ContentDecoder::Result::kStopped), "a stop is a stop");
  Require(decoded.bytes.size() <= kMost + 16384, "a bomb costs no more than is let through");
  decoded.finished = decoder.finished();
  return decoded;
}

}  // namespace
}  // namespace imgfleet::fetch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace imgfleet::fetch;
  if (size < 2) return 0;
  const Coding coding = data[0] & 1 ? Coding::kGzip : Coding::kDeflate;
  const absl::string_view encoded(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Decoded at_once = Decode(coding, encoded, encoded.size());
  // The second byte of zlib's header tells it from raw deflate, so it must come with the first.
  const Decoded in_steps = Decode(coding, encoded, 2 + data[0] / 2);
  Require(at_once.result == in_steps.result && at_once.finished == in_steps.finished, "cuts change nothing");
  if (at_once.result == ContentDecoder::Result::kOk)
    Require(at_once.bytes == in_steps.bytes, "cuts change nothing");
  return 0;
}
