// The list parser beside others: a plain CSV reader, and the list that the contract's numbers are about.
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/lists/list_parser.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace imgfleet::lists {
namespace {

using testing::IsEmpty;

std::string Text(absl::string_view text) { return std::string(text); }

// RFC 4180 as a plain state machine over a whole text.
std::vector<std::vector<std::string>> ReferenceCsv(absl::string_view text) {
  std::vector<std::vector<std::string>> rows(1, {""});
  bool quoted = false, start = true;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    std::string& field = rows.back().back();
    if (quoted) {
      if (c != '"') {
        field += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        field += text[++i];
      } else {
        quoted = false;
      }
    } else if (c == '"' && start) {
      quoted = true;
      start = false;
    } else if (c == ',') {
      rows.back().push_back("");
      start = true;
    } else if (c == '\n') {
      rows.push_back({""});
      start = true;
    } else {
      field += c;
      start = false;
    }
  }
  if (rows.back() == std::vector<std::string>{""}) rows.pop_back();
  return rows;
}

TEST(ListParserTest, CsvAgreesWithAPlainReference) {
  std::mt19937_64 random(7);
  static const std::vector<std::string> kInside = {"a", "b", ",", "\"\"", "\n", "\t", "x y", "\xC3\xBC"};
  for (int round = 0; round < 500; ++round) {
    std::string list = "id,note,url\n";
    for (size_t rows = random() % 10; rows > 0; --rows) {
      for (int field = 0; field < 3; ++field) {
        const bool quoted = random() % 2 == 0;
        if (field > 0) list += ',';
        if (quoted) list += '"';
        list += field == 2 ? "u" : "";
        for (size_t n = random() % 5; n > 0; --n) list += quoted ? kInside[random() % kInside.size()] : "z";
        if (quoted) list += '"';
      }
      list += '\n';
    }
    const std::vector<std::vector<std::string>> wanted = ReferenceCsv(list);
    std::vector<std::vector<std::string>> got;
    ListParser parser({.name = "a.csv"});
    const auto sink = [&](const Row& row) {
      EXPECT_THAT(Text(row.error), IsEmpty());
      got.push_back({Text(row.id), Text(row.url)});
      return absl::OkStatus();
    };
    ASSERT_EQ(parser.Feed(list, sink), absl::OkStatus()) << list;
    ASSERT_EQ(parser.Finish(sink), absl::OkStatus()) << list;
    ASSERT_EQ(got.size(), wanted.size() - 1) << list;
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got[i][0], wanted[i + 1][0]) << list;
      ASSERT_EQ(got[i][1], wanted[i + 1][2]) << list;
    }
  }
}

// The list that the contract's numbers are about, where it is at hand.
TEST(ListParserTest, ReadsTheReferenceList) {
  const char* path = std::getenv("IMGFLEET_REFERENCE_LIST");
  if (path == nullptr) GTEST_SKIP() << "IMGFLEET_REFERENCE_LIST names no file";
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  uint64_t rows = 0;
  ListParser parser({.name = path});
  const auto sink = [&](const Row& row) {
    EXPECT_THAT(Text(row.error), IsEmpty());
    EXPECT_EQ(Text(row.id), absl::StrCat(rows));
    EXPECT_THAT(Text(row.url), testing::StartsWith("https://"));
    EXPECT_EQ(row.line, ++rows + 1);
    return absl::OkStatus();
  };
  EXPECT_EQ(parser.Feed(bytes.str(), sink), absl::OkStatus());
  EXPECT_EQ(parser.Finish(sink), absl::OkStatus());
  EXPECT_EQ(rows, 5005u);
}

}  // namespace
}  // namespace imgfleet::lists
