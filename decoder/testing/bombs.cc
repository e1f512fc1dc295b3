#include "decoder/testing/bombs.h"

#include <zlib.h>

#include <algorithm>

namespace imgfleet::decoder {
namespace {

std::string BigEndian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
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

std::string HugeWebp() {
  // Five Huffman codes of one symbol each: no pixel costs a bit.
  std::string bits = "\x2f\xfe\xbf\xff\x0f";
  bits += std::string("\x00\x88\x88\x08\x00\x00\x00\x00\x00", 9);
  bits.resize(20);
  std::string size(4, '\0');
  size[0] = static_cast<char>(bits.size());
  std::string riff = size;
  riff[0] = static_cast<char>(bits.size() + 12);
  return "RIFF" + riff + "WEBPVP8L" + size + bits;
}

std::string HugeGif() {
  return std::string(
             "GIF89a\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\xff\xff\xff,"
             "\x00\x00\x00\x00\xff\xff\xff\xff\x00",
             29) +
         std::string("\x02\x02\x44\x01\x00;", 6);
}

std::string HugeProgressiveJpeg() {
  std::string jpeg("\xff\xd8\xff\xc2\x00\x11\x08", 7);
  jpeg += std::string("\x3e\x80\x3e\x80", 4);  // 16000 x 16000.
  jpeg += std::string("\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00", 10);
  jpeg += std::string("\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00\x00\x00\x00", 14);
  return jpeg + std::string(64, '\0') + "\xff\xd9";
}

std::string Enlarged(std::string file, uint16_t width, uint16_t height) {
  const auto replace = [&file](const std::string& from, const std::string& to) {
    for (size_t at = 0; (at = file.find(from, at)) != std::string::npos; at += to.size())
      file.replace(at, from.size(), to);
  };
  const auto little = [](uint16_t value) {
    return std::string{static_cast<char>(value), static_cast<char>(value >> 8)};
  };
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
