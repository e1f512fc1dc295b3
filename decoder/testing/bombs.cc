#include "decoder/testing/bombs.h"

#include <zlib.h>

#include <algorithm>
#include <iterator>

namespace imgfleet::decoder {
namespace {

std::string BigEndian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

std::string LittleEndian(uint32_t value, size_t bytes) {
  std::string out;
  for (; bytes > 0; --bytes, value >>= 8) out.push_back(static_cast<char>(value));
  return out;
}

std::string Chunk(const std::string& type_and_data) {
  const auto* bytes = reinterpret_cast<const Bytef*>(type_and_data.data());
  return BigEndian(type_and_data.size() - 4) + type_and_data +
         BigEndian(crc32(0, bytes, static_cast<uInt>(type_and_data.size())));
}

std::string DeflatedZeros(uint64_t count) {
  z_stream stream = {};
  deflateInit(&stream, 1);
  std::string zeros(1 << 16, '\0'), out, buffer(1 << 16, '\0');
  while (true) {
    stream.next_in = reinterpret_cast<Bytef*>(zeros.data());
    stream.avail_in = static_cast<uInt>(std::min<uint64_t>(count, zeros.size()));
    count -= stream.avail_in;
    int result;
    do {
      stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
      stream.avail_out = static_cast<uInt>(buffer.size());
      result = deflate(&stream, count == 0 ? Z_FINISH : Z_NO_FLUSH);
      out.append(buffer, 0, buffer.size() - stream.avail_out);
    } while (stream.avail_out == 0);
    if (result == Z_STREAM_END) break;
  }
  deflateEnd(&stream);
  return out;
}

}  // namespace

std::string BlackPng(uint32_t width, uint32_t height) {
  return "\x89PNG\r\n\x1a\n" +
         Chunk("IHDR" + BigEndian(width) + BigEndian(height) + std::string("\x01\x00\x00\x00\x00", 5)) +
         Chunk("IDAT" + DeflatedZeros((uint64_t{width} / 8 + 1 + (width % 8 != 0)) * height)) + Chunk("IEND");
}

std::string HugeWebp(uint32_t side) {
  // Five Huffman codes of one symbol each: no pixel costs a bit.
  std::string bits = "\x2f" + LittleEndian((side - 1) << 14 | (side - 1), 4);
  bits += "\x88\x88\x08";
  bits.resize(20);
  std::string size(4, '\0');
  size[0] = static_cast<char>(bits.size());
  std::string riff = size;
  riff[0] = static_cast<char>(bits.size() + 12);
  return "RIFF" + riff + "WEBPVP8L" + size + bits;
}

std::string HugeGif(uint32_t side) {
  const std::string size = LittleEndian(side, 2) + LittleEndian(side, 2);
  return "GIF89a" + size + std::string("\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00", 14) + size +
         std::string("\x00\x02\x02\x44\x01\x00;", 7);
}

std::string HugeProgressiveJpeg(uint32_t side) {
  // One table of each kind: steps of 1, and a single code of one bit, which says 0.
  std::string jpeg("\xff\xd8\xff\xdb\x00\x43\x00", 7);
  jpeg += std::string(64, '\x01') + std::string("\xff\xc4\x00\x14\x00\x01", 6) + std::string(16, '\0');
  jpeg += std::string("\xff\xc2\x00\x11\x08", 5);
  jpeg += BigEndian(side << 16 | side);
  jpeg += std::string("\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00", 10);
  jpeg += std::string("\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00\x00\x00\x00", 14);
  return jpeg + std::string(64, '\0') + "\xff\xd9";
}

std::string BlackTiff(uint32_t side) {
  const std::string pixels = DeflatedZeros(uint64_t{side} * side * 3);
  const uint32_t directory = 8 + static_cast<uint32_t>(pixels.size() + pixels.size() % 2);
  std::string file = "II*" + std::string(1, '\0') + LittleEndian(directory, 4) + pixels;
  file.resize(directory);
  const struct {
    uint16_t tag, type;
    uint32_t value;
  } kEntries[] = {{256, 4, side},               // Width and height.
                  {257, 4, side}, {258, 3, 8},  // Bits a sample, of the first one: so have the others.
                  {259, 3, 8},                  // Deflate.
                  {262, 3, 2},                  // RGB.
                  {273, 4, 8},                  // The strip: where it lies, ...
                  {277, 3, 3},                  // (samples a pixel)
                  {278, 4, side}, {279, 4, static_cast<uint32_t>(pixels.size())}};
  file += LittleEndian(std::size(kEntries), 2);
  for (const auto& entry : kEntries) {
    file += LittleEndian(entry.tag, 2) + LittleEndian(entry.type, 2) + LittleEndian(1, 4) +
            LittleEndian(entry.value, 4);
  }
  return file + LittleEndian(0, 4);
}

std::string HugeJxl(uint32_t side) {
  // From the lowest bit on: not a multiple of eight up to 256; a height of 30 bits; the width is the height; all else of
  // the header as it is by default.
  uint64_t bits = 0b11 << 1 | uint64_t{side - 1} << 3 | uint64_t{1} << 33 | uint64_t{0b11} << 36;
  std::string file("\xff\x0a", 2);
  for (; bits != 0; bits >>= 8) file.push_back(static_cast<char>(bits));
  return file + std::string(64, '\0');
}

std::string Enlarged(std::string file, uint16_t width, uint16_t height) {
  const auto replace = [&file](const std::string& from, const std::string& to) {
    for (size_t at = 0; (at = file.find(from, at)) != std::string::npos; at += to.size())
      file.replace(at, from.size(), to);
  };
  const auto little = [](uint16_t value) { return LittleEndian(value, 2); };
  // ispe of AVIF and HEIC, SIZ of JPEG 2000: width and height. ihdr of JP2: height and width.
  replace(BigEndian(200) + BigEndian(150), BigEndian(width) + BigEndian(height));
  replace(BigEndian(150) + BigEndian(200), BigEndian(height) + BigEndian(width));
  // Entries of a TIFF's directory: one short.
  const std::string one("\x03\x00\x01\x00\x00\x00", 6);
  replace(little(256) + one + little(200), little(256) + one + little(width));
  replace(little(257) + one + little(150), little(257) + one + little(height));
  return file;
}

}  // namespace imgfleet::decoder
