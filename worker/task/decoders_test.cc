#include "worker/task/decoders.h"

#include <fstream>
#include <regex>
#include <sstream>
#include <string>

#include "decoder/client.h"
#include "gtest/gtest.h"

namespace imgfleet::task {
namespace {

constexpr uint64_t kMiB = 1 << 20;

TEST(DecodersTest, AreAsManyAsThereAreThreadsAndMemoryFor) {
  fetch::Options options;
  options.threads = 3;
  const uint64_t own = BytesOfFetching(options), one = decoder::kProcessBytes;
  EXPECT_EQ(DecodersThatFit(options, UINT64_MAX), 3u);
  EXPECT_EQ(DecodersThatFit(options, own + 3 * one), 3u);
  EXPECT_EQ(DecodersThatFit(options, own + 3 * one - 1), 2u);
  EXPECT_EQ(DecodersThatFit(options, own + 2 * one - 1), 1u);
  EXPECT_EQ(DecodersThatFit(options, 0), 1u);
  options.threads = 0;
  EXPECT_GE(DecodersThatFit(options, UINT64_MAX), 1u);
}

// The manifest's worker, under the memory limit that it is given there, has a decoder for each of its threads.
TEST(DecodersTest, ThePodsMemoryHasRoomForThoseOfItsThreads) {
  std::ifstream file("k8s/base/worker.yaml");
  std::stringstream text;
  text << file.rdbuf();
  const std::string manifest = text.str();
  std::smatch found;
  ASSERT_TRUE(std::regex_search(manifest, found, std::regex("--threads=([0-9]+)"))) << manifest;
  fetch::Options options;
  options.threads = std::stoul(found[1]);
  ASSERT_TRUE(
      std::regex_search(manifest, found, std::regex("limits:\\s+cpu: \"[0-9]+\"\\s+memory: ([0-9]+)Mi\n")));
  const uint64_t limit = std::stoul(found[1]) * kMiB;
  EXPECT_EQ(DecodersThatFit(options, limit), options.threads);
  EXPECT_LE(BytesOfFetching(options) + options.threads * decoder::kProcessBytes, limit);
}

}  // namespace
}  // namespace imgfleet::task
