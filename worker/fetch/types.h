// What passes between the fetch engine and whoever wants something fetched. The engine knows bytes, not what
// they mean: a Client looks at what has arrived and says how much more it needs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "worker/fetch/byte_budget.h"

namespace imgfleet::fetch {

// Why a fetch failed. The words are those of v1.ItemError.Reason.
enum class Failure : uint8_t {
  kNone,
  kDns,
  kConnect,
  kTls,
  kTimeout,
  kStalled,
  kHttpStatus,
  kTooManyRedirects,
  kProtocol,
  kRangeMismatch,
  kBodyTooLarge,
  kEmptyBody,
  kBlockedAddress,
  kBadUrl,
  kAbandoned,
  kInternal,
};

struct Limits {
  // For one attempt: DNS, every redirect and the body, not the wait for an origin's turn.
  absl::Duration attempt_timeout = absl::Seconds(30);
  // An answer that asks to slow down (429, 503) does not count, ten times. Where an origin gives nothing but failures for
  // as long as all attempts of a fetch may take, the fetch ends, also if it never had its turn.
  uint32_t max_attempts = 3;
  // Largest body read (decoded). Larger ones whose size is announced pass if their head is enough.
  uint64_t max_body_bytes = 64u << 20;
};

// The bytes of one body known so far: a prefix, and at most one later piece.
struct Arrived {
  absl::string_view prefix;
  absl::string_view piece;
  uint64_t piece_offset = 0;
  // Size of the whole body, where known; set at the latest when the body has ended.
  std::optional<uint64_t> total;
};

// How much of a body a client wants.
enum class Extent : uint8_t {
  kAsNeeded,   // Only what Inspect asks for, and its size.
  kWhole,      // All of it, handed on as it comes: one request without a Range.
  kWholeKept,  // That, and in one piece at the end, in Report::body.
};

struct Verdict {
  enum Kind : uint8_t {
    kMore,    // Bytes from `offset` on are needed, `bytes` of them (0: unknown).
    kEnough,  // The content suffices; only the body's size is still owed, or its extent.
    kStop,    // Nothing more is wanted, not even the size.
  };
  Kind kind = kEnough;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

enum class SizeSource : uint8_t { kUnknown, kContentRange, kContentLength, kBody };

// What became of a fetch.
struct Report {
  Failure failure = Failure::kNone;
  std::string message;     // With a failure: one sentence for a person. May hold any bytes the origin sent.
  bool retryable = false;  // With a failure: another try may end otherwise.
  // With kHttpStatus: the origin wants to be asked again after this time, which is longer than is waited for here; zero
  // where it has not said so, or named a time beyond all waiting.
  absl::Duration put_off;
  uint32_t attempts = 0;
  // Of the last answer; 0 and empty where none came.
  uint32_t http_status = 0;
  std::string content_type, etag, last_modified;
  // Where redirects led away from the URL asked for; else empty.
  std::string final_url;
  // Body bytes over the network, all attempts and requests together.
  uint64_t fetched_bytes = 0;
  uint64_t size_bytes = 0;
  SizeSource size_source = SizeSource::kUnknown;
  // With Extent::kWholeKept and no failure, unless Inspect said kStop: the body, decoded, and the share of the process's
  // byte budget that it takes. Whoever keeps the body keeps that share as long; either may go to another thread.
  std::string body;
  Reservation body_memory;
  // Of the last transfer, from its start; zero where the step did not happen.
  absl::Duration dns, connect, tls, first_byte;
  // From the first request to the end.
  absl::Duration total;
};

// One thing to be fetched. All calls come from one engine thread, one at a time; none may block.
class Client {
 public:
  virtual ~Client() = default;
  // Constant for the client's life.
  virtual const std::string& url() const = 0;
  // Constant for the client's life.
  virtual Extent extent() const { return Extent::kAsNeeded; }
  // With kWhole and kWholeKept: an answer begins, and its body is handed to OnBytes from the first byte on, each byte
  // once, in order, decoded where the origin encoded it. Whatever was handed on before is void: a retry starts over.
  // Nothing follows once Inspect has said kStop. That the body was whole is known only from a Finish without failure.
  virtual void StartBody() {}
  virtual void OnBytes(absl::string_view /*bytes*/) {}
  // Looks at what has arrived, all of it since the beginning each time. After a retry it starts over. With kWhole and
  // kWholeKept it sees a growing prefix (bytes that OnBytes has had), until it says kEnough or kStop; meanwhile the
  // prefix is held in memory, within the byte budget.
  virtual Verdict Inspect(const Arrived& arrived) = 0;
  // The end, exactly once; the client is destroyed right after.
  virtual void Finish(Report report) = 0;
  // Nobody wants it any more: it is broken off and ends with kAbandoned.
  virtual bool Abandoned() const = 0;
  // As Abandoned, where no request of it was sent yet; what was begun goes on. Looked at by Engine::DropAbandoned alone.
  virtual bool NotToBegin() const { return false; }
};

}  // namespace imgfleet::fetch
