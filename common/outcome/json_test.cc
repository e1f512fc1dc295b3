// JSON and CSV, parsed back by a library that did not write them.
#include "common/outcome/json.h"

#include <limits>
#include <random>
#include <string>

#include "boost/json.hpp"
#include "common/outcome/csv.h"
#include "common/utf8.h"
#include "gtest/gtest.h"

namespace imgfleet::outcome {
namespace {

namespace json = boost::json;

v1::Outcome Measured() {
  v1::Outcome outcome;
  outcome.set_id("0");
  outcome.set_url("https://a/?x=1,2");
  v1::ImageInfo& image = *outcome.mutable_image();
  image.set_format("jpeg");
  image.set_mime("image/jpeg");
  image.set_width(800);
  image.set_height(600);
  image.set_display_width(600);
  image.set_display_height(800);
  image.set_orientation(6);
  image.set_size_bytes(20413);
  image.set_size_source(v1::CONTENT_RANGE);
  image.set_bit_depth(8);
  image.set_has_alpha(false);
  outcome.mutable_fetch()->set_http_status(206);
  outcome.mutable_fetch()->set_fetched_bytes(16384);
  outcome.mutable_fetch()->set_etag("\"x\"");
  outcome.mutable_fetch()->set_total_us(1234);
  outcome.set_attempts(1);
  return outcome;
}

// With every field that may be left out.
v1::Outcome Deep() {
  v1::Outcome outcome = Measured();
  v1::ImageInfo& image = *outcome.mutable_image();
  image.set_loop_count(0);
  image.set_has_icc(true);
  image.set_color_space(v1::YCBCR);
  image.set_dpi_x(72);
  image.set_dpi_y(300.5f);
  for (const uint32_t bits : {32, 0}) {
    v1::IconVariant& variant = *image.add_variants();
    variant.set_width(16);
    variant.set_height(24);
    variant.set_bit_depth(bits);
    variant.set_size_bytes(1128);
  }
  image.mutable_svg()->set_height("100%");
  image.mutable_svg()->set_view_box("0,0 \"3\" 4");
  image.set_sha256(std::string("\x01\xab\xff\x00", 4));
  image.set_complete(false);
  v1::PixelInfo& pixels = *image.mutable_pixels();
  pixels.set_decoded(true);
  pixels.set_phash(0x00ff'1234'5678'9abc);
  pixels.set_average_color("#010203");
  pixels.set_dominant_color("#a0b0c0");
  pixels.set_blurhash("L~\"");
  pixels.mutable_error()->set_reason(v1::ItemError::CORRUPT);
  pixels.mutable_error()->set_message("cut, short");
  outcome.mutable_fetch()->set_content_type("text/html");
  outcome.mutable_fetch()->set_content_type_wrong(true);
  return outcome;
}

v1::Outcome Failed() {
  v1::Outcome outcome;
  outcome.set_index(1);
  outcome.set_id("a\"b");
  v1::ItemError& error = *outcome.mutable_error();
  error.set_reason(v1::ItemError::BAD_ROW);
  error.set_message("l.tsv:3: bad");
  error.set_line(3);
  return outcome;
}

std::string Line(const v1::Outcome& outcome) {
  std::string out;
  AppendOutcomeJson(outcome, out);
  return out;
}

TEST(JsonTest, OneOutcomeALine) {
  EXPECT_EQ(
      Line(Measured()),
      R"({"index":0,"id":"0","url":"https://a/?x=1,2","status":"ok","format":"jpeg","width":800,"height":600,)"
      R"("display_width":600,"display_height":800,"orientation":6,"size_bytes":20413,"fetched_bytes":16384,)"
      R"("animated":false,"frames":null,"bit_depth":8,"channels":null,"has_alpha":false,"progressive":null,)"
      R"("mime":"image/jpeg","size_source":"CONTENT_RANGE","attempts":1,"http_status":206,"etag":"\"x\"",)"
      R"("timings_us":{"dns":0,"connect":0,"tls":0,"first_byte":0,"total":1234}})");
  EXPECT_EQ(
      Line(Failed()),
      R"({"index":1,"id":"a\"b","url":"","status":"error","error":{"reason":"BAD_ROW","message":"l.tsv:3: bad",)"
      R"("retryable":false,"line":3}})");
}

TEST(JsonTest, WhatIsKnownBesidesComesBehind) {
  const std::string line = Line(Deep());
  EXPECT_NE(
      line.find(
          R"("size_source":"CONTENT_RANGE","loop_count":0,"has_icc":true,"color_space":"ycbcr","dpi_x":72,)"
          R"("dpi_y":300.5,"variants":[{"width":16,"height":24,"bit_depth":32,"size_bytes":1128},)"
          R"({"width":16,"height":24,"size_bytes":1128}],"svg":{"height":"100%","view_box":"0,0 \"3\" 4"},)"
          R"("sha256":"01abff00","complete":false,"pixels":{"decoded":true,"phash":"00ff123456789abc",)"
          R"("average_color":"#010203","dominant_color":"#a0b0c0","blurhash":"L~\"","error":{"reason":"CORRUPT",)"
          R"("message":"cut, short","retryable":false}},"attempts":1,"http_status":206,"content_type":"text/html",)"
          R"("content_type_wrong":true,"etag":)"),
      std::string::npos)
      << line;
  boost::system::error_code error;
  json::parse(line, error);
  EXPECT_FALSE(error) << line;
  v1::Outcome empty = Measured();
  empty.mutable_image()->mutable_svg();
  empty.mutable_image()->mutable_pixels();
  empty.mutable_image()->set_dpi_x(std::numeric_limits<float>::infinity());
  EXPECT_NE(Line(empty).find(R"("svg":{},"pixels":{"decoded":false},)"), std::string::npos) << Line(empty);
  EXPECT_EQ(Line(empty).find("dpi"), std::string::npos);
}

TEST(JsonTest, TheEntryOfApiV1) {
  std::string out;
  AppendV1Entry(Measured(), out);
  EXPECT_EQ(
      out,
      R"("0": {"url": "https://a/?x=1,2", "image_info": {"image_size": 20413, "image_dimension": [800, 600], )"
      R"("image_format": "JPEG"}})");
  out.clear();
  AppendV1Entry(Failed(), out);
  EXPECT_EQ(
      out,
      R"("a\"b": {"url": "", "image_info": "", "error": "Image could not be requested.", "reason": "BAD_ROW"})");
  EXPECT_EQ(PillowName("heic"), "HEIF");
  EXPECT_EQ(PillowName("webp"), "WEBP");
  EXPECT_EQ(PillowName("jp2"), "JPEG2000");
  EXPECT_EQ(PillowName("j2k"), "JPEG2000");
  EXPECT_EQ(PillowName("pnm"), "PPM");
  EXPECT_EQ(PillowName("jxl"), "JXL");
  EXPECT_EQ(PillowName("icns"), "ICNS");
}

TEST(JsonTest, AnyBytesBecomeTheSameTextAgain) {
  std::mt19937_64 random(3);
  static const std::vector<std::string> kPieces = {"a",
                                                   "\"",
                                                   "\\",
                                                   "/",
                                                   "\n",
                                                   "\t",
                                                   "\r",
                                                   std::string(1, '\0'),
                                                   "\x1F",
                                                   "\x7F",
                                                   "\xC3\xBC",
                                                   "\xE2\x82\xAC",
                                                   "\xF0\x9F\x98\x80",
                                                   "\xC3",
                                                   "\xFF",
                                                   "\xED\xA0\x80",
                                                   "\xF4\x90\x80\x80",
                                                   "\xC0\xAF",
                                                   "\xE2\x82",
                                                   "plain text"};
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    for (size_t n = random() % 12; n > 0; --n) text += kPieces[random() % kPieces.size()];
    // By the definition: each byte that belongs to no character is one U+FFFD.
    std::string wanted;
    for (absl::string_view rest = text; !rest.empty();) {
      const size_t valid = ValidUtf8Prefix(rest);
      wanted.append(rest.data(), valid);
      rest.remove_prefix(valid);
      if (rest.empty()) break;
      wanted += "\xEF\xBF\xBD";
      rest.remove_prefix(1);
    }
    std::string out;
    AppendJsonString(text, out);
    boost::system::error_code error;
    const json::value value = json::parse(out, error);
    ASSERT_FALSE(error) << out;
    ASSERT_EQ(std::string(value.as_string()), wanted);
  }
}

TEST(JsonTest, JobOfTheRestApi) {
  v1::Job job;
  job.set_id("0190");
  job.set_state(v1::Job::RUNNING);
  job.mutable_spec()->set_display_name("a \"list\"");
  job.set_items(5005);
  job.set_succeeded(3995);
  job.set_failed(5);
  job.add_reasons()->set_reason(v1::ItemError::DNS_FAILURE);
  job.mutable_reasons(0)->set_count(5);
  job.mutable_create_time()->set_seconds(1'700'000'000);
  job.mutable_create_time()->set_nanos(500'000);
  const absl::Time created = absl::FromUnixSeconds(1'700'000'000) + absl::Microseconds(500);
  std::string out;
  AppendJobJson(job, created + absl::Seconds(8), out);
  EXPECT_EQ(
      out,
      R"({"id":"0190","state":"RUNNING","kind":"measure","display_name":"a \"list\"","items":5005,"succeeded":3995,)"
      R"("failed":5,"pending":1005,"reasons":{"DNS_FAILURE":5},"fetched_bytes":0,"items_per_second":500.0,)"
      R"("eta_seconds":2.0,"summary":"","priority":0,"paused":false,"create_time":"2023-11-14T22:13:20.000500Z","end_time":null,)"
      R"("last_commit_seq":0})");
  job.set_state(v1::Job::FAILED);
  job.set_failure("l.tsv.gz:7: cut off");
  job.mutable_end_time()->set_seconds(1'700'000'010);
  out.clear();
  AppendJobJson(job, created, out);
  const json::object parsed = json::parse(out).as_object();
  EXPECT_EQ(parsed.at("failure").as_string(), "l.tsv.gz:7: cut off");
  EXPECT_EQ(parsed.at("end_time").as_string(), "2023-11-14T22:13:30.000000Z");
  EXPECT_TRUE(parsed.at("eta_seconds").is_null());
  // A clock that was set back makes no rate.
  out.clear();
  job.clear_end_time();
  AppendJobJson(job, created - absl::Hours(1), out);
  EXPECT_EQ(json::parse(out).as_object().at("items_per_second"), 0.0);
}

TEST(CsvTest, EveryRowHasTheHeadersColumns) {
  std::string out;
  AppendCsvHeader(out);
  const auto columns = std::count(out.begin(), out.end(), ',');
  out.clear();
  AppendOutcomeCsv(Failed(), out);
  EXPECT_EQ(out, "1,\"a\"\"b\",,error,BAD_ROW,l.tsv:3: bad,false,3" + std::string(columns - 7, ',') + "\r\n");
  out.clear();
  AppendOutcomeCsv(Measured(), out);
  EXPECT_EQ(out,
            "0,0,\"https://a/?x=1,2\",ok,,,,,jpeg,image/"
            "jpeg,800,600,600,800,6,20413,CONTENT_RANGE,false,,8,,false,,206,"
            "16384,1,,,\"\"\"x\"\"\",,1234,,,,,,,,,,,,,,,,,,,\r\n");
  EXPECT_EQ(std::count(out.begin(), out.end(), ','), columns + 1);  // One stands inside the URL.
  out.clear();
  AppendOutcomeCsv(Deep(), out);
  EXPECT_EQ(std::count(out.begin(), out.end(), ','), columns + 3);
  EXPECT_NE(
      out.find(",1234,true,0,true,ycbcr,72,300.5,16x24x32:1128 16x24:1128,,100%,\"0,0 \"\"3\"\" 4\","
               "01abff00,false,true,00ff123456789abc,#010203,#a0b0c0,\"L~\"\"\",CORRUPT,\"cut, short\"\r\n"),
      std::string::npos)
      << out;
}

}  // namespace
}  // namespace imgfleet::outcome
