#include "tests/politeness/cluster_course.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/backoff.h"
#include "common/clock.h"
#include "coordinator/core/origin_homes.h"
#include "coordinator/store/memory_origin_board.h"
#include "worker/fetch/origin_budget.h"

namespace imgfleet {
namespace {

using fetch::OriginBudget;

constexpr uint32_t kMaxRefusals = 10;  // As refusals.cc has it.
// As the agent has it: reports, and how soon what is urgent goes.
constexpr double kReportEvery = 0.5, kUrgent = 0.002;
constexpr double kLeaseLost = 2;
constexpr char kOrigin[] = "https://images.example:443";

const absl::Time kBegin = absl::FromUnixSeconds(1'000'000);
absl::Time At(double seconds) { return kBegin + absl::Seconds(seconds); }
double Since(absl::Time time) { return absl::ToDoubleSeconds(time - kBegin); }

core::OriginUse ToCore(const fetch::OriginUse& use) {
  core::OriginUse out;
  out.origin = use.origin;
  out.waiting = use.waiting;
  out.in_flight = use.in_flight;
  out.wanted = use.wanted;
  out.sent = use.sent;
  out.accepted = use.accepted;
  out.refused = use.refused;
  out.permit = use.permit;
  out.state = static_cast<core::OriginUse::State>(use.state);
  out.window = use.window;
  out.blocked_for = use.blocked_for;
  out.next_in = use.next_in;
  out.learned = use.learned;
  return out;
}

fetch::OriginPermit ToFetch(const core::OriginPermit& permit, absl::Time reported) {
  fetch::OriginPermit out;
  out.origin = permit.origin;
  out.number = permit.number;
  out.concurrency = permit.concurrency;
  out.rate = permit.rate;
  out.sharers = permit.sharers;
  out.in_flight_elsewhere = permit.in_flight_elsewhere;
  out.wanted_elsewhere = permit.wanted_elsewhere;
  out.strays_accepted = permit.strays_accepted;
  out.strays_refused = permit.strays_refused;
  out.blocked_for = permit.blocked_for;
  out.until = reported + permit.valid_for;
  out.begins = permit.begins;
  out.learned = permit.learned;
  return out;
}

// Of the simulation's time, as the store has it.
class SimulatedClock final : public Clock {
 public:
  explicit SimulatedClock(const double& now) : now_(now) {}
  absl::Time Boot() const override { return imgfleet::At(now_); }
  absl::Time Wall() const override { return imgfleet::At(now_); }

 private:
  const double& now_;
};

struct Coordinator {
  explicit Coordinator(const core::OriginShares::Options& options) : shares(options) {}

  core::OriginShares shares;
  double wake_at = HUGE_VAL;
  // Where there are several.
  std::unique_ptr<core::OriginHomes> homes;
  std::unique_ptr<store::OriginBoard> board;
  bool exchanging = false;
};

struct Worker {
  std::string name;
  Coordinator* coordinator = nullptr;
  Presence presence;
  std::unique_ptr<fetch::OriginBudgets> budgets;
  std::shared_ptr<OriginBudget> budget;
  std::function<void()> wake = [this] { full = false; };
  std::unique_ptr<OriginBudget::Seat> seat;
  bool here = false, full = false, has_asked = false;
  uint32_t in_flight = 0;
  std::deque<uint32_t> queue;  // How often each was refused before.
  uint32_t delayed = 0;
  double timer = HUGE_VAL;
  double asked = 0;  // Its last request, or since when it waits.
  uint64_t reports = 0;
  std::deque<double> reported;  // When each report was sent; the first is number reports - size + 1.
  bool rung = false;
  double last_to = 0, last_from = 0;  // Messages do not overtake each other.
};

class Simulation {
 public:
  Simulation(fetch::LimitedOrigin& origin, const ClusterSetting& setting, uint32_t seed)
      : origin_(origin), setting_(setting), random_(seed) {}

  ClusterCourse Run() {
    now_ = Uniform();
    begin_ = now_;
    left_ = pool_ = setting_.items;
    for (int i = 0; i < setting_.coordinators; ++i) AddCoordinator();
    for (size_t i = 0; i < setting_.workers.size(); ++i) {
      auto worker = std::make_unique<Worker>();
      worker->name = absl::StrCat("w", i);
      worker->presence = setting_.workers[i];
      worker->coordinator = coordinators_[i % coordinators_.size()].get();
      Worker* const w = worker.get();
      workers_.push_back(std::move(worker));
      At(begin_ + w->presence.from, [this, w] { Join(*w); });
      if (w->presence.until < 1e9) At(begin_ + w->presence.until, [this, w] { Leave(*w); });
    }
    At(now_ + 1, [this] {
      for (const auto& worker : workers_) course_.in_flight_after_a_second += worker->in_flight;
    });
    while (left_ > 0 && now_ < begin_ + 36'000) {
      for (const auto& worker : workers_) {
        if (worker->here) Fill(*worker);
        while (worker->here && Send(*worker)) continue;
      }
      for (const auto& coordinator : coordinators_) Wake(*coordinator);
      if (events_.empty()) break;
      now_ = std::max(now_, events_.top().at);
      const auto happen = std::move(events_.top().happen);
      events_.pop();
      happen();
    }
    for (const auto& worker : workers_) {
      if (worker->seat != nullptr) Empty(*worker);
    }
    course_.rows = table_.writes();
    course_.done = setting_.items - left_ - course_.lost;
    course_.seconds = now_ - begin_;
    const double trips = std::ceil(1.0 * setting_.items / setting_.in_flight);
    course_.best = std::max({origin_.best(setting_.items, begin_) - begin_ + origin_.round_trip,
                             setting_.items / setting_.answers, trips * origin_.round_trip});
    return course_;
  }

 private:
  struct Event {
    double at;
    uint64_t number;
    mutable std::function<void()> happen;
    bool operator<(const Event& other) const {
      return at != other.at ? at > other.at : number > other.number;
    }
  };

  void At(double at, std::function<void()> happen) { events_.push({at, ++events_made_, std::move(happen)}); }
  double Uniform() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  double Trip() { return origin_.round_trip * (0.95 + Uniform() / 10); }
  absl::Time Now() const { return imgfleet::At(now_); }

  void Join(Worker& w) {
    w.here = true;
    w.budgets = std::make_unique<fetch::OriginBudgets>(setting_.in_flight);
    if (setting_.coordinated) {
      w.budgets->bell().Answer([this, &w] {
        if (std::exchange(w.rung, true)) return;
        At(now_ + kUrgent * Uniform(), [this, &w] {
          w.rung = false;
          Report(w, /*all=*/false);
        });
      });
      At(now_ + kReportEvery * Uniform(), [this, &w] { ReportAgain(w); });
    }
    w.budget = w.budgets->Get(kOrigin, /*exempt=*/false, Now());
    w.seat = std::make_unique<OriginBudget::Seat>(w.budget, &w.wake);
    w.asked = now_;
  }

  void Leave(Worker& w) {
    w.here = false;
    pool_ += static_cast<int>(w.queue.size());
    w.queue.clear();
    if (w.presence.dies) {
      // What it had in flight is still asked.
      const int again = static_cast<int>(w.in_flight + w.delayed);
      w.delayed = 0;
      At(now_ + kLeaseLost, [this, again] { pool_ += again; });
    } else {
      Report(w, /*all=*/true);
    }
    if (w.presence.dies || w.in_flight == 0) Part(w);
  }

  // Its stream ends.
  void Part(Worker& w) {
    if (!setting_.coordinated) return;
    w.last_to = std::max(w.last_to, now_ + Message());
    At(w.last_to, [this, &w] { w.coordinator->shares.Left(w.name, Now()); });
  }

  void Empty(Worker& w) {
    for (; w.in_flight > 0; --w.in_flight) w.budget->Ended(*w.seat, false);
    w.budget->Decline(*w.seat);
    w.budgets->bell().Answer(nullptr);
    w.seat.reset();
  }

  // The worker leases items as it has room.
  void Fill(Worker& w) {
    const uint32_t holds = w.in_flight + static_cast<uint32_t>(w.queue.size()) + w.delayed;
    if (pool_ == 0 || holds > setting_.held * 3 / 4) return;
    const auto workers = static_cast<int>(setting_.workers.size());
    const int share =
        std::min(static_cast<int>(setting_.held / 4), std::max(1, setting_.items / 4 / workers));
    const int take = std::min(pool_, share);
    pool_ -= take;
    w.queue.insert(w.queue.end(), take, 0);
    w.full = false;
  }

  bool Send(Worker& w) {
    if (w.queue.empty() || w.timer != HUGE_VAL || w.full) return false;
    const auto more = static_cast<uint32_t>(w.queue.size()) - 1;
    const OriginBudget::Turn turn = w.budget->Start(*w.seat, Now(), more);
    if (turn.kind == OriginBudget::Turn::kWait) {
      w.timer = Since(turn.until) + 0.002 * Uniform();
      At(w.timer, [&w] { w.timer = HUGE_VAL; });
    }
    w.full = turn.kind == OriginBudget::Turn::kFull || turn.full;
    // The dispatcher's tick: whoever has none in flight looks again by itself.
    if (w.full) At(now_ + 0.02, [&w] { w.full = w.full && w.in_flight > 0; });
    if (turn.kind != OriginBudget::Turn::kGo) return false;
    const uint32_t refusals = w.queue.front();
    w.queue.pop_front();
    ++course_.requests;
    ++w.in_flight;
    // Who is new asks once before it hears of it.
    if (std::exchange(w.has_asked, true) && now_ > silent_since_ + 0.05 && now_ < silent_until_) {
      course_.last_second_in_silence = std::max(course_.last_second_in_silence, now_ - silent_since_);
    }
    course_.longest_wait = std::max(course_.longest_wait, now_ - w.asked);
    w.asked = now_;
    uint32_t all = 0;
    for (const auto& worker : workers_) all += worker->in_flight;
    course_.most_in_flight = std::max(course_.most_in_flight, all);
    At(now_ + Trip() / 2, [this, &w, sent = now_, refusals] { Arrive(w, sent, refusals); });
    return true;
  }

  void Arrive(Worker& w, double sent, uint32_t refusals) {
    const std::optional<double> delay = origin_.allow(now_, there_);
    served_ = std::max(served_, now_) + 1 / setting_.answers;
    ++there_;
    At(served_ + delay.value_or(0) + Trip() / 2, [this, &w, sent, refusals, accepted = delay.has_value()] {
      --there_;
      if (!accepted) ++course_.refused;
      // Answers to whom is gone are nobody's.
      if (!w.here && w.presence.dies) return;
      Answer(w, sent, refusals, accepted);
    });
  }

  void Answer(Worker& w, double sent, uint32_t refusals, bool accepted) {
    Take(w, sent, refusals, accepted);
    if (w.here || w.in_flight > 0) return;
    Report(w, /*all=*/true);
    Part(w);
  }

  void Take(Worker& w, double sent, uint32_t refusals, bool accepted) {
    --w.in_flight;
    w.full = false;
    const bool more = !w.queue.empty();
    if (!more) w.asked = now_;
    if (accepted) {
      --left_;
      w.budget->Answered(*w.seat, imgfleet::At(sent), absl::Seconds(now_ - sent), Now(), /*useful=*/true,
                         more);
      return;
    }
    OriginBudget::Refusal refusal;
    refusal.sent = imgfleet::At(sent);
    refusal.now = Now();
    refusal.status = origin_.status;
    if (const double wait = origin_.retry_after(now_); wait > 0) {
      refusal.retry_after = absl::Seconds(wait);
      if (now_ >= silent_until_) silent_since_ = now_;
      silent_until_ = now_ + wait;
    }
    refusal.again = refusals > 0;
    refusal.random = Uniform();
    w.budget->Refused(*w.seat, refusal, more);
    if (++refusals >= kMaxRefusals) {
      --left_;
      ++course_.lost;
    } else if (!w.here) {
      ++pool_;
    } else if (refusals == 1) {
      w.queue.push_front(refusals);
    } else {
      const double wait = absl::ToDoubleSeconds(backoff_.Wait(refusals - 1, Uniform()));
      ++w.delayed;
      At(now_ + wait, [this, &w, refusals] {
        if (w.delayed == 0) return;
        --w.delayed;
        if (!w.here) return void(++pool_);
        w.queue.push_back(refusals);
        w.full = false;
      });
    }
  }

  // --- Messages -----------------------------------------------------------------------------------------------

  double Message() { return setting_.message * (0.5 + Uniform()); }

  void ReportAgain(Worker& w) {
    if (!w.here) return;
    Report(w, /*all=*/true);
    At(now_ + kReportEvery, [this, &w] { ReportAgain(w); });
  }

  void Report(Worker& w, bool all) {
    if (!setting_.coordinated || (!w.here && w.presence.dies)) return;
    std::vector<core::OriginUse> uses;
    for (const fetch::OriginUse& use : w.budgets->Uses(all, 100, Now())) uses.push_back(ToCore(use));
    if (uses.empty()) return;
    ++course_.reports;
    ++w.reports;
    w.reported.push_back(now_);
    if (w.reported.size() > 64) w.reported.pop_front();
    w.last_to = std::max(w.last_to, now_ + Message());
    At(w.last_to, [this, &w, number = w.reports, uses = std::move(uses)] {
      w.coordinator->shares.Report(w.name, number, uses, Now());
      Deliver(*w.coordinator);
    });
  }

  void AddCoordinator() {
    coordinators_.push_back(std::make_unique<Coordinator>(setting_.shares));
    if (setting_.coordinators == 1) return;
    Coordinator& c = *coordinators_.back();
    core::OriginHomes::Options options;
    options.coordinator = absl::StrCat("c", coordinators_.size());
    c.homes = std::make_unique<core::OriginHomes>(options, c.shares, Now());
    c.board = table_.Open();
  }

  void Wake(Coordinator& c) {
    if (!setting_.coordinated) return;
    absl::Time next = c.shares.NextWake();
    if (c.homes != nullptr && !c.exchanging) next = std::min(next, c.homes->next_exchange());
    const double at = Since(next);
    if (next == absl::InfiniteFuture() || at >= c.wake_at) return;
    c.wake_at = std::max(at, now_);
    At(c.wake_at, [this, &c] {
      c.wake_at = HUGE_VAL;
      if (c.shares.NextWake() <= Now()) c.shares.Tick(Now());
      Deliver(c);
      if (c.homes != nullptr && !c.exchanging && c.homes->next_exchange() <= Now()) Exchange(c);
    });
  }

  // Others hear of it when they would: a message later.
  void Exchange(Coordinator& c) {
    c.exchanging = true;
    ++course_.exchanges;
    At(now_ + setting_.exchange * (0.5 + Uniform()), [this, &c, query = c.homes->Prepare(Now())] {
      bool tell = false;
      const bool good = c.board
                            ->Exchange(query,
                                       [&](const core::OriginNews& news) {
                                         core::OriginWrites writes = c.homes->Decide(news, Now());
                                         tell = writes.tell;
                                         return writes;
                                       })
                            .ok();
      Deliver(c);
      At(now_ + setting_.exchange * (0.5 + Uniform()), [this, &c, good] {
        c.exchanging = false;
        c.homes->Committed(good, Now());
        Deliver(c);
      });
      for (const auto& other : coordinators_) {
        if (!tell || other.get() == &c) continue;
        At(now_ + setting_.exchange * (0.5 + Uniform()),
           [this, &other = *other] { other.homes->Hear(Now()); });
      }
    });
  }

  void Deliver(Coordinator& c) {
    if (c.homes != nullptr) c.homes->Look(Now());
    for (core::OriginShares::Dealt& dealt : c.shares.Take()) {
      ++course_.permits;
      Worker& w = **std::find_if(workers_.begin(), workers_.end(),
                                 [&](const auto& worker) { return worker->name == dealt.worker; });
      w.last_from = std::max(w.last_from, now_ + Message());
      At(w.last_from, [this, &w, permit = std::move(dealt.permit)] {
        if (!w.here) return;
        const uint64_t first = w.reports - w.reported.size() + 1;
        const double reported = permit.report < first ? -1e3 : w.reported[permit.report - first];
        w.budgets->Keep({ToFetch(permit, imgfleet::At(reported))}, Now());
      });
    }
  }

  fetch::LimitedOrigin& origin_;
  const ClusterSetting setting_;
  std::mt19937 random_;
  const Backoff backoff_;
  double now_ = 0, begin_ = 0;
  const SimulatedClock clock_{now_};
  store::MemoryOriginTable table_{clock_};
  std::vector<std::unique_ptr<Coordinator>> coordinators_;
  std::vector<std::unique_ptr<Worker>> workers_;

  ClusterCourse course_;
  double served_ = 0;
  uint32_t there_ = 0;
  int left_ = 0, pool_ = 0;
  double silent_since_ = -1, silent_until_ = -1;
  uint64_t events_made_ = 0;
  std::priority_queue<Event> events_;
};

}  // namespace

ClusterCourse FetchTogether(fetch::LimitedOrigin& origin, const ClusterSetting& setting, uint32_t seed) {
  return Simulation(origin, setting, seed).Run();
}

}  // namespace imgfleet
