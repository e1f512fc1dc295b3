// A number counts once the character behind it is seen, so that a cut file never gives a shorter one. The binary kinds may
// hold further images behind the first, which only the pixels' end would show: their number of frames stays unset.
#include "worker/image/pnm.h"

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

ProbeResult Read() {
  ImageInfo info;
  info.format = Format::kPnm;
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
ProbeResult ReadWords(Source& source, PnmHeader& header) {
  TextHeader text(source, Format::kPnm, 2);
  std::string word;
  for (uint32_t* side : {&header.width, &header.height}) {
    if (!text.Word(&word)) return text.stopped();
    *side = TextHeader::Number(word);
    if (*side == 0 && side == &header.width && (word.empty() || word[0] < '0' || word[0] > '9')) {
      return NotAnImage("begins like Netpbm, but no width follows");
    }
    if (*side == 0) return Corrupt(Format::kPnm, "Netpbm: a size that is none");
  }
  const char kind = header.kind;
  if (kind == '3' || kind == '6' || kind == 'F') header.channels = 3;
  if (header.floats()) {
    if (!text.Word(&word)) return text.stopped();
    if (!IsScale(word)) return Corrupt(Format::kPnm, "Netpbm: a scale that is none");
  } else if (kind != '1' && kind != '4') {
    if (!text.Word(&word)) return text.stopped();
    header.maximum = TextHeader::Number(word);
    if (header.maximum == 0 || header.maximum > kMaxSample) {
      return Corrupt(Format::kPnm, "Netpbm: a largest sample that is not from 1 to 65535");
    }
  }
  header.pixels = text.at();
  return Read();
}

ProbeResult ReadPam(Source& source, PnmHeader& header) {
  TextHeader text(source, Format::kPnm, 2);
  std::string line;
  if (!text.Line(&line)) return text.stopped();
  if (!line.empty()) {
    return absl::StartsWith(line, " 332") ? Unsupported(Format::kPnm, "an xv thumbnail (P7 332)")
                                          : NotAnImage("begins like a PAM, but its first line goes on");
  }
  header.channels = header.maximum = 0;
  for (bool first = true;; first = false) {
    if (!text.Line(&line)) return text.stopped();
    const absl::string_view whole = line;
    const size_t name_end = std::min(whole.find_first_of(" \t"), whole.size());
    const absl::string_view name = whole.substr(0, name_end);
    absl::string_view value = whole.substr(name_end);
    while (!value.empty() && TextHeader::IsSpace(value.front())) value.remove_prefix(1);
    while (!value.empty() && TextHeader::IsSpace(value.back())) value.remove_suffix(1);
    uint32_t* const number = name == "WIDTH"    ? &header.width
                             : name == "HEIGHT" ? &header.height
                             : name == "DEPTH"  ? &header.channels
                             : name == "MAXVAL" ? &header.maximum
                                                : nullptr;
    if (number != nullptr) {
      *number = TextHeader::Number(value);
      if (*number == 0) return Corrupt(Format::kPnm, absl::StrCat("PAM: a ", name, " that is none"));
    } else if (name == "TUPLTYPE") {
      header.tuple = std::string(value);
    } else if (name == "ENDHDR") {
      break;
    } else if (!name.empty() && name[0] != '#') {
      return first ? NotAnImage("begins like a PAM, but no header follows")
                   : Corrupt(Format::kPnm, "PAM: a line of no known name");
    }
  }
  if (header.width == 0 || header.height == 0 || header.channels == 0 || header.maximum == 0 ||
      header.maximum > kMaxSample) {
    return Corrupt(Format::kPnm, "PAM: WIDTH, HEIGHT, DEPTH or MAXVAL is missing, or more than can be");
  }
  header.pixels = text.at();
  return Read();
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

}  // namespace

ProbeResult ReadPnmHeader(Source& source, PnmHeader* header) {
  *header = PnmHeader();
  if (!source.Has(0, 2)) return source.Missing(Format::kPnm, 0, 2);
  header->kind = static_cast<char>(source.U8(1));
  return header->kind == '7' ? ReadPam(source, *header) : ReadWords(source, *header);
}

ProbeResult ReadPnm(Source& source) {
  PnmHeader header;
  ProbeResult result = ReadPnmHeader(source, &header);
  if (result.status != ProbeStatus::kOk) return result;
  ImageInfo& info = result.info;
  info.width = header.width;
  info.height = header.height;
  if (header.channels <= 255) info.channels = static_cast<uint8_t>(header.channels);
  info.bit_depth = header.floats() ? 32 : BitsOf(header.maximum);
  if (header.kind != '7') {
    info.color_space = header.channels == 3 ? ColorSpace::kRgb : ColorSpace::kGray;
    info.has_alpha = false;
  } else if (!header.tuple.empty()) {
    SetTuple(header.tuple, info);
  }
  if (header.floats() || header.text()) info.frames = 1;
  SetOrientation(info, 1);
  return result;
}

}  // namespace imgfleet::image
