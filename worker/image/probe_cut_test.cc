// What must hold of every file, however little of it is at hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "worker/image/edges.h"
#include "worker/image/fetching.h"
#include "worker/image/samples.h"

namespace imgfleet::image {
namespace {

// Lengths to cut a file at: every one of a small file, and of the first bytes of a large one; then thinner, and around
// the edges of each part.
std::set<size_t> Cuts(const std::string& file) {
  const size_t size = file.size();
  std::set<size_t> cuts;
  for (size_t edge : Edges(file)) {
    for (size_t cut = edge - std::min<size_t>(edge, 20); cut < std::min(edge + 20, size); ++cut)
      cuts.insert(cut);
  }
  for (size_t cut = 0; cut < size; cut += cut < 1500 ? 1 : cut < 20000 ? 211 : 4099) cuts.insert(cut);
  for (size_t back = 1; back <= 600 && back <= size; ++back) cuts.insert(size - back);
  return cuts;
}

TEST(ProbeCut, ACutFileNeverGivesAWrongAnswer) {
  for (const Sample& sample : AllSamples()) {
    for (size_t cut : Cuts(sample.bytes)) {
      Bytes bytes;
      bytes.prefix = absl::string_view(sample.bytes).substr(0, cut);
      bytes.total = cut;
      const ProbeResult result = Probe(bytes);
      if (result.status == ProbeStatus::kTruncated) continue;
      ASSERT_EQ(result.status, ProbeStatus::kOk)
          << sample.name << " cut at " << cut << ": " << Describe(result);
      ASSERT_EQ(result.info.width, sample.expected.width) << sample.name << " cut at " << cut;
      ASSERT_EQ(result.info.height, sample.expected.height) << sample.name << " cut at " << cut;
      ASSERT_EQ(result.info.display_width, sample.expected.display_width) << sample.name << " cut at " << cut;
    }
  }
}

TEST(ProbeCut, AGrowingPrefixNeedsMoreUntilItAnswersAsTheWholeFile) {
  for (const Sample& sample : AllSamples()) {
    for (size_t cut : Cuts(sample.bytes)) {
      Bytes bytes;
      bytes.prefix = absl::string_view(sample.bytes).substr(0, cut);
      const ProbeResult result = Probe(bytes);
      if (result.status == ProbeStatus::kNeedMore) {
        ASSERT_GE(result.need_offset, cut) << sample.name;
        ASSERT_GT(result.need_bytes, 0u) << sample.name;
        continue;
      }
      ASSERT_EQ(result.status, ProbeStatus::kOk)
          << sample.name << " cut at " << cut << ": " << Describe(result);
      ASSERT_TRUE(SameInfo(result.info, sample.expected))
          << sample.name << " cut at " << cut << Describe(result);
    }
  }
}

TEST(ProbeCut, FetchingWhatIsAskedForEndsWithTheSameAnswer) {
  for (const Sample& sample : AllSamples()) {
    for (uint64_t first : {1, 16, 100, 12288}) {
      for (uint64_t least : {1, 4096}) {
        for (bool tell_total : {true, false}) {
          const Fetched fetched = FetchAndProbe(sample.bytes, first, least, tell_total);
          ASSERT_FALSE(fetched.stuck) << sample.name << " " << first << ": " << Describe(fetched.result);
          ASSERT_EQ(fetched.result.status, ProbeStatus::kOk)
              << sample.name << ": " << Describe(fetched.result);
          ASSERT_TRUE(SameInfo(fetched.result.info, sample.expected))
              << sample.name << " " << first << ": " << Describe(fetched.result);
        }
      }
    }
  }
}

TEST(ProbeCut, TypicalFirstRangesNeedFewRequests) {
  for (const Sample& sample : AllSamples()) {
    const Fetched fetched = FetchAndProbe(sample.bytes, 12288, 8192);
    EXPECT_LE(fetched.requests, 4) << sample.name;
  }
}

// Any byte may be anything: no wrong read (the sanitizers watch), and an end of fetching.
TEST(ProbeCut, DamagedFilesEnd) {
  uint32_t random = 1;
  auto next = [&random] { return random = random * 1664525u + 1013904223u; };
  for (const Sample& sample : AllSamples()) {
    for (int round = 0; round < 60; ++round) {
      std::string file = sample.bytes;
      const size_t reach = std::min<size_t>(file.size(), round % 2 ? 64 : 600);
      for (int flips = 0; flips < 3; ++flips) file[(next() >> 8) % reach] = static_cast<char>(next() >> 24);
      const Fetched fetched = FetchAndProbe(file, 64, 64);
      ASSERT_FALSE(fetched.stuck) << sample.name << ": " << Describe(fetched.result);
      if (fetched.result.status == ProbeStatus::kOk) {
        ASSERT_GT(fetched.result.info.width, 0u);
        ASSERT_GT(fetched.result.info.display_height, 0u);
      }
    }
  }
}

}  // namespace
}  // namespace imgfleet::image
