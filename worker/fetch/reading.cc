#include "worker/fetch/reading.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/log.h"

namespace imgfleet::fetch {
namespace {

constexpr uint64_t kKiB = 1024;
// Bytes of a whole body between its beginning and the first look at them.
constexpr uint64_t kFirstLook = 4 * kKiB;
// What the prefix grows by: the second request, and those after it.
constexpr uint64_t kSecondRange = 64 * kKiB, kLaterRange = 256 * kKiB;
// A need this far behind the prefix is met by a piece of its own.
constexpr uint64_t kJump = 256 * kKiB;
constexpr uint64_t kPieceBytes = 16 * kKiB;
// One request never asks for more, so that a lying header costs no more.
constexpr uint64_t kMaxRange = 1024 * kKiB;
// A rest this short is read to keep the connection: opening another costs more.
constexpr uint64_t kDrain = 64 * kKiB;
// Ranges asked for of one body.
constexpr uint32_t kMaxAsks = 64;

bool IsStrong(absl::string_view etag) { return !etag.empty() && !absl::StartsWith(etag, "W/"); }

}  // namespace

void Reading::Begin(Client* client, const Limits* limits, ByteBudget* budget, Memory memory) {
  Release();
  memory_ = std::move(memory);
  memory_needed_ = 0;
  if (memory_.bytes > 0) prefix_.reserve(memory_.bytes);
  client_ = client;
  limits_ = limits;
  budget_ = budget;
  extent_ = client->extent();
  ask_.ranged = extent_ == Extent::kAsNeeded;
  ask_.first = 0;
  ask_.last = kFirstRangeBytes - 1;
  ask_.if_range.clear();
  asked_ = 1;
  short_parts_ = false;
  prefix_.clear();
  piece_.clear();
  piece_offset_ = 0;
  total_.reset();
  etag_.clear();
  last_modified_.clear();
  satisfied_ = stopped_ = wait_for_memory_ = broken_off_ = false;
  failure_ = Failure::kNone;
  message_.clear();
  size_source_ = SizeSource::kUnknown;
  mode_ = Mode::kNone;
}

void Reading::Release() {
  ReleaseMemory();
  decoder_.reset();
}

void Reading::ReleaseMemory() {
  memory_ = {};
  std::string().swap(prefix_);
  std::string().swap(piece_);
}

Reading::Flow Reading::Fail(Failure failure, std::string message) {
  failure_ = failure;
  message_ = std::move(message);
  broken_off_ = true;
  return Flow::kBreakOff;
}

Reading::Flow Reading::FailTooLarge() {
  return Fail(Failure::kBodyTooLarge, absl::StrCat("the body is larger than the ", limits_->max_body_bytes,
                                                   " bytes that the job allows"));
}

void Reading::AskWhole() {
  ask_.ranged = false;
  ask_.if_range.clear();
  ++asked_;
}

// A body that is kept stays when this transfer is over, so that it counts from its first byte.
bool Reading::Reserve(uint64_t needed) {
  const bool few = needed <= kFreeBytes;
  if (few && extent_ != Extent::kWholeKept) return true;
  const uint64_t most = std::min(total_.value_or(limits_->max_body_bytes), limits_->max_body_bytes);
  const uint64_t wanted = few && !total_.has_value() ? kFreeBytes : std::max(most, needed);
  if (wanted <= memory_.bytes) return true;
  if ((few || !budget_->spoken_for()) && budget_->TryReserve(wanted, &memory_.reservation)) {
    memory_.bytes = wanted;
    // At once and not by doubling: a buffer that moves is there twice. What is not written costs nothing.
    prefix_.reserve(wanted);
    return true;
  }
  memory_needed_ = wanted;
  wait_for_memory_ = true;
  broken_off_ = true;
  return false;
}

Reading::Flow Reading::OnHead(const ResponseHead& head) {
  mode_ = Mode::kNone;
  broken_off_ = looked_ = false;
  received_ = encoded_ = 0;
  decoder_.reset();
  if (head.status == 206) return OnPartialHead(head);
  if (head.status != 416) return OnWholeHead(head);
  mode_ = Mode::kIgnore;
  if (!ask_.ranged)
    return Fail(Failure::kRangeMismatch, "the origin answered 416 though no range was asked for");
  if (ask_.first > 0) {
    return Fail(Failure::kRangeMismatch, absl::StrCat("the origin refused bytes ", ask_.first, "-", ask_.last,
                                                      " of a body it said to have"));
  }
  if (head.range.has_value() && head.range->total == 0u) {
    return Fail(Failure::kEmptyBody, "the body is empty");
  }
  AskWhole();
  return Flow::kGoOn;
}

Reading::Flow Reading::OnPartialHead(const ResponseHead& head) {
  if (!ask_.ranged)
    return Fail(Failure::kRangeMismatch, "the origin answered 206 though no range was asked for");
  if (head.coding != Coding::kIdentity || (head.range.has_value() && !head.range->total.has_value())) {
    // Neither the parts of an encoded body nor a body of unknown length tell the size that is owed.
    mode_ = Mode::kIgnore;
    AskWhole();
    return Flow::kGoOn;
  }
  const ContentRange range = head.range.value_or(ContentRange());
  if (!range.satisfied || range.first != ask_.first || range.last > ask_.last) {
    return Fail(Failure::kRangeMismatch,
                absl::StrCat("asked for bytes ", ask_.first, "-", ask_.last, ", the origin answered ",
                             range.satisfied ? absl::StrCat(range.first, "-", range.last)
                                             : "206 without a readable Content-Range"));
  }
  if ((total_.has_value() && *total_ != *range.total) || (!etag_.empty() && etag_ != head.etag)) {
    return Fail(Failure::kRangeMismatch, "the file changed while it was read");
  }
  expected_ = range.last - range.first + 1;
  if (head.content_length.has_value() && !head.chunked && *head.content_length != expected_) {
    return Fail(Failure::kRangeMismatch, absl::StrCat("Content-Range announces ", expected_,
                                                      " bytes, Content-Length ", *head.content_length));
  }
  mode_ = Mode::kPartial;
  short_parts_ |= range.last < std::min(ask_.last, *range.total - 1);
  total_ = range.total;
  size_source_ = SizeSource::kContentRange;
  etag_ = head.etag;
  last_modified_ = head.last_modified;
  into_piece_ = ask_.first != prefix_.size();
  if (into_piece_ && ask_.first != piece_offset_ + piece_.size()) {
    piece_.clear();
    piece_offset_ = ask_.first;
  }
  return Flow::kGoOn;
}

Reading::Flow Reading::OnWholeHead(const ResponseHead& head) {
  mode_ = Mode::kWhole;
  // Either the first answer, or the file changed and the origin sends all of the new one.
  prefix_.clear();
  piece_.clear();
  total_.reset();
  satisfied_ = stopped_ = false;
  size_source_ = SizeSource::kBody;
  next_inspection_ = kFirstLook;
  drained_ = 0;
  if (head.status == 204 || head.status == 205) return Fail(Failure::kEmptyBody, "the answer has no body");
  if (head.coding == Coding::kOther) {
    return Fail(Failure::kProtocol, absl::StrCat("the origin sent Content-Encoding ", head.content_encoding,
                                                 " though identity was asked for"));
  }
  if (head.coding != Coding::kIdentity) {
    decoder_ = std::make_unique<ContentDecoder>(head.coding);
  } else if (!head.chunked) {
    total_ = head.content_length;
  }
  if (extent_ == Extent::kAsNeeded) return Flow::kGoOn;
  client_->StartBody();
  if (total_.value_or(0) > limits_->max_body_bytes) {
    return Fail(Failure::kBodyTooLarge, absl::StrCat("the body is ", *total_, " bytes large, the job allows ",
                                                     limits_->max_body_bytes));
  }
  if (extent_ == Extent::kWhole) return Flow::kGoOn;
  if (!Reserve(total_.value_or(1))) return Flow::kBreakOff;
  prefix_.reserve(total_.value_or(0));
  return Flow::kGoOn;
}

Reading::Flow Reading::OnBody(absl::string_view bytes) {
  switch (mode_) {
    case Mode::kPartial:
      received_ += bytes.size();
      if (received_ > expected_)
        return Fail(Failure::kRangeMismatch, "the origin sent more than its Content-Range says");
      if (bytes.size() == expected_ && ask_.first == 0) {
        // A first range comes in one go, as a rule, and is enough: then it is read where it lies.
        Look(bytes);
        if (verdict_.kind != Verdict::kMore) return Flow::kGoOn;
      }
      (into_piece_ ? piece_ : prefix_).append(bytes.data(), bytes.size());
      return Flow::kGoOn;
    case Mode::kWhole: {
      if (decoder_ == nullptr) return OnWholeBytes(bytes);
      // What decodes to nothing costs as well.
      encoded_ += bytes.size();
      if (encoded_ > limits_->max_body_bytes) return FailTooLarge();
      const auto result = decoder_->Decode(
          bytes, [this](absl::string_view decoded) { return OnWholeBytes(decoded) == Flow::kGoOn; });
      if (result == ContentDecoder::Result::kCorrupt) {
        return Fail(Failure::kProtocol, "the body is not what its Content-Encoding says");
      }
      return result == ContentDecoder::Result::kOk ? Flow::kGoOn : Flow::kBreakOff;
    }
    case Mode::kIgnore:
      received_ += bytes.size();
      if (received_ <= kDrain) return Flow::kGoOn;
      broken_off_ = true;
      return Flow::kBreakOff;
    case Mode::kNone:
      break;
  }
  return Fail(Failure::kProtocol, "body bytes without a head");
}

Reading::Flow Reading::OnWholeBytes(absl::string_view bytes) {
  received_ += bytes.size();
  if (received_ > limits_->max_body_bytes) {
    return FailTooLarge();
  }
  if (stopped_ || (satisfied_ && extent_ == Extent::kAsNeeded)) {
    drained_ += bytes.size();
    return AfterInspection();
  }
  if (extent_ != Extent::kAsNeeded) client_->OnBytes(bytes);
  if (!TakeIn(bytes)) return Flow::kBreakOff;
  return satisfied() ? AfterInspection() : Flow::kGoOn;
}

// Has the client inspect the prefix once there is enough news in it. Bytes that nobody is going to need again are not
// copied: most headers lie within the first ones received.
bool Reading::TakeIn(absl::string_view bytes) {
  const bool kept = extent_ == Extent::kWholeKept;
  if (satisfied_ && !kept) return true;
  const bool in_place = prefix_.empty() && !kept && bytes.size() >= next_inspection_;
  if (in_place) {
    Inspect(bytes);
    if (failure_ != Failure::kNone) return false;
    if (satisfied()) return true;
  }
  if (!Reserve(prefix_.size() + bytes.size())) return false;
  prefix_.append(bytes.data(), bytes.size());
  if (!in_place) {
    if (satisfied_ || prefix_.size() < next_inspection_) return true;
    Inspect(prefix_);
    if (failure_ != Failure::kNone) return false;
    if (satisfied() && !kept) ReleaseMemory();
  }
  next_inspection_ =
      std::max(verdict_.offset + std::max<uint64_t>(verdict_.bytes, 1), prefix_.size() * 3 / 2);
  return true;
}

// The client has what it needs: is the rest worth reading?
Reading::Flow Reading::AfterInspection() {
  if (!stopped_ && extent_ != Extent::kAsNeeded) return Flow::kGoOn;
  if (total_.has_value()) {
    if (*total_ - std::min(received_, *total_) <= kDrain) return Flow::kGoOn;
    size_source_ = SizeSource::kContentLength;
  } else if (satisfied_ || drained_ <= kDrain) {
    return Flow::kGoOn;  // The size is owed, or the end may be near.
  }
  broken_off_ = true;
  return Flow::kBreakOff;
}

void Reading::Look(absl::string_view prefix) {
  verdict_ = client_->Inspect({prefix, piece_, piece_offset_, total_});
  looked_ = true;
}

void Reading::Inspect(absl::string_view prefix) {
  if (!looked_) Look(prefix);
  looked_ = false;
  satisfied_ = verdict_.kind == Verdict::kEnough;
  stopped_ = verdict_.kind == Verdict::kStop;
  if (satisfied()) return;
  const uint64_t piece_end = piece_offset_ + piece_.size();
  const bool in_piece = !piece_.empty() && verdict_.offset >= piece_offset_ &&
                        verdict_.offset + std::max<uint64_t>(verdict_.bytes, 1) <= piece_end;
  const bool at_end = total_.has_value() && verdict_.offset >= *total_;
  if (verdict_.offset < prefix.size() || in_piece || at_end) {
    Fail(Failure::kInternal, absl::StrCat("byte ", verdict_.offset, " was asked for, which is no news"));
  }
}

Reading::Next Reading::NextRange() {
  if (++asked_ > kMaxAsks) {
    if (short_parts_) {
      Fail(Failure::kRangeMismatch, absl::StrCat("the origin answers with parts of a few bytes: ", kMaxAsks,
                                                 " of them did not suffice"));
      return Next::kFailed;
    }
    // What lies in so many places is read as from an origin that knows no ranges.
    ReleaseMemory();
    AskWhole();
    return Next::kAsk;
  }
  // What begins within the piece, or at its end, goes on behind it: the piece grows.
  const uint64_t piece_end = piece_offset_ + piece_.size();
  const bool extends_piece =
      !piece_.empty() && verdict_.offset >= piece_offset_ && verdict_.offset <= piece_end;
  uint64_t last;
  if (!extends_piece && verdict_.offset < prefix_.size() + kJump) {
    ask_.first = prefix_.size();
    const uint64_t growth = asked_ == 2 ? kSecondRange : kLaterRange;
    last = std::max(ask_.first + growth, verdict_.offset + verdict_.bytes) - 1;
  } else {
    ask_.first = extends_piece ? piece_end : verdict_.offset;
    last = std::max(verdict_.offset + verdict_.bytes, ask_.first + kPieceBytes) - 1;
  }
  ask_.last = std::min({last, ask_.first + kMaxRange - 1, *total_ - 1});
  const uint64_t needed = prefix_.size() + piece_.size() + ask_.last - ask_.first + 1;
  if (needed > limits_->max_body_bytes) {
    Fail(Failure::kBodyTooLarge, absl::StrCat("its header reaches behind the ", limits_->max_body_bytes,
                                              " bytes that the job allows"));
    return Next::kFailed;
  }
  if (!Reserve(needed)) return Next::kWaitForMemory;
  // As in Reserve: at once.
  if (extends_piece) piece_.reserve(std::min(*total_, limits_->max_body_bytes) - prefix_.size());
  ask_.if_range = IsStrong(etag_) ? etag_ : last_modified_;
  return Next::kAsk;
}

Reading::Next Reading::OnEnd(bool intact) {
  if (failure_ != Failure::kNone) return Next::kFailed;
  if (wait_for_memory_) return Next::kWaitForMemory;
  if (mode_ == Mode::kIgnore) return Next::kAsk;
  const bool owes_all = extent_ != Extent::kAsNeeded && !stopped_;
  if (satisfied() && mode_ == Mode::kWhole && total_.has_value() && !owes_all) {
    if (!intact || received_ < *total_) size_source_ = SizeSource::kContentLength;
    return Next::kDone;
  }
  if (stopped_) return Next::kDone;
  const bool short_part = mode_ == Mode::kPartial && received_ < expected_;
  if (!intact || mode_ == Mode::kNone || short_part ||
      (decoder_ != nullptr && encoded_ > 0 && !decoder_->finished())) {
    Fail(Failure::kProtocol, absl::StrCat("the body broke off after ", received_, " bytes"));
    return Next::kFailed;
  }
  if (mode_ == Mode::kWhole) {
    total_ = received_;
    if (received_ == 0) {
      Fail(Failure::kEmptyBody, "the body is empty");
      return Next::kFailed;
    }
    if (satisfied()) return Next::kDone;
  }
  Inspect(prefix_);
  if (failure_ != Failure::kNone) return Next::kFailed;
  if (satisfied()) return Next::kDone;
  IMGFLEET_CHECK(mode_ == Mode::kPartial);  // A whole body leaves nothing to ask for: Inspect has refused it.
  return NextRange();
}

void Reading::HandOver(Report* report) {
  report->size_bytes = size();
  report->size_source = size_source_;
  if (extent_ != Extent::kWholeKept || stopped_) return;
  report->body = std::move(prefix_);
  prefix_.clear();
  memory_.reservation.ShrinkTo(report->body.size());
  report->body_memory = std::move(memory_.reservation);
  memory_.bytes = 0;
}

}  // namespace imgfleet::fetch
