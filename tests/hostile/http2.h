// Just as much of HTTP/2 (RFC 9113) as it takes to abuse it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "tests/hostile/peer.h"

namespace imgfleet::hostile {

enum class Frame : uint8_t {
  kData = 0,
  kHeaders = 1,
  kRstStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
inline constexpr uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4;

// A frame as it goes over the wire.
std::string Pack(Frame type, uint8_t flags, uint32_t stream, absl::string_view payload);
// A header block: literal fields without indexing (RFC 7541 section 6.2.2).
std::string Block(std::initializer_list<std::pair<absl::string_view, absl::string_view>> fields);
// An answer of HEADERS and DATA.
std::string Respond(uint32_t stream,
                    std::initializer_list<std::pair<absl::string_view, absl::string_view>> fields,
                    absl::string_view body);

// The server's side of a connection.
class Http2Peer {
 public:
  explicit Http2Peer(Peer& peer) : peer_(peer) {}

  // Reads the client's preface and sends `settings`, a SETTINGS payload.
  bool Open(absl::string_view settings = "");
  // The stream of the next request; none once the other side has gone. Once the origin is mended, requests are answered
  // honestly on the way.
  std::optional<uint32_t> Next();

 private:
  Peer& peer_;
};

}  // namespace imgfleet::hostile
