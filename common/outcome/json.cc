#include "common/outcome/json.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <iterator>

#include "absl/functional/function_ref.h"
#include "absl/strings/ascii.h"
#include "common/outcome/reasons.h"
#include "common/utf8.h"

namespace imgfleet::outcome {
namespace {

constexpr char kHex[] = "0123456789abcdef";

// What is written, gathered on the stack: to ask the string for room for each of an outcome's eighty pieces takes a fifth more
// instructions.
class Sink {
 public:
  explicit Sink(std::string& out) : out_(out) {}
  ~Sink() { Flush(); }
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  void Append(absl::string_view text) {
    if (text.size() > static_cast<size_t>(std::end(buffer_) - at_)) {
      Flush();
      if (text.size() > sizeof(buffer_)) {
        out_.append(text.data(), text.size());
        return;
      }
    }
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void operator+=(char c) { Append({&c, 1}); }
  void Number(uint64_t number) {
    constexpr ptrdiff_t kMost = 20;
    if (std::end(buffer_) - at_ < kMost) Flush();
    at_ = std::to_chars(at_, at_ + kMost, number).ptr;
  }

 private:
  void Flush() {
    out_.append(buffer_, at_ - buffer_);
    at_ = buffer_;
  }

  std::string& out_;
  char* at_ = buffer_;
  char buffer_[1 << 10];
};

void Append(absl::string_view text, Sink& out) { out.Append(text); }

// 1 for what stands as it is in a JSON string: all of ASCII but control characters, quote and backslash.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain = {};
  for (int c = 0x20; c < 0x80; ++c) plain[c] = c != '"' && c != '\\' && c != 0x7F;
  return plain;
}();

void AppendEscape(unsigned char c, Sink& out) {
  switch (c) {
    case '"':
      return Append("\\\"", out);
    case '\\':
      return Append("\\\\", out);
    case '\n':
      return Append("\\n", out);
    case '\r':
      return Append("\\r", out);
    case '\t':
      return Append("\\t", out);
    default:
      Append("\\u00", out);
      out += kHex[c >> 4];
      out += kHex[c & 15];
  }
}

// `text` begins with a byte outside ASCII. Appends as many characters as are whole, or one U+FFFD for one bad
// byte; returns the bytes eaten.
size_t AppendBeyondAscii(absl::string_view text, Sink& out) {
  size_t run = 0;
  while (run < text.size() && static_cast<unsigned char>(text[run]) >= 0x80) ++run;
  const size_t valid = ValidUtf8Prefix(text.substr(0, run));
  if (valid == 0) {
    Append("\xEF\xBF\xBD", out);
    return 1;
  }
  Append(text.substr(0, valid), out);
  return valid;
}

void AppendQuoted(absl::string_view text, Sink& out) {
  out += '"';
  while (!text.empty()) {
    size_t plain = 0;
    while (plain < text.size() && kPlain[static_cast<unsigned char>(text[plain])]) ++plain;
    Append(text.substr(0, plain), out);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const auto c = static_cast<unsigned char>(text.front());
    if (c < 0x80) AppendEscape(c, out);
    text.remove_prefix(c < 0x80 ? 1 : AppendBeyondAscii(text, out));
  }
  out += '"';
}

void Hex(absl::string_view bytes, Sink& out) {
  for (const char c : bytes) {
    out += kHex[static_cast<unsigned char>(c) >> 4];
    out += kHex[static_cast<unsigned char>(c) & 15];
  }
}

void Real(float number, Sink& out) {
  // Most resolutions are whole numbers.
  constexpr float kWhole = 1 << 24;
  if (number >= 0 && number < kWhole && number == std::floor(number)) {
    return out.Number(static_cast<uint64_t>(number));
  }
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
  out.Append({digits, static_cast<size_t>(end - digits)});
}

// Members of an object: the comma stands before each but the first, which the caller writes.
void Number(absl::string_view name, uint64_t number, Sink& out) {
  Append(name, out);
  out.Number(number);
}
void Text(absl::string_view name, absl::string_view text, Sink& out) {
  Append(name, out);
  AppendQuoted(text, out);
}
void Bool(absl::string_view name, bool value, Sink& out) {
  Append(name, out);
  Append(value ? "true" : "false", out);
}
void NumberOrNull(absl::string_view name, bool known, uint64_t number, Sink& out) {
  Append(name, out);
  known ? out.Number(number) : Append("null", out);
}
void BoolOrNull(absl::string_view name, bool known, bool value, Sink& out) {
  Append(name, out);
  Append(!known ? "null" : value ? "true" : "false", out);
}
void TextIfAny(absl::string_view name, absl::string_view text, Sink& out) {
  if (!text.empty()) Text(name, text, out);
}
// JSON has no word for other numbers.
void RealIfFinite(absl::string_view name, bool known, float number, Sink& out) {
  if (!known || !std::isfinite(number)) return;
  Append(name, out);
  Real(number, out);
}

void AppendErrorObject(absl::string_view name, const v1::ItemError& error, Sink& out) {
  Append(name, out);
  Text("{\"reason\":", ReasonName(error.reason()), out);
  Text(",\"message\":", error.message(), out);
  Bool(",\"retryable\":", error.retryable(), out);
  if (error.has_http_status()) Number(",\"http_status\":", error.http_status(), out);
  if (error.has_line()) Number(",\"line\":", error.line(), out);
  out += '}';
}

void AppendVariants(const v1::ImageInfo& image, Sink& out) {
  absl::string_view before = ",\"variants\":[{\"width\":";
  for (const v1::IconVariant& variant : image.variants()) {
    Number(before, variant.width(), out);
    Number(",\"height\":", variant.height(), out);
    if (variant.bit_depth() != 0) Number(",\"bit_depth\":", variant.bit_depth(), out);
    Number(",\"size_bytes\":", variant.size_bytes(), out);
    before = "},{\"width\":";
  }
  Append("}]", out);
}

// The comma that each member brings is left out before the first.
void AppendMembers(absl::string_view name, Sink& out, absl::FunctionRef<void(Sink&)> members) {
  std::string text;
  {
    Sink sink(text);
    members(sink);
  }
  Append(name, out);
  out += '{';
  if (!text.empty()) Append(absl::string_view(text).substr(1), out);
  out += '}';
}

void AppendPixels(const v1::PixelInfo& pixels, Sink& out) {
  Bool(",\"pixels\":{\"decoded\":", pixels.decoded(), out);
  if (pixels.has_phash()) {
    std::string bytes;
    for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(pixels.phash() >> shift);
    Append(",\"phash\":\"", out);
    Hex(bytes, out);
    out += '"';
  }
  TextIfAny(",\"average_color\":", pixels.average_color(), out);
  TextIfAny(",\"dominant_color\":", pixels.dominant_color(), out);
  TextIfAny(",\"blurhash\":", pixels.blurhash(), out);
  if (pixels.has_error()) AppendErrorObject(",\"error\":", pixels.error(), out);
  out += '}';
}

// What only some images have, or only deeper reading gives: left out where it is not known.
void AppendMore(const v1::ImageInfo& image, Sink& out) {
  if (image.has_loop_count()) Number(",\"loop_count\":", image.loop_count(), out);
  if (image.has_has_icc()) Bool(",\"has_icc\":", image.has_icc(), out);
  TextIfAny(",\"color_space\":", ColorSpaceName(image.color_space()), out);
  RealIfFinite(",\"dpi_x\":", image.has_dpi_x(), image.dpi_x(), out);
  RealIfFinite(",\"dpi_y\":", image.has_dpi_y(), image.dpi_y(), out);
  if (image.variants_size() > 0) AppendVariants(image, out);
  if (image.has_svg()) {
    AppendMembers(",\"svg\":", out, [&](Sink& out) {
      TextIfAny(",\"width\":", image.svg().width(), out);
      TextIfAny(",\"height\":", image.svg().height(), out);
      TextIfAny(",\"view_box\":", image.svg().view_box(), out);
    });
  }
  if (!image.sha256().empty()) {
    Append(",\"sha256\":\"", out);
    Hex(image.sha256(), out);
    out += '"';
  }
  if (image.has_complete()) Bool(",\"complete\":", image.complete(), out);
  if (image.has_pixels()) AppendPixels(image.pixels(), out);
}

void AppendImage(const v1::ImageInfo& image, bool fetched, uint64_t fetched_bytes, Sink& out) {
  Text(",\"status\":\"ok\",\"format\":", image.format(), out);
  Number(",\"width\":", image.width(), out);
  Number(",\"height\":", image.height(), out);
  Number(",\"display_width\":", image.display_width(), out);
  Number(",\"display_height\":", image.display_height(), out);
  Number(",\"orientation\":", image.orientation(), out);
  Number(",\"size_bytes\":", image.size_bytes(), out);
  if (fetched) Number(",\"fetched_bytes\":", fetched_bytes, out);
  Bool(",\"animated\":", image.animated(), out);
  NumberOrNull(",\"frames\":", image.has_frames(), image.frames(), out);
  NumberOrNull(",\"bit_depth\":", image.has_bit_depth(), image.bit_depth(), out);
  NumberOrNull(",\"channels\":", image.has_channels(), image.channels(), out);
  BoolOrNull(",\"has_alpha\":", image.has_has_alpha(), image.has_alpha(), out);
  BoolOrNull(",\"progressive\":", image.has_progressive(), image.progressive(), out);
  Text(",\"mime\":", image.mime(), out);
  if (image.size_source() != v1::SIZE_SOURCE_UNSPECIFIED) {
    Text(",\"size_source\":", v1::SizeSource_Name(image.size_source()), out);
  }
  AppendMore(image, out);
}

void AppendError(const v1::ItemError& error, bool fetched, uint64_t fetched_bytes, Sink& out) {
  AppendErrorObject(",\"status\":\"error\",\"error\":", error, out);
  if (fetched) Number(",\"fetched_bytes\":", fetched_bytes, out);
}

void AppendFetch(const v1::FetchInfo& fetch, uint32_t attempts, Sink& out) {
  Number(",\"attempts\":", attempts, out);
  Number(",\"http_status\":", fetch.http_status(), out);
  TextIfAny(",\"final_url\":", fetch.final_url(), out);
  TextIfAny(",\"content_type\":", fetch.content_type(), out);
  if (fetch.has_content_type_wrong()) Bool(",\"content_type_wrong\":", fetch.content_type_wrong(), out);
  TextIfAny(",\"etag\":", fetch.etag(), out);
  TextIfAny(",\"last_modified\":", fetch.last_modified(), out);
  Number(",\"timings_us\":{\"dns\":", fetch.dns_us(), out);
  Number(",\"connect\":", fetch.connect_us(), out);
  Number(",\"tls\":", fetch.tls_us(), out);
  Number(",\"first_byte\":", fetch.first_byte_us(), out);
  Number(",\"total\":", fetch.total_us(), out);
  out += '}';
}

}  // namespace

void AppendJsonString(absl::string_view text, std::string& out) {
  Sink sink(out);
  AppendQuoted(text, sink);
}

void AppendOutcomeJson(const v1::Outcome& outcome, std::string& text) {
  Sink out(text);
  const bool fetched = outcome.has_fetch();
  const uint64_t fetched_bytes = outcome.fetch().fetched_bytes();
  Number("{\"index\":", outcome.index(), out);
  Text(",\"id\":", outcome.id(), out);
  Text(",\"url\":", outcome.url(), out);
  if (outcome.has_image()) {
    AppendImage(outcome.image(), fetched, fetched_bytes, out);
  } else {
    AppendError(outcome.error(), fetched, fetched_bytes, out);
  }
  if (fetched) AppendFetch(outcome.fetch(), outcome.attempts(), out);
  out += '}';
}

void AppendV1Entry(const v1::Outcome& outcome, std::string& text) {
  Sink out(text);
  AppendQuoted(outcome.id(), out);
  Text(": {\"url\": ", outcome.url(), out);
  if (outcome.has_image()) {
    const v1::ImageInfo& image = outcome.image();
    Number(", \"image_info\": {\"image_size\": ", image.size_bytes(), out);
    Number(", \"image_dimension\": [", image.width(), out);
    Number(", ", image.height(), out);
    Text("], \"image_format\": ", PillowName(image.format()), out);
    Append("}}", out);
  } else {
    Text(", \"image_info\": \"\", \"error\": ", V1Text(outcome.error().reason()), out);
    Text(", \"reason\": ", ReasonName(outcome.error().reason()), out);
    out += '}';
  }
}

absl::string_view ColorSpaceName(v1::ColorSpace space) {
  static constexpr absl::string_view kNames[] = {"",     "gray", "rgb", "palette", "ycbcr",
                                                 "cmyk", "ycck", "lab", "xyb"};
  static_assert(sizeof(kNames) / sizeof(kNames[0]) == v1::ColorSpace_ARRAYSIZE);
  return space >= 0 && space < v1::ColorSpace_ARRAYSIZE ? kNames[space] : absl::string_view();
}

void AppendHex(absl::string_view bytes, std::string& out) {
  Sink sink(out);
  Hex(bytes, sink);
}

void AppendReal(float number, std::string& out) {
  Sink sink(out);
  Real(number, sink);
}

std::string PillowName(absl::string_view format) {
  if (format == "heic") return "HEIF";
  if (format == "jp2" || format == "j2k") return "JPEG2000";
  if (format == "pnm") return "PPM";
  return absl::AsciiStrToUpper(format);
}

}  // namespace imgfleet::outcome
