// Fuzzes the reading of a body as a script: the input says what the client wants and what the origin answers, exchange
// by exchange. What must hold whatever is answered: it ends, memory stays within the limit, nothing is held once it is
// over, a failure says why, and a size is one that the origin told or that was counted.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "worker/fetch/reading.h"

namespace imgfleet::fetch {
namespace {

constexpr uint64_t kMaxBody = 1 << 20, kBudget = 2 << 20;

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

// The input, taken from the front; zeros once it is used up.
class Script {
 public:
  Script(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool over() const { return size_ == 0; }
  uint64_t Take(int bytes) {
    uint64_t value = 0;
    for (; bytes > 0; --bytes) {
      value = value << 8 | (size_ > 0 ? *data_ : 0);
      if (size_ > 0) ++data_, --size_;
    }
    return value;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

// Wants the bytes at a few places, then has enough or stops.
class ScriptedClient final : public Client {
 public:
  explicit ScriptedClient(Script& script) {
    const uint64_t shape = script.Take(1);
    end_ = shape & 1 ? Verdict::kStop : Verdict::kEnough;
    for (uint64_t& want : wants_) want = script.Take(3);
    bytes_ = shape >> 1;
  }
  const std::string& url() const override { return url_; }
  Verdict Inspect(const Arrived& arrived) override {
    Require(arrived.prefix.size() + arrived.piece.size() <= kMaxBody + kFreeBytes, "bounded memory");
    Require(!arrived.total.has_value() || arrived.prefix.size() <= *arrived.total, "no more than all");
    for (const uint64_t want : wants_) {
      const bool in_piece =
          want >= arrived.piece_offset && want - arrived.piece_offset < arrived.piece.size();
      if (want < arrived.prefix.size() || in_piece) continue;
      if (arrived.total.has_value() && want >= *arrived.total) return {Verdict::kStop};
      return {Verdict::kMore, want, bytes_};
    }
    return {end_};
  }
  void Finish(Report) override {}
  bool Abandoned() const override { return false; }

 private:
  std::string url_;
  Verdict::Kind end_;
  uint64_t wants_[3];
  uint64_t bytes_ = 0;
};

// One answer's head. `honest`: what a good origin with a body of `total` bytes would say, as far as it goes.
ResponseHead MakeHead(Script& script, const Ask& ask, uint64_t total) {
  ResponseHead head;
  head.Clear();
  const uint64_t shape = script.Take(1);
  const uint64_t kind = shape & 3;
  head.Add(kind == 0 ? "HTTP/1.1 200 OK" : kind == 3 ? "HTTP/1.1 416 X" : "HTTP/1.1 206 X");
  if (kind != 0) {
    uint64_t first = ask.first, last = std::min(ask.last, std::max<uint64_t>(total, 1) - 1);
    if (shape & 4) first = script.Take(2);
    if (shape & 8) last = script.Take(2);
    if (shape & 16) total = script.Take(3);
    head.Add(kind == 3 ? absl::StrCat("Content-Range: bytes */", total)
                       : absl::StrCat("Content-Range: bytes ", first, "-", last, "/", total));
  } else if (shape & 4) {
    head.Add(absl::StrCat("Content-Length: ", shape & 8 ? script.Take(3) : total));
  } else {
    head.Add("Transfer-Encoding: chunked");
  }
  if (shape & 32) head.Add(shape & 64 ? "Content-Encoding: gzip" : "Content-Encoding: deflate");
  if (shape & 128) head.Add(absl::StrCat("ETag: \"", script.Take(1) % 3, "\""));
  head.Add("");
  return head;
}

// Plays one exchange. `counted` is how many bytes of body were taken in.
Reading::Next Play(Script& script, Reading& reading, uint64_t total, uint64_t* counted) {
  const ResponseHead head = MakeHead(script, reading.ask(), total);
  *counted = 0;
  if (reading.OnHead(head) == Reading::Flow::kBreakOff) return reading.OnEnd(false);
  const uint64_t pieces = script.Take(1) % 64;
  for (uint64_t i = 0; i < pieces; ++i) {
    // libcurl gives no more than Content-Length allows.
    const uint64_t size =
        std::min(script.Take(2) % 16384 + 1, head.content_length.value_or(2 * kMaxBody) - *counted);
    if (size == 0) break;
    std::string body(size, static_cast<char>(script.Take(1)));
    if (head.coding != Coding::kIdentity) {
      for (uint64_t at = 0; at < std::min<uint64_t>(size, 32); ++at)
        body[at] = static_cast<char>(script.Take(1));
    }
    *counted += size;
    if (reading.OnBody(body) == Reading::Flow::kBreakOff) return reading.OnEnd(false);
  }
  return reading.OnEnd(script.Take(1) % 4 != 0);
}

void Run(Script script) {
  ByteBudget budget(kBudget);
  Reservation others;
  ScriptedClient client(script);
  Limits limits;
  limits.max_body_bytes = kMaxBody;
  if (script.Take(1) % 8 == 0) Require(budget.TryReserve(kBudget - 1000, &others), "room at first");
  const uint64_t total = script.Take(3);
  Reading reading;
  reading.Begin(&client, &limits, &budget);
  for (int exchanges = 0;; ++exchanges) {
    Require(exchanges < 100, "it ends");
    uint64_t counted = 0;
    const Reading::Next next = Play(script, reading, total, &counted);
    Require(next != Reading::Next::kAsk || reading.failure() == Failure::kNone, "no failure and going on");
    Require((next == Reading::Next::kFailed) == (reading.failure() != Failure::kNone), "a failure is one");
    if (next == Reading::Next::kAsk) {
      Require(!reading.ask().ranged || reading.ask().first <= reading.ask().last, "a range goes forward");
      continue;
    }
    if (next == Reading::Next::kFailed) Require(!reading.message().empty(), "a failure says why");
    if (next == Reading::Next::kDone && reading.size_source() == SizeSource::kBody && reading.size() > 0) {
      Require(reading.size() <= kMaxBody, "no more counted than allowed");
    }
    break;
  }
  reading.Release();
  const uint64_t held = others.bytes();
  Require(budget.free() == kBudget - held, "nothing is held once it is over");
}

}  // namespace
}  // namespace imgfleet::fetch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  imgfleet::fetch::Run(imgfleet::fetch::Script(data, size));
  return 0;
}
