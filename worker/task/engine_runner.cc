#include "worker/task/engine_runner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/memory_limit.h"
#include "common/status.h"
#include "worker/task/decoders.h"
#include "worker/task/measure.h"
#include "worker/task/origins.h"
#include "worker/task/pixels.h"

namespace imgfleet::task {
namespace {

// Items held: enough that every origin of a mixed list has some, and that a fast one does not run dry while the next
// lease is on its way. Each takes a kilobyte or two.
constexpr uint32_t kHeldPerRunning = 2;
constexpr uint32_t kMinHeld = 4096;

// Origins in one report.
constexpr size_t kReportedOrigins = 100;

// Nothing is measured less deeply than was asked for without saying so.
void Refuse(Item item) {
  v1::Outcome outcome;
  outcome.set_index(item.index);
  outcome.set_id(std::move(item.id));
  outcome.set_url(std::move(item.url));
  const v1::Depth depth = DepthOf(item);
  outcome.mutable_error()->set_reason(v1::ItemError::INTERNAL);
  outcome.mutable_error()->set_message(absl::StrCat(
      "this worker cannot measure to depth ",
      v1::Depth_IsValid(depth) ? absl::AsciiStrToLower(v1::Depth_Name(depth)) : absl::StrCat(depth),
      ": run workers of the coordinator's release, or ask for another depth"));
  item.done(std::move(outcome));
}

}  // namespace

absl::StatusOr<std::unique_ptr<EngineRunner>> EngineRunner::Create(fetch::Options options,
                                                                   decoder::Client::Options decoders) {
  const Clock& clock = *options.clock;
  if (decoders.processes == 0) decoders.processes = DecodersThatFit(options, MemoryLimit());
  ASSIGN_OR_RETURN(std::unique_ptr<fetch::Engine> engine, fetch::Engine::Create(std::move(options)));
  return std::unique_ptr<EngineRunner>(
      new EngineRunner(std::make_unique<decoder::Client>(std::move(decoders), clock), std::move(engine)));
}

void EngineRunner::Start(std::vector<Item> items) {
  std::vector<fetch::Request> requests;
  requests.reserve(items.size());
  for (Item& item : items) {
    if (DepthOf(item) == v1::PIXELS) {
      requests.push_back(PixelsRequest(std::move(item), decoders_.get()));
    } else if (CanMeasure(DepthOf(item))) {
      requests.push_back(MeasureRequest(std::move(item)));
    } else {
      Refuse(std::move(item));
    }
  }
  engine_->Submit(std::move(requests));
}

absl::Status EngineRunner::decoding() const { return decoders_->status(); }

void EngineRunner::DropAbandoned() { engine_->DropAbandoned(); }

uint32_t EngineRunner::capacity() const {
  return std::max(kMinHeld, engine_->options().concurrency * kHeldPerRunning);
}

uint32_t EngineRunner::concurrency() const { return engine_->options().concurrency; }

bool EngineRunner::WaitsForOrigins(uint64_t held) const {
  return held >= concurrency() && engine_->running() < concurrency() / 2;
}

void EngineRunner::HearOrigins(std::function<void()> wake) {
  engine_->origins().bell().Answer(std::move(wake));
}

v1::OriginReport EngineRunner::ReportOrigins(bool all, absl::Time now) {
  v1::OriginReport report;
  for (const fetch::OriginUse& use : engine_->origins().Uses(all, kReportedOrigins, now)) {
    ToProto(use, report.add_origins());
  }
  return report;
}

void EngineRunner::KeepPermits(const v1::OriginPermits& permits, absl::Time reported, absl::Time now) {
  std::vector<fetch::OriginPermit> kept;
  for (const v1::OriginPermit& permit : permits.origins()) kept.push_back(FromProto(permit, reported));
  engine_->origins().Keep(kept, now);
}

void EngineRunner::LosePermits(absl::Time now) { engine_->origins().Disconnected(now); }

}  // namespace imgfleet::task
