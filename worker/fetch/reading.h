// Reads as little of one body as its client needs: which range to ask for next, what an answer means, when to stop. Pure:
// heads and bytes come in, the next request comes out.
//
// The first request asks for bytes 0 to 12,287 (with its head that fits a server's usual first flight of 14.6 KB).
//   206  the bytes are checked against Content-Range, which also tells the size. The client says whether more is needed:
//        the prefix grows by 64, then 256 KiB, or a piece further on is asked for, which grows where bytes are wanted
//        from within it to behind it. Later requests carry If-Range. After 64 of them the whole body is asked for.
//   200  Range is ignored, or the file has changed since the first range. The body is read until the client has enough;
//        then drained if little is left, which saves the connection, or broken off. Where nothing announced its size it
//        is read to its end and counted.
//   a Content-Encoding (nobody asked for one): the whole body is asked for and inflated; its size is the decoded one.
//   416  to the first range: an empty body if it says so, else the whole body is asked for.
//
// A client that wants the whole body (types.h, Extent) has it asked for without a Range and gets its bytes straight from
// where libcurl received them. They are held only until the client has seen enough of the beginning, or for it to keep;
// an answer that breaks off before its end is a failure then, however much the client had understood.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "worker/fetch/byte_budget.h"
#include "worker/fetch/content_decoder.h"
#include "worker/fetch/response_head.h"
#include "worker/fetch/types.h"

namespace imgfleet::fetch {

inline constexpr uint64_t kFirstRangeBytes = 12 << 10;
// What a body may hold in memory without a reservation.
inline constexpr uint64_t kFreeBytes = 384 << 10;

// What to request.
struct Ask {
  bool ranged = true;  // Else the whole body.
  uint64_t first = 0, last = kFirstRangeBytes - 1;
  // Value for If-Range; empty: none.
  std::string if_range;

  bool IsFirstRange() const {
    return ranged && first == 0 && last == kFirstRangeBytes - 1 && if_range.empty();
  }
};

// Bytes set aside for a body that may take so many: a small budget sets aside less.
struct Memory {
  Reservation reservation;
  uint64_t bytes = 0;
};

// One attempt at one body. Not thread-safe; to be used again for the next after Begin.
class Reading {
 public:
  ~Reading() { Release(); }

  // `client`, `limits` and `budget` must outlive the reading. `memory` was set aside for it because it had to wait.
  void Begin(Client* client, const Limits* limits, ByteBudget* budget, Memory memory = {});
  const Ask& ask() const { return ask_; }

  enum class Flow : uint8_t { kGoOn, kBreakOff };
  // The head of a 2xx or 416 answer to ask().
  Flow OnHead(const ResponseHead& head);
  // Body bytes as they came over the network.
  Flow OnBody(absl::string_view bytes);

  enum class Next : uint8_t {
    kDone,           // See size().
    kAsk,            // Request ask() next.
    kFailed,         // See failure().
    kWaitForMemory,  // The budget is spent: begin again once others have released theirs.
  };
  // The answer is over. `intact`: its framing says that nothing is missing. Not to be asked where the
  // transfer failed otherwise than by kBreakOff.
  Next OnEnd(bool intact);
  // All that was asked of this transfer has come: that it fails later does no harm.
  bool satisfied() const { return satisfied_ || stopped_; }

  // The same of the answer being read, with the body's size.
  bool rest_is_not_needed() const {
    return extent_ == Extent::kAsNeeded && failure_ == Failure::kNone && mode_ == Mode::kWhole &&
           (stopped_ || (satisfied_ && total_.has_value()));
  }

  Failure failure() const { return failure_; }
  const std::string& message() const { return message_; }
  uint64_t size() const { return total_.value_or(0); }
  SizeSource size_source() const { return size_source_; }
  // The budget is spent for now, and how much of it is needed.
  bool waits_for_memory() const { return wait_for_memory_; }
  uint64_t memory_needed() const { return memory_needed_; }
  // After kDone: tells the size, and hands over the body of a client that keeps it.
  void HandOver(Report* report);
  // Gives memory back.
  void Release();

 private:
  Flow OnPartialHead(const ResponseHead& head);
  Flow OnWholeHead(const ResponseHead& head);
  Flow OnWholeBytes(absl::string_view bytes);
  Flow AfterInspection();
  void Look(absl::string_view prefix);
  void Inspect(absl::string_view prefix);
  bool TakeIn(absl::string_view bytes);
  Next NextRange();
  bool Reserve(uint64_t needed);
  void ReleaseMemory();
  Flow Fail(Failure failure, std::string message);
  Flow FailTooLarge();
  void AskWhole();

  Client* client_ = nullptr;
  const Limits* limits_ = nullptr;
  ByteBudget* budget_ = nullptr;
  Extent extent_ = Extent::kAsNeeded;
  Memory memory_;
  uint64_t memory_needed_ = 0;  // Where it was not to be had.

  Ask ask_;
  uint32_t asked_ = 0;
  bool short_parts_ = false;  // Parts came that were shorter than they had to be.
  std::string prefix_, piece_;
  uint64_t piece_offset_ = 0;
  std::optional<uint64_t> total_;
  std::string etag_, last_modified_;
  Verdict verdict_;
  bool looked_ = false;  // `verdict_` is of all that has arrived.
  bool satisfied_ = false, stopped_ = false;
  Failure failure_ = Failure::kNone;
  std::string message_;
  SizeSource size_source_ = SizeSource::kUnknown;
  bool wait_for_memory_ = false;

  // The answer being read.
  enum class Mode : uint8_t { kNone, kPartial, kWhole, kIgnore };
  Mode mode_ = Mode::kNone;
  bool broken_off_ = false;
  bool into_piece_ = false;
  uint64_t expected_ = 0;  // Of a partial answer.
  uint64_t received_ = 0;  // Of this answer, decoded.
  uint64_t encoded_ = 0;   // The same as it came, where there is a decoder.
  uint64_t next_inspection_ = 0;
  uint64_t drained_ = 0;
  std::unique_ptr<ContentDecoder> decoder_;
};

}  // namespace imgfleet::fetch
