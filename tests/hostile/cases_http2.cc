// HTTP/2 over TLS.
#include "absl/strings/str_cat.h"
#include "tests/hostile/bodies.h"
#include "tests/hostile/case.h"
#include "tests/hostile/http2.h"

namespace imgfleet::hostile {
namespace {

const char kNghttp2[] = "libcurl (nghttp2), fetch/exchange.cc: Finish";
const char kDoubt[] = "fetch/exchange.cc: ends_in_doubt";
const char kStall[] = "fetch/attempts.cc: CheckRunning (stall)";

// Every request is answered with the frames that `answer` gives for its stream.
Conversation Frames(std::function<std::string(uint32_t stream)> answer) {
  return [answer = std::move(answer)](Peer& peer) {
    Http2Peer http2(peer);
    if (!http2.Open()) return;
    while (const std::optional<uint32_t> stream = http2.Next()) {
      if (!peer.Send(answer(*stream))) return;
    }
  };
}

// The same, and then `unit` for ever.
Conversation FramesFlood(std::function<std::string(uint32_t stream)> answer,
                         std::function<std::string(uint32_t)> unit) {
  return [answer = std::move(answer), unit = std::move(unit)](Peer& peer) {
    Http2Peer http2(peer);
    if (!http2.Open()) return;
    const std::optional<uint32_t> stream = http2.Next();
    if (stream.has_value() && peer.Send(answer(*stream))) peer.SendForEver(unit(*stream));
  };
}

std::string Headers(uint32_t stream,
                    std::initializer_list<std::pair<absl::string_view, absl::string_view>> fields) {
  return Pack(Frame::kHeaders, kEndHeaders, stream, Block(fields));
}
std::string Data(uint32_t stream, absl::string_view data, uint8_t flags = 0) {
  return Pack(Frame::kData, flags, stream, data);
}
std::string Reset(uint32_t stream, char code) {
  return Pack(Frame::kRstStream, 0, stream, std::string("\0\0\0", 3) + code);
}
std::string GoAway(uint32_t last_stream, char code) {
  std::string payload;
  for (const int shift : {24, 16, 8, 0}) payload.push_back(static_cast<char>(last_stream >> shift));
  return Pack(Frame::kGoAway, 0, 0, payload + std::string("\0\0\0", 3) + code);
}

Case Http2(std::string name, std::string sends, Ends ends, std::function<std::string(uint32_t)> answer,
           std::string guard = kNghttp2) {
  return {.name = std::move(name),
          .sends = std::move(sends),
          .ends = std::move(ends),
          .guard = std::move(guard),
          .converse = Frames(std::move(answer)),
          .tls = Tls::kHttp2};
}

Ends Protocol(std::string says = "") { return Fails(Reason::PROTOCOL_ERROR, std::move(says)); }

// One answer, and with it the end of the connection.
Case Http2Closed(std::string name, std::string sends, std::string guard,
                 std::function<std::string(uint32_t)> answer) {
  return {.name = std::move(name),
          .sends = std::move(sends),
          .ends = Protocol("the body broke off after 2000 bytes"),
          .guard = std::move(guard),
          .converse =
              [answer = std::move(answer)](Peer& peer) {
                Http2Peer http2(peer);
                if (!http2.Open()) return;
                const std::optional<uint32_t> stream = http2.Next();
                if (stream.has_value()) peer.SendAndClose(answer(*stream));
              },
          .tls = Tls::kHttp2};
}

}  // namespace

std::vector<Case> Http2Cases() {
  return {
      Http2("http2-honest", "an image", Measured(),
            [](uint32_t stream) {
              return Respond(stream, {{":status", "200"}}, Picture());
            }),
      Http2("http2-reset-before-head", "RST_STREAM for an answer", Protocol(),
            [](uint32_t stream) { return Reset(stream, 2); }),
      Http2("http2-reset-in-body", "RST_STREAM in the middle of the body", Protocol("INTERNAL_ERROR"),
            [](uint32_t stream) {
              return absl::StrCat(Headers(stream, {{":status", "200"}}), Data(stream, Picture()),
                                  Reset(stream, 2));
            }),
      Http2("http2-goaway", "GOAWAY with an error", Protocol(), [](uint32_t) { return GoAway(0, 2); }),
      Http2(
          "http2-goaway-in-body", "GOAWAY with an error in the middle of the body, and no end of it",
          Fails(Reason::STALLED, "the answer made no progress for"),
          [](uint32_t stream) {
            return absl::StrCat(Headers(stream, {{":status", "200"}}), Data(stream, Picture()),
                                GoAway(stream, 2));
          },
          kStall),
      Http2("http2-goaway-after-body", "an image and a graceful GOAWAY", Measured(),
            [](uint32_t stream) {
              return absl::StrCat(
                  Respond(stream, {{":status", "200"}, {"content-length", "2000"}}, Picture()),
                  GoAway(stream, 0));
            }),
      Http2("http2-no-status", "a head without :status", Protocol(),
            [](uint32_t stream) {
              return Respond(stream, {{"content-type", "image/gif"}}, Picture());
            }),
      Http2("http2-bad-status", ":status: 2xx", Protocol(),
            [](uint32_t stream) {
              return Respond(stream, {{":status", "2xx"}}, Picture());
            }),
      Http2("http2-capital-letters", "a header in capital letters", Protocol(),
            [](uint32_t stream) {
              return Respond(stream, {{":status", "200"}, {"X-Header", "x"}}, Picture());
            }),
      Http2("http2-line-feed-in-header", "CRLF and another header in a header's value", Protocol(),
            [](uint32_t stream) {
              return Respond(stream, {{":status", "200"}, {"etag", "x\r\ncontent-length: 7"}}, Picture());
            }),
      Http2("http2-length-too-large", "a content-length of 5000 and an image of 2000", Protocol(),
            [](uint32_t stream) {
              return Respond(stream, {{":status", "200"}, {"content-length", "5000"}}, Picture());
            }),
      Http2("http2-length-twice", "content-length twice, differing", Protocol(),
            [](uint32_t stream) {
              return Respond(stream,
                             {{":status", "200"}, {"content-length", "2000"}, {"content-length", "1000"}},
                             Picture());
            }),
      Http2("http2-data-before-head", "DATA before HEADERS", Protocol(),
            [](uint32_t stream) { return Data(stream, Picture(), kEndStream); }),
      Http2("http2-headers-on-stream-0", "HEADERS on stream 0", Protocol(),
            [](uint32_t) {
              return Headers(0, {{":status", "200"}});
            }),
      Http2("http2-bad-header-block", "a header block that cannot be unpacked", Protocol(),
            [](uint32_t stream) {
              return Pack(Frame::kHeaders, kEndHeaders, stream, "\xff\xff\xff\xff\xff\xff");
            }),
      Http2(
          "http2-huge-frame", "a frame of 16 MB, where 16 KB are allowed", Protocol(),
          [](uint32_t stream) {
            return absl::StrCat(Headers(stream, {{":status", "200"}}), "\xff\xff\xff",
                                std::string("\0\0\0\0\0\1", 6), std::string(100'000, 'x'));
          },
          kDoubt),
      Http2("http2-push", "PUSH_PROMISE, though push is off", Protocol(),
            [](uint32_t stream) {
              return Pack(Frame::kPushPromise, kEndHeaders, stream,
                          std::string("\0\0\0\2", 4) + Block({{":path", "/y"}}));
            }),
      Http2(
          "http2-window-overflow", "WINDOW_UPDATE beyond 2^31",
          // nghttp2 ends the session, and libcurl may see that or wait.
          FailsEither(Reason::STALLED, Reason::PROTOCOL_ERROR, ""),
          [](uint32_t stream) {
            return absl::StrCat(Headers(stream, {{":status", "200"}}),
                                Pack(Frame::kWindowUpdate, 0, 0, "\x7f\xff\xff\xff"),
                                Data(stream, Picture()));
          },
          kStall),
      {.name = "http2-goaway-with-the-end",
       .sends = "an image without content-length, and GOAWAY together with its end: it may have been cut",
       .ends = Protocol("the connection ended without saying that this was all"),
       .guard = kDoubt,
       .converse = Frames([](uint32_t stream) {
         return absl::StrCat(Respond(stream, {{":status", "200"}}, Picture()), GoAway(stream, 0));
       }),
       .tls = Tls::kHttp2},
      Http2Closed("http2-closed-in-body",
                  "half of an answer, and the end of the TLS connection: close_notify", kNghttp2,
                  [](uint32_t stream) {
                    return absl::StrCat(Headers(stream, {{":status", "200"}}), Data(stream, Picture()));
                  }),
      Http2Closed("http2-closed-in-body-by-a-violation",
                  "half of an answer, a frame larger than allowed, and close_notify", kDoubt,
                  [](uint32_t stream) {
                    return absl::StrCat(Headers(stream, {{":status", "200"}}), Data(stream, Picture()),
                                        "\xff\xff\xff", std::string("\0\0\0\0\0\1", 6));
                  }),
      {.name = "http2-continuation-without-end",
       .sends = "CONTINUATION frames without end",
       .ends = Protocol(),
       .guard = "libcurl (nghttp2: at most 8)",
       .converse = FramesFlood(
           [](uint32_t stream) {
             return Pack(Frame::kHeaders, 0, stream, Block({{":status", "200"}}));
           },
           [](uint32_t stream) {
             return Pack(Frame::kContinuation, 0, stream, Block({{"x", "y"}}));
           }),
       .tls = Tls::kHttp2},
      {.name = "http2-header-bomb",
       .sends = "a header that is put into the table once and named ten thousand times",
       .ends = Protocol(),
       .guard = "libcurl (nghttp2: 64 KiB), fetch/response_head.cc: Add",
       .converse = Frames([](uint32_t stream) {
         std::string block =
             absl::StrCat("\x88\x40\x01x\x7f\x81\x1e", std::string(4000, 'v'), std::string(10'000, '\xbe'));
         return Pack(Frame::kHeaders, kEndHeaders, stream, block);
       }),
       .tls = Tls::kHttp2},
      {.name = "http2-interim-answers-without-end",
       .sends = "103 for ever",
       .ends = Protocol("header"),
       .guard = "fetch/response_head.cc: Add",
       .converse = FramesFlood([](uint32_t) { return std::string(); },
                               [](uint32_t stream) {
                                 return Headers(stream, {{":status", "103"}});
                               }),
       .tls = Tls::kHttp2},
      {.name = "http2-ping-flood",
       .sends = "PING for ever, and no answer",
       .ends = Protocol(),
       .guard = "libcurl (nghttp2), fetch/watchdog.cc: Look",
       .converse = FramesFlood([](uint32_t) { return std::string(); },
                               [](uint32_t) { return Pack(Frame::kPing, 0, 0, "12345678"); }),
       .tls = Tls::kHttp2,
       .floods = true},
      {.name = "http2-settings-flood",
       .sends = "SETTINGS for ever, and no answer",
       .ends = Protocol(),
       .guard = "libcurl (nghttp2), fetch/watchdog.cc: Look",
       .converse = FramesFlood([](uint32_t) { return std::string(); },
                               [](uint32_t) { return Pack(Frame::kSettings, 0, 0, ""); }),
       .tls = Tls::kHttp2,
       .floods = true},
      {.name = "http2-empty-data-flood",
       .sends = "empty DATA frames for ever",
       .ends = Protocol("the origin kept the connection busy"),
       .guard = "fetch/watchdog.cc: Look, fetch/connections.cc: IsFlooded, fetch/origin.h: RefuseHttp2",
       .converse = FramesFlood(
           [](uint32_t stream) {
             return Headers(stream, {{":status", "200"}});
           },
           [](uint32_t stream) { return Data(stream, ""); }),
       .tls = Tls::kHttp2,
       .floods = true},
      {.name = "http2-body-without-end",
       .sends = "a JPEG that never comes to its frame header",
       .ends = Fails(Reason::BODY_TOO_LARGE, "the body is larger than the"),
       .guard = "fetch/reading.cc: OnWholeBytes",
       .converse = FramesFlood(
           [](uint32_t stream) {
             return Headers(stream, {{":status", "200"}}) + Data(stream, "\xff\xd8");
           },
           [](uint32_t stream) {
             return absl::StrCat(Data(stream, JpegFiller().substr(0, 16'000)),
                                 Data(stream, JpegFiller().substr(16'000, 16'000)),
                                 Data(stream, JpegFiller().substr(32'000, 16'000)),
                                 Data(stream, JpegFiller().substr(48'000, 16'000)),
                                 Data(stream, JpegFiller().substr(64'000)));
           }),
       .tls = Tls::kHttp2},
      {.name = "http2-stall-in-body",
       .sends = "half a body",
       .ends = Fails(Reason::STALLED, "the answer made no progress for"),
       .guard = kStall,
       .converse = Frames([](uint32_t stream) {
         return absl::StrCat(Headers(stream, {{":status", "200"}}), Data(stream, Picture(100)));
       }),
       .tls = Tls::kHttp2},
      {.name = "http2-no-streams-allowed",
       .sends = "MAX_CONCURRENT_STREAMS of 0",
       .ends = Fails(Reason::TIMEOUT, "no complete answer within 1s"),
       .guard = "fetch/attempts.cc: CheckRunning (deadline)",
       .converse =
           [](Peer& peer) {
             Http2Peer http2(peer);
             if (!http2.Open(std::string("\0\3\0\0\0\0", 6))) return;
             while (http2.Next()) continue;
           },
       .tls = Tls::kHttp2,
       .timeout = kBrief},
      {.name = "http2-agreed-on-but-not-spoken",
       .sends = "HTTP/1.1, though HTTP/2 was agreed on",
       .ends = Protocol(),
       .guard = kNghttp2,
       .converse =
           [](Peer& peer) {
             peer.Send(Whole("200 OK", {}, Picture()));
             peer.Hang();
           },
       .tls = Tls::kHttp2},
  };
}

}  // namespace imgfleet::hostile
