// What a Parquet list's process may do, played by scripts: each ends in rows or in one message, and soon.
#include "coordinator/lists/parquet_list.h"

#include <sys/stat.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/lists/list_parser.h"
#include "coordinator/lists/spooled_list.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace imgfleet::lists {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Read {
  std::vector<std::string> rows;
  absl::Status status;
};

class ParquetListTest : public ::testing::Test {
 protected:
  // A program that reads nothing and does what `lines` say.
  void Script(const std::string& lines) {
    program_ = absl::StrCat(::testing::TempDir(), "/reads-parquet.sh");
    std::ofstream(program_) << "#!/bin/sh\n" << lines << "\n";
    ASSERT_EQ(chmod(program_.c_str(), 0755), 0);
  }

  Read ReadAll(absl::Duration silence = absl::Seconds(60)) {
    auto spooled = SpooledList::Open("", "a.parquet", 1000);
    EXPECT_TRUE(spooled.ok() && (*spooled)->Add("PAR1").ok());
    ParquetOptions options;
    options.program = program_;
    options.silence = silence;
    auto list = ParquetList::Open(*std::move(spooled), "a.parquet", v1::ListFile(), options, Clock::System());
    if (!list.ok()) return {{}, list.status()};
    Read read;
    ListParser parser({.name = "a.parquet", .format = v1::PARQUET});
    const auto sink = [&](const Row& row) {
      read.rows.push_back(absl::StrCat(row.line, "|", std::string(row.id), "|", std::string(row.url), "|",
                                       std::string(row.error)));
      return absl::OkStatus();
    };
    while (read.status.ok()) {
      const auto slice = (*list)->Read(absl::Milliseconds(20));
      read.status = slice.status();
      if (!slice.ok() || !slice->has_value()) continue;
      if ((*slice)->empty()) {
        read.status = parser.Finish(sink);
        break;
      }
      read.status = parser.Feed(**slice, sink);
    }
    return read;
  }

  void ExpectRefused(const std::string& message, absl::Duration silence = absl::Seconds(60)) {
    const Read read = ReadAll(silence);
    EXPECT_EQ(read.status.code(), absl::StatusCode::kInvalidArgument) << read.status;
    EXPECT_THAT(std::string(read.status.message()), HasSubstr("a.parquet"));
    EXPECT_THAT(std::string(read.status.message()), HasSubstr(message));
  }

  std::string program_;
};

constexpr char kRow[] = R"(printf 'R\000\001\000\000\000\002\000\000\000iuv')";
constexpr char kEnd[] = R"(printf 'E\001\000\000\000\000\000\000\000')";

TEST_F(ParquetListTest, HandsRowsOn) {
  Script(absl::StrCat(kRow, "; ", kEnd));
  const Read read = ReadAll();
  EXPECT_TRUE(read.status.ok()) << read.status;
  EXPECT_THAT(read.rows, ElementsAre("1|i|uv|"));
}

TEST_F(ParquetListTest, BadRowsHaveTheirNumber) {
  Script(absl::StrCat(kRow, R"(; printf 'R\001\000\000\000\000\000\000\000\000'; )",
                      R"(printf 'R\002\000\000\000\000\000\000\000\000'; )",
                      R"(printf 'R\000\001\000\000\000\001\000\000\000\377u'; )",
                      R"(printf 'R\000\001\000\000\000\002\000\000\000iu\377'; )",
                      R"(printf 'R\000\001\000\000\000\000\000\000\000i'; )",
                      R"(printf 'R\000\000\000\000\000\002\000\000\000u\000'; )",
                      R"(printf 'E\007\000\000\000\000\000\000\000')"));
  const Read read = ReadAll();
  EXPECT_TRUE(read.status.ok()) << read.status;
  EXPECT_THAT(read.rows, ElementsAre("1|i|uv|", "2|||a.parquet:2: the URL is null",
                                     "3|||a.parquet:3: the row is longer than 65536 bytes",
                                     "4|||a.parquet:4: the id is not UTF-8 at its byte 1",
                                     "5|i||a.parquet:5: the URL is not UTF-8 at its byte 2",
                                     "6|i||a.parquet:6: the URL is empty", HasSubstr("7||u")));
}

TEST_F(ParquetListTest, WhateverTheProcessDoesEndsInOneMessage) {
  Script("kill -SEGV $$");
  ExpectRefused("signal 11");
  Script(absl::StrCat(kRow, "; kill -KILL $$"));
  ExpectRefused("signal 9");
  Script("exit 3");
  ExpectRefused("exit code 3");
  Script(absl::StrCat(kRow, "; exit 0"));
  ExpectRefused("ended before the list did");
  Script("echo nonsense");
  ExpectRefused("nonsense");
  Script(R"(printf 'R\000\377\377\377\377\377\377\377\377')");
  ExpectRefused("nonsense");
  Script(absl::StrCat(kRow, "; ", kEnd, "; ", kRow));
  ExpectRefused("nonsense");
  Script(absl::StrCat(kRow, "; ", kRow, "; ", kEnd));
  ExpectRefused("nonsense");
  Script(R"(printf 'X\005\000\000\000a\nb\033c')");
  ExpectRefused("a b c");
  Script(R"(printf 'X\377\377\000\000')");
  ExpectRefused("nonsense");
}

TEST_F(ParquetListTest, WhoseTurnItIsNotReadsItsFirstRowsAndWaits) {
  // More than one slice.
  Script(absl::StrCat("for i in $(seq 30000); do ", kRow,
                      R"(; done; printf 'E\060\165\000\000\000\000\000\000')"));
  ParquetOptions options;
  options.program = program_;
  options.turns = std::make_shared<ParquetTurns>(1);
  const auto open = [&] {
    auto spooled = SpooledList::Open("", "a.parquet", 1000);
    return *ParquetList::Open(*std::move(spooled), "a.parquet", v1::ListFile(), options, Clock::System());
  };
  const auto read = [](Source& list, uint64_t bytes) {
    std::string all;
    for (bool end = false; !end && all.size() < bytes;) {
      const auto slice = list.Read(absl::Seconds(1));
      EXPECT_TRUE(slice.ok()) << slice.status();
      if (!slice.ok()) break;
      end = slice->has_value() && (*slice)->empty();
      all += slice->value_or("");
    }
    return all;
  };
  std::unique_ptr<Source> first = open(), second = open();
  const std::string begun = read(*first, 1), other = read(*second, 1);
  EXPECT_FALSE(other.empty());
  const auto none = second->Read(absl::ZeroDuration());
  EXPECT_TRUE(none.ok() && !none->has_value());
  const std::string whole = begun + read(*first, UINT64_MAX);
  EXPECT_EQ(whole.size(), 30000u * 13 + 9);
  EXPECT_EQ(other + read(*second, UINT64_MAX), whole);
}

TEST_F(ParquetListTest, SilenceIsBounded) {
  Script(absl::StrCat(kRow, "; exec sleep 1000"));
  ExpectRefused("no row could be read", absl::Milliseconds(100));
  Script("exec 1>&-; exec sleep 1000");
  ExpectRefused("did not end");
}

TEST_F(ParquetListTest, SaysWhatToDoWhereThereIsNoProgram) {
  program_ = "/nonexistent/imgfleet-parquet";
  EXPECT_EQ(ReadAll().status.code(), absl::StatusCode::kFailedPrecondition);
  program_ = "";
  const absl::Status off = ReadAll().status;
  EXPECT_EQ(off.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(off.message()), HasSubstr("--parquet"));
  Script("exit 127");
  EXPECT_THAT(std::string(ReadAll().status.message()), HasSubstr("tools/setup.sh parquet"));
}

TEST(SpooledListTest, IsBounded) {
  auto spooled = SpooledList::Open("", "a.parquet", 5);
  ASSERT_TRUE(spooled.ok());
  EXPECT_TRUE((*spooled)->Add("12345").ok());
  const absl::Status more = (*spooled)->Add("6");
  EXPECT_EQ(more.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(more.message()), HasSubstr("--spool-limit"));
}

}  // namespace
}  // namespace imgfleet::lists
