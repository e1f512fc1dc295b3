// Codec, reasons, summary, result reader.
#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "common/blob.h"
#include "common/outcome/codec.h"
#include "common/outcome/reasons.h"
#include "common/outcome/result_reader.h"
#include "common/outcome/summary.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace imgfleet::outcome {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Reason = v1::ItemError;

std::string Text(absl::string_view text) { return std::string(text); }

TEST(ReasonsTest, SayWhatTheProtoSays) {
  EXPECT_EQ(Text(ReasonName(Reason::DNS_FAILURE)), "DNS_FAILURE");
  EXPECT_EQ(Text(ReasonName(static_cast<v1::ItemError::Reason>(999))), "REASON_UNSPECIFIED");
  EXPECT_EQ(Text(ReasonName(static_cast<v1::ItemError::Reason>(-1))), "REASON_UNSPECIFIED");
  EXPECT_EQ(ReasonOf("NOT_AN_IMAGE"), Reason::NOT_AN_IMAGE);
  EXPECT_EQ(ReasonOf("not_an_image"), std::nullopt);
  EXPECT_TRUE(MayRetry(Reason::TIMEOUT));
  EXPECT_FALSE(MayRetry(Reason::BAD_URL));
  EXPECT_EQ(Text(V1Text(Reason::STALLED)), "Timeout while requesting Image.");
  EXPECT_EQ(Text(V1Text(Reason::HTTP_STATUS)), "Image could not be requested.");
  EXPECT_EQ(Text(V1Text(Reason::NOT_AN_IMAGE)), "Image could not be opened.");
  for (int i = 1; i < v1::ItemError::Reason_ARRAYSIZE; ++i) {
    const auto reason = static_cast<v1::ItemError::Reason>(i);
    EXPECT_EQ(ReasonOf(ReasonName(reason)), reason);
  }
  for (const int status : {408, 425, 429, 500, 503, 599}) EXPECT_TRUE(RetryableHttpStatus(status)) << status;
  for (const int status : {0, 200, 304, 404, 410, 600}) EXPECT_FALSE(RetryableHttpStatus(status)) << status;
}

TEST(CodecTest, RoundTripsAndNoticesDamage) {
  v1::ItemBatch items;
  for (int i = 0; i < 1000; ++i) items.add_items()->set_url("http://example.com/" + std::to_string(i));
  std::string blob = PackItems(items);
  EXPECT_EQ(UnpackItems(blob)->SerializeAsString(), items.SerializeAsString());
  v1::OutcomeChunk chunk;
  chunk.add_outcomes()->set_index(7);
  EXPECT_EQ(UnpackOutcomes(PackOutcomes(chunk))->outcomes(0).index(), 7u);
  EXPECT_TRUE(UnpackOutcomes(PackOutcomes({})).ok());
  blob[blob.size() / 2] ^= 4;
  EXPECT_EQ(UnpackItems(blob).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(UnpackItems(PackBlob("\xFF\xFF no message")).status().code(), absl::StatusCode::kDataLoss);
}

v1::Job Counted(uint64_t succeeded, std::vector<std::pair<v1::ItemError::Reason, uint64_t>> reasons) {
  v1::Job job;
  job.set_succeeded(succeeded);
  for (const auto& [reason, count] : reasons) {
    v1::ReasonCount& added = *job.add_reasons();
    added.set_reason(reason);
    added.set_count(count);
    job.set_failed(job.failed() + count);
  }
  return job;
}

TEST(SummaryTest, SaysWhatWentWrongMost) {
  EXPECT_EQ(Summary(Counted(5005, {})), "");
  EXPECT_EQ(Summary(Counted(4994, {{Reason::DNS_FAILURE, 11}})),
            "11 of 5,005 items failed; 100 % of failures: DNS_FAILURE");
  EXPECT_EQ(Summary(Counted(9000, {{Reason::TIMEOUT, 60}, {Reason::DNS_FAILURE, 940}})),
            "1,000 of 10,000 items failed; 94 % of failures: DNS_FAILURE, 6 %: TIMEOUT");
  EXPECT_EQ(Summary(Counted(0, {{Reason::DNS_FAILURE, 999'999}, {Reason::TIMEOUT, 1}})),
            "1,000,000 of 1,000,000 items failed; over 99 % of failures: DNS_FAILURE, under 1 %: TIMEOUT");
  EXPECT_EQ(Summary(Counted(
                0, {{Reason::CORRUPT, 1}, {Reason::TIMEOUT, 1}, {Reason::STALLED, 1}, {Reason::BAD_URL, 1}})),
            "4 of 4 items failed; 25 % of failures: CORRUPT, 25 %: TIMEOUT, 25 %: STALLED");
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(18'446'744'073'709'551'615u), "18,446,744,073,709,551,615");
}

v1::Outcomes Packed(const std::vector<uint64_t>& indices, uint64_t next_index, bool complete) {
  v1::OutcomeChunk chunk;
  for (const uint64_t index : indices) chunk.add_outcomes()->set_index(index);
  v1::Outcomes message;
  if (!indices.empty()) message.set_packed(PackOutcomes(chunk));
  message.set_next_index(next_index);
  message.set_shard_complete(complete);
  return message;
}

struct Reading {
  explicit Reading(uint64_t from = 0) : reader(from) {}
  absl::Status Take(const v1::Outcomes& message) {
    return reader.Take(message, [this](const v1::Outcome& outcome) { got.push_back(outcome.index()); });
  }
  ResultReader reader;
  std::vector<uint64_t> got;
};

TEST(ResultReaderTest, PutsAnyOrderOfCommitsIntoTheListsOrder) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 200; ++round) {
    const uint64_t from = random() % 40;
    Reading reading(from);
    for (uint64_t shard = 0; shard < 4; ++shard) {
      if ((shard + 1) * 16 <= from) continue;
      std::vector<uint64_t> indices(16);
      for (uint64_t i = 0; i < 16; ++i) indices[i] = shard * 16 + i;
      std::shuffle(indices.begin(), indices.end(), random);
      for (size_t at = 0; at < 16;) {
        const size_t end = std::min<size_t>(16, at + random() % 7);
        ASSERT_TRUE(
            reading.Take(Packed({indices.begin() + at, indices.begin() + end}, (shard + 1) * 16, end == 16))
                .ok());
        at = end;
      }
      ASSERT_EQ(reading.reader.next_index(), (shard + 1) * 16);
    }
    ASSERT_EQ(reading.got.size(), 64 - from);
    for (size_t i = 0; i < reading.got.size(); ++i) ASSERT_EQ(reading.got[i], from + i);
  }
}

TEST(ResultReaderTest, HandsOnAsSoonAsItCan) {
  Reading reading;
  ASSERT_TRUE(reading.Take(Packed({0, 3}, 5, false)).ok());
  EXPECT_THAT(reading.got, ElementsAre(0));
  ASSERT_TRUE(reading.Take(Packed({1, 2}, 5, false)).ok());
  EXPECT_THAT(reading.got, ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(reading.reader.next_index(), 4u);
}

TEST(ResultReaderTest, TakesUnpackedMessages) {
  Reading reading;
  v1::Outcomes message;
  message.add_outcomes()->set_index(0);
  message.add_outcomes()->set_index(1);
  message.set_next_index(2);
  message.set_shard_complete(true);
  ASSERT_TRUE(reading.Take(message).ok());
  EXPECT_THAT(reading.got, ElementsAre(0, 1));
}

TEST(ResultReaderTest, GapsArePassedWhereThereMayBeSome) {
  ResultReader reader(2, Gaps::kMayBe);
  std::vector<uint64_t> seen;
  const auto take = [&](std::vector<uint64_t> indices, uint64_t shard_end, bool complete) {
    v1::Outcomes message;
    for (const uint64_t index : indices) message.add_outcomes()->set_index(index);
    message.set_next_index(shard_end);
    message.set_shard_complete(complete);
    return reader.Take(message, [&](const v1::Outcome& outcome) { seen.push_back(outcome.index()); });
  };
  EXPECT_TRUE(take({8, 1, 3}, 10, false).ok());
  EXPECT_TRUE(seen.empty());
  EXPECT_TRUE(take({5}, 10, true).ok());
  EXPECT_EQ(seen, (std::vector<uint64_t>{3, 5, 8}));
  EXPECT_EQ(reader.next_index(), 10u);
  EXPECT_TRUE(take({31}, 40, true).ok()) << "whole shards may lie between";
  EXPECT_TRUE(take({}, 50, true).ok());
  EXPECT_EQ(seen, (std::vector<uint64_t>{3, 5, 8, 31}));
  EXPECT_TRUE(absl::IsDataLoss(take({9}, 60, false))) << "come twice";
}

TEST(ResultReaderTest, GapsDoublesAndStraysAreDataLoss) {
  const auto message = [](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    return std::string(status.message());
  };
  EXPECT_THAT(message(Reading().Take(Packed({0, 2}, 3, true))), HasSubstr("no outcome for index 1"));
  EXPECT_THAT(message(Reading().Take(Packed({}, 3, true))), HasSubstr("no outcome for index 0"));
  EXPECT_THAT(message(Reading().Take(Packed({0, 0}, 3, false))), HasSubstr("two outcomes for index 0"));
  EXPECT_THAT(message(Reading().Take(Packed({2, 2}, 3, false))), HasSubstr("two outcomes for index 2"));
  EXPECT_THAT(message(Reading().Take(Packed({3}, 3, false))),
              HasSubstr("index 3 in a shard that ends before index 3"));
  v1::Outcomes damaged = Packed({0}, 1, true);
  damaged.mutable_packed()->back() ^= 1;
  message(Reading().Take(damaged));
}

}  // namespace
}  // namespace imgfleet::outcome
