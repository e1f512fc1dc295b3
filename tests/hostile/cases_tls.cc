// TLS: whom not to trust, and connections that end without saying so.
#include <openssl/ssl.h>

#include "absl/strings/str_cat.h"
#include "tests/hostile/bodies.h"
#include "tests/hostile/case.h"

namespace imgfleet::hostile {
namespace {

const char kVerified[] = "libcurl (verifies), fetch/exchange.cc: Finish";

Case Untrusted(std::string name, std::string sends, Tls tls, std::string says) {
  return {.name = std::move(name),
          .sends = std::move(sends),
          .ends = Fails(Reason::TLS_FAILURE, std::move(says)),
          .guard = kVerified,
          .converse = Answers(Whole("200 OK", {}, Poison())),
          .tls = tls};
}

// Asks for another handshake in the middle of the body, and goes on.
void Renegotiate(Peer& peer) {
  if (!peer.Read() || !peer.Send(absl::StrCat(Head("200 OK", {"Content-Length: 2000"}), Picture(1000))))
    return;
  SSL_renegotiate(peer.tls());
  SSL_do_handshake(peer.tls());
  if (peer.Send(std::string(1000, '\0'))) peer.Read();
}

}  // namespace

std::vector<Case> TlsCases() {
  return {
      {.name = "picture-tls",
       .sends = "what others are redirected to: an image over TLS",
       .ends = Measured(),
       .guard = "none needed",
       .converse = Answers(Whole("200 OK", {}, Picture())),
       .tls = Tls::kTrusted},
      Untrusted("tls-expired", "a certificate that has expired", Tls::kExpired, "expired"),
      Untrusted("tls-self-signed", "a certificate signed by itself", Tls::kSelfSigned, "certificate"),
      Untrusted("tls-wrong-host", "a certificate for another host", Tls::kWrongHost, "127.0.0.1"),
      Untrusted("tls-unknown-authority", "a certificate of an authority that nobody knows", Tls::kStranger,
                ""),
      {.name = "tls-plain-http",
       .sends = "HTTP without TLS",
       .ends = Fails(Reason::TLS_FAILURE, "wrong version number"),
       .guard = kVerified,
       .converse = [](Peer& peer) { peer.Send(Whole("200 OK", {}, Poison())); },
       .tls = Tls::kRaw},
      {.name = "tls-garbage",
       .sends = "bytes that are no TLS",
       .ends = Fails(Reason::TLS_FAILURE, ""),
       .guard = kVerified,
       .converse = [](Peer& peer) { peer.SendForEver("garbage"); },
       .tls = Tls::kRaw},
      {.name = "tls-alert",
       .sends = "a fatal alert for an answer to the ClientHello",
       .ends = Fails(Reason::TLS_FAILURE, "handshake failure"),
       .guard = kVerified,
       .converse =
           [](Peer& peer) {
             std::string some;
             if (peer.ReadBytes(5, &some)) peer.Send(absl::string_view("\x15\x03\x03\x00\x02\x02\x28", 7));
             peer.Hang();
           },
       .tls = Tls::kRaw},
      {.name = "tls-handshake-stall",
       .sends = "nothing after the ClientHello",
       .ends = Fails(Reason::TIMEOUT, "no complete answer within 1s"),
       .guard = "fetch/attempts.cc: CheckRunning (deadline)",
       .converse = [](Peer& peer) { peer.Hang(); },
       .tls = Tls::kRaw,
       .timeout = kBrief},
      {.name = "tls-handshake-stall-with-time",
       .sends = "the same, and the item would have time to wait",
       .ends = Fails(Reason::CONNECT_FAILED, "the TLS handshake with 127.0.0.1 did not end within"),
       .guard = "fetch/attempts.cc: CheckRunning (connect_timeout)",
       .converse = [](Peer& peer) { peer.Hang(); },
       .tls = Tls::kRaw},
      {.name = "tls-handshake-endless",
       .sends = "a ServerHello of records without end, a byte every 30 ms",
       .ends = Fails(Reason::TIMEOUT, "no complete answer within 1s"),
       .guard = "fetch/attempts.cc: CheckRunning (deadline)",
       .converse =
           [](Peer& peer) { peer.DripForEver(std::string("\x16\x03\x03\x40\x00\x02\x00\x3f\xfc", 9)); },
       .tls = Tls::kRaw,
       .timeout = kBrief},
      {.name = "tls-reset-in-handshake",
       .sends = "RST after some of the ClientHello",
       .ends = Fails(Reason::CONNECT_FAILED, "no connection to 127.0.0.1"),
       .guard = "fetch/exchange.cc: Finish",
       .converse =
           [](Peer& peer) {
             std::string some;
             if (peer.ReadBytes(5, &some)) peer.Reset();
           },
       .tls = Tls::kRaw},
      {.name = "tls-close-in-handshake",
       .sends = "the end of the connection after the ClientHello",
       .ends = Fails(Reason::CONNECT_FAILED, "no connection to 127.0.0.1"),
       .guard = "fetch/exchange.cc: Finish",
       .converse =
           [](Peer& peer) {
             std::string some;
             peer.ReadBytes(200, &some);
           },
       .tls = Tls::kRaw},
      {.name = "tls-without-close-notify",
       .sends = "an image without a length, and a FIN without close_notify: an attacker may have cut it",
       .ends = Fails(Reason::PROTOCOL_ERROR, "the body broke off after 2000 bytes"),
       .guard = "fetch/exchange.cc: ends_in_doubt, fetch/reading.cc: OnEnd",
       .converse =
           [](Peer& peer) {
             if (peer.Read() && peer.Send(absl::StrCat(Head("200 OK"), Picture()))) peer.CloseWithoutNotice();
           },
       .tls = Tls::kTrusted},
      {.name = "tls-with-close-notify",
       .sends = "the same with close_notify",
       .ends = Measured(),
       .guard = "none needed",
       .converse = Answers(absl::StrCat(Head("200 OK"), Picture()), After::kClose),
       .tls = Tls::kTrusted},
      {.name = "tls-without-close-notify-but-with-length",
       .sends = "an image with its length, and a FIN without close_notify",
       .ends = Measured(),
       .guard = "none needed",
       .converse =
           [](Peer& peer) {
             if (peer.Read() && peer.Send(Whole("200 OK", {}, Picture()))) peer.CloseWithoutNotice();
           },
       .tls = Tls::kTrusted},
      {.name = "tls-renegotiation",
       .sends = "another handshake in the middle of the body (TLS 1.2)",
       .ends = Measured(),
       .guard = "none needed: OpenSSL takes part in a secure one",
       .converse = Renegotiate,
       .tls = Tls::kOld},
      {.name = "tls-stall-in-body",
       .sends = "half a body over TLS",
       .ends = Fails(Reason::STALLED, "the answer made no progress for"),
       .guard = "fetch/attempts.cc: CheckRunning (stall)",
       .converse =
           Answers(absl::StrCat(Head("200 OK", {"Content-Length: 99999"}), EndlessJpeg(9000)), After::kHang),
       .tls = Tls::kTrusted},
      {.name = "tls-reset-in-body",
       .sends = "RST in the middle of a body over TLS",
       .ends = Fails(Reason::PROTOCOL_ERROR, ""),
       .guard = "fetch/reading.cc: OnEnd",
       .converse =
           Answers(absl::StrCat(Head("200 OK", {"Content-Length: 99999"}), EndlessJpeg(9000)), After::kReset),
       .tls = Tls::kTrusted},
      {.name = "tls-old-version-without-length",
       .sends = "TLS 1.2, an image without a length, and a FIN without close_notify",
       .ends = Fails(Reason::PROTOCOL_ERROR, "the body broke off after 2000 bytes"),
       .guard = "fetch/exchange.cc: ends_in_doubt, fetch/reading.cc: OnEnd",
       .converse =
           [](Peer& peer) {
             if (peer.Read() && peer.Send(absl::StrCat(Head("200 OK"), Picture()))) peer.CloseWithoutNotice();
           },
       .tls = Tls::kOld},
  };
}

}  // namespace imgfleet::hostile
