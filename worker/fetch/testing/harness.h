// Runs fetches through a real engine and waits for their reports.
#pragma once

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/fetch/engine.h"

namespace imgfleet::fetch {

// Needs the byte at `want`, then has enough; or stops at once on a body that begins with "<".
class ByteClient final : public Client {
 public:
  ByteClient(std::string url, uint64_t want, std::shared_ptr<std::atomic<bool>> abandoned = nullptr)
      : url_(std::move(url)), want_(want), abandoned_(std::move(abandoned)) {}
  std::future<Report> report() { return promise_.get_future(); }

  const std::string& url() const override { return url_; }
  Verdict Inspect(const Arrived& arrived) override {
    if (!arrived.prefix.empty() && arrived.prefix[0] == '<') return {Verdict::kStop};
    const bool in_piece =
        want_ >= arrived.piece_offset && want_ - arrived.piece_offset < arrived.piece.size();
    if (want_ < arrived.prefix.size() || in_piece) return {Verdict::kEnough};
    if (arrived.total.has_value() && want_ >= *arrived.total) return {Verdict::kStop};
    return {Verdict::kMore, want_, 0};
  }
  void Finish(Report report) override { promise_.set_value(std::move(report)); }
  bool Abandoned() const override { return abandoned_ != nullptr && *abandoned_; }

 private:
  const std::string url_;
  const uint64_t want_;
  const std::shared_ptr<std::atomic<bool>> abandoned_;
  std::promise<Report> promise_;
};

inline std::future<Report> Submit(Engine& engine, const std::string& url, uint64_t want = 0,
                                  Limits limits = {}, std::shared_ptr<std::atomic<bool>> abandoned = nullptr,
                                  bool urgent = false) {
  auto client = std::make_unique<ByteClient>(url, want, std::move(abandoned));
  std::future<Report> report = client->report();
  std::vector<Request> requests;
  requests.push_back({std::move(client), limits, urgent});
  engine.Submit(std::move(requests));
  return report;
}

// The system's clock, which a test can put forward.
class ShiftedClock final : public Clock {
 public:
  absl::Time Boot() const override { return Clock::System().Boot() + absl::Seconds(shift_.load()); }
  absl::Time Wall() const override { return Clock::System().Wall(); }
  void Advance(int seconds) { shift_ += seconds; }

 private:
  std::atomic<int> shift_{0};
};

// Puts the clock forward, and returns when the engine's loop has seen it: what is submitted afterwards belongs to the
// new time. For engines of one thread.
inline void PutForward(ShiftedClock* clock, Engine* engine, int seconds) {
  clock->Advance(seconds);
  Submit(*engine, "no URL").wait();
}

// For tests: loopback is open, retries come at once.
inline Options TestOptions() {
  Options options;
  options.threads = 1;
  options.policy = AddressPolicy({*Cidr::Parse("127.0.0.0/8")});
  options.backoff = {.base = absl::Milliseconds(1), .max = absl::Milliseconds(2)};
  return options;
}

inline std::unique_ptr<Engine> MakeEngine(Options options = TestOptions()) {
  return Engine::Create(std::move(options)).value();
}

// A body that takes more than one range.
inline const std::string& File() {
  static const auto* file = new std::string(300'000, 'x');
  return *file;
}

}  // namespace imgfleet::fetch
