#include "tests/hostile/bodies.h"

#include <zlib.h>

#include "absl/strings/str_cat.h"
#include "common/log.h"

namespace imgfleet::hostile {
namespace {

std::string Compress(absl::string_view data, int window) {
  z_stream stream{};
  IMGFLEET_CHECK(deflateInit2(&stream, data.size() > 1 << 20 ? 1 : 9, Z_DEFLATED, window, 8,
                              Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, data.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = data.size();
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = out.size();
  IMGFLEET_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace

std::string Gif(uint16_t width, uint16_t height, size_t size) {
  std::string gif = "GIF89a";
  for (const uint16_t side : {width, height}) {
    gif.push_back(static_cast<char>(side));
    gif.push_back(static_cast<char>(side >> 8));
  }
  gif += std::string("\x00\x00\x00", 3);                               // No colour table.
  gif += std::string("\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00", 10);  // One frame.
  gif += std::string("\x02\x02\x44\x01\x00\x3b", 6);
  gif.resize(std::max(size, gif.size()), '\0');
  return gif;
}

std::string Picture(size_t size) { return Gif(40, 30, size); }
std::string Poison() { return Gif(666, 666); }

const std::string& JpegFiller() {
  static const auto* segment = new std::string("\xff\xe2\xff\xff" + std::string(65533, 'p'));
  return *segment;
}

std::string EndlessJpeg(size_t bytes) {
  std::string jpeg = "\xff\xd8";
  while (jpeg.size() < bytes) jpeg += JpegFiller();
  jpeg.resize(bytes);
  return jpeg;
}

std::string Chunk(absl::string_view data) {
  return absl::StrCat(absl::Hex(data.size()), "\r\n", data, "\r\n");
}
std::string Chunked(absl::string_view data) { return Chunk(data) + "0\r\n\r\n"; }

std::string Gzip(absl::string_view data) { return Compress(data, 16 + MAX_WBITS); }
std::string Zlib(absl::string_view data) { return Compress(data, MAX_WBITS); }
std::string Deflate(absl::string_view data) { return Compress(data, -MAX_WBITS); }

std::string Head(absl::string_view status, std::initializer_list<absl::string_view> lines) {
  std::string head = absl::StrCat("HTTP/1.1 ", status, "\r\n");
  for (const absl::string_view line : lines) absl::StrAppend(&head, line, "\r\n");
  return head + "\r\n";
}

std::string Whole(absl::string_view status, std::initializer_list<absl::string_view> lines,
                  absl::string_view body) {
  std::string head = Head(status, lines);
  head.resize(head.size() - 2);
  return absl::StrCat(head, "Content-Length: ", body.size(), "\r\n\r\n", body);
}

std::string Part(absl::string_view range, absl::string_view body,
                 std::initializer_list<absl::string_view> lines) {
  std::string head = Head("206 Partial Content", lines);
  head.resize(head.size() - 2);
  return absl::StrCat(head, "Content-Range: bytes ", range, "\r\nContent-Length: ", body.size(), "\r\n\r\n",
                      body);
}

std::string Repeat(absl::string_view unit, size_t bytes) {
  std::string text;
  while (text.size() < bytes) absl::StrAppend(&text, unit);
  return text;
}

}  // namespace imgfleet::hostile
