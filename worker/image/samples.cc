#include "worker/image/samples.h"

#include <algorithm>

namespace imgfleet::image {
namespace {
std::string Big(uint64_t value, int size) {
  std::string bytes;
  for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}
std::string Little(uint64_t value, int size) {
  const std::string big = Big(value, size);
  return {big.rbegin(), big.rend()};
}
std::string Bytes1(uint8_t value) { return std::string(1, static_cast<char>(value)); }
}  // namespace

std::string Be16(uint32_t value) { return Big(value, 2); }
std::string Be32(uint64_t value) { return Big(value, 4); }
std::string Be64(uint64_t value) { return Big(value, 8); }
std::string Le16(uint32_t value) { return Little(value, 2); }
std::string Le32(uint64_t value) { return Little(value, 4); }
std::string Le64(uint64_t value) { return Little(value, 8); }

std::string ExifBlock(uint8_t orientation, bool big_endian) {
  return Tiff(big_endian ? TiffKind::kBig : TiffKind::kLittle, {{271, 3, {7}}, {274, 3, {orientation}}}, 0);
}

std::string JpegSegment(uint8_t marker, const std::string& data) {
  return "\xff" + Bytes1(marker) + Be16(data.size() + 2) + data;
}

std::string JpegFrame(uint8_t marker, uint16_t width, uint16_t height) {
  std::string data = Bytes1(8) + Be16(height) + Be16(width) + Bytes1(3);
  for (uint8_t component = 1; component <= 3; ++component)
    data += Bytes1(component) + Bytes1(0x11) + Bytes1(0);
  return JpegSegment(marker, data);
}

std::string Jpeg(const std::string& segments, const std::string& scan) {
  return "\xff\xd8" + segments + JpegSegment(0xDA, std::string(10, '\0')) + scan + "\xff\xd9";
}

std::string PngChunk(const std::string& name, const std::string& data) {
  return Be32(data.size()) + name + data + "crc!";
}

std::string Png(uint32_t width, uint32_t height, const std::string& before, const std::string& after) {
  return "\x89PNG\r\n\x1a\n" +
         PngChunk("IHDR", Be32(width) + Be32(height) + Bytes1(8) + Bytes1(2) + std::string(3, '\0')) +
         before + PngChunk("IDAT", "pixels") + after + PngChunk("IEND", "");
}

std::string RiffChunk(const std::string& name, const std::string& data) {
  return name + Le32(data.size()) + data + (data.size() % 2 ? std::string(1, '\0') : "");
}
std::string Webp(const std::string& chunks) { return "RIFF" + Le32(chunks.size() + 4) + "WEBP" + chunks; }
std::string Vp8(uint16_t width, uint16_t height) {
  // The two highest bits are an upscaling hint, no part of the size.
  return RiffChunk("VP8 ", std::string("\x10\0\0\x9d\x01\x2a", 6) + Le16(width | 0x4000) +
                               Le16(height | 0x8000) + "pixels!");
}
std::string Vp8l(uint16_t width, uint16_t height, bool alpha) {
  const uint32_t bits = (width - 1u) | (height - 1u) << 14 | (alpha ? 1u << 28 : 0);
  return RiffChunk("VP8L", "/" + Le32(bits) + "pixels");
}
std::string Vp8x(uint8_t flags, uint32_t width, uint32_t height) {
  return RiffChunk("VP8X", Bytes1(flags) + std::string(3, '\0') + Le32(width - 1).substr(0, 3) +
                               Le32(height - 1).substr(0, 3));
}

std::string Tiff(TiffKind kind, const std::vector<TiffField>& fields, size_t gap) {
  const bool little = kind == TiffKind::kLittle || kind == TiffKind::kBigTiffLittle;
  const bool wide = kind == TiffKind::kBigTiffLittle || kind == TiffKind::kBigTiffBig;
  auto number = [&](uint64_t value, int size) { return little ? Little(value, size) : Big(value, size); };
  const int offset_size = wide ? 8 : 4;
  const size_t directory = (wide ? 16 : 8) + gap;
  std::string file = (little ? "II" : "MM") + number(wide ? 43 : 42, 2);
  if (wide) file += number(8, 2) + number(0, 2);
  file += number(directory, offset_size) + std::string(gap, 'x');
  file += number(fields.size(), wide ? 8 : 2);
  const size_t behind = file.size() + fields.size() * (wide ? 20 : 12) + offset_size;
  std::string values_behind;
  for (const TiffField& field : fields) {
    std::string values;
    for (uint64_t value : field.values)
      values += number(value, field.type == 3 ? 2 : field.type == 4 || field.type == 5 ? 4 : 8);
    const size_t count = field.values.size() / (field.type == 5 ? 2 : 1);
    file += number(field.tag, 2) + number(field.type, 2) + number(count, offset_size);
    if (values.size() <= static_cast<size_t>(offset_size)) {
      values.resize(offset_size);
      file += values;
    } else {
      file += number(behind + values_behind.size(), offset_size);
      values_behind += values;
    }
  }
  return file + number(0, offset_size) + values_behind;
}

std::string IsoBox(const std::string& type, const std::string& content) {
  return Be32(content.size() + 8) + type + content;
}
std::string IsoFullBox(const std::string& type, uint32_t version_and_flags, const std::string& content) {
  return IsoBox(type, Be32(version_and_flags) + content);
}
std::string Ispe(uint32_t width, uint32_t height) {
  return IsoFullBox("ispe", 0, Be32(width) + Be32(height));
}
std::string Irot(uint8_t quarter_turns) { return IsoBox("irot", Bytes1(quarter_turns)); }
std::string Imir(uint8_t axis) { return IsoBox("imir", Bytes1(axis)); }
std::string Clap(uint32_t width, uint32_t height, uint32_t denominator) {
  return IsoBox("clap", Be32(width) + Be32(denominator) + Be32(height) + Be32(denominator) + Be32(0) +
                            Be32(1) + Be32(0) + Be32(1));
}

std::string ItemReference(const std::string& kind, uint16_t from, const std::vector<uint16_t>& to) {
  std::string content = Be16(from) + Be16(to.size());
  for (uint16_t id : to) content += Be16(id);
  return IsoBox(kind, content);
}

std::string Heif(const HeifFile& file) {
  std::string brands = file.major + Be32(0);
  for (const std::string& brand : file.brands) brands += brand;
  std::string items, associations, properties;
  for (const HeifItem& item : file.items) {
    items +=
        IsoFullBox("infe", 2u << 24 | (item.hidden ? 1 : 0), Be16(item.id) + Be16(0) + item.type + Bytes1(0));
    associations += Be16(item.id) + Bytes1(item.properties.size());
    for (uint8_t index : item.properties) associations += Bytes1(index | 0x80);
  }
  for (const std::string& property : file.properties) properties += property;
  const std::string iref = file.references.empty() ? "" : IsoFullBox("iref", 0, file.references);
  const std::string meta = IsoFullBox(
      "meta", 0,
      IsoFullBox("hdlr", 0, Be32(0) + "pict" + std::string(13, '\0')) +
          IsoFullBox("pitm", 0, Be16(file.primary)) + IsoFullBox("iloc", 0, "somewhere") +
          IsoFullBox("iinf", 0, Be16(file.items.size()) + items) + (file.references_last ? "" : iref) +
          IsoBox("iprp",
                 IsoBox("ipco", properties) + IsoFullBox("ipma", 0, Be32(file.items.size()) + associations)) +
          (file.references_last ? iref : ""));
  const std::string mdat = IsoBox("mdat", std::string(file.mdat_before_meta, 'm'));
  return IsoBox("ftyp", brands) + (file.mdat_before_meta ? mdat + meta : meta + IsoBox("mdat", "pixels"));
}

std::string Gif(uint16_t width, uint16_t height, const std::string& blocks) {
  return "GIF89a" + Le16(width) + Le16(height) + Bytes1(0xF1) + std::string(2, '\0') + std::string(12, 'c') +
         blocks;
}
std::string GifImage(size_t pixel_bytes) {
  std::string image = "," + std::string(8, '\0') + Bytes1(0) + Bytes1(2);
  for (; pixel_bytes > 0; pixel_bytes -= std::min<size_t>(pixel_bytes, 255)) {
    const size_t size = std::min<size_t>(pixel_bytes, 255);
    image += Bytes1(size) + std::string(size, 'p');
  }
  return image + Bytes1(0);
}
std::string GifLoop() { return std::string("!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0", 19); }

std::string Ico(uint8_t kind, const std::vector<IcoEntry>& entries) {
  std::string file = Le16(0) + Le16(kind) + Le16(entries.size());
  uint32_t offset = 6 + 16 * entries.size();
  for (const IcoEntry& entry : entries) {
    file +=
        Bytes1(entry.width) + Bytes1(entry.height) + Le16(0) + Le16(1) + Le16(32) + Le32(50) + Le32(offset);
    offset += 50;
  }
  return file + std::string(50 * entries.size(), 'i');
}

std::string Bmp(uint32_t header_size, int32_t width, int32_t height, uint16_t bits) {
  std::string header = Le32(header_size);
  if (header_size == 12) {
    header += Le16(width) + Le16(height) + Le16(1) + Le16(bits);
  } else {
    header += Le32(static_cast<uint32_t>(width)) + Le32(static_cast<uint32_t>(height)) + Le16(1) + Le16(bits);
  }
  header.resize(header_size);
  return "BM" + Le32(1000) + Le32(0) + Le32(14 + header_size) + header + "pixels";
}

}  // namespace imgfleet::image
