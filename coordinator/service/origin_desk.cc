#include "coordinator/service/origin_desk.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/log.h"

namespace imgfleet::service {
namespace {

// What a worker may say of one origin.
constexpr size_t kMaxName = 300, kMaxLearned = 4096;
constexpr int kMaxOrigins = 1000;
constexpr absl::Duration kMaxBlock = absl::Hours(24);
constexpr absl::Duration kLongestWait = absl::Seconds(30);

// As worker/fetch makes them: ASCII without spaces.
bool IsName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxName &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

absl::Duration Get(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

void Set(absl::Duration duration, google::protobuf::Duration* out) {
  out->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
}

core::OriginUse FromProto(const v1::OriginUse& use) {
  core::OriginUse out;
  out.origin = use.origin();
  out.waiting = use.waiting();
  out.in_flight = use.in_flight();
  out.wanted = use.wanted();
  out.sent = use.sent();
  out.accepted = use.accepted();
  out.refused = use.refused();
  out.permit = use.permit();
  if (use.state() == v1::OriginUse::OPEN) out.state = core::OriginUse::kOpen;
  if (use.state() == v1::OriginUse::LIMITED) out.state = core::OriginUse::kLimited;
  out.window = use.window();
  out.blocked_for = std::clamp(Get(use.blocked_for()), absl::ZeroDuration(), kMaxBlock);
  out.next_in = std::clamp(Get(use.next_in()), absl::ZeroDuration(), kMaxBlock);
  if (use.learned().size() <= kMaxLearned) out.learned = use.learned();
  return out;
}

void ToProto(core::OriginPermit permit, v1::OriginPermit* out) {
  const bool whole = permit.concurrency == core::OriginPermit::kWhole;
  out->set_origin(std::move(permit.origin));
  out->set_number(permit.number);
  Set(permit.valid_for, out->mutable_valid_for());
  out->set_concurrency(whole ? 0 : permit.concurrency);
  out->set_whole(whole);
  out->set_rate(permit.rate);
  out->set_sharers(permit.sharers);
  out->set_in_flight_elsewhere(permit.in_flight_elsewhere);
  out->set_wanted_elsewhere(permit.wanted_elsewhere);
  out->set_strays_accepted(permit.strays_accepted);
  out->set_strays_refused(permit.strays_refused);
  if (permit.blocked_for > absl::ZeroDuration()) Set(permit.blocked_for, out->mutable_blocked_for());
  out->set_begins(permit.begins);
  out->set_learned(std::move(permit.learned));
}

}  // namespace

OriginDesk::OriginDesk(const Clock& clock, core::OriginShares::Options options, Send send, Cluster cluster)
    : clock_(clock),
      send_(std::move(send)),
      board_(std::move(cluster.board)),
      shares_(std::move(options)),
      homes_(board_ == nullptr
                 ? nullptr
                 : std::make_unique<core::OriginHomes>(std::move(cluster.homes), shares_, clock.Boot())),
      thread_([this] { Run(); }) {
  if (board_ != nullptr) exchanges_ = std::thread([this] { RunExchanges(); });
}

OriginDesk::~OriginDesk() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.Signal();
  }
  thread_.join();
  if (board_ == nullptr) return;
  board_->Interrupt();
  exchanges_.join();
}

void OriginDesk::Report(const std::string& worker, const v1::OriginReport& report) {
  std::vector<core::OriginUse> uses;
  for (int i = 0; i < std::min(report.origins_size(), kMaxOrigins); ++i) {
    if (IsName(report.origins(i).origin())) uses.push_back(FromProto(report.origins(i)));
  }
  bool soon = false;
  {
    absl::MutexLock lock(&mutex_);
    const absl::Time before = shares_.NextWake(), now = clock_.Boot();
    shares_.Report(worker, report.number(), std::move(uses), now);
    soon = Look(now);
    if (shares_.NextWake() < before) changed_.Signal();
  }
  SendAll();
  if (soon) board_->Interrupt();
}

void OriginDesk::Left(const std::string& worker) {
  absl::MutexLock lock(&mutex_);
  shares_.Left(worker, clock_.Boot());
  changed_.Signal();
}

// One thread at a time carries what was decided, so that nothing overtakes.
void OriginDesk::SendAll() {
  while (true) {
    std::deque<std::pair<std::string, v1::CoordinatorMessage>> messages;
    {
      absl::MutexLock lock(&mutex_);
      for (core::OriginShares::Dealt& dealt : shares_.Take()) {
        const bool same = !outgoing_.empty() && outgoing_.back().first == dealt.worker &&
                          outgoing_.back().second.permits().report() == dealt.permit.report;
        if (!same) outgoing_.emplace_back(dealt.worker, v1::CoordinatorMessage());
        v1::OriginPermits* permits = outgoing_.back().second.mutable_permits();
        permits->set_report(dealt.permit.report);
        ToProto(std::move(dealt.permit), permits->add_origins());
      }
      if (sending_ || outgoing_.empty()) return;
      sending_ = true;
      messages.swap(outgoing_);
    }
    for (auto& [worker, message] : messages) send_(worker, std::move(message));
    absl::MutexLock lock(&mutex_);
    sending_ = false;
  }
}

void OriginDesk::Run() {
  while (true) {
    bool soon = false;
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return;
      const absl::Time now = clock_.Boot();
      if (shares_.NextWake() > now) {
        changed_.WaitFor(mutex_, shares_.NextWake() - now);
        continue;
      }
      shares_.Tick(now);
      soon = Look(now);
    }
    SendAll();
    if (soon) board_->Interrupt();
  }
}

bool OriginDesk::Look(absl::Time now) {
  if (homes_ == nullptr) return false;
  const absl::Time before = homes_->next_exchange();
  homes_->Look(now);
  return homes_->next_exchange() < before;
}

// In a thread of its own: permits are dealt and run out while the store keeps this waiting.
void OriginDesk::RunExchanges() {
  bool failing = false;
  while (true) {
    absl::Duration rest;
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return;
      rest = homes_->next_exchange() - clock_.Boot();
    }
    if (rest > absl::ZeroDuration()) {
      if (!board_->Wait(std::min(rest, kLongestWait))) continue;
      absl::MutexLock lock(&mutex_);
      homes_->Hear(clock_.Boot());
      continue;
    }
    const absl::Status status = Exchange();
    if (!status.ok() && !std::exchange(failing, true)) {
      log::Warning("origins are not shared with other coordinators: %s", std::string(status.message()));
    }
    if (status.ok() && std::exchange(failing, false)) log::Info("origins are shared with others again");
  }
}

absl::Status OriginDesk::Exchange() {
  core::OriginQuery query;
  {
    absl::MutexLock lock(&mutex_);
    query = homes_->Prepare(clock_.Boot());
  }
  absl::Status status = board_->Exchange(query, [this](const core::OriginNews& news) {
    core::OriginWrites writes;
    {
      absl::MutexLock lock(&mutex_);
      writes = homes_->Decide(news, clock_.Boot());
    }
    // What workers have to give up.
    SendAll();
    return writes;
  });
  {
    absl::MutexLock lock(&mutex_);
    const absl::Time now = clock_.Boot();
    homes_->Committed(status.ok(), now);
    Look(now);
    changed_.Signal();
  }
  SendAll();
  return status;
}

absl::StatusOr<std::pair<std::string, core::OriginLimit>> ParseOriginLimit(absl::string_view text) {
  const auto fail = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is no HOST=CONCURRENCY[,RATE/s]: ", what));
  };
  const size_t equals = text.rfind('=');
  if (equals == absl::string_view::npos || equals == 0) return fail("a host, then \"=\"");
  const std::string host = absl::AsciiStrToLower(text.substr(0, equals));
  if (absl::StrContains(host, "/") || absl::StrContains(host, " "))
    return fail("a host has no scheme and no path");
  const std::vector<std::string> parts = absl::StrSplit(text.substr(equals + 1), ',');
  core::OriginLimit limit;
  if (!absl::SimpleAtoi(parts[0], &limit.concurrency) || limit.concurrency == 0) {
    return fail("the concurrency is a whole number from 1 on");
  }
  if (parts.size() > 2) return fail("there is one rate");
  if (parts.size() == 2) {
    absl::string_view rate = parts[1];
    if (!absl::EndsWith(rate, "/s")) return fail("the rate ends in \"/s\"");
    rate.remove_suffix(2);
    if (!absl::SimpleAtod(rate, &limit.rate) || !(limit.rate >= 0.001 && limit.rate <= 1e6)) {
      return fail("the rate is from 0.001 to 1000000 a second");
    }
  }
  return std::pair(host, limit);
}

}  // namespace imgfleet::service
