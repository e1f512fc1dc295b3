#include "common/blob.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace imgfleet {
namespace {

std::string Repetitive(int lines) {
  std::string text;
  for (int i = 0; i < lines; ++i) absl::StrAppend(&text, "https://example.com/images/", i, ".jpg\n");
  return text;
}

TEST(Crc32c, MatchesTheStandardsVectors) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);            // The check value of CRC-32C.
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720 B.4.
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62A8AB43u);
}

TEST(Crc32c, TheInstructionAgreesWithTheTable) {
  const std::string text = Repetitive(20);
  for (size_t begin = 0; begin < 9; ++begin) {
    for (size_t size = 0; size < 80; ++size) {
      const absl::string_view part = absl::string_view(text).substr(begin, size);
      ASSERT_EQ(Crc32c(part), internal::Crc32cByTable(part)) << begin << " " << size;
    }
  }
}

TEST(Blob, GivesBackWhatItWasGiven) {
  for (const std::string& raw : {std::string(), std::string("x"), std::string("a\0b", 3), Repetitive(5000)}) {
    const std::string blob = PackBlob(raw);
    const auto back = UnpackBlob(blob);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back, raw);
  }
  EXPECT_LT(PackBlob(Repetitive(5000)).size(), Repetitive(5000).size() / 4);
}

TEST(Blob, EveryFlippedBitAndEveryCutIsNoticed) {
  for (const std::string& raw : {std::string("short"), Repetitive(20)}) {
    const std::string blob = PackBlob(raw);
    for (size_t cut = 0; cut < blob.size(); ++cut) EXPECT_FALSE(UnpackBlob(blob.substr(0, cut)).ok()) << cut;
    for (size_t bit = 0; bit < blob.size() * 8; ++bit) {
      std::string damaged = blob;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      const auto back = UnpackBlob(damaged);
      // A flip may land in a bit that zstd ignores; what it must never do is change the bytes.
      if (back.ok()) {
        EXPECT_EQ(*back, raw) << bit;
      }
    }
  }
}

TEST(Blob, AHostileHeaderAsksForNoMemory) {
  std::string blob = PackBlob(Repetitive(20));
  blob[5] = '\x7f';  // Raw size of 2 GB.
  EXPECT_EQ(UnpackBlob(blob).status().code(), absl::StatusCode::kDataLoss);
}

TEST(Blob, AVersionFromTheFutureIsToldApart) {
  std::string blob = PackBlob("x");
  blob[0] = 2;
  EXPECT_EQ(UnpackBlob(blob).status().code(), absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace imgfleet
