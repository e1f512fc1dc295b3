#include "coordinator/service/list_files.h"

#include <optional>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/backoff.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/status.h"
#include "coordinator/service/failed_items.h"
#include "coordinator/service/list_source.pb.h"

namespace imgfleet::service {
namespace {

// Until a store that fails is asked again.
constexpr Backoff kStoreRetry{absl::Milliseconds(200), absl::Seconds(5)};
// A third of store::Ledger::Options::reading_period.
constexpr absl::Duration kKeepInterval = absl::Seconds(5);
// Until an owner whose quota is spent, or the store, is asked again for a job of failed items.
constexpr absl::Duration kRetryRest = absl::Seconds(1);
// How long a thread waits for one list before it looks after the next, how many there are for those that have to be waited for,
// and until a list that had nothing is asked again.
constexpr absl::Duration kPatience = absl::Milliseconds(200);
constexpr int kWaitingThreads = 8;
constexpr absl::Duration kRest = absl::Milliseconds(50);
// A header, and the first row below it, lie within so many bytes; what has neither by then is read on as it is.
constexpr uint64_t kHeadBytes = 1 << 20;

}  // namespace

class ListFiles::Reading {
 public:
  Reading(std::unique_ptr<lists::Source> list, v1::ListFile file, std::unique_ptr<ListJob> job)
      : list_(std::move(list)), file_(std::move(file)), job_(std::move(job)) {}

  // The list as it is now.
  absl::StatusOr<ListSource> Source() const {
    ASSIGN_OR_RETURN(const lists::Identity identity, list_->identity());
    ListSource source;
    *source.mutable_file() = file_;
    source.set_size_bytes(identity.size_bytes);
    source.set_modified_us(identity.modified_us);
    source.set_etag(identity.etag);
    source.set_sha256(identity.sha256);
    return source;
  }

  // The next slice into the job. False: none came.
  absl::StatusOr<bool> ReadSlice() {
    ASSIGN_OR_RETURN(const std::optional<std::string> slice, list_->Read(kPatience));
    if (!slice.has_value()) return false;
    read_to_end_ = slice->empty();
    bytes_ += slice->size();
    RETURN_IF_ERROR(read_to_end_ ? job_->Finish() : job_->Feed(*slice));
    return true;
  }

  // Reads until there is a row, so that a bad header shows.
  absl::Status ReadHead() {
    while (!read_to_end_ && job_->rows() == 0 && bytes_ < kHeadBytes) {
      ASSIGN_OR_RETURN(const bool came, ReadSlice());
      if (!came) absl::SleepFor(kRest);
    }
    return absl::OkStatus();
  }

  const v1::ListFile& file() const { return file_; }
  ListJob& job() { return *job_; }
  bool read_to_end() const { return read_to_end_; }

 private:
  const std::unique_ptr<lists::Source> list_;
  const v1::ListFile file_;
  const std::unique_ptr<ListJob> job_;
  uint64_t bytes_ = 0;
  bool read_to_end_ = false;
};

ListFiles::ListFiles(store::Ledger& ledger, const Clock& clock, lists::Places::Options places, int threads,
                     JobEnded job_ended)
    : ledger_(ledger),
      clock_(clock),
      places_(std::move(places), clock),
      job_ended_(std::move(job_ended)),
      threads_(threads),
      waiting_threads_(kWaitingThreads) {}

ListFiles::~ListFiles() { Stop(); }

void ListFiles::Stop() {
  stopping_.Stop();
  {
    absl::MutexLock lock(&mutex_);
    keeping_ = false;
    wake_.Signal();
  }
  if (keeper_.joinable()) keeper_.join();
  threads_.Stop();
  waiting_threads_.Stop();
}

absl::StatusOr<std::shared_ptr<ListFiles::Reading>> ListFiles::Open(
    v1::ListFile file, const std::optional<lists::Identity>& then) {
  ASSIGN_OR_RETURN(std::unique_ptr<lists::Source> list,
                   places_.Open(file, then, [this] { return stopping_.stopped(); }));
  auto job =
      std::make_unique<ListJob>(ledger_, stopping_,
                                lists::ListParser::Options{lists::Places::Shown(file.path()), file.format(),
                                                           file.url_column(), file.id_column()},
                                spool());
  return std::make_shared<Reading>(std::move(list), std::move(file), std::move(job));
}

void ListFiles::Create(v1::JobSpec spec, v1::ListFile file, core::NewJob job, Created created) {
  Threads& threads = ThreadsOf(file);
  threads.Post([this, spec = std::move(spec), file = std::move(file), job = std::move(job),
                created = std::move(created)] { OpenAndCreate(spec, file, job, created); });
}

void ListFiles::OpenAndCreate(const v1::JobSpec& spec, const v1::ListFile& file, core::NewJob job,
                              const Created& created) {
  auto opened = Open(file, std::nullopt);
  // UNAVAILABLE would read as if this coordinator were.
  if (absl::IsUnavailable(opened.status()))
    return created(absl::FailedPreconditionError(opened.status().message()));
  if (!opened.ok()) return created(opened.status());
  const std::shared_ptr<Reading> reading = *std::move(opened);
  const absl::StatusOr<ListSource> source = reading->Source();
  if (!source.ok()) return created(source.status());
  if (const absl::Status head = reading->ReadHead(); !head.ok()) return created(head);
  job.create_time = clock_.Wall();
  job.id = NewUuid(job.create_time);
  job.spec = spec.SerializeAsString();
  job.source = source->SerializeAsString();
  const std::string id = job.id;
  ledger_.CreateJob(std::move(job), [this, reading, created, id](absl::StatusOr<core::Job> made) {
    if (made.ok() && made->id == id) {
      Hold(id);
      ThreadsOf(reading->file()).Post([this, reading, id = made->id] {
        if (const absl::Status kept = reading->job().Attach(id, 0); !kept.ok()) return End(id, kept);
        ReadOn(reading);
      });
    }
    created(std::move(made));
  });
}

absl::Status ListFiles::Resume() {
  KeepReadings();
  keeper_ = std::thread([this] { Keep(); });
  return absl::OkStatus();
}

void ListFiles::LookSoon() {
  absl::MutexLock lock(&mutex_);
  look_ = true;
  wake_.Signal();
}

void ListFiles::Keep() {
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      if (keeping_ && !look_) wake_.WaitFor(mutex_, kKeepInterval);
      if (!keeping_) return;
      look_ = false;
    }
    KeepReadings();
  }
}

void ListFiles::Hold(const std::string& job_id) {
  absl::MutexLock lock(&mutex_);
  held_.insert(job_id);
}

void ListFiles::LetGo(const std::string& job_id) {
  absl::MutexLock lock(&mutex_);
  held_.erase(job_id);
}

void ListFiles::KeepReadings() {
  std::set<std::string> held;
  {
    absl::MutexLock lock(&mutex_);
    held = held_;
  }
  ledger_.KeepReadings(std::move(held), [this](const absl::StatusOr<std::vector<core::Job>>& taken_up) {
    // A store that is away is what health tells of, once; this is asked again all the while.
    if (absl::IsUnavailable(taken_up.status())) return;
    if (!taken_up.ok()) return log::Warning("lists: %s", taken_up.status().ToString());
    for (const core::Job& job : *taken_up) {
      Hold(job.id);
      threads_.Post([this, job] { TakeUp(job); });
    }
    if (!taken_up->empty()) LookSoon();
  });
}

void ListFiles::Retry(const core::Job& parent, core::NewJob job, Created created) {
  ListSource source;
  source.set_failed_of(parent.id);
  job.create_time = clock_.Wall();
  job.id = NewUuid(job.create_time);
  job.spec = parent.spec;
  job.parent = parent.id;
  job.source = source.SerializeAsString();
  const std::string id = job.id;
  ledger_.CreateJob(std::move(job), [this, id, parent = parent.id,
                                     created = std::move(created)](absl::StatusOr<core::Job> made) {
    if (made.ok() && made->id == id) {
      Hold(id);
      threads_.Post([this, id, parent] { RetryOn(id, parent, 0); });
    }
    created(std::move(made));
  });
}

void ListFiles::RetryOn(const std::string& job_id, const std::string& parent, uint64_t from) {
  const absl::StatusOr<core::Job> job = ledger_.GetJob(parent);
  absl::StatusOr<FailedItems> failed = job.ok() ? ReadFailed(ledger_, *job, from) : job.status();
  if (absl::IsNotFound(failed.status())) {
    return End(job_id, absl::NotFoundError(absl::StrCat(
                           "job ", parent, " was deleted before all of its failed items were read")));
  }
  if (failed.ok() && failed->end) return End(job_id, absl::OkStatus());
  if (!failed.ok() || !failed->shard) {
    return Retried(job_id, parent, from, failed.ok() ? failed->next_index : from, failed.status());
  }
  ledger_.AppendShard(job_id, *std::move(failed->shard),
                      [this, job_id, parent, from, next = failed->next_index](const absl::Status& appended) {
                        Retried(job_id, parent, from, next, appended);
                      });
}

void ListFiles::Retried(const std::string& job_id, const std::string& parent, uint64_t from, uint64_t next,
                        const absl::Status& how) {
  switch (how.code()) {
    case absl::StatusCode::kOk:
      return threads_.Post([this, job_id, parent, next] { RetryOn(job_id, parent, next); });
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kUnimplemented:
      return threads_.Post([this, job_id, how] { End(job_id, how); });
    default:  // The store is away, or the owner has as many open items as may be.
      threads_.PostAfter(kRetryRest, [this, job_id, parent, from] { RetryOn(job_id, parent, from); });
  }
}

void ListFiles::TakeUp(const core::Job& job) {
  ListSource then;
  if (!then.ParseFromString(job.source)) {
    return End(job.id, absl::DataLossError("the list's source cannot be read back from the store"));
  }
  if (!then.failed_of().empty()) return RetryOn(job.id, then.failed_of(), job.items);
  // A remote list may have to be waited for.
  ThreadsOf(then.file()).Post([this, job, then] { TakeUpList(job, then); });
}

void ListFiles::TakeUpList(const core::Job& job, const ListSource& then) {
  const std::string path = lists::Places::Shown(then.file().path());
  std::optional<lists::Identity> identity =
      lists::Identity{then.size_bytes(), then.modified_us(), then.etag(), then.sha256()};
  if (*identity == lists::Identity()) identity.reset();
  if (!identity.has_value() && job.items > 0) {
    return End(job.id, absl::FailedPreconditionError(absl::StrCat(
                           path,
                           ": its reading was cut off, and whether it is still the same is not known; "
                           "the schedule reads it anew the next time")));
  }
  auto opened = Open(then.file(), identity);
  if (!opened.ok()) {
    const bool changed = identity.has_value() && absl::IsFailedPrecondition(opened.status());
    if (changed) return End(job.id, opened.status());
    return End(job.id, Annotate(opened.status(), identity.has_value()
                                                     ? absl::StrCat("after a restart of the coordinator, ",
                                                                    path, " could not be opened again")
                                                     : path));
  }
  if (identity.has_value()) return ReadOnFrom(job, *opened);
  // Should this coordinator end before the list does, the next one knows what it goes on with.
  const absl::StatusOr<ListSource> now = (*opened)->Source();
  if (!now.ok()) return End(job.id, now.status());
  ledger_.SetSource(job.id, now->SerializeAsString(),
                    [this, job, reading = *opened](const absl::Status& known) {
                      if (absl::IsFailedPrecondition(known) || absl::IsNotFound(known))
                        return End(job.id, known);
                      // Where the store is away, it is taken up anew.
                      if (!known.ok()) return LetGo(job.id);
                      ThreadsOf(reading->file()).Post([this, job, reading] { ReadOnFrom(job, reading); });
                    });
}

void ListFiles::ReadOnFrom(const core::Job& job, const std::shared_ptr<Reading>& reading) {
  log::Info("reading on list=%s job=%s items=%d", lists::Places::Shown(reading->file().path()), job.id,
            job.items);
  if (const absl::Status kept = reading->job().Attach(job.id, job.items); !kept.ok())
    return End(job.id, kept);
  ReadOn(reading);
}

void ListFiles::ReadOn(const std::shared_ptr<Reading>& reading) {
  const std::string& id = reading->job().job_id();
  const auto go_on = [this, reading] { ReadOn(reading); };
  const absl::StatusOr<bool> room = reading->job().Advance();
  if (!room.ok()) return End(id, room.status());
  if (!*room) return reading->job().WhenMoved(ThreadsOf(reading->file()), go_on);
  if (reading->read_to_end()) return End(id, absl::OkStatus());
  const absl::StatusOr<bool> came = reading->ReadSlice();
  if (!came.ok()) return End(id, came.status());
  Threads& threads = ThreadsOf(reading->file());
  *came ? threads.Post(go_on) : threads.PostAfter(kRest, go_on);
}

void ListFiles::End(const std::string& job_id, const absl::Status& how, uint32_t failures) {
  // A stopping coordinator leaves the job to the next; a job that has ended meanwhile needs nothing.
  // What another coordinator reads now is its own.
  if (stopping_.stopped() || absl::IsAborted(how)) return LetGo(job_id);
  if (!how.ok() && failures == 0)
    log::Info("list of job=%s ends early: %s", job_id, std::string(how.message()));
  ledger_.FinishReading(job_id, how, [this, how, job_id, failures](const absl::StatusOr<core::Job>& job) {
    if (job.ok()) {
      if (!how.ok()) job_ended_(job_id);
      return LetGo(job_id);
    }
    if (absl::IsAborted(job.status()) || absl::IsNotFound(job.status())) return LetGo(job_id);
    if (failures == 0) {
      log::Warning("job %s could not be told that its list is read, trying on: %s", job_id,
                   job.status().ToString());
    }
    absl::BitGen random;
    threads_.PostAfter(kStoreRetry.Wait(failures + 1, absl::Uniform(random, 0.0, 1.0)),
                       [this, job_id, how, failures] { End(job_id, how, failures + 1); });
  });
}

}  // namespace imgfleet::service
