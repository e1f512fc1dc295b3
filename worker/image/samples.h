// Image files for tests, written byte by byte: small, of every format and variant that is measured, with what must be
// read from them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "worker/image/probe.h"

namespace imgfleet::image {

struct Sample {
  std::string name;
  std::string bytes;
  ImageInfo expected;
};

// Integers as bytes.
std::string Be16(uint32_t value);
std::string Be32(uint64_t value);
std::string Be64(uint64_t value);
std::string Le16(uint32_t value);
std::string Le32(uint64_t value);
std::string Le64(uint64_t value);

// ---- Parts ----

// A TIFF structure whose first directory holds just an orientation, as an Exif block carries it.
std::string ExifBlock(uint8_t orientation, bool big_endian);

std::string JpegSegment(uint8_t marker, const std::string& data);
// SOFn of three components.
std::string JpegFrame(uint8_t marker, uint16_t width, uint16_t height);
// SOI, `segments`, a scan of `scan` entropy-coded bytes, EOI.
std::string Jpeg(const std::string& segments, const std::string& scan = "scan");

std::string PngChunk(const std::string& name, const std::string& data);
// Signature, IHDR (8 bits, colour type 2), `before` the image data, IDAT, `after` it, IEND.
std::string Png(uint32_t width, uint32_t height, const std::string& before = "",
                const std::string& after = "");

std::string RiffChunk(const std::string& name, const std::string& data);
std::string Webp(const std::string& chunks);
std::string Vp8(uint16_t width, uint16_t height);
std::string Vp8l(uint16_t width, uint16_t height, bool alpha);
std::string Vp8x(uint8_t flags, uint32_t width, uint32_t height);

struct TiffField {
  uint16_t tag;
  uint16_t type;  // 3 SHORT, 4 LONG, 5 RATIONAL (two values each), 16 LONG8
  std::vector<uint64_t> values;
};
enum class TiffKind { kLittle, kBig, kBigTiffLittle, kBigTiffBig };
// A TIFF with one directory, `gap` bytes of pixels before it; long values follow the directory.
std::string Tiff(TiffKind kind, const std::vector<TiffField>& fields, size_t gap);

std::string IsoBox(const std::string& type, const std::string& content);
std::string IsoFullBox(const std::string& type, uint32_t version_and_flags, const std::string& content);
struct HeifItem {
  uint16_t id;
  std::string type;
  std::vector<uint8_t> properties;  // Indices from 1 into HeifFile::properties.
  bool hidden = false;
};
struct HeifFile {
  std::string major = "heic";
  std::vector<std::string> brands = {"mif1", "heic"};
  uint16_t primary = 1;
  std::vector<HeifItem> items;
  std::vector<std::string> properties;
  // Boxes of the item reference box, see ItemReference(), and whether it stands behind the properties.
  std::string references;
  bool references_last = false;
  size_t mdat_before_meta = 0;
};
std::string Ispe(uint32_t width, uint32_t height);
std::string Irot(uint8_t quarter_turns);
std::string Imir(uint8_t axis);
std::string Clap(uint32_t width, uint32_t height, uint32_t denominator);
std::string ItemReference(const std::string& kind, uint16_t from, const std::vector<uint16_t>& to);
std::string Heif(const HeifFile& file);

std::string Gif(uint16_t width, uint16_t height, const std::string& blocks);
std::string GifImage(size_t pixel_bytes);
std::string GifLoop();

struct IcoEntry {
  uint8_t width, height;
};
std::string Ico(uint8_t kind, const std::vector<IcoEntry>& entries);

std::string Bmp(uint32_t header_size, int32_t width, int32_t height, uint16_t bits);

// SOC and SIZ for the grid up to (x, y); `depths` as SIZ has them: bits less one, the highest bit for a sign.
std::string J2k(uint32_t x, uint32_t y, uint32_t x_offset, uint32_t y_offset,
                const std::vector<uint8_t>& depths);
// 640x400.
std::string Psd(uint16_t version, uint16_t channels, uint16_t depth, uint16_t mode,
                const std::string& colours, const std::string& resources, const std::string& layers);
std::string Qoi(uint32_t width, uint32_t height, uint8_t channels);
struct IcnsEntry {
  std::string type;
  size_t bytes;
};
// With `contents`, a table of them comes first.
std::string Icns(const std::vector<IcnsEntry>& entries, bool contents);

// ---- Whole files ----

// One of everything that is measured.
std::vector<Sample> AllSamples();
// Those of them that are there for what is told beside the size: animations, colours, resolutions, profiles.
std::vector<Sample> FieldSamples();

}  // namespace imgfleet::image
