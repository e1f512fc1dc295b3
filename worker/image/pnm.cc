// Netpbm: P1 to P6 (sizes as words, comments between them), P7 (PAM: a line for each property), PF and Pf (floating
// point). A number counts once the character behind it is seen, so that a cut file never gives a shorter one.
//
// The binary kinds may hold further images behind the first, which only the pixels' end would show: their number of
// frames stays unset.
#include <bit>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "worker/image/orientation.h"
#include "worker/image/readers.h"
#include "worker/image/text_header.h"

namespace imgfleet::image {
namespace {

constexpr uint32_t kMaxSample = 65535;

uint8_t BitsOf(uint32_t most) { return static_cast<uint8_t>(std::bit_width(most)); }

ProbeResult Done(ImageInfo& info) {
  SetOrientation(info, 1);
  return Ok(info);
}

// A scale: a decimal number other than 0, whose sign tells the byte order.
bool IsScale(absl::string_view word) {
  bool nonzero = false;
  for (size_t i = 0; i < word.size(); ++i) {
    const char c = word[i];
    const bool exponent = c == 'e' || c == 'E';
    if (exponent && i > 0) break;
    nonzero = nonzero || (c >= '1' && c <= '9');
    if ((c < '0' || c > '9') && c != '.' && !((c == '-' || c == '+') && i == 0)) return false;
  }
  return nonzero;
}

// "P1" to "P6", "PF" and "Pf".
ProbeResult ReadWords(Source& source, char kind) {
  TextHeader text(source, Format::kPnm, 2);
  std::string word;
  ImageInfo info;
  info.format = Format::kPnm;
  for (uint32_t* side : {&info.width, &info.height}) {
    if (!text.Word(&word)) return text.stopped();
    *side = TextHeader::Number(word);
    if (*side == 0 && side == &info.width && (word.empty() || word[0] < '0' || word[0] > '9')) {
      return NotAnImage("begins like Netpbm, but no width follows");
    }
    if (*side == 0) return Corrupt(Format::kPnm, "Netpbm: a size that is none");
  }
  const bool floats = kind == 'F' || kind == 'f';
  const bool colour = kind == '3' || kind == '6' || kind == 'F';
  info.channels = colour ? 3 : 1;
  info.color_space = colour ? ColorSpace::kRgb : ColorSpace::kGray;
  info.has_alpha = false;
  info.bit_depth = floats ? 32 : 1;
  if (floats) {
    if (!text.Word(&word)) return text.stopped();
    if (!IsScale(word)) return Corrupt(Format::kPnm, "Netpbm: a scale that is none");
  } else if (kind != '1' && kind != '4') {
    if (!text.Word(&word)) return text.stopped();
    const uint32_t most = TextHeader::Number(word);
    if (most == 0 || most > kMaxSample) {
      return Corrupt(Format::kPnm, "Netpbm: a largest sample that is not from 1 to 65535");
    }
    info.bit_depth = BitsOf(most);
  }
  if (floats || kind <= '3') info.frames = 1;
  return Done(info);
}

// TUPLTYPE, as far as known: the colour and whether its last channel is opacity.
void SetTuple(absl::string_view tuple, ImageInfo& info) {
  info.has_alpha = absl::EndsWith(tuple, "_ALPHA");
  if (absl::StartsWith(tuple, "RGB")) {
    info.color_space = ColorSpace::kRgb;
  } else if (absl::StartsWith(tuple, "GRAYSCALE") || absl::StartsWith(tuple, "BLACKANDWHITE")) {
    info.color_space = ColorSpace::kGray;
  } else if (absl::StartsWith(tuple, "CMYK")) {
    info.color_space = ColorSpace::kCmyk;
  } else if (!*info.has_alpha) {
    info.has_alpha.reset();
  }
}

ProbeResult ReadPam(Source& source) {
  TextHeader text(source, Format::kPnm, 2);
  std::string line;
  if (!text.Line(&line)) return text.stopped();
  if (!line.empty()) {
    return absl::StartsWith(line, " 332") ? Unsupported(Format::kPnm, "an xv thumbnail (P7 332)")
                                          : NotAnImage("begins like a PAM, but its first line goes on");
  }
  ImageInfo info;
  info.format = Format::kPnm;
  uint32_t depth = 0, most = 0;
  for (bool first = true;; first = false) {
    if (!text.Line(&line)) return text.stopped();
    const absl::string_view whole = line;
    const size_t name_end = std::min(whole.find_first_of(" \t"), whole.size());
    const absl::string_view name = whole.substr(0, name_end);
    absl::string_view value = whole.substr(name_end);
    while (!value.empty() && TextHeader::IsSpace(value.front())) value.remove_prefix(1);
    while (!value.empty() && TextHeader::IsSpace(value.back())) value.remove_suffix(1);
    uint32_t* const number = name == "WIDTH"    ? &info.width
                             : name == "HEIGHT" ? &info.height
                             : name == "DEPTH"  ? &depth
                             : name == "MAXVAL" ? &most
                                                : nullptr;
    if (number != nullptr) {
      *number = TextHeader::Number(value);
      if (*number == 0) return Corrupt(Format::kPnm, absl::StrCat("PAM: a ", name, " that is none"));
    } else if (name == "TUPLTYPE") {
      SetTuple(value, info);
    } else if (name == "ENDHDR") {
      break;
    } else if (!name.empty() && name[0] != '#') {
      return first ? NotAnImage("begins like a PAM, but no header follows")
                   : Corrupt(Format::kPnm, "PAM: a line of no known name");
    }
  }
  if (info.width == 0 || info.height == 0 || depth == 0 || most == 0 || most > kMaxSample) {
    return Corrupt(Format::kPnm, "PAM: WIDTH, HEIGHT, DEPTH or MAXVAL is missing, or more than can be");
  }
  if (depth <= 255) info.channels = static_cast<uint8_t>(depth);
  info.bit_depth = BitsOf(most);
  return Done(info);
}

}  // namespace

ProbeResult ReadPnm(Source& source) {
  const char kind = static_cast<char>(source.U8(1));
  return kind == '7' ? ReadPam(source) : ReadWords(source, kind);
}

}  // namespace imgfleet::image
