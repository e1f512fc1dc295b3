// Lies about ranges (RFC 9110 section 14).
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/hostile/bodies.h"
#include "tests/hostile/case.h"

namespace imgfleet::hostile {
namespace {

const char kHead[] = "fetch/reading.cc: OnPartialHead";

// A JPEG that asks for more than the first range: its frame header comes behind 40,000 bytes of application data.
std::string LateJpeg(uint16_t width = 40, uint16_t height = 30) {
  std::string jpeg = absl::StrCat("\xff\xd8", "\xff\xe2\x9c\x42", std::string(40'000, 'p'));
  jpeg += std::string("\xff\xc0\x00\x0b\x08", 5);
  for (const uint16_t side : {height, width}) {
    jpeg.push_back(static_cast<char>(side >> 8));
    jpeg.push_back(static_cast<char>(side));
  }
  jpeg += std::string("\x01\x01\x11\x00", 4) + std::string("\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00", 10);
  jpeg += "scan\xff\xd9";
  jpeg.resize(100'000, '\0');
  return jpeg;
}

// A JPEG XL whose codestream comes behind boxes of 400 KB, each of which has to be passed to find the next.
std::string FarJxl(size_t boxes, uint16_t width = 40, uint16_t height = 30) {
  std::string jxl(
      "\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14"
      "ftypjxl \0\0\0\0jxl ",
      32);
  for (size_t i = 0; i < boxes; ++i)
    jxl += std::string(
               "\0\x06\x1a\x80"
               "free",
               8) +
           std::string(399'992, '\0');
  // From the lowest bit on: sizes of nine bits, no ratio, and all else as it is by default.
  uint32_t header = uint32_t{height - 1u} << 3 | uint32_t{width - 1u} << 17 | 3u << 26;
  jxl += std::string("\0\0\0\0jxlc\xff\x0a", 10);
  for (; header != 0; header >>= 8) jxl.push_back(static_cast<char>(header));
  return jxl + std::string(100, '\0');
}

std::string Serve(const Request& request, const std::string& file,
                  std::initializer_list<absl::string_view> lines = {}) {
  if (request.range.empty()) return Whole("200 OK", lines, file);
  const uint64_t last = std::min<uint64_t>(request.last, file.size() - 1);
  return Part(absl::StrCat(request.first, "-", last, "/", file.size()),
              file.substr(request.first, last - request.first + 1), lines);
}

// Honest to the first range; what comes then is `later`.
Conversation Later(std::function<std::string(const Request&)> later) {
  return Replies([later = std::move(later)](const Request& request, Peer&) {
    return request.first == 0 && !request.range.empty() ? Serve(request, LateJpeg(), {"ETag: \"one\""})
                                                        : later(request);
  });
}

Case Lie(std::string name, std::string content_range, std::string says) {
  return {.name = std::move(name),
          .sends = absl::StrCat("206, Content-Range: bytes ", content_range),
          .ends = Fails(Reason::RANGE_MISMATCH, std::move(says)),
          .guard = kHead,
          .converse = Answers(Part(content_range, Picture()))};
}

}  // namespace

std::vector<Case> RangeCases() {
  return {
      {.name = "range-honest",
       .sends = "what a good origin answers: two parts",
       .ends = Measured(100'000),
       .guard = "none needed",
       .converse = Replies([](const Request& request, Peer&) { return Serve(request, LateJpeg()); })},
      {.name = "range-boxes-far-apart",
       .sends = "a file whose boxes lie far apart, in the parts that are asked for",
       .ends = Measured(32 + 3 * 400'000 + 114),
       .guard = "fetch/reading.cc: NextRange (the piece grows)",
       .converse = Replies([](const Request& request, Peer&) {
         static const auto* file = new std::string(FarJxl(3));
         return Serve(request, *file);
       })},
      {.name = "range-boxes-without-end",
       .sends = "one with so many of them that the codestream lies behind the body's limit",
       .ends = Fails(Reason::BODY_TOO_LARGE, "bytes that the job allows"),
       .guard = "fetch/reading.cc: NextRange (max_body_bytes)",
       .converse = Replies([](const Request& request, Peer&) {
         static const auto* file = new std::string(FarJxl(200));
         return Serve(request, *file);
       })},
      Lie("range-other-bytes", "1-2000/99999", "asked for bytes 0-12287, the origin answered 1-2000"),
      Lie("range-more-bytes", "0-99998/99999", "asked for bytes 0-12287, the origin answered 0-99998"),
      Lie("range-total-too-small", "0-12287/100", "206 without a readable Content-Range"),
      Lie("range-backwards", "5-1/99", "206 without a readable Content-Range"),
      Lie("range-negative", "-1-5/99", "206 without a readable Content-Range"),
      Lie("range-unsatisfied", "*/99999", "206 without a readable Content-Range"),
      Lie("range-words", "first to last", "206 without a readable Content-Range"),
      Lie("range-beyond-64-bits", "0-99999999999999999999999/999999999999999999999999",
          "206 without a readable Content-Range"),
      Lie("range-beyond-63-bits", "0-1999/9223372036854775809", "206 without a readable Content-Range"),
      Lie("range-length-contradicts", "0-4999/99999",
          "Content-Range announces 5000 bytes, Content-Length 2000"),
      {.name = "range-of-items",
       .sends = "206, Content-Range: items 0-1999/2000",
       .ends = Fails(Reason::RANGE_MISMATCH, "206 without a readable Content-Range"),
       .guard = "fetch/response_head.cc: ContentRange::Parse",
       .converse = Answers(Whole("206 Partial Content", {"Content-Range: items 0-1999/2000"}, Picture()))},
      {.name = "range-twice-differing",
       .sends = "two Content-Range headers that differ",
       .ends = Fails(Reason::PROTOCOL_ERROR, "the answer's Content-Range headers contradict each other"),
       .guard = "fetch/response_head.cc: Field",
       .converse = Answers(Part("0-1999/2000", Picture(), {"Content-Range: bytes 0-1999/99999"}))},
      {.name = "range-without-content-range",
       .sends = "206 without Content-Range",
       .ends = Fails(Reason::RANGE_MISMATCH, "206 without a readable Content-Range"),
       .guard = kHead,
       .converse = Answers(Whole("206 Partial Content", {}, Picture()))},
      {.name = "range-multipart",
       .sends = "multipart/byteranges",
       .ends = Fails(Reason::RANGE_MISMATCH, "206 without a readable Content-Range"),
       .guard = kHead,
       .converse = Answers(
           Whole("206 Partial Content", {"Content-Type: multipart/byteranges; boundary=x"},
                 absl::StrCat("--x\r\nContent-Range: bytes 0-1999/2000\r\n\r\n", Picture(), "\r\n--x--")))},
      {.name = "range-fewer-bytes-in-chunks",
       .sends = "206 that announces 12,288 bytes and ends after 2,000",
       .ends = Fails(Reason::PROTOCOL_ERROR, "the body broke off after 2000 bytes"),
       .guard = "fetch/reading.cc: OnEnd",
       .converse = Answers(absl::StrCat(
           Head("206 Partial Content", {"Content-Range: bytes 0-12287/99999", "Transfer-Encoding: chunked"}),
           Chunked(Picture())))},
      {.name = "range-more-bytes-in-chunks",
       .sends = "206 that announces 1,000 bytes and sends 2,000",
       .ends = Fails(Reason::RANGE_MISMATCH, "the origin sent more than its Content-Range says"),
       .guard = "fetch/reading.cc: OnBody",
       .converse = Answers(absl::StrCat(
           Head("206 Partial Content", {"Content-Range: bytes 0-999/99999", "Transfer-Encoding: chunked"}),
           Chunked(Picture())))},
      {.name = "range-endless",
       .sends = "206 without Content-Length that never ends",
       .ends = Fails(Reason::RANGE_MISMATCH, "the origin sent more than its Content-Range says"),
       .guard = "fetch/reading.cc: OnBody",
       .converse = Floods(Head("206 Partial Content", {"Content-Range: bytes 0-12287/99999"}), "GIF89a")},
      {.name = "range-wrong-content",
       .sends = "the right Content-Range over bytes of somewhere else",
       .ends = Fails(Reason::NOT_AN_IMAGE, ""),
       .guard = "image/detect.cc",
       .converse = Answers(Part("0-12287/99999", std::string(12'288, '\x55')))},
      {.name = "range-of-unknown-total",
       .sends = "206 of a body of unknown length, to a request without a range all of it",
       .ends = Measured(),
       .guard = kHead,
       .converse = Replies([](const Request& request, Peer&) {
         return request.range.empty() ? Whole("200 OK", {}, Picture()) : Part("0-1999/*", Picture());
       })},
      {.name = "range-in-crumbs",
       .sends = "one byte at a time, whatever is asked for",
       .ends = Fails(Reason::RANGE_MISMATCH, "parts of a few bytes"),
       .guard = "fetch/reading.cc: NextRange (kMaxAsks)",
       .converse = Replies([](const Request& request, Peer&) {
         const std::string file = LateJpeg();
         return Part(absl::StrCat(request.first, "-", request.first, "/", file.size()),
                     file.substr(request.first, 1));
       })},
      {.name = "range-416-of-nothing",
       .sends = "416, Content-Range: bytes */0",
       .ends = Fails(Reason::EMPTY_BODY, "the body is empty"),
       .guard = "fetch/reading.cc: OnHead",
       .converse = Answers(Whole("416 Range Not Satisfiable", {"Content-Range: bytes */0"}, ""))},
      {.name = "range-416-with-a-total",
       .sends =
           "416 to the first range, Content-Range: bytes */5000, and an image of 2,000 bytes to the whole",
       .ends = Measured(),
       .guard = "fetch/reading.cc: OnHead",
       .converse = Replies([](const Request& request, Peer&) {
         return request.range.empty()
                    ? Whole("200 OK", {}, Picture())
                    : Whole("416 Range Not Satisfiable", {"Content-Range: bytes */5000"}, "");
       })},
      {.name = "range-416-for-ever",
       .sends = "416, even where no range was asked for",
       .ends = Fails(Reason::RANGE_MISMATCH, "the origin answered 416 though no range was asked for"),
       .guard = "fetch/reading.cc: OnHead",
       .converse = Answers(Whole("416 Range Not Satisfiable", {"Content-Range: bytes */5000"}, ""))},
      {.name = "range-416-with-an-endless-page",
       .sends = "416 with a page without end, then the whole",
       .ends = Measured(),
       .guard = "fetch/reading.cc: OnBody (kIgnore)",
       .converse =
           [](Peer& peer) {
             while (const std::optional<Request> request = peer.Read()) {
               if (request->range.empty()) {
                 peer.Send(Whole("200 OK", {}, Picture()));
               } else {
                 peer.Send(Head("416 Range Not Satisfiable"));
                 return peer.SendForEver("sorry ");
               }
             }
           }},
      {.name = "range-416-later",
       .sends = "416 to the second range",
       .ends = Fails(Reason::RANGE_MISMATCH, "the origin refused bytes 12288-"),
       .guard = "fetch/reading.cc: OnHead",
       .converse = Later([](const Request&) { return Whole("416 Range Not Satisfiable", {}, ""); })},
      {.name = "range-other-total-later",
       .sends = "another total in the second part",
       .ends = Fails(Reason::RANGE_MISMATCH, "the file changed while it was read"),
       .guard = kHead,
       .converse =
           Later([](const Request& request) { return Serve(request, LateJpeg() + "x", {"ETag: \"one\""}); })},
      {.name = "range-other-etag-later",
       .sends = "another ETag in the second part, in spite of If-Range",
       .ends = Fails(Reason::RANGE_MISMATCH, "the file changed while it was read"),
       .guard = kHead,
       .converse =
           Later([](const Request& request) { return Serve(request, LateJpeg(), {"ETag: \"two\""}); })},
      {.name = "range-first-part-again",
       .sends = "the first part for an answer to the second request",
       .ends = Fails(Reason::RANGE_MISMATCH, "the origin answered 0-12287"),
       .guard = kHead,
       .converse = Replies(
           [](const Request&, Peer&) { return Part("0-12287/100000", LateJpeg().substr(0, 12'288)); })},
      {.name = "range-encoded-later",
       .sends = "an encoded second part, then the whole",
       .ends = Measured(100'000),
       .guard = kHead,
       .converse = Later([](const Request& request) {
         return request.range.empty()
                    ? Whole("200 OK", {}, LateJpeg())
                    : Part(absl::StrCat(request.first, "-", request.last, "/100000"),
                           std::string(request.last - request.first + 1, 'x'), {"Content-Encoding: gzip"});
       })},
      {.name = "range-200-later",
       .sends = "200 with another image to the second range: the file has changed",
       .ends = Measured(),
       .guard = "fetch/reading.cc: OnWholeHead (starts over)",
       .converse = Later([](const Request&) { return Whole("200 OK", {"ETag: \"two\""}, Picture()); })},
      {.name = "range-200-later-cut",
       .sends = "the same, cut in the middle of its header",
       .ends = Fails(Reason::PROTOCOL_ERROR, "the body broke off after 12000 bytes"),
       .guard = "fetch/reading.cc: OnWholeHead (starts over), OnEnd",
       .converse =
           [](Peer& peer) {
             while (const std::optional<Request> request = peer.Read()) {
               if (request->first == 0) {
                 peer.Send(Serve(*request, LateJpeg()));
               } else {
                 peer.Send(
                     absl::StrCat(Head("200 OK", {"Content-Length: 100000"}), LateJpeg().substr(0, 12'000)));
                 return;
               }
             }
           }},
      {.name = "range-404-later",
       .sends = "404 to the second range",
       .ends = Fails(Reason::HTTP_STATUS, "the origin answered 404"),
       .guard = "fetch/refusals.cc: OnRefusal",
       .converse = Later([](const Request&) { return Whole("404 Not Found", {}, "gone"); })},
      {.name = "range-redirect-later",
       .sends = "302 to another image for an answer to the second range",
       .ends = Measured(),
       .guard = "fetch/attempts.cc: Redirect (starts over)",
       .converse = Replies([](const Request& request, Peer& peer) {
         if (request.first == 0) return Serve(request, LateJpeg());
         return Whole("302 Found", {absl::StrCat("Location: ", peer.UrlOf("picture"))}, "");
       })},
  };
}

}  // namespace imgfleet::hostile
