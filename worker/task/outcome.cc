#include "worker/task/outcome.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/utf8.h"
#include "worker/task/content_type.h"
#include "worker/task/measure.h"

namespace imgfleet::task {
namespace {

using image::ProbeStatus;

uint32_t Micros(absl::Duration duration) {
  if (duration <= absl::ZeroDuration()) return 0;  // Most steps did not happen.
  return static_cast<uint32_t>(
      std::min<int64_t>(absl::ToInt64Microseconds(duration), std::numeric_limits<uint32_t>::max()));
}

v1::SizeSource ToSizeSource(fetch::SizeSource source) {
  switch (source) {
    case fetch::SizeSource::kContentRange:
      return v1::CONTENT_RANGE;
    case fetch::SizeSource::kContentLength:
      return v1::CONTENT_LENGTH;
    case fetch::SizeSource::kBody:
      return v1::BODY;
    case fetch::SizeSource::kUnknown:
      break;
  }
  return v1::SIZE_SOURCE_UNSPECIFIED;
}

v1::ColorSpace ToColorSpace(image::ColorSpace space) {
  switch (space) {
    case image::ColorSpace::kGray:
      return v1::GRAY;
    case image::ColorSpace::kRgb:
      return v1::RGB;
    case image::ColorSpace::kPalette:
      return v1::PALETTE;
    case image::ColorSpace::kYcbcr:
      return v1::YCBCR;
    case image::ColorSpace::kCmyk:
      return v1::CMYK;
    case image::ColorSpace::kYcck:
      return v1::YCCK;
    case image::ColorSpace::kLab:
      return v1::LAB;
    case image::ColorSpace::kXyb:
      return v1::XYB;
    case image::ColorSpace::kUnknown:
      break;
  }
  return v1::COLOR_SPACE_UNSPECIFIED;
}

v1::ItemError::Reason ToReason(ProbeStatus status) {
  switch (status) {
    case ProbeStatus::kTruncated:
      return v1::ItemError::TRUNCATED;
    case ProbeStatus::kCorrupt:
      return v1::ItemError::CORRUPT;
    case ProbeStatus::kUnsupported:
      return v1::ItemError::UNSUPPORTED_FORMAT;
    case ProbeStatus::kNotAnImage:
      return v1::ItemError::NOT_AN_IMAGE;
    case ProbeStatus::kOk:
    case ProbeStatus::kNeedMore:
      break;
  }
  return v1::ItemError::INTERNAL;
}

// What origins send may be anything; proto strings are UTF-8. Gives `text` away.
std::string&& ToUtf8(std::string& text) {
  if (IsUtf8(text)) return std::move(text);
  std::string valid;
  absl::string_view rest = text;
  while (!rest.empty()) {
    const size_t good = ValidUtf8Prefix(rest);
    absl::StrAppend(&valid, rest.substr(0, good));
    if (good == rest.size()) break;
    absl::StrAppend(&valid, "\xef\xbf\xbd");
    rest.remove_prefix(good + 1);
  }
  return std::move(text = std::move(valid));
}

void SetError(v1::ItemError::Reason reason, std::string message, v1::Outcome* outcome) {
  v1::ItemError* error = outcome->mutable_error();
  error->set_reason(reason);
  error->set_message(ToUtf8(message));
}

// What only icons and SVGs have.
void FillParts(const image::ImageInfo& info, v1::ImageInfo* image) {
  for (const image::IconVariant& from : info.variants) {
    v1::IconVariant* variant = image->add_variants();
    variant->set_width(from.width);
    variant->set_height(from.height);
    variant->set_bit_depth(from.bit_depth);
    variant->set_size_bytes(from.size_bytes);
  }
  if (!info.svg.has_value()) return;
  image::SvgSize written = *info.svg;
  v1::SvgSize* svg = image->mutable_svg();
  svg->set_width(ToUtf8(written.width));
  svg->set_height(ToUtf8(written.height));
  svg->set_view_box(ToUtf8(written.view_box));
}

}  // namespace

v1::ItemError::Reason ToReason(fetch::Failure failure) {
  switch (failure) {
    case fetch::Failure::kDns:
      return v1::ItemError::DNS_FAILURE;
    case fetch::Failure::kConnect:
      return v1::ItemError::CONNECT_FAILED;
    case fetch::Failure::kTls:
      return v1::ItemError::TLS_FAILURE;
    case fetch::Failure::kTimeout:
      return v1::ItemError::TIMEOUT;
    case fetch::Failure::kStalled:
      return v1::ItemError::STALLED;
    case fetch::Failure::kHttpStatus:
      return v1::ItemError::HTTP_STATUS;
    case fetch::Failure::kTooManyRedirects:
      return v1::ItemError::TOO_MANY_REDIRECTS;
    case fetch::Failure::kProtocol:
      return v1::ItemError::PROTOCOL_ERROR;
    case fetch::Failure::kRangeMismatch:
      return v1::ItemError::RANGE_MISMATCH;
    case fetch::Failure::kBodyTooLarge:
      return v1::ItemError::BODY_TOO_LARGE;
    case fetch::Failure::kEmptyBody:
      return v1::ItemError::EMPTY_BODY;
    case fetch::Failure::kBlockedAddress:
      return v1::ItemError::BLOCKED_ADDRESS;
    case fetch::Failure::kBadUrl:
      return v1::ItemError::BAD_URL;
    case fetch::Failure::kAbandoned:
      return v1::ItemError::CANCELLED;
    case fetch::Failure::kInternal:
    case fetch::Failure::kNone:
      break;
  }
  return v1::ItemError::INTERNAL;
}

bool HasTooManyPixels(const image::ImageInfo& info) {
  return uint64_t{info.width} * info.height > kMaxPixels;
}

void FillImage(const image::ProbeResult& probed, const fetch::Report& report, v1::Outcome* outcome) {
  const image::ImageInfo& info = probed.info;
  if (probed.status != ProbeStatus::kOk) {
    SetError(ToReason(probed.status), probed.message, outcome);
    return;
  }
  if (HasTooManyPixels(info)) {
    SetError(v1::ItemError::TOO_MANY_PIXELS,
             absl::StrCat("the image says to be ", info.width, " x ", info.height, " pixels; at most ",
                          kMaxPixels, " are taken"),
             outcome);
    return;
  }
  v1::ImageInfo* image = outcome->mutable_image();
  const absl::string_view format = image::FormatName(info.format), mime = image::MimeType(info.format);
  image->mutable_format()->assign(format.data(), format.size());
  image->mutable_mime()->assign(mime.data(), mime.size());
  image->set_width(info.width);
  image->set_height(info.height);
  image->set_display_width(info.display_width);
  image->set_display_height(info.display_height);
  image->set_orientation(info.orientation);
  image->set_size_bytes(report.size_bytes);
  image->set_size_source(ToSizeSource(report.size_source));
  image->set_animated(info.animated);
  if (info.frames.has_value()) image->set_frames(*info.frames);
  if (info.bit_depth.has_value()) image->set_bit_depth(*info.bit_depth);
  if (info.channels.has_value()) image->set_channels(*info.channels);
  if (info.has_alpha.has_value()) image->set_has_alpha(*info.has_alpha);
  if (info.progressive.has_value()) image->set_progressive(*info.progressive);
  if (info.loop_count.has_value()) image->set_loop_count(*info.loop_count);
  if (info.has_icc.has_value()) image->set_has_icc(*info.has_icc);
  image->set_color_space(ToColorSpace(info.color_space));
  if (info.dpi_x.has_value()) image->set_dpi_x(*info.dpi_x);
  if (info.dpi_y.has_value()) image->set_dpi_y(*info.dpi_y);
  FillParts(info, image);
}

void FillFailure(fetch::Report* report, v1::Outcome* outcome) {
  SetError(ToReason(report->failure), std::move(report->message), outcome);
  outcome->mutable_error()->set_retryable(report->retryable);
  if (report->failure == fetch::Failure::kHttpStatus)
    outcome->mutable_error()->set_http_status(report->http_status);
}

void FillFetch(fetch::Report* report, v1::Outcome* outcome) {
  outcome->set_attempts(report->attempts);
  if (report->attempts == 0) return outcome->clear_fetch();
  v1::FetchInfo* fetch = outcome->mutable_fetch();
  fetch->set_http_status(report->http_status);
  fetch->set_fetched_bytes(report->fetched_bytes);
  if (!report->final_url.empty()) fetch->set_final_url(ToUtf8(report->final_url));
  if (!report->content_type.empty()) {
    if (outcome->has_image()) {
      const std::optional<bool> wrong =
          IsContentTypeWrong(report->content_type, outcome->image().format(), outcome->image().mime());
      if (wrong.has_value()) fetch->set_content_type_wrong(*wrong);
    }
    fetch->set_content_type(ToUtf8(report->content_type));
  }
  if (!report->etag.empty()) fetch->set_etag(ToUtf8(report->etag));
  if (!report->last_modified.empty()) fetch->set_last_modified(ToUtf8(report->last_modified));
  fetch->set_dns_us(Micros(report->dns));
  fetch->set_connect_us(Micros(report->connect));
  fetch->set_tls_us(Micros(report->tls));
  fetch->set_first_byte_us(Micros(report->first_byte));
  fetch->set_total_us(Micros(report->total));
}

}  // namespace imgfleet::task
