#include "worker/image/detect.h"

#include "absl/strings/str_cat.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

using Reader = ProbeResult (*)(Source&);

struct Signature {
  absl::string_view bytes;
  uint8_t offset = 0;
  // Measures the format; nullptr: known, but not measured.
  Reader reader = nullptr;
  const char* name = "";
  // Not an image at all.
  bool other = false;
};

// string_view of a literal with zeros in it.
template <size_t kSize>
constexpr absl::string_view Magic(const char (&text)[kSize]) {
  return absl::string_view(text, kSize - 1);
}

// In the order of how often they are met; no two match the same bytes.
constexpr Signature kSignatures[] = {
    {Magic("\xff\xd8\xff"), 0, ReadJpeg},
    {Magic("\x89PNG\r\n\x1a\n"), 0, ReadPng},
    {Magic("WEBP"), 8, ReadWebp},  // Behind RIFF and its length, which Match() checks.
    {Magic("GIF87a"), 0, ReadGif},
    {Magic("GIF89a"), 0, ReadGif},
    {Magic("ftyp"), 4, ReadHeif},
    {Magic("BM"), 0, ReadBmp},
    {Magic("\0\0\1\0"), 0, ReadIco},
    {Magic("\0\0\2\0"), 0, ReadIco},
    {Magic("II*\0"), 0, ReadTiff},
    {Magic("MM\0*"), 0, ReadTiff},
    {Magic("II+\0"), 0, ReadTiff},
    {Magic("MM\0+"), 0, ReadTiff},
    {Magic("\0\0\0\x0cJXL \r\n\x87\n"), 0, ReadJxlBoxes},
    {Magic("\xff\x0a"), 0, ReadJxlCodestream},
    {Magic("\0\0\0\x0cjP  \r\n\x87\n"), 0, ReadJp2},
    {Magic("\xff\x4f\xff\x51"), 0, ReadJ2k},
    {Magic("8BPS"), 0, ReadPsd},
    {Magic("qoif"), 0, ReadQoi},
    {Magic("DDS "), 0, ReadDds},
    {Magic("icns"), 0, ReadIcns},
    {Magic("#?RADIANCE"), 0, ReadHdr},
    {Magic("#?RGBE"), 0, ReadHdr},
    {Magic("\x76\x2f\x31\x01"), 0, nullptr, "OpenEXR"},
    {Magic("\x8aMNG\r\n\x1a\n"), 0, nullptr, "MNG"},
    {Magic("\x8bJNG\r\n\x1a\n"), 0, nullptr, "JNG"},
    {Magic("II\xbc\x01"), 0, nullptr, "JPEG XR"},
    {Magic("BPG\xfb"), 0, nullptr, "BPG"},
    {Magic("FLIF"), 0, nullptr, "FLIF"},
    {Magic("gimp xcf "), 0, nullptr, "GIMP (XCF)"},
    {Magic("IIRO"), 0, nullptr, "Olympus raw"},
    {Magic("IIRS"), 0, nullptr, "Olympus raw"},
    {Magic("IIU\0"), 0, nullptr, "Panasonic raw"},
    {Magic("FUJIFILMCCD-RAW"), 0, nullptr, "Fujifilm raw"},
    {Magic("\xd7\xcd\xc6\x9a"), 0, nullptr, "Windows metafile"},
    {Magic("\xabKTX "), 0, nullptr, "KTX texture"},
    {Magic("\x01\xda"), 0, nullptr, "SGI"},
    {Magic("\x59\xa6\x6a\x95"), 0, nullptr, "Sun raster"},
    {Magic("/* XPM */"), 0, nullptr, "XPM"},
    {Magic("SIMPLE  ="), 0, nullptr, "FITS"},
    {Magic("AT&TFORM"), 0, nullptr, "DjVu"},
    {Magic("\x97JB2\r\n\x1a\n"), 0, nullptr, "JBIG2"},
    {Magic("farbfeld"), 0, nullptr, "farbfeld"},
    {Magic("%PDF-"), 0, nullptr, "a PDF document", true},
    {Magic("%!PS"), 0, nullptr, "a PostScript document", true},
    {Magic("\x1f\x8b"), 0, nullptr, "gzip data", true},
    {Magic("PK\3\4"), 0, nullptr, "a zip archive", true},
};

enum class Fit { kNo, kSoFar, kYes };

// How well `expected` fits at `offset`, as far as bytes are at hand.
Fit Match(Source& source, uint64_t offset, absl::string_view expected) {
  if (source.Has(offset, expected.size())) return source.Equals(offset, expected) ? Fit::kYes : Fit::kNo;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (!source.Has(offset + i, 1)) return Fit::kSoFar;
    if (source.U8(offset + i) != static_cast<uint8_t>(expected[i])) return Fit::kNo;
  }
  return Fit::kYes;
}

Fit Match(Source& source, const Signature& signature) {
  if (signature.reader == ReadWebp) {
    const Fit riff = Match(source, 0, "RIFF");
    if (riff != Fit::kYes) return riff;
  }
  return Match(source, signature.offset, signature.bytes);
}

bool IsSpace(uint8_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// XML in any of its encodings: white space or a byte order mark, then "<". The reader decides further.
bool MayBeXml(Source& source) {
  const uint8_t first = source.U8(0);
  return first == '<' || IsSpace(first) || source.Equals(0, Magic("\xef\xbb\xbf")) ||
         source.Equals(0, Magic("\xfe\xff")) || source.Equals(0, Magic("\xff\xfe")) ||
         source.Equals(0, Magic("\0<"));
}

// Netpbm: "P1" to "P7", "PF", "Pf", then white space or a comment.
bool IsNetpbm(Source& source) {
  const uint8_t kind = source.U8(1);
  return source.U8(0) == 'P' && ((kind >= '1' && kind <= '7') || kind == 'F' || kind == 'f') &&
         (IsSpace(source.U8(2)) || source.U8(2) == '#');
}

bool IsPcx(Source& source) {
  const uint8_t bits = source.U8(3);
  return source.U8(0) == 0x0A && source.U8(1) <= 5 && source.U8(1) != 1 && source.U8(2) <= 1 &&
         (bits == 1 || bits == 2 || bits == 4 || bits == 8);
}

// TGA has no signature; a header whose every field is possible is taken for one.
Fit MatchTga(Source& source) {
  const uint8_t mapped = source.Has(1, 1) ? source.U8(1) : 0;
  const uint8_t kind = source.Has(2, 1) ? source.U8(2) & ~8 : 2;  // Bit 3: run-length coded.
  if (mapped > 1 || kind < 1 || kind > 3 || (kind == 1 && mapped == 0)) return Fit::kNo;
  for (uint64_t at = 3; mapped == 0 && at < 7; ++at) {
    if (source.Has(at, 1) && source.U8(at) != 0) return Fit::kNo;
  }
  if (!source.Has(0, 18)) return Fit::kSoFar;
  const uint8_t map_bits = source.U8(7);
  const bool map =
      map_bits == 24 || map_bits == 32 || (mapped ? map_bits == 15 || map_bits == 16 : map_bits == 0);
  const uint8_t bits = source.U8(16);
  const bool pixels = kind == 1   ? bits == 8 || bits == 16
                      : kind == 2 ? bits == 15 || bits == 16 || bits == 24 || bits == 32
                                  : bits == 1 || bits == 8 || bits == 16;
  const bool area = source.Le16(12) > 0 && source.Le16(14) > 0 && (mapped == 0 || source.Le16(5) > 0);
  return map && pixels && area && (source.U8(17) & 0xC0) == 0 ? Fit::kYes : Fit::kNo;
}

}  // namespace

ProbeResult DetectAndRead(Source& source) {
  if (!source.Has(0, 1)) return source.Missing(Format::kUnknown, 0, 1, 32);
  bool undecided = false;
  for (const Signature& signature : kSignatures) {
    const Fit fit = Match(source, signature);
    if (fit == Fit::kNo) continue;
    if (fit == Fit::kSoFar) {
      undecided = true;
      continue;
    }
    if (signature.reader) {
      ProbeResult result = signature.reader(source);
      // Four bytes, three of them zero, begin many an uncompressed TGA as well.
      if (result.status == ProbeStatus::kNotAnImage && signature.reader == ReadIco) continue;
      return result;
    }
    return signature.other ? NotAnImage(signature.name)
                           : Unsupported(Format::kUnknown, absl::StrCat(signature.name, " is not measured"));
  }
  // The longest header looked at from here on is TGA's.
  constexpr uint64_t kEnough = 18;
  uint64_t at_hand = 0;
  while (at_hand < kEnough && source.Has(at_hand, 1)) ++at_hand;
  if (at_hand < kEnough && !source.EndsBefore(at_hand))
    return source.Missing(Format::kUnknown, at_hand, 1, 32);
  if (undecided || at_hand < 4) return source.Missing(Format::kUnknown, at_hand, 1);
  if (IsPcx(source)) return ReadPcx(source);
  if (IsNetpbm(source)) return ReadPnm(source);
  const Fit tga = MatchTga(source);
  if (tga == Fit::kYes) return ReadTga(source);
  if (MayBeXml(source)) return ReadSvg(source);
  if (tga == Fit::kSoFar) return source.Missing(Format::kUnknown, at_hand, 1);
  return NotAnImage("no image format begins like this");
}

}  // namespace imgfleet::image
