// Radiance HDR: lines of text up to an empty one, then one that gives the size and the order of the pixels, as in
// "-Y 480 +X 640": 480 scanlines from the top down, of 640 pixels from left to right. Any other order is one of the
// eight orientations; what is stored is as wide as a scanline is long.
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "worker/image/orientation.h"
#include "worker/image/readers.h"
#include "worker/image/text_header.h"

namespace imgfleet::image {
namespace {

// `axes` are the two that the line names, scanlines first. Y points up in these files.
uint8_t OrientationOf(absl::string_view scanlines, absl::string_view pixels) {
  const bool swapped = scanlines[1] == 'X';
  const bool from_top = (swapped ? pixels : scanlines)[0] == '-';
  const bool from_left = (swapped ? scanlines : pixels)[0] == '+';
  if (from_top) return from_left ? (swapped ? 5 : 1) : (swapped ? 6 : 2);
  return from_left ? (swapped ? 8 : 4) : (swapped ? 7 : 3);
}

bool IsAxis(absl::string_view word) {
  return word.size() == 2 && (word[0] == '-' || word[0] == '+') && (word[1] == 'X' || word[1] == 'Y');
}

}  // namespace

ProbeResult ReadHdr(Source& source) {
  ImageInfo info;
  info.format = Format::kHdr;
  info.frames = 1;
  info.channels = 3;
  info.has_alpha = false;
  TextHeader text(source, Format::kHdr, 0);
  std::string line;
  do {
    if (!text.Line(&line)) return text.stopped();
    if (line == "FORMAT=32-bit_rle_rgbe") info.color_space = ColorSpace::kRgb;
    if (line == "FORMAT=32-bit_rle_xyze") info.color_space = ColorSpace::kUnknown;
  } while (!line.empty());
  if (!text.Line(&line)) return text.stopped();
  const std::vector<std::string> words = absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (words.size() != 4 || !IsAxis(words[0]) || !IsAxis(words[2]) || words[0][1] == words[2][1]) {
    return Corrupt(Format::kHdr, "Radiance HDR: the line behind the header gives no size");
  }
  info.height = TextHeader::Number(words[1]);
  info.width = TextHeader::Number(words[3]);
  if (info.width == 0 || info.height == 0) return Corrupt(Format::kHdr, "Radiance HDR: a size that is none");
  SetOrientation(info, OrientationOf(words[0], words[2]));
  return Ok(info);
}

}  // namespace imgfleet::image
