// Content-Encoding, though identity was asked for: honest, lying, and meant to explode.
#include "absl/strings/str_cat.h"
#include "tests/hostile/bodies.h"
#include "tests/hostile/case.h"

namespace imgfleet::hostile {
namespace {

const char kNotWhatItSays[] = "the body is not what its Content-Encoding says";
const char kLarge[] = "the body is larger than the";

std::string Encoded(absl::string_view coding, absl::string_view body) {
  return Whole("200 OK", {absl::StrCat("Content-Encoding: ", coding)}, body);
}

// `begin` and a hundred times `more`, each a member of its own.
std::string GzipBomb(absl::string_view begin, absl::string_view more) {
  const std::string member = Gzip(more);
  return Gzip(begin) + Repeat(member, 100 * member.size());
}

std::string WithBadChecksum() {
  std::string packed = Gzip(Picture());
  packed[packed.size() - 8] ^= 1;
  return packed;
}

}  // namespace

std::vector<Case> EncodingCases() {
  return {
      {.name = "encoding-gzip",
       .sends = "an honest gzip",
       .ends = Measured(),
       .guard = "none needed: the size is the decoded one",
       .converse = Answers(Encoded("gzip", Gzip(Picture())))},
      {.name = "encoding-gzip-in-two-members",
       .sends = "gzip in two members",
       .ends = Measured(),
       .guard = "fetch/content_decoder.cc: Decode",
       .converse = Answers(Encoded("gzip", Gzip(Picture().substr(0, 1000)) + Gzip(Picture().substr(1000))))},
      {.name = "encoding-deflate-zlib",
       .sends = "deflate as RFC 9110 has it",
       .ends = Measured(),
       .guard = "fetch/content_decoder.cc: Open",
       .converse = Answers(Encoded("deflate", Zlib(Picture())))},
      {.name = "encoding-deflate-raw",
       .sends = "deflate without the zlib wrapping, as some servers do",
       .ends = Measured(),
       .guard = "fetch/content_decoder.cc: Open",
       .converse = Answers(Encoded("deflate", Deflate(Picture())))},
      {.name = "encoding-gzip-bomb",
       .sends = "100 KB of gzip that are an image and 100 MB of zeros",
       .ends = Fails(Reason::BODY_TOO_LARGE, kLarge),
       .guard = "fetch/reading.cc: OnWholeBytes",
       .converse =
           AnswersDear([] { return Encoded("gzip", GzipBomb(Picture(), std::string(1 << 20, '\0'))); })},
      {.name = "encoding-gzip-bomb-of-jpeg",
       .sends = "the same of a JPEG that never comes to its frame header: all of it would be kept",
       .ends = Fails(Reason::BODY_TOO_LARGE, kLarge),
       .guard = "fetch/reading.cc: OnWholeBytes",
       .converse = AnswersDear(
           [] { return Encoded("gzip", GzipBomb(EndlessJpeg(2), Repeat(JpegFiller(), 1 << 20))); })},
      {.name = "encoding-deflate-bomb",
       .sends = "a bomb in raw deflate",
       .ends = Fails(Reason::BODY_TOO_LARGE, kLarge),
       .guard = "fetch/reading.cc: OnWholeBytes",
       .converse = AnswersDear([] { return Encoded("deflate", Deflate(Picture(100'000'000))); })},
      {.name = "encoding-endless-empty-members",
       .sends = "empty gzip members without end: bytes that decode to nothing",
       .ends = Fails(Reason::BODY_TOO_LARGE, kLarge),
       .guard = "fetch/reading.cc: OnBody (encoded bytes count as well)",
       .converse = Floods(Head("200 OK", {"Content-Encoding: gzip"}), Gzip(""))},
      {.name = "encoding-endless-empty-blocks",
       .sends = "empty stored deflate blocks without end",
       .ends = Fails(Reason::BODY_TOO_LARGE, kLarge),
       .guard = "fetch/reading.cc: OnBody (encoded bytes count as well)",
       .converse =
           Floods(Head("200 OK", {"Content-Encoding: deflate"}), std::string("\x00\x00\x00\xff\xff", 5))},
      {.name = "encoding-nested-named",
       .sends = "Content-Encoding: gzip, gzip",
       .ends = Fails(Reason::PROTOCOL_ERROR,
                     "the origin sent Content-Encoding gzip, gzip though identity was asked for"),
       .guard = "fetch/response_head.cc: ReadCoding",
       .converse = Answers(Encoded("gzip, gzip", Gzip(Gzip(Picture()))))},
      {.name = "encoding-nested-in-two-headers",
       .sends = "two Content-Encoding headers",
       .ends = Fails(Reason::PROTOCOL_ERROR, "though identity was asked for"),
       .guard = "fetch/response_head.cc: Field",
       .converse = Answers(
           Whole("200 OK", {"Content-Encoding: gzip", "Content-Encoding: deflate"}, Gzip(Zlib(Picture()))))},
      {.name = "encoding-nested-unnamed",
       .sends = "gzip within gzip under the name of one",
       .ends = Fails(Reason::NOT_AN_IMAGE, ""),
       .guard = "image/detect.cc",
       .converse = Answers(Encoded("gzip", Gzip(Gzip(Picture()))))},
      {.name = "encoding-gzip-truncated",
       .sends = "half of a gzip, with a Content-Length that fits",
       .ends = Fails(Reason::PROTOCOL_ERROR, "broke off"),
       .guard = "fetch/reading.cc: OnEnd",
       .converse = Answers(Encoded("gzip", Gzip(Picture()).substr(0, 40)))},
      {.name = "encoding-gzip-truncated-in-its-header",
       .sends = "five bytes of a gzip",
       .ends = Fails(Reason::PROTOCOL_ERROR, "broke off"),
       .guard = "fetch/reading.cc: OnEnd",
       .converse = Answers(Encoded("gzip", Gzip(Picture()).substr(0, 5)))},
      {.name = "encoding-gzip-bad-checksum",
       .sends = "a gzip whose CRC is wrong",
       .ends = Fails(Reason::PROTOCOL_ERROR, kNotWhatItSays),
       .guard = "fetch/content_decoder.cc: Decode (zlib)",
       .converse = Answers(Encoded("gzip", WithBadChecksum()))},
      {.name = "encoding-gzip-then-garbage",
       .sends = "a gzip with something else behind it, which is ignored as gzip does",
       .ends = Measured(),
       .guard = "fetch/content_decoder.cc: Decode",
       .converse = Answers(Encoded("gzip", absl::StrCat(Gzip(Picture()), "garbage")))},
      {.name = "encoding-gzip-then-endless-garbage",
       .sends = "the same without end",
       .ends = Fails(Reason::BODY_TOO_LARGE, kLarge),
       .guard = "fetch/reading.cc: OnBody (encoded bytes count as well)",
       .converse =
           Floods(absl::StrCat(Head("200 OK", {"Content-Encoding: gzip"}), Gzip(Picture())), "garbage ")},
      {.name = "encoding-gzip-that-is-none",
       .sends = "Content-Encoding: gzip over the image as it is",
       .ends = Fails(Reason::PROTOCOL_ERROR, kNotWhatItSays),
       .guard = "fetch/content_decoder.cc: Decode",
       .converse = Answers(Encoded("gzip", Picture()))},
      {.name = "encoding-gzip-unnamed",
       .sends = "a gzip without Content-Encoding",
       .ends = Fails(Reason::NOT_AN_IMAGE, ""),
       .guard = "image/detect.cc",
       .converse = Answers(Whole("200 OK", {}, Gzip(Picture())))},
      {.name = "encoding-brotli",
       .sends = "Content-Encoding: br",
       .ends =
           Fails(Reason::PROTOCOL_ERROR, "the origin sent Content-Encoding br though identity was asked for"),
       .guard = "fetch/reading.cc: OnWholeHead",
       .converse = Answers(Encoded("br", "\x0b\x02\x80GIF89a\x03"))},
      {.name = "encoding-nonsense",
       .sends = "Content-Encoding: x-nonsense",
       .ends = Fails(Reason::PROTOCOL_ERROR, "the origin sent Content-Encoding x-nonsense though identity"),
       .guard = "fetch/reading.cc: OnWholeHead",
       .converse = Answers(Encoded("x-nonsense", Picture()))},
      {.name = "encoding-of-a-part",
       .sends = "206 of an encoded body, whose size is not the one that is owed; the whole body to the next "
                "request",
       .ends = Measured(),
       .guard = "fetch/reading.cc: OnPartialHead",
       .converse = Replies([](const Request& request, Peer&) {
         const std::string packed = Gzip(Picture());
         if (request.range.empty()) return Encoded("gzip", packed);
         return Part(absl::StrCat("0-", packed.size() - 1, "/", packed.size()), packed,
                     {"Content-Encoding: gzip"});
       })},
      {.name = "encoding-of-a-part-for-ever",
       .sends = "206 of an encoded body, even where no range was asked for",
       .ends = Fails(Reason::RANGE_MISMATCH, "206 though no range was asked for"),
       .guard = "fetch/reading.cc: OnPartialHead",
       .converse = Answers(Part("0-99/100", std::string(100, 'x'), {"Content-Encoding: gzip"}))},
  };
}

}  // namespace imgfleet::hostile
