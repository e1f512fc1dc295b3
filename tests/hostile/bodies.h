// What hostile origins put into their answers: small images, large ones that tell nothing, encodings of both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace imgfleet::hostile {

// A GIF of `size` bytes; its first 35 tell all.
std::string Gif(uint16_t width, uint16_t height, size_t size = 35);
// The image that every case may show, and the one that shows that a connection was poisoned.
std::string Picture(size_t size = 2000);
std::string Poison();
// The beginning of a JPEG whose frame header never comes: `bytes` of application data. Read to its end it costs all
// the memory that an item may have.
std::string EndlessJpeg(size_t bytes);
// The repeating unit of EndlessJpeg.
const std::string& JpegFiller();

std::string Chunk(absl::string_view data);
std::string Chunked(absl::string_view data);  // One chunk and the last.
// RFC 1952, RFC 1950 and RFC 1951 in this order.
std::string Gzip(absl::string_view data);
std::string Zlib(absl::string_view data);
std::string Deflate(absl::string_view data);

// "HTTP/1.1 200 OK" with the lines and a blank one.
std::string Head(absl::string_view status, std::initializer_list<absl::string_view> lines = {});
// The same with a Content-Length and the body.
std::string Whole(absl::string_view status, std::initializer_list<absl::string_view> lines,
                  absl::string_view body);
// A 206 whose Content-Range says "bytes `range`".
std::string Part(absl::string_view range, absl::string_view body,
                 std::initializer_list<absl::string_view> lines = {});
// `unit` as often as it takes to have `bytes`.
std::string Repeat(absl::string_view unit, size_t bytes);

}  // namespace imgfleet::hostile
