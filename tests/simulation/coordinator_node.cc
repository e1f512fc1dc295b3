#include "tests/simulation/coordinator_node.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/status.h"
#include "coordinator/store/forwarding_store_testing.h"

namespace imgfleet::simulation {

using store::Ledger;

// The shared store as this process has it: it fails as the plan says, and what it did is looked at.
class CoordinatorNode::ThisStore final : public store::ForwardingStore {
 public:
  ThisStore(World& world, CoordinatorNode& node)
      : ForwardingStore(*world.store), world_(world), node_(node) {}

  absl::Status Transact(const store::Declared& declared,
                        absl::FunctionRef<absl::Status(store::Transaction&)> body) override {
    if (node_.dead_) return absl::UnavailableError("the process is dead");
    const bool fails = Hit(node_.fails_);
    RETURN_IF_ERROR(world_.store->Transact(declared, [&](store::Transaction& transaction) -> absl::Status {
      RETURN_IF_ERROR(body(transaction));
      if (fails) return absl::UnavailableError("the disk is full");
      return world_.promises.Look(transaction);
    }));
    world_.promises.Committed(*world_.store);
    if (node_.dying_) {
      node_.dead_ = true;
      return absl::UnavailableError("the process is dead");
    }
    if (Hit(node_.fails_durable_)) return absl::UnavailableError("the answer was lost");
    return absl::OkStatus();
  }
  bool Exclusive() const override { return world_.alone(); }
  // What others announce comes late, and now and then twice, but it comes.
  void Hear(std::function<void(store::News)> hear) override { node_.hear_ = std::move(hear); }
  void Deafen() override { node_.hear_ = nullptr; }
  void Announce(const store::News& news) override {
    if (news.jobs.empty() && news.stopped.empty() && !news.work) return;
    for (const auto& other : world_.coordinators) {
      if (other.get() == &node_ || !other->running()) continue;
      const int times = world_.faulty() && world_.network.Chance(world_.plan.repeats) ? 2 : 1;
      for (int i = 0; i < times; ++i) {
        other->Post(
            world_.network.Between(absl::ZeroDuration(), absl::Milliseconds(world_.faulty() ? 1'000 : 20)),
            [other = other.get(), news] {
              if (other->hear_ != nullptr) other->hear_(news);
            });
      }
    }
  }

 private:
  bool Hit(const StoreFaults& faults) {
    return world_.timeline.now() < faults.until && world_.nodes.Chance(faults.chance);
  }

  World& world_;
  CoordinatorNode& node_;
};

CoordinatorNode::~CoordinatorNode() { Tear(); }

void CoordinatorNode::Start() {
  if (running()) return;
  const bool again = std::exchange(booted_, true);
  if (again && world_.alone() && world_.nodes.Chance(0.3)) {
    // The machine was started again, and with it the clock that leases are compared with.
    world_.store_clock.Reboot(absl::UnixEpoch() +
                              world_.nodes.Between(absl::Seconds(20), absl::Hours(2'000)));
  }
  Born();
  dying_ = dead_ = turning_ = false;
  due_at_ = absl::InfiniteFuture();
  world_.trace("%s starts", name());
  Ledger::Options options;
  options.lease_period = kLeasePeriod;
  options.coordinator = name();
  ledger_ = std::make_unique<Ledger>(std::make_unique<ThisStore>(world_, *this), world_.store_clock, options,
                                     Ledger::Turned::kByHand);
  service::WorkSession::Options session;
  session.lease_period = kLeasePeriod;
  session.report_interval = kLeasePeriod / 3;
  streams_ = std::make_unique<service::WorkStreams>(*ledger_, world_.store_clock, world_.metrics, session);
  // As coordinator.cc joins them.
  listening_ = ledger_->Listen([this](const Ledger::Changes& changes) {
    if (changes.work_available) streams_->WorkAvailable();
    for (const std::string& job : changes.stopped) streams_->JobEnded(job);
  });
  Post(absl::ZeroDuration(), [] {});
  KeepReadings();
  if (!world_.alone()) LookForNews();
}

// As postgres_notices.cc does it, since one may die between a commit and its notice.
void CoordinatorNode::LookForNews() {
  Post(absl::Seconds(1), [this] {
    store::News news;
    news.work = true;
    for (const JobPlan& plan : world_.plan.jobs) {
      const absl::StatusOr<std::optional<core::Job>> job = world_.store->GetJob(plan.id);
      if (!job.ok() || !*job) continue;
      const core::JobState state = (*job)->state;
      if (state == core::JobState::kCancelled || state == core::JobState::kFailed || (*job)->paused)
        news.stopped.push_back(plan.id);
    }
    if (hear_ != nullptr) hear_(news);
    LookForNews();
  });
}

// As list_files.cc does it.
void CoordinatorNode::KeepReadings() {
  ledger_->KeepReadings(reading_, [this](const absl::StatusOr<std::vector<core::Job>>& jobs) {
    if (!jobs.ok()) return;
    for (const core::Job& job : *jobs) {
      reading_.insert(job.id);
      if (world_.taken_up) world_.taken_up(job.id, *this);
    }
  });
  Post(absl::Seconds(5), [this] { KeepReadings(); });
}

void CoordinatorNode::Dialled(Link& link) { links_.push_back(link.shared_from_this()); }

std::shared_ptr<service::WorkStream> CoordinatorNode::Accept(Link& link) { return streams_->Open(link); }

void CoordinatorNode::Forget(const Link& link) {
  std::erase_if(links_, [&](const auto& known) { return known.get() == &link; });
}

void CoordinatorNode::Turn() {
  if (!turning_ && ledger_->Asked()) {
    turning_ = true;
    absl::Duration takes = world_.nodes.Between(absl::Microseconds(20), world_.plan.commit);
    if (world_.timeline.now() < slow_until_)
      takes += world_.nodes.Between(absl::ZeroDuration(), absl::Seconds(3));
    Post(takes, [this] { TurnLedger(); });
  }
  // A turn under way looks at the clock as well.
  if (turning_) return;
  const absl::Time due = world_.store_clock.Global(ledger_->NextDue());
  if (due < due_at_) {
    due_at_ = due;
    Post(due - world_.timeline.now(), [this, due] {
      if (due_at_ == due) due_at_ = absl::InfiniteFuture();
      if (!turning_) TurnLedger();
    });
  }
}

void CoordinatorNode::TurnLedger() {
  turning_ = false;
  ledger_->Turn();
  if (!dead_) return;
  // Not from within the ledger.
  world_.timeline.After(absl::ZeroDuration(), [this, life = life()] {
    if (life == this->life()) Kill(back_);
  });
}

void CoordinatorNode::Tear() {
  listening_ = nullptr;
  ledger_ = nullptr;
  streams_ = nullptr;
  reading_.clear();
  links_.clear();
}

void CoordinatorNode::LoseStreams(bool learned) {
  for (const auto& link : std::vector<std::shared_ptr<Link>>(links_)) {
    Link::Cut cut;
    cut.down_arrives = world_.nodes.Chance(0.5);
    if (!learned) cut.worker_learns = world_.nodes.Between(absl::ZeroDuration(), absl::Seconds(15));
    link->Break(cut);
  }
}

void CoordinatorNode::LoseWorkersAfter(absl::Duration wait) {
  for (const auto& link : links_) {
    world_.timeline.After(wait, [link] { link->Break({true, true}); });
  }
}

void CoordinatorNode::Kill(absl::Duration back) {
  if (!running()) return;
  world_.trace("%s dies", name());
  LoseStreams(world_.nodes.Chance(0.7));
  Died();
  Tear();
  world_.timeline.After(back, [this] { Start(); });
}

void CoordinatorNode::KillAfterCommit(absl::Duration back) {
  if (!running()) return;
  dying_ = true;
  back_ = back;
}

void CoordinatorNode::Close(absl::Duration back) {
  if (!running() || paused()) return;
  world_.trace("%s is to end", name());
  Post(absl::ZeroDuration(), [this, back] {
    streams_->Close();
    Post(absl::Seconds(3), [this, back] {
      while (!dead_ && ledger_->Turn()) {
      }
      Kill(back);
    });
  });
}

}  // namespace imgfleet::simulation
