#include "decoder/protocol.h"

#include <string>

#include "gtest/gtest.h"

namespace imgfleet::decoder {
namespace {

TEST(RequestTest, IsReadAsItWasWritten) {
  for (uint8_t format = 1; format <= static_cast<uint8_t>(kLastFormat); ++format) {
    const RequestHead head{static_cast<Format>(format), 6, 0x1234567890};
    const std::string bytes = Encode(head);
    ASSERT_EQ(bytes.size(), kRequestHeadBytes);
    const auto read = ParseRequestHead(bytes);
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->format, head.format);
    EXPECT_EQ(read->orientation, 6);
    EXPECT_EQ(read->file_bytes, 0x1234567890u);
  }
}

TEST(RequestTest, NothingElseIsOne) {
  const std::string good = Encode(RequestHead{});
  ASSERT_TRUE(ParseRequestHead(good).has_value());
  EXPECT_FALSE(ParseRequestHead("").has_value());
  EXPECT_FALSE(ParseRequestHead(good + "x").has_value());
  EXPECT_FALSE(ParseRequestHead(absl::string_view(good).substr(1)).has_value());
  for (const size_t at : {0, 1, 2, 3, 4, 5, 6, 7}) {
    std::string bad = good;
    bad[at] = '\x63';
    EXPECT_FALSE(ParseRequestHead(bad).has_value()) << at;
  }
}

TEST(AnswerTest, IsReadAsItWasWritten) {
  Answer answer;
  answer.status = AnswerStatus::kOk;
  answer.last = true;
  answer.facts = {0xfedcba9876543210, Colour{1, 2, 3}, Colour{4, 5, 255}, "LbGveeMgP97}8=-MNMahL0Bq+t+a"};
  const auto read = ParseAnswer(Encode(answer));
  ASSERT_TRUE(read.has_value());
  EXPECT_TRUE(read->last);
  EXPECT_EQ(read->facts.phash, answer.facts.phash);
  EXPECT_EQ(read->facts.average, answer.facts.average);
  EXPECT_EQ(read->facts.dominant, answer.facts.dominant);
  EXPECT_EQ(read->facts.blurhash, answer.facts.blurhash);

  answer.facts.average = answer.facts.dominant = std::nullopt;
  EXPECT_EQ(ParseAnswer(Encode(answer))->facts.average, std::nullopt);
}

TEST(AnswerTest, WhatADecoderSaysIsBoundedAndPrintable) {
  Answer answer;
  answer.status = AnswerStatus::kCorrupt;
  answer.text = std::string(10'000, '\xff') + "\n";
  const auto read = ParseAnswer(Encode(answer));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->text, std::string(kMaxTextBytes, '?'));
}

TEST(AnswerTest, WhatIsNoBlurHashIsNoAnswer) {
  Answer answer;
  answer.status = AnswerStatus::kOk;
  ASSERT_TRUE(ParseAnswer(Encode(answer)).has_value());
  for (const char* text : {"L", "<script>alert(1)</script>!!!", "LbGveeMgP97}8=-MNMahL0Bq+t+aa"}) {
    answer.facts.blurhash = text;
    EXPECT_FALSE(ParseAnswer(Encode(answer)).has_value()) << text;
  }
}

TEST(AnswerTest, NothingElseIsOne) {
  Answer answer;
  answer.text = "why";
  const std::string good = Encode(answer);
  ASSERT_TRUE(ParseAnswer(good).has_value());
  EXPECT_FALSE(ParseAnswer(good + "x").has_value());
  EXPECT_FALSE(ParseAnswer(absl::string_view(good).substr(0, good.size() - 1)).has_value());
  EXPECT_FALSE(ParseAnswer("").has_value());
  std::string long_text = good;
  long_text[7] = '\x7f';
  EXPECT_FALSE(AnswerTextBytes(long_text).has_value());
  for (const size_t at : {0, 1, 2, 3, 4, 5}) {
    std::string bad = good;
    bad[at] = '\x63';
    EXPECT_FALSE(ParseAnswer(bad).has_value()) << at;
  }
}

TEST(FormatTest, OnlyWhatIsDecodedHasAName) {
  EXPECT_EQ(FormatOf("jpeg"), Format::kJpeg);
  EXPECT_EQ(FormatOf("j2k"), Format::kJ2k);
  EXPECT_EQ(FormatOf("svg"), std::nullopt);
  EXPECT_EQ(FormatOf(""), std::nullopt);
}

}  // namespace
}  // namespace imgfleet::decoder
