#include "common/outcome/csv.h"

#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/outcome/json.h"
#include "common/outcome/reasons.h"

namespace imgfleet::outcome {
namespace {

constexpr absl::string_view kColumns =
    "index,id,url,status,reason,message,retryable,line,format,mime,width,height,display_width,display_height,"
    "orientation,size_bytes,size_source,animated,frames,bit_depth,channels,has_alpha,progressive,http_status,"
    "fetched_bytes,attempts,final_url,content_type,etag,last_modified,total_us,content_type_wrong,loop_count,"
    "has_icc,color_space,dpi_x,dpi_y,variants,svg_width,svg_height,svg_view_box,sha256,complete,decoded,"
    "phash,"
    "average_color,dominant_color,blurhash,pixels_reason,pixels_message\r\n";
constexpr int kImageColumns = 15;
constexpr int kErrorColumns = 4;
constexpr int kFetchColumns = 9;
constexpr int kPixelsColumns = 7;
constexpr int kMoreColumns = 11 + kPixelsColumns;

// Each field is written with the comma that stands before it.
void Field(absl::string_view text, std::string& out) {
  out += ',';
  if (text.find_first_of(",\"\r\n") == absl::string_view::npos) {
    out.append(text.data(), text.size());
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}
void Field(uint64_t number, std::string& out) { absl::StrAppend(&out, ",", number); }
void Field(float number, std::string& out) {
  out += ',';
  if (std::isfinite(number)) AppendReal(number, out);
}
void Field(bool value, std::string& out) { out += value ? ",true" : ",false"; }
template <typename T>
void FieldIf(bool known, T value, std::string& out) {
  known ? Field(value, out) : void(out += ',');
}
void Nothing(int columns, std::string& out) { out.append(columns, ','); }

void AppendImage(const v1::ImageInfo& image, std::string& out) {
  Field(image.format(), out);
  Field(image.mime(), out);
  Field(uint64_t{image.width()}, out);
  Field(uint64_t{image.height()}, out);
  Field(uint64_t{image.display_width()}, out);
  Field(uint64_t{image.display_height()}, out);
  Field(uint64_t{image.orientation()}, out);
  Field(image.size_bytes(), out);
  const bool sized = image.size_source() != v1::SIZE_SOURCE_UNSPECIFIED;
  Field(sized ? absl::string_view(v1::SizeSource_Name(image.size_source())) : absl::string_view(), out);
  Field(image.animated(), out);
  FieldIf(image.has_frames(), uint64_t{image.frames()}, out);
  FieldIf(image.has_bit_depth(), uint64_t{image.bit_depth()}, out);
  FieldIf(image.has_channels(), uint64_t{image.channels()}, out);
  FieldIf(image.has_has_alpha(), image.has_alpha(), out);
  FieldIf(image.has_progressive(), image.progressive(), out);
}

void AppendError(const v1::ItemError& error, std::string& out) {
  Field(ReasonName(error.reason()), out);
  Field(error.message(), out);
  Field(error.retryable(), out);
  FieldIf(error.has_line(), error.line(), out);
}

void AppendFetch(const v1::FetchInfo& fetch, uint32_t attempts, std::string& out) {
  Field(uint64_t{fetch.http_status()}, out);
  Field(fetch.fetched_bytes(), out);
  Field(uint64_t{attempts}, out);
  Field(fetch.final_url(), out);
  Field(fetch.content_type(), out);
  Field(fetch.etag(), out);
  Field(fetch.last_modified(), out);
  Field(uint64_t{fetch.total_us()}, out);
  FieldIf(fetch.has_content_type_wrong(), fetch.content_type_wrong(), out);
}

void AppendVariants(const v1::ImageInfo& image, std::string& out) {
  out += ',';
  const size_t begin = out.size();
  for (const v1::IconVariant& variant : image.variants()) {
    absl::StrAppend(&out, out.size() > begin ? " " : "", variant.width(), "x", variant.height());
    if (variant.bit_depth() != 0) absl::StrAppend(&out, "x", variant.bit_depth());
    absl::StrAppend(&out, ":", variant.size_bytes());
  }
}

void AppendPixels(const v1::PixelInfo& pixels, std::string& out) {
  Field(pixels.decoded(), out);
  out += ',';
  if (pixels.has_phash()) absl::StrAppend(&out, absl::Hex(pixels.phash(), absl::kZeroPad16));
  Field(pixels.average_color(), out);
  Field(pixels.dominant_color(), out);
  Field(pixels.blurhash(), out);
  Field(pixels.has_error() ? ReasonName(pixels.error().reason()) : absl::string_view(), out);
  Field(pixels.error().message(), out);
}

void AppendMore(const v1::ImageInfo& image, std::string& out) {
  FieldIf(image.has_loop_count(), uint64_t{image.loop_count()}, out);
  FieldIf(image.has_has_icc(), image.has_icc(), out);
  Field(ColorSpaceName(image.color_space()), out);
  FieldIf(image.has_dpi_x(), image.dpi_x(), out);
  FieldIf(image.has_dpi_y(), image.dpi_y(), out);
  AppendVariants(image, out);
  Field(image.svg().width(), out);
  Field(image.svg().height(), out);
  Field(image.svg().view_box(), out);
  out += ',';
  AppendHex(image.sha256(), out);
  FieldIf(image.has_complete(), image.complete(), out);
  if (image.has_pixels()) {
    AppendPixels(image.pixels(), out);
  } else {
    Nothing(kPixelsColumns, out);
  }
}

}  // namespace

void AppendCsvHeader(std::string& out) { out.append(kColumns.data(), kColumns.size()); }

void AppendOutcomeCsv(const v1::Outcome& outcome, std::string& out) {
  absl::StrAppend(&out, outcome.index());
  Field(outcome.id(), out);
  Field(outcome.url(), out);
  Field(outcome.has_image() ? absl::string_view("ok") : absl::string_view("error"), out);
  if (outcome.has_image()) {
    Nothing(kErrorColumns, out);
    AppendImage(outcome.image(), out);
  } else {
    AppendError(outcome.error(), out);
    Nothing(kImageColumns, out);
  }
  if (outcome.has_fetch()) {
    AppendFetch(outcome.fetch(), outcome.attempts(), out);
  } else {
    Nothing(kFetchColumns, out);
  }
  if (outcome.has_image()) {
    AppendMore(outcome.image(), out);
  } else {
    Nothing(kMoreColumns, out);
  }
  out += "\r\n";
}

}  // namespace imgfleet::outcome
