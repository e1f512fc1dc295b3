// SVG: width and height of the root element in CSS pixels (96 to the inch); the viewBox where one or both are
// missing or relative. Style sheets are not applied.
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "absl/strings/charconv.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "worker/image/orientation.h"
#include "worker/image/readers.h"
#include "worker/image/xml_root.h"

namespace imgfleet::image {
namespace {

constexpr absl::string_view kNamespace = "http://www.w3.org/2000/svg";
constexpr uint64_t kChunk = 4096;  // How much more of the text is asked for at a time.

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Takes a CSS number off the front of `text`. An "e" begins an exponent only before digits ("1em" is one em).
std::optional<double> TakeNumber(absl::string_view& text) {
  size_t i = 0;
  auto digits = [&] {
    const size_t before = i;
    while (i < text.size() && IsDigit(text[i])) ++i;
    return i > before;
  };
  bool plus = false;
  if (i < text.size() && (text[i] == '+' || text[i] == '-')) plus = text[i++] == '+';
  bool any = digits();
  if (i < text.size() && text[i] == '.') {
    ++i;
    any = digits() || any;
  }
  if (!any) return std::nullopt;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    const size_t before = i++;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (!digits()) i = before;
  }
  double value = 0;
  const auto parsed = absl::from_chars(text.data() + (plus ? 1 : 0), text.data() + i, value);
  if (parsed.ec != std::errc()) return std::nullopt;
  text.remove_prefix(i);
  return value;
}

// CSS pixels of an absolute length. Empty for percentages, `auto`, and what is no length. Without a style
// sheet an em is 16 pixels, and an ex half of it.
std::optional<double> Length(absl::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  const std::optional<double> number = TakeNumber(text);
  if (!number.has_value()) return std::nullopt;
  struct Unit {
    absl::string_view name;
    double pixels;
  };
  constexpr Unit kUnits[] = {{"", 1},    {"px", 1},         {"pt", 96.0 / 72}, {"pc", 16},
                             {"in", 96}, {"cm", 96 / 2.54}, {"mm", 96 / 25.4}, {"q", 96 / 101.6},
                             {"em", 16}, {"rem", 16},       {"ex", 8}};
  for (const Unit& unit : kUnits) {
    if (absl::EqualsIgnoreCase(text, unit.name)) return *number * unit.pixels;
  }
  return std::nullopt;
}

struct ViewBox {
  double width = 0, height = 0;
};

std::optional<ViewBox> ParseViewBox(absl::string_view text) {
  double numbers[4];
  for (int i = 0; i < 4; ++i) {
    while (!text.empty() && (IsSpace(text.front()) || (i > 0 && text.front() == ','))) text.remove_prefix(1);
    const std::optional<double> number = TakeNumber(text);
    if (!number.has_value()) return std::nullopt;
    numbers[i] = *number;
  }
  if (!(numbers[2] > 0) || !(numbers[3] > 0)) return std::nullopt;
  return ViewBox{numbers[2], numbers[3]};
}

struct RootAttributes {
  std::optional<double> width, height;
  std::optional<ViewBox> view_box;
  bool foreign = false;   // The root element belongs to another namespace than SVG.
  bool entities = false;  // A length is not written out.
  SvgSize written;
};

void Note(absl::string_view prefix, const XmlRoot& root, RootAttributes& attributes) {
  const absl::string_view name = root.name();
  const bool wanted = name == "width" || name == "height" || name == "viewBox";
  if (wanted && !root.value_is_whole()) attributes.entities = true;
  const std::string text = wanted ? std::string(root.value().substr(0, SvgSize::kMaxText)) : "";
  if (name == "width") {
    attributes.width = Length(root.value());
    attributes.written.width = text;
  } else if (name == "height") {
    attributes.height = Length(root.value());
    attributes.written.height = text;
  } else if (name == "viewBox") {
    attributes.view_box = ParseViewBox(root.value());
    attributes.written.view_box = text;
  }
  // A namespace given by an entity cannot be judged; Illustrator writes SVG's own so.
  absl::string_view declared = name;
  if (!absl::ConsumePrefix(&declared, "xmlns")) return;
  const bool ours =
      prefix.empty() ? declared.empty() : absl::ConsumePrefix(&declared, ":") && declared == prefix;
  if (ours && root.value_is_whole() && root.value() != kNamespace) attributes.foreign = true;
}

ProbeResult Measure(const RootAttributes& attributes) {
  std::optional<double> width = attributes.width, height = attributes.height;
  if ((width && *width <= 0) || (height && *height <= 0))
    return Corrupt(Format::kSvg, "SVG: an image without area");
  if (const auto& box = attributes.view_box) {
    if (!width && !height) {
      width = box->width;
      height = box->height;
    } else if (!width) {
      width = *height * box->width / box->height;
    } else if (!height) {
      height = *width * box->height / box->width;
    }
  }
  if (!width || !height) {
    return Unsupported(Format::kSvg,
                       "SVG that states no size (neither width and height in absolute units nor a viewBox)");
  }
  constexpr double kMaxSide = 1u << 31;
  if (!(*width < kMaxSide && *height < kMaxSide))
    return Corrupt(Format::kSvg, "SVG: a size of more than 2^31 pixels");
  ImageInfo info;
  info.format = Format::kSvg;
  info.width = static_cast<uint32_t>(std::max(1.0, std::round(*width)));
  info.height = static_cast<uint32_t>(std::max(1.0, std::round(*height)));
  info.svg = attributes.written;
  SetOrientation(info, 1);
  return Ok(info);
}

}  // namespace

ProbeResult ReadSvg(Source& source) {
  XmlRoot root(source);
  auto stopped = [&](XmlRoot::State state, Format format) {
    if (state == XmlRoot::State::kMissing)
      return source.Missing(format, root.missing_offset(), root.missing_size(), kChunk);
    if (state == XmlRoot::State::kTooLong)
      return NotAnImage("XML or text without a root element in its first MiB");
    return NotAnImage(root.problem());
  };
  XmlRoot::State state = root.FindRoot();
  if (state != XmlRoot::State::kFound) return stopped(state, Format::kUnknown);
  const std::string name(root.name());
  const size_t colon = name.find(':');
  const std::string prefix = colon == std::string::npos ? "" : name.substr(0, colon);
  const std::string local = colon == std::string::npos ? name : name.substr(colon + 1);
  if (local != "svg") {
    const bool html = absl::EqualsIgnoreCase(local, "html") || absl::EqualsIgnoreCase(root.doctype(), "html");
    return NotAnImage(html ? "HTML" : absl::StrCat("XML or HTML that begins with <", name, ">"));
  }
  RootAttributes attributes;
  while ((state = root.NextAttribute()) == XmlRoot::State::kFound) Note(prefix, root, attributes);
  if (state == XmlRoot::State::kNotXml) return Corrupt(Format::kSvg, absl::StrCat("SVG: ", root.problem()));
  if (state == XmlRoot::State::kTooLong)
    return Unsupported(Format::kSvg, "SVG whose root element is longer than 1 MiB");
  if (state != XmlRoot::State::kEnd) return stopped(state, Format::kSvg);
  if (attributes.foreign) return NotAnImage("XML that begins with <svg> of another namespace");
  if (attributes.entities)
    return Unsupported(Format::kSvg, "SVG whose size is not written out (entities are not expanded)");
  return Measure(attributes);
}

}  // namespace imgfleet::image
