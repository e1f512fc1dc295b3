// What one transaction of the ledger does: verbs over rows, decided by coordinator/core.
//
// Rows are got once, changed in memory and written once by Flush, however many verbs of the batch meet at
// them.
//
// On a store that several coordinators share, a row is good only while its job is locked. What a verb touches is
// declared with its command, locked and got before the first verb runs, and found with FindJob and FindShard. A job that
// turns up in the middle (one that has READY shards, one with a lease that ran out) is tried with Reach: where another
// coordinator has it just now, the batch passes over it, and the next batch declares it.
//
//  Every method returns the store's failure, upon which the whole transaction is to be given up; what a
// verb has to say to its caller goes into `answer`. Not thread-safe.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/core/trials.h"
#include "coordinator/core/types.h"
#include "coordinator/store/ledger.h"
#include "coordinator/store/store.h"

namespace imgfleet::store {

// How a batch shares its store with other coordinators.
struct Sharing {
  bool alone = true;                            // There are none, and nothing below matters.
  const std::set<std::string>* jobs = nullptr;  // Declared.
  const std::map<std::string, absl::Time>* given =
      nullptr;  // By holder: until when its leases were given here last.
};

// What a batch that touches something without a row declares.
std::string NameOf(absl::string_view kind, absl::string_view name);

// What is known here of workers, for trials of suspects.
struct Witnesses {
  const core::Muster* muster = nullptr;
  const core::Trials* trials = nullptr;
};

class Batch {
 public:
  // `wall` is the time of day for what is recorded. All arguments must outlive the batch.
  Batch(Transaction& transaction, absl::Time wall, const Ledger::Options& options, const Sharing& sharing,
        const Witnesses& witnesses);

  // First of all on a store that another coordinator left.
  absl::Status Recover();
  // Makes READY what is due. First of all in each batch.
  absl::Status ComeDue();
  // Where the store's clock was set back, leases would hold, and delays last, for as much longer: none is due later than if it
  // began now. Before ComeDue.
  absl::Status BringNearer();
  // Marks the jobs that ended before `ended_before` (wall) as expired and deletes a slice of what is expired. Before any
  // row was got. True: there is more to delete.
  absl::StatusOr<bool> Sweep(absl::Time ended_before);
  // Makes the jobs of the schedules that are due.
  absl::Status FireSchedules();
  // A schedule is new or has changed, so that another time may be the next.
  bool schedules_changed() const { return schedules_changed_; }

  absl::Status FindSubmitted(const core::NewJob& again, absl::StatusOr<std::optional<core::Job>>& answer);
  absl::Status SubmitJob(const core::NewJob& job, const std::vector<core::NewShard>& shards,
                         absl::StatusOr<core::Job>& answer);
  absl::Status CreateJob(const core::NewJob& job, absl::StatusOr<core::Job>& answer);
  absl::Status SetSource(const std::string& job_id, const std::string& source, absl::Status& answer);
  absl::Status AppendShard(const std::string& job_id, const core::NewShard& shard, absl::Status& answer);
  absl::Status FinishReading(const std::string& job_id, const absl::Status& how,
                             absl::StatusOr<core::Job>& answer);
  absl::Status CreateWhole(const core::NewJob& job, const std::vector<core::NewShard>& shards,
                           absl::StatusOr<core::Job>& answer);
  absl::Status Forget(const std::string& job_id);
  absl::Status CancelJob(const std::string& job_id, absl::StatusOr<core::Job>& answer);
  // Null: whatever the store says that this coordinator reads.
  absl::Status KeepReadings(const std::set<std::string>* read_here, std::vector<core::Job>& taken_up);
  absl::Status PauseJob(const std::string& job_id, bool paused, absl::StatusOr<core::Job>& answer);
  absl::Status PrioritizeJob(const std::string& job_id, int32_t priority, absl::StatusOr<core::Job>& answer);

  absl::Status CreateSchedule(const core::Schedule& schedule, absl::StatusOr<core::Schedule>& answer);
  absl::Status PauseSchedule(const std::string& id, bool paused, absl::StatusOr<core::Schedule>& answer);
  absl::Status DeleteSchedule(const std::string& id, absl::Status& answer);

  absl::Status Acquire(const std::string& holder, const core::Credit& credit, core::Leases& answer);
  absl::Status Renew(const std::string& holder, const std::vector<core::LeaseRef>& held,
                     core::VoidLeases& void_leases);
  absl::Status Returned(const std::string& holder, const std::vector<core::LeaseRef>& held);
  absl::Status CommitChunk(const core::Chunk& chunk, core::CommitAnswer& answer);
  absl::Status HandBack(const core::LeaseRef& lease, absl::Duration not_before, core::CommitAnswer& answer);
  // `given_here` is the caller's to keep for calling again.
  absl::Status Disconnected(const std::string& holder, std::optional<absl::Time>& given_here);

  // Jobs without which the verb that was called last has found nothing to do, and that another coordinator has: it is to
  // be called again by a batch that declares them. Empty where it is done.
  Declared TakeAgain();

  // Writes what has changed and completes the answers. Last of all.
  absl::Status Finish();
  // Jobs in which something is due and that another coordinator has.
  const std::set<std::string>& passed_over() const { return passed_over_; }
  // Names of schedules' owners that another coordinator has.
  const std::set<std::string>& names_passed_over() const { return names_passed_over_; }
  // Something is due that another coordinator knows more of.
  bool left_to_others() const { return left_to_others_; }
  const core::Trials& trials() const { return trials_; }
  // The earliest time at which a shard that was written is due; infinite where none is.
  absl::Time earliest_due() const { return earliest_due_; }
  // See Sharing::given; infinite past where the holder is gone.
  const std::map<std::string, absl::Time>& given() const { return given_; }
  Ledger::Changes TakeChanges();

 private:
  template <typename Row>
  struct Cached {
    Row row;
    bool dirty = false;
  };
  using JobRow = Cached<core::JobRecord>;
  using ShardRow = Cached<core::Shard>;

  // READY shards of a job that has its turn in Acquire.
  struct Turn {
    core::Share share;
    bool judged = false;                // Its job was locked and still has its turn.
    std::vector<core::ShardKey> ready;  // Highest first.
    std::set<core::ShardKey> skipped;   // READY, and not for now.
  };

  // Writes what has changed.
  absl::Status Flush();
  // Null where there is none.
  absl::StatusOr<JobRow*> FindJob(const std::string& id);
  absl::StatusOr<ShardRow*> FindShard(const core::ShardKey& key);
  // Null too where another coordinator has it.
  absl::StatusOr<JobRow*> Reach(const std::string& id);
  // BringNearer for readings.
  absl::Status BringNearer(const std::vector<core::JobRecord>& reading, absl::Time due);
  // True too where there is no such job.
  absl::StatusOr<bool> HasEnded(const std::string& id);
  // Of what `find` gives, that whose job can be reached, as it is now that its job is locked; jobs that cannot be reached
  // are added to `beyond`.
  using Find = absl::FunctionRef<absl::StatusOr<std::vector<core::Shard>>()>;
  absl::StatusOr<std::vector<core::Shard>> Reachable(Find find, std::set<std::string>& beyond);
  // Whether the job, which may be null, has its turn indeed, now that it is locked.
  static bool JudgeTurn(Turn& turn, const JobRow* job);
  absl::Time GivenTo(const std::string& holder) const;
  ShardRow* Adopt(core::Shard shard);
  // As FindJob, for verbs about jobs: an expired one is none.
  absl::StatusOr<JobRow*> FindJobAsked(const std::string& id);
  // The job is one that others are told of.
  core::Job& Touch(JobRow& job);
  // Changes a shard and keeps its job's counters in step.
  void Change(JobRow& job, ShardRow& shard, absl::FunctionRef<void(core::Shard&)> how);
  // The job's end, if it has come, or its pause makes its leases void.
  void NoteStopped(const JobRow& job);
  // Both rows of a lease; null where they are gone.
  struct Leased {
    JobRow* job = nullptr;
    ShardRow* shard = nullptr;
    bool ended =
        true;  // Void, whatever the shard says: the rows are gone, or the job is paused or has ended.
  };
  absl::StatusOr<Leased> FindLeased(const core::ShardKey& key);

  // The job made from `job`, for which `items` are to follow at once. Null with an answer where there is another that was
  // submitted under its key before, or where it is refused; without one where it is to be called again.
  absl::StatusOr<JobRow*> Begin(const core::NewJob& job, uint64_t items, absl::StatusOr<core::Job>& answer,
                                bool& fresh);
  // A job whose id is taken: fills `answer` if it is this one.
  absl::StatusOr<JobRow*> Again(const core::NewJob& job, absl::StatusOr<core::Job>& answer);
  absl::StatusOr<std::optional<core::Job>> FindByKey(const core::NewJob& again, absl::Status& answer);
  absl::Status Append(JobRow& job, const core::NewShard& shard);
  // What an owner has going, as this batch found it and has added to it since; nobody else adds to it meanwhile. Null where
  // another coordinator has the owner just now: then the verb is to be called again.
  absl::StatusOr<core::OwnerUse*> UseOf(const std::string& owner);
  absl::Status Fire(core::Schedule schedule);
  absl::Status InsertOutcomes(JobRow& job, uint32_t shard, const std::vector<uint32_t>& offsets,
                              const std::string& payload, const core::Counts& counts);
  absl::StatusOr<ShardRow*> NextReady(Turn& turn);
  // Judges the lease that lapsed before; afterwards the shard may be DONE.
  absl::Status Settle(JobRow& job, ShardRow& shard);
  core::LeasedShard LeaseTo(const std::string& holder, JobRow& job, ShardRow& shard);
  // What came due and was a lease of the last suspect: puts it in question, or judges it. False: others know better.
  bool Judge(JobRow& job, ShardRow& shard);
  // Leases a READY shard that needs it alone.
  absl::Status LeaseAlone(const std::string& holder, JobRow& job, ShardRow& shard, core::Leases& answer);
  // What Acquire does about a shard that needs it, once it has leased what else there was.
  absl::Status Try(const std::string& holder, const core::ShardKey& suspect, bool idle, core::Leases& answer);
  // Leases what the worker was set aside for, if it still needs that.
  absl::Status TryAwaited(const std::string& holder, const core::ShardKey& awaited, core::Leases& answer);

  Transaction& transaction_;
  const absl::Time wall_;
  const Ledger::Options& options_;
  const Sharing sharing_;
  const core::Muster& muster_;
  core::Trials trials_;

  std::map<std::string, std::unique_ptr<JobRow>> jobs_;
  std::map<core::ShardKey, std::unique_ptr<ShardRow>> shards_;
  std::set<std::string> touched_;
  std::set<std::string> stopped_;
  std::map<std::string, core::OwnerUse> uses_;
  std::set<std::string> passed_over_;
  std::set<std::string> names_passed_over_;
  std::set<std::string> refused_names_;
  Declared again_;
  std::map<std::string, absl::Time> given_;
  absl::Time earliest_due_ = absl::InfiniteFuture();
  bool left_to_others_ = false;
  std::set<std::string> suspected_;
  // Answers whose items are still to be got, all at once.
  std::vector<core::Leases*> acquired_;
  bool work_available_ = false;
  bool lists_waiting_ = false;
  bool schedules_changed_ = false;
  core::Counts outcomes_;
  uint64_t leases_lapsed_ = 0;
  uint64_t leased_bytes_ = 0;
};

}  // namespace imgfleet::store
