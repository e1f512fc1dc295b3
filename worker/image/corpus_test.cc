// Measures a folder of real image files against what other readers say of them. The folder is named by the environment
// variable IMGFLEET_CORPUS and holds files/ and truth.tsv, whose header line is
//   path sha1 kind bytes width height oracle votes_same votes pil_format pil_frames orientation
// (separated by tabs; `kind` is what the file is, `votes_same` of `votes` readers agree). Skipped where it is not set:
//   bazel test //worker/image:corpus_test --test_env=IMGFLEET_CORPUS=FOLDER
// Every file on which all readers agree must come out so, save those of corpus_exceptions.md, each with its reason; and
// no cut of any file may give a wrong size.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "worker/image/edges.h"
#include "worker/image/fetching.h"

namespace imgfleet::image {
namespace {

struct Size {
  uint32_t width, height;
};

// What we answer where readers differ among themselves, or all but ours are taken to be wrong: corpus_exceptions.md.
const std::map<std::string, Size>& Exceptions() {
  static const auto* const kExceptions = new std::map<std::string, Size>{
      {"image-size/specs/images/valid/svg/units-inches.svg", {123, 456}},
      {"image-size/specs/images/valid/svg/viewbox-units.svg", {123, 456}},
      {"image-size/specs/images/valid/svg/viewbox-lowercase.svg", {0, 0}},
      {"probe-image-size/test/fixtures/google1.ico", {24, 24}},
  };
  return *kExceptions;
}

struct Row {
  std::string path, kind, pil_frames, orientation;
  uint32_t width = 0, height = 0;
};

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Corpus : public testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("IMGFLEET_CORPUS");
    if (!folder || !*folder) GTEST_SKIP() << "IMGFLEET_CORPUS is not set";
    folder_ = folder;
    std::ifstream truth(folder_ + "/truth.tsv");
    std::string line;
    ASSERT_TRUE(std::getline(truth, line)) << "no truth.tsv in " << folder_;
    while (std::getline(truth, line)) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      const std::vector<std::string> fields = absl::StrSplit(line, '\t');
      ASSERT_EQ(fields.size(), 12u) << line;
      Row row{fields[0], fields[2], fields[10], fields[11]};
      ASSERT_TRUE(absl::SimpleAtoi(fields[4], &row.width) && absl::SimpleAtoi(fields[5], &row.height))
          << line;
      rows_.push_back(row);
    }
    ASSERT_FALSE(rows_.empty());
  }

  std::string Load(const Row& row) { return ReadFile(folder_ + "/files/" + row.path); }

  // The truth of HEIC files is what is shown, of all others what is stored.
  static Size Answer(const Row& row, const ImageInfo& info) {
    return row.kind == "heif" ? Size{info.display_width, info.display_height} : Size{info.width, info.height};
  }
  static Size Expected(const Row& row) {
    const auto exception = Exceptions().find(row.path);
    return exception != Exceptions().end() ? exception->second : Size{row.width, row.height};
  }
  static bool IsRight(const Row& row, const ImageInfo& info) {
    const Size answer = Answer(row, info);
    const Size expected = Expected(row);
    return answer.width == expected.width && answer.height == expected.height;
  }

  std::string folder_;
  std::vector<Row> rows_;
};

TEST_F(Corpus, EveryFileComesOutRight) {
  int right = 0;
  int unsupported = 0;
  for (const Row& row : rows_) {
    const std::string file = Load(row);
    ASSERT_FALSE(file.empty()) << row.path;
    Bytes bytes;
    bytes.prefix = file;
    bytes.total = file.size();
    const ProbeResult result = Probe(bytes);
    if (Expected(row).width == 0) {
      EXPECT_EQ(result.status, ProbeStatus::kUnsupported) << row.path << ": " << Describe(result);
      ++unsupported;
      continue;
    }
    EXPECT_EQ(result.status, ProbeStatus::kOk) << row.path << ": " << Describe(result);
    EXPECT_TRUE(IsRight(row, result.info)) << row.path << ": " << Describe(result);
    int number = 0;
    if (row.kind != "avif" && row.kind != "heif" && absl::SimpleAtoi(row.orientation, &number) &&
        number > 0) {
      EXPECT_EQ(result.info.orientation, number) << row.path;
    }
    // Pillow counts a Photoshop file's layers as frames.
    const bool counted = row.kind != "psd" && absl::SimpleAtoi(row.pil_frames, &number) && number > 0;
    if (result.info.frames && counted) {
      EXPECT_EQ(*result.info.frames, static_cast<uint32_t>(number)) << row.path;
    }
    ++right;
  }
  std::cout << rows_.size() << " files: " << right << " measured, " << unsupported << " unsupported\n";
}

TEST_F(Corpus, FetchingByRangesGivesTheSameAnswer) {
  uint64_t fetched_bytes = 0;
  uint64_t all_bytes = 0;
  int requests = 0;
  for (const Row& row : rows_) {
    const std::string file = Load(row);
    Bytes bytes;
    bytes.prefix = file;
    bytes.total = file.size();
    const ProbeResult at_once = Probe(bytes);
    const Fetched fetched = FetchAndProbe(file, 12288, 8192);
    EXPECT_FALSE(fetched.stuck) << row.path << ": " << Describe(fetched.result);
    EXPECT_EQ(fetched.result.status, at_once.status) << row.path << ": " << Describe(fetched.result);
    EXPECT_TRUE(SameInfo(fetched.result.info, at_once.info)) << row.path << ": " << Describe(fetched.result);
    fetched_bytes += fetched.bytes;
    all_bytes += file.size();
    requests += fetched.requests;
  }
  std::cout << requests << " requests, " << fetched_bytes << " of " << all_bytes << " bytes fetched\n";
}

// A cut file (its size known) tells the right size or that it is cut. A file that comes in from its beginning, its size
// unknown, needs more until it answers, and then answers as the whole file does. Every byte counts until the answer
// stands, up to kEvery; behind that every kStep-th up to kReach, the powers of two, and every part of the file (segment,
// chunk, box, directory) at its edge, one byte before and one behind.
TEST_F(Corpus, NoCutGivesAWrongAnswer) {
  constexpr size_t kEvery = 64 << 10, kReach = 256 << 10, kStep = 499;
  size_t probes = 0;
  for (const Row& row : rows_) {
    const std::string file = Load(row);
    Bytes whole;
    whole.prefix = file;
    whole.total = file.size();
    const ProbeResult at_once = Probe(whole);
    std::set<size_t> cuts;
    for (size_t cut = kStep; cut < kReach; cut += kStep) cuts.insert(cut);
    for (size_t cut = 1; cut <= file.size(); cut *= 2) cuts.insert(cut);
    for (size_t edge : Edges(file)) cuts.insert({edge - 1, edge, edge + 1});
    bool answered = false;
    for (size_t cut = 0; cut < file.size();) {
      Bytes bytes;
      bytes.prefix = absl::string_view(file).substr(0, cut);
      const ProbeResult grown = Probe(bytes);
      ASSERT_TRUE(answered ? grown.status == at_once.status
                           : grown.status == at_once.status || grown.status == ProbeStatus::kNeedMore)
          << row.path << " grown to " << cut << ": " << Describe(grown);
      answered = grown.status == at_once.status;
      if (answered) {
        ASSERT_TRUE(SameInfo(grown.info, at_once.info))
            << row.path << " grown to " << cut << ": " << Describe(grown);
      }
      bytes.total = cut;
      const ProbeResult ended = Probe(bytes);
      if (ended.status == ProbeStatus::kOk) {
        ASSERT_TRUE(IsRight(row, ended.info)) << row.path << " cut at " << cut << ": " << Describe(ended);
      } else {
        ASSERT_TRUE(ended.status == ProbeStatus::kTruncated || ended.status == at_once.status)
            << row.path << " cut at " << cut << ": " << Describe(ended);
      }
      probes += 2;
      const auto next = cuts.upper_bound(cut);
      const size_t thin = next == cuts.end() ? file.size() : *next;
      cut = answered || cut >= kEvery ? thin : cut + 1;
    }
  }
  std::cout << probes << " probes\n";
}

}  // namespace
}  // namespace imgfleet::image
