// What the probe and the engine found, in the words of v1.Outcome.
#include "worker/task/outcome.h"

#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "gtest/gtest.h"
#include "worker/task/content_type.h"
#include "worker/task/measurement.h"

namespace imgfleet::task {
namespace {

image::ProbeResult Probed(const image::ImageInfo& info) {
  image::ProbeResult result;
  result.status = image::ProbeStatus::kOk;
  result.info = info;
  return result;
}

image::ImageInfo Plain() {
  image::ImageInfo info;
  info.format = image::Format::kPng;
  info.width = info.display_width = 20;
  info.height = info.display_height = 30;
  return info;
}

TEST(FillImage, EveryFieldTheProbeKnowsArrives) {
  image::ImageInfo info = Plain();
  info.animated = true;
  info.frames = 7;
  info.bit_depth = 8;
  info.channels = 4;
  info.has_alpha = true;
  info.progressive = false;
  info.loop_count = 0;
  info.has_icc = true;
  info.color_space = image::ColorSpace::kXyb;
  info.dpi_x = 72;
  info.dpi_y = 300.5f;
  info.variants = {{16, 16, 32, 1128}, {256, 256, 0, 9000}};
  info.svg = image::SvgSize{"10em", "", "0 0 \xff 4"};
  v1::Outcome outcome;
  FillImage(Probed(info), {}, &outcome);
  const v1::ImageInfo& image = outcome.image();
  EXPECT_EQ(image.format(), "png");
  EXPECT_EQ(image.frames(), 7u);
  EXPECT_EQ(image.bit_depth(), 8u);
  EXPECT_EQ(image.channels(), 4u);
  EXPECT_TRUE(image.has_alpha());
  EXPECT_TRUE(image.has_progressive());
  EXPECT_TRUE(image.has_loop_count());
  EXPECT_EQ(image.loop_count(), 0u);
  EXPECT_TRUE(image.has_icc());
  EXPECT_EQ(image.color_space(), v1::XYB);
  EXPECT_EQ(image.dpi_x(), 72);
  EXPECT_EQ(image.dpi_y(), 300.5f);
  ASSERT_EQ(image.variants_size(), 2);
  EXPECT_EQ(image.variants(0).size_bytes(), 1128u);
  EXPECT_EQ(image.variants(1).width(), 256u);
  EXPECT_EQ(image.svg().width(), "10em");
  EXPECT_EQ(image.svg().view_box(), "0 0 \xef\xbf\xbd 4");  // What is no UTF-8 cannot stay.
}

TEST(FillImage, WhatIsNotKnownIsAbsent) {
  v1::Outcome outcome;
  FillImage(Probed(Plain()), {}, &outcome);
  const v1::ImageInfo& image = outcome.image();
  EXPECT_FALSE(image.has_frames() || image.has_bit_depth() || image.has_channels() || image.has_has_alpha() ||
               image.has_progressive() || image.has_loop_count() || image.has_has_icc() ||
               image.has_dpi_x() || image.has_dpi_y() || image.has_svg());
  EXPECT_EQ(image.color_space(), v1::COLOR_SPACE_UNSPECIFIED);
  EXPECT_EQ(image.variants_size(), 0);
}

// Each of the probe's colour spaces has the proto's word of the same name.
TEST(FillImage, ColourSpaces) {
  using image::ColorSpace;
  const std::pair<ColorSpace, v1::ColorSpace> kSpaces[] = {
      {ColorSpace::kGray, v1::GRAY},
      {ColorSpace::kRgb, v1::RGB},
      {ColorSpace::kPalette, v1::PALETTE},
      {ColorSpace::kYcbcr, v1::YCBCR},
      {ColorSpace::kCmyk, v1::CMYK},
      {ColorSpace::kYcck, v1::YCCK},
      {ColorSpace::kLab, v1::LAB},
      {ColorSpace::kXyb, v1::XYB},
      {ColorSpace::kUnknown, v1::COLOR_SPACE_UNSPECIFIED}};
  for (const auto& [from, to] : kSpaces) {
    image::ImageInfo info = Plain();
    info.color_space = from;
    v1::Outcome outcome;
    FillImage(Probed(info), {}, &outcome);
    EXPECT_EQ(outcome.image().color_space(), to);
  }
}

TEST(ContentType, IsJudgedByWhatTheBytesAre) {
  const std::optional<bool> kRight = false, kWrong = true, kNoClaim;
  const std::tuple<image::Format, const char*, std::optional<bool>> kCases[] = {
      {image::Format::kJpeg, "image/jpeg", kRight},
      {image::Format::kJpeg, " IMAGE/JPEG ; charset=binary", kRight},
      {image::Format::kJpeg, "image/jpg", kRight},
      {image::Format::kJpeg, "image/pjpeg", kRight},
      {image::Format::kJpeg, "image/png", kWrong},
      {image::Format::kJpeg, "text/html; charset=utf-8", kWrong},
      {image::Format::kJpeg, "image/x", kWrong},
      {image::Format::kJpeg, "image/jpeg, image/jpeg", kRight},
      {image::Format::kJpeg, "application/octet-stream", kNoClaim},
      {image::Format::kJpeg, "Binary/Octet-Stream;x=y", kNoClaim},
      {image::Format::kJpeg, "image/*", kNoClaim},
      {image::Format::kJpeg, "*/*", kNoClaim},
      {image::Format::kJpeg, "jpeg", kNoClaim},
      {image::Format::kJpeg, "image/", kNoClaim},
      {image::Format::kJpeg, ";", kNoClaim},
      {image::Format::kPng, "image/x-png", kRight},
      {image::Format::kPng, "image/apng", kRight},
      {image::Format::kPng, "image/jpeg", kWrong},
      {image::Format::kIco, "image/x-icon", kRight},
      {image::Format::kIco, "image/vnd.microsoft.icon", kRight},
      {image::Format::kIco, "image/png", kWrong},
      {image::Format::kCur, "image/x-win-bitmap", kRight},
      {image::Format::kSvg, "image/svg+xml", kRight},
      {image::Format::kSvg, "text/xml; charset=utf-8", kRight},
      {image::Format::kSvg, "text/html", kWrong},
      {image::Format::kSvg, "text/plain", kWrong},
      {image::Format::kHeic, "image/heif", kRight},
      {image::Format::kAvif, "image/heif", kRight},
      {image::Format::kAvif, "image/heic", kWrong},
      {image::Format::kWebp, "image/webp", kRight},
      {image::Format::kWebp, "image/jpeg", kWrong},
      {image::Format::kGif, "image/gif", kRight},
      {image::Format::kBmp, "image/x-ms-bmp", kRight},
      {image::Format::kTiff, "image/tif", kRight},
      {image::Format::kPsd, "application/x-photoshop", kRight},
  };
  for (const auto& [format, type, expected] : kCases) {
    image::ImageInfo info = Plain();
    info.format = format;
    fetch::Report report;
    report.attempts = 1;
    report.content_type = type;
    v1::Outcome outcome;
    FillImage(Probed(info), report, &outcome);
    FillFetch(&report, &outcome);
    EXPECT_EQ(outcome.fetch().content_type(), type);
    EXPECT_EQ(outcome.fetch().has_content_type_wrong(), expected.has_value()) << type;
    EXPECT_EQ(outcome.fetch().content_type_wrong(), expected.value_or(false))
        << type << " " << std::string(image::FormatName(format));
  }
}

// Of every format, its own type is right and another's is wrong.
TEST(ContentType, EveryFormatKnowsItsOwn) {
  for (int i = 1; i <= static_cast<int>(image::Format::kPcx); ++i) {
    const auto format = static_cast<image::Format>(i);
    EXPECT_EQ(IsContentTypeWrong(image::MimeType(format), image::FormatName(format), image::MimeType(format)),
              false);
    EXPECT_EQ(IsContentTypeWrong("text/html", image::FormatName(format), image::MimeType(format)), true);
  }
}

TEST(ContentType, WithoutAnImageThereIsNoVerdict) {
  image::ProbeResult none;
  none.status = image::ProbeStatus::kNotAnImage;
  none.message = "HTML";
  fetch::Report report;
  report.attempts = 1;
  report.content_type = "image/jpeg";
  v1::Outcome outcome;
  FillImage(none, report, &outcome);
  FillFetch(&report, &outcome);
  EXPECT_FALSE(outcome.fetch().has_content_type_wrong());
}

// What one item after the other on this thread ends with.
v1::Outcome Measured(const std::string& file, fetch::Report report) {
  v1::Outcome measured;
  Item item;
  item.done = [&](const v1::Outcome& outcome) { measured = outcome; };
  Measurement measurement(std::move(item), fetch::Extent::kAsNeeded);
  fetch::Arrived arrived;
  arrived.prefix = file;
  arrived.total = file.size();
  measurement.Inspect(arrived);
  measurement.Finish(std::move(report));
  return measured;
}

TEST(MeasurementTest, AnOutcomeHoldsNothingOfTheOneBefore) {
  const std::string gif = "GIF89a" + std::string("\3\0\4\0\0\0\0;", 8);
  const auto plain = [] {
    fetch::Report report;
    report.attempts = 1;
    return report;
  };
  const std::string alone = Measured(gif, plain()).SerializeAsString();

  fetch::Report rich = plain();
  rich.etag = "\"a\"";
  rich.content_type = "text/html";
  rich.dns = rich.tls = absl::Milliseconds(3);
  const v1::Outcome svg = Measured("<svg width='7' height='8'/>", std::move(rich));
  EXPECT_TRUE(svg.image().has_svg() && svg.fetch().content_type_wrong());
  EXPECT_EQ(Measured(gif, plain()).SerializeAsString(), alone);

  fetch::Report failure;
  failure.failure = fetch::Failure::kBadUrl;
  failure.message = "no URL";
  const v1::Outcome failed = Measured(gif, std::move(failure));
  EXPECT_TRUE(failed.has_error() && !failed.has_image() && !failed.has_fetch());
  EXPECT_EQ(Measured(gif, plain()).SerializeAsString(), alone);
}

}  // namespace
}  // namespace imgfleet::task
