// The ways in which origins misbehave, one row each. The rows stand in cases_*.cc, a file for each family; they are the
// documentation as well: what is sent, how the item must end, and which guard sees to it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "proto/imgfleet/v1/image.pb.h"
#include "tests/hostile/peer.h"

namespace imgfleet::hostile {

using Reason = v1::ItemError;  // For Reason::TIMEOUT and the like.

// How an item ends: with a reason and a message that holds `says`, or with the measurement of Picture().
struct Ends {
  v1::ItemError::Reason reason = v1::ItemError::REASON_UNSPECIFIED;
  std::string says;
  uint64_t size = 0;
  // What it may be as well: of two packets on their way, either may come first.
  v1::ItemError::Reason reason_or = v1::ItemError::REASON_UNSPECIFIED;
};
inline Ends Fails(v1::ItemError::Reason reason, std::string says) { return {reason, std::move(says)}; }
inline Ends FailsEither(v1::ItemError::Reason reason, v1::ItemError::Reason reason_or, std::string says) {
  return {reason, std::move(says), 0, reason_or};
}
inline Ends Measured(uint64_t size = 2000) { return {v1::ItemError::REASON_UNSPECIFIED, "", size}; }

enum class Tls {
  kNone,
  kTrusted,
  kHttp2,  // Trusted, and HTTP/2 is agreed on.
  kOld,    // Trusted, TLS 1.2 only: it can renegotiate.
  kExpired,
  kSelfSigned,
  kWrongHost,
  kStranger,  // Of an authority that nobody knows.
  kRaw,       // The URL says https; what is spoken is the conversation's.
};

using Conversation = std::function<void(Peer&)>;

// What passes sooner or later by itself is given this long.
inline constexpr absl::Duration kAmple = absl::Seconds(10);
// What does not.
inline constexpr absl::Duration kBrief = absl::Seconds(1);

struct Case {
  std::string name;
  std::string sends;  // In words.
  Ends ends;
  std::string guard;  // "file: function", or libcurl's. Below worker/ where nothing else is said.
  Conversation converse;
  Tls tls = Tls::kNone;
  absl::Duration timeout = kAmple;  // For an attempt.
  uint32_t attempts = 1;            // At most; with more the item may also wait as the origin asks.
  bool floods = false;              // At full speed, with nothing that counts: run by themselves.
  uint64_t most_bytes = 5 << 20;    // Of bodies that may be fetched, in an attempt; the limit is 4 MiB.
};

std::vector<Case> TimingCases();
std::vector<Case> LengthCases();
std::vector<Case> ChunkCases();
std::vector<Case> EncodingCases();
std::vector<Case> RedirectCases();
std::vector<Case> HeadCases();
std::vector<Case> StatusCases();
std::vector<Case> ResetCases();
std::vector<Case> TlsCases();
std::vector<Case> RetryCases();
std::vector<Case> BodyCases();
std::vector<Case> RangeCases();
std::vector<Case> ReuseCases();
std::vector<Case> Http2Cases();

// All of them.
const std::vector<Case>& AllCases();

// ---- Conversations that many cases have in common ----

enum class After { kKeep, kClose, kReset, kHang };
// Every request is answered so.
Conversation Answers(std::string bytes, After after = After::kKeep);
// The same with an answer that is dear to make: it is made once, and not before it is needed.
Conversation AnswersDear(std::function<std::string()> make);
// The same where the answer depends on the request.
Conversation Replies(std::function<std::string(const Request&, Peer&)> reply);
// `head`, then `unit` for ever, at full speed or a byte every 30 ms.
Conversation Floods(std::string head, std::string unit);
// `head`, then 256 MiB of `unit`, which nobody should take, and the end: whoever takes it all ends otherwise, and breaks
// neither himself nor the machine.
Conversation FloodsTooMuch(std::string head, std::string unit);
Conversation Drips(std::string head, std::string unit);

}  // namespace imgfleet::hostile
