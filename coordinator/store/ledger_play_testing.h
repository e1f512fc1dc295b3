// Plays workers against the ledger, seed by seed: they lease, report, repeat themselves, report what is long void, crash,
// are cut off and come back, while jobs are submitted, some of them twice under one key and some with only part of their
// indices, are paused, resumed, weighed, cancelled and broken off, and the coordinator restarts. After every step what is
// stored must be what was acknowledged, once each.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "coordinator/store/ledger.h"
#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/store_testing.h"

namespace imgfleet::store {

using core::CommitCode;
using core::JobState;

inline constexpr int kReasonOther = 6;
inline constexpr int kReasonInternal = 24;

class Play {
 public:
  Play(StoreUnderTest& stores, uint32_t seed) : stores_(stores), random_(seed) { Open(); }

  void Run(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      Act();
      if (Chance(50)) Settle();
    }
    Settle();
    End();
  }

 private:
  struct Lease {
    core::LeasedShard leased;
    std::string holder;
    std::vector<uint32_t> open;  // Without an outcome of ours.
    bool given_up = false;
  };
  struct JobModel {
    uint64_t items = 0;
    bool reading = true;
    bool ended = false;  // By cancelling or breaking off.
    bool paused = false;
    bool child = false;
    uint64_t absent = 0;
    std::set<std::pair<uint32_t, uint32_t>> known;
    std::deque<std::string> unseen;  // Payloads acknowledged and not yet read, in order.
    core::Counts counts;
    uint64_t seen_seq = 0;
    uint32_t shards = 0;
    std::optional<core::Job> final;
  };

  bool Chance(int percent) { return Pick(100) < static_cast<uint32_t>(percent); }
  uint32_t Pick(size_t below) {
    return std::uniform_int_distribution<uint32_t>(0, static_cast<uint32_t>(below) - 1)(random_);
  }
  std::string Worker() { return absl::StrCat("worker ", Pick(3)); }

  void Open() {
    ledger_.reset();
    ledger_ = std::make_unique<Ledger>(stores_.Open(clock_), clock_, Ledger::Options());
  }

  // Asks now; what comes of the answer is looked at in Settle, so that verbs meet in one transaction.
  template <typename T, typename Verb>
  void Ask(Verb verb, std::function<void(T)> then) {
    auto promise = std::make_shared<std::promise<T>>();
    verb([promise](T value) { promise->set_value(std::move(value)); });
    auto answer = std::make_shared<std::future<T>>(promise->get_future());
    pending_.push_back([answer, then] { then(answer->get()); });
  }

  void Settle() {
    for (const auto& look : pending_) look();
    pending_.clear();
    for (auto& [id, job] : jobs_) Check(id, job);
  }

  void Act() {
    const uint32_t dice = Pick(100);
    if (jobs_.empty() || dice < 4) return Submit();
    if (dice < 18) return Append();
    if (dice < 22) return FinishOne();
    if (dice < 23) return CancelOne();
    if (dice < 26) return PauseOne();
    if (dice < 27) return WeighOne();
    if (dice < 28) return SubmitAgain();
    if (dice < 29) return TakeUpReadings();
    if (dice < 44) return AcquireSome();
    if (dice < 68) return CommitSome();
    if (dice < 74) return RepeatOld();
    if (dice < 78) return SendNonsense();
    if (dice < 82) return GiveBack();
    if (dice < 88) return RenewAll();
    if (dice < 91) return ledger_->Disconnected(Worker());
    if (dice < 95) return Crash();
    if (dice < 99) return clock_.Advance(absl::Milliseconds(Pick(8000)));
    if (stores_.durable()) Restart();
  }

  std::string SomeJob() { return std::next(jobs_.begin(), Pick(jobs_.size()))->first; }

  void Submit() {
    const std::string id = absl::StrCat("job ", 1000 + jobs_.size());
    core::NewJob job;
    job.id = id;
    job.spec = "spec";
    job.source = "can be read again";
    job.create_time = clock_.Wall();
    job.idempotency_key = id;
    job.priority = static_cast<int32_t>(Pick(9)) - 4;
    jobs_[id].child = Chance(30);
    if (jobs_[id].child) job.parent = "another";
    Ask<absl::StatusOr<core::Job>>([&](auto done) { ledger_->CreateJob(job, done); },
                                   [](auto created) { EXPECT_TRUE(created.ok()) << created.status(); });
  }

  void SubmitAgain() {
    core::NewJob job;
    job.id = absl::StrCat("again ", ++payloads_);
    job.idempotency_key = SomeJob();
    Ask<absl::StatusOr<core::Job>>(
        [&](auto done) { ledger_->SubmitJob(job, {MakeNewShard(0, 3)}, done); },
        [key = job.idempotency_key](auto known) { EXPECT_EQ(known.ok() ? known->id : "none", key); });
  }

  // Leases of a job that is paused are void, whatever becomes of it later.
  void PauseOne() {
    Settle();
    const std::string id = SomeJob();
    JobModel& job = jobs_[id];
    const bool paused = !job.paused;
    job.paused = paused;
    for (Lease& lease : leases_) {
      if (lease.leased.lease.shard.job_id == id) lease.given_up = true;
    }
    Ask<absl::StatusOr<core::Job>>([&](auto done) { ledger_->PauseJob(id, paused, done); },
                                   [paused](auto job) {
                                     EXPECT_TRUE(job.ok() || absl::IsFailedPrecondition(job.status()));
                                     EXPECT_TRUE(!job.ok() || job->paused == paused);
                                   });
    Settle();
  }

  void WeighOne() {
    const std::string id = SomeJob();
    const auto priority = static_cast<int32_t>(Pick(9)) - 4;
    Ask<absl::StatusOr<core::Job>>([&](auto done) { ledger_->PrioritizeJob(id, priority, done); },
                                   [priority](auto job) { EXPECT_EQ(job->priority, priority); });
  }

  void TakeUpReadings() {
    Ask<absl::StatusOr<std::vector<core::Job>>>([&](auto done) { ledger_->KeepReadings(done); },
                                                [](auto taken) { EXPECT_TRUE(taken.ok()); });
  }

  void Append() {
    const std::string id = SomeJob();
    JobModel& job = jobs_[id];
    if (!job.reading) return;
    const uint32_t gap = job.child ? Pick(4) : 0;
    core::NewShard shard = MakeNewShard(job.items + gap, 1 + Pick(6));
    for (uint32_t offset = 0; offset < shard.items; ++offset) {
      if (Chance(10)) {
        shard.known.offsets.push_back(offset);
      } else if (job.child && Chance(30)) {
        shard.absent.push_back(offset);
      }
    }
    job.items += gap;
    job.absent += gap + shard.absent.size();
    shard.known.counts.failed = shard.known.offsets.size();
    if (!shard.known.offsets.empty()) shard.known.counts.reasons[kReasonOther] = shard.known.offsets.size();
    shard.known.payload = absl::StrCat("known of ", id, " from ", job.items);
    const uint32_t number = job.shards++;
    job.items += shard.items;
    Ask<absl::Status>([&](auto done) { ledger_->AppendShard(id, shard, done); },
                      [this, id, number, known = shard.known](absl::Status appended) {
                        EXPECT_TRUE(appended.ok()) << appended;
                        if (!known.offsets.empty())
                          Note(id, number, known.offsets, known.payload, known.counts);
                      });
  }

  void FinishOne() {
    const std::string id = SomeJob();
    JobModel& job = jobs_[id];
    if (!job.reading) return;
    const bool well = Chance(80);
    job.reading = false;
    if (!well) job.ended = true;
    Ask<absl::StatusOr<core::Job>>(
        [&](auto done) {
          ledger_->FinishReading(id, well ? absl::OkStatus() : absl::DataLossError("broke off"), done);
        },
        [](auto finished) { EXPECT_TRUE(finished.ok()); });
  }

  void CancelOne() {
    const std::string id = SomeJob();
    jobs_[id].reading = false;
    jobs_[id].ended = true;
    Ask<absl::StatusOr<core::Job>>([&](auto done) { ledger_->CancelJob(id, done); },
                                   [](auto cancelled) { EXPECT_TRUE(cancelled.ok()); });
  }

  void AcquireSome() {
    const std::string worker = Worker();
    std::set<std::string> paused;
    for (const auto& [id, job] : jobs_) {
      if (job.paused) paused.insert(id);
    }
    Ask<absl::StatusOr<std::vector<core::LeasedShard>>>(
        [&](auto done) { ledger_->Acquire(worker, 1 + Pick(20), 1000, done); },
        [this, worker, paused](auto leased) {
          ASSERT_TRUE(leased.ok()) << leased.status();
          for (core::LeasedShard& one : *leased) {
            EXPECT_EQ(paused.count(one.lease.shard.job_id), 0u) << "a paused job was leased";
            uint64_t& top = epochs_[one.lease.shard];
            EXPECT_GT(one.lease.epoch, top) << "an epoch came twice";
            top = one.lease.epoch;
            for (const uint32_t offset : one.offsets) {
              EXPECT_EQ(jobs_[one.lease.shard.job_id].known.count({one.lease.shard.shard, offset}), 0u)
                  << "an item with an outcome was leased";
            }
            leases_.push_back({one, worker, one.offsets, false});
          }
        });
  }

  Lease* SomeLease() { return leases_.empty() ? nullptr : &leases_[Pick(leases_.size())]; }

  void CommitSome() {
    Lease* lease = SomeLease();
    if (lease == nullptr || lease->open.empty()) return;
    std::shuffle(lease->open.begin(), lease->open.end(), random_);
    const size_t count = 1 + Pick(lease->open.size());
    core::Chunk chunk = MakeChunk(lease->leased.lease, {lease->open.end() - count, lease->open.end()});
    lease->open.resize(lease->open.size() - count);
    chunk.payload = absl::StrCat("chunk ", ++payloads_);
    if (Chance(30)) {
      chunk.counts.succeeded = 0;
      chunk.counts.failed = count;
      chunk.counts.reasons[kReasonOther] = count;
    }
    old_.push_back(chunk);
    Send(chunk, /*well_formed=*/!lease->given_up);
  }

  void RepeatOld() {
    if (!old_.empty()) Send(old_[Pick(old_.size())], false);
  }

  // Offsets that were never leased, twice the same, mixed with old ones, counts that lie, epochs never given.
  void SendNonsense() {
    if (old_.empty()) return;
    core::Chunk chunk = old_[Pick(old_.size())];
    chunk.payload = absl::StrCat("nonsense ", ++payloads_);
    switch (Pick(5)) {
      case 0:
        chunk.offsets.push_back(chunk.offsets[0]);
        break;
      case 1:
        chunk.offsets[0] = 77;
        break;
      case 2:
        chunk.counts.succeeded += 1;
        break;
      case 3:
        chunk.lease.epoch += 1000;
        break;
      case 4:
        chunk.offsets.clear();
        break;
    }
    Ask<core::CommitAnswer>(
        [&](auto done) { ledger_->CommitChunk(chunk, done); },
        [](auto answer) {
          EXPECT_TRUE(answer.code == CommitCode::kInvalid || answer.code == CommitCode::kStale);
        });
  }

  void Send(const core::Chunk& chunk, bool well_formed) {
    Ask<core::CommitAnswer>(
        [&](auto done) { ledger_->CommitChunk(chunk, done); },
        [this, chunk, well_formed](const core::CommitAnswer& answer) { Judge(chunk, well_formed, answer); });
  }

  void Judge(const core::Chunk& chunk, bool well_formed, const core::CommitAnswer& answer) {
    const core::ShardKey& key = chunk.lease.shard;
    JobModel& job = jobs_[key.job_id];
    size_t known = 0;
    for (const uint32_t offset : chunk.offsets) known += job.known.count({key.shard, offset});
    const bool current = epochs_[key] == chunk.lease.epoch;
    if (known == 0 && current && well_formed && !job.ended) {
      EXPECT_EQ(answer.code, CommitCode::kCommitted) << "a good chunk was refused: " << answer.message;
    }
    EXPECT_TRUE(current || answer.code == CommitCode::kStale) << "a void lease was heard";
    if (answer.code == CommitCode::kCommitted && known == 0) {
      Note(key.job_id, key.shard, chunk.offsets, chunk.payload, chunk.counts);
    }
  }

  void Note(const std::string& id, uint32_t shard, const std::vector<uint32_t>& offsets,
            const std::string& payload, const core::Counts& counts) {
    JobModel& job = jobs_[id];
    for (const uint32_t offset : offsets) {
      EXPECT_TRUE(job.known.insert({shard, offset}).second) << "two outcomes for one item";
    }
    job.unseen.push_back(payload);
    job.counts.succeeded += counts.succeeded;
    job.counts.failed += counts.failed;
    for (const auto& [reason, count] : counts.reasons) job.counts.reasons[reason] += count;
  }

  void GiveBack() {
    Lease* lease = SomeLease();
    if (lease == nullptr) return;
    lease->given_up = true;
    const absl::Duration not_before = absl::Milliseconds(Chance(50) ? 0 : Pick(5000));
    Ask<core::CommitAnswer>([&](auto done) { ledger_->HandBack(lease->leased.lease, not_before, done); },
                            [](const core::CommitAnswer&) {});
  }

  void RenewAll() {
    const std::string worker = Worker();
    std::vector<core::LeaseRef> held;
    for (const Lease& lease : leases_) {
      if (lease.holder == worker && !lease.given_up) held.push_back(lease.leased.lease);
    }
    Ask<absl::StatusOr<std::vector<core::LeaseRef>>>([&](auto done) { ledger_->Renew(worker, held, done); },
                                                     [this, worker](auto gone) {
                                                       ASSERT_TRUE(gone.ok());
                                                       std::erase_if(leases_, [&](const Lease& lease) {
                                                         return std::find(gone->begin(), gone->end(),
                                                                          lease.leased.lease) != gone->end();
                                                       });
                                                     });
  }

  void Crash() {
    const std::string worker = Worker();
    Settle();
    std::erase_if(leases_, [&](const Lease& lease) { return lease.holder == worker; });
    if (Chance(50)) ledger_->Disconnected(worker);
  }

  void Restart() {
    Settle();
    Open();
  }

  // What is stored is what was acknowledged, and nothing else but items given up as poison.
  void Check(const std::string& id, JobModel& job) {
    const auto chunks = ledger_->ReadByCommit(id, job.seen_seq, 1 << 30);
    ASSERT_TRUE(chunks.ok()) << chunks.status();
    for (const core::StoredChunk& chunk : *chunks) {
      ASSERT_EQ(chunk.commit_seq, ++job.seen_seq) << "commit_seq has a hole";
      // Lists and chunks do not wait for each other: what was asked for first may be written last.
      if (const auto at = std::find(job.unseen.begin(), job.unseen.end(), chunk.payload);
          at != job.unseen.end()) {
        job.unseen.erase(at);
        continue;
      }
      ASSERT_EQ(chunk.payload.substr(0, 1), "\x01") << "stored but never acknowledged: " << chunk.payload;
      ASSERT_EQ(chunk.offsets.size(), 1u);
      ASSERT_TRUE(job.known.insert({chunk.shard, chunk.offsets[0]}).second) << "poison had an outcome";
      ++job.counts.failed;
      ++job.counts.reasons[kReasonInternal];
    }
    EXPECT_TRUE(job.unseen.empty()) << "acknowledged but not stored: " << job.unseen.front();

    const auto stored = ledger_->GetJob(id);
    ASSERT_TRUE(stored.ok());
    EXPECT_EQ(stored->items, job.items);
    EXPECT_EQ(stored->last_commit_seq, job.seen_seq);
    EXPECT_EQ(stored->counts.succeeded, job.counts.succeeded);
    EXPECT_EQ(stored->counts.failed, job.counts.failed);
    EXPECT_EQ(stored->counts.reasons, job.counts.reasons);
    EXPECT_EQ(stored->counts.succeeded + stored->counts.failed, job.known.size());
    EXPECT_EQ(stored->absent, job.absent);
    const bool all = !job.reading && job.known.size() + job.absent == job.items;
    EXPECT_TRUE(all || stored->state != JobState::kCompleted);
    EXPECT_TRUE(!all || job.ended || stored->state == JobState::kCompleted);
    if (job.final) {
      EXPECT_EQ(stored->state, job.final->state) << "an ended job changed";
      EXPECT_EQ(stored->end_time, job.final->end_time);
      EXPECT_EQ(stored->last_commit_seq, job.final->last_commit_seq);
    } else if (core::Ended(stored->state)) {
      job.final = *stored;
    }
  }

  // One good worker brings everything to its end.
  void End() {
    for (auto& [id, job] : jobs_) {
      EXPECT_TRUE(!job.reading || Finish(*ledger_, id).ok());
      if (job.paused) (void)Pause(*ledger_, id, false);
      job.paused = false;
      job.reading = false;
    }
    for (int round = 0; round < 1000; ++round) {
      clock_.Advance(absl::Seconds(16));
      AcquireSome();
      Settle();
      std::vector<Lease> fresh;
      std::swap(fresh, leases_);
      for (const Lease& lease : fresh) {
        if (epochs_[lease.leased.lease.shard] != lease.leased.lease.epoch || lease.open.empty()) continue;
        core::Chunk chunk = MakeChunk(lease.leased.lease, lease.open);
        chunk.payload = absl::StrCat("chunk ", ++payloads_);
        Send(chunk, !lease.given_up);
      }
      Settle();
      const bool over =
          std::all_of(jobs_.begin(), jobs_.end(), [](const auto& job) { return job.second.final; });
      if (over || testing::Test::HasFailure()) break;
    }
    for (const auto& [id, job] : jobs_) EXPECT_TRUE(job.final) << id << " never ended";
  }

  StoreUnderTest& stores_;
  std::mt19937 random_;
  FakeClock clock_;
  std::unique_ptr<Ledger> ledger_;
  std::vector<std::function<void()>> pending_;
  std::map<std::string, JobModel> jobs_;
  std::map<core::ShardKey, uint64_t> epochs_;
  std::vector<Lease> leases_;
  std::vector<core::Chunk> old_;
  uint64_t payloads_ = 0;
};

}  // namespace imgfleet::store
