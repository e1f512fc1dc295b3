#include "coordinator/service/list_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <future>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "common/backoff.h"
#include "common/ids.h"
#include "common/list_root.h"
#include "common/log.h"
#include "common/owned_fd.h"
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
constexpr size_t kSliceBytes = 256 << 10;
// A header, and the first row below it, lie within so many bytes; what has neither by then is read on as it is.
constexpr uint64_t kHeadBytes = 1 << 20;

}  // namespace

class ListFiles::Reading {
 public:
  Reading(OwnedFd fd, v1::ListFile file, std::unique_ptr<ListJob> job)
      : fd_(std::move(fd)), file_(std::move(file)), job_(std::move(job)), slice_(kSliceBytes, '\0') {}

  // Size and time as they are now.
  absl::StatusOr<ListSource> Source() const {
    struct stat status;
    if (fstat(fd_.get(), &status) != 0) {
      return absl::UnavailableError(absl::StrCat(file_.path(), ": ", std::strerror(errno)));
    }
    ListSource source;
    *source.mutable_file() = file_;
    source.set_size_bytes(static_cast<uint64_t>(status.st_size));
    source.set_modified_us(absl::ToUnixMicros(absl::TimeFromTimespec(status.st_mtim)));
    return source;
  }

  // The next slice into the job. True: that was the last one.
  absl::StatusOr<bool> ReadSlice() {
    ssize_t got;
    do {
      got = pread(fd_.get(), slice_.data(), slice_.size(), static_cast<off_t>(offset_));
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
      return absl::DataLossError(
          absl::StrCat(file_.path(), ": reading at byte ", offset_, ": ", std::strerror(errno)));
    }
    if (got == 0) {
      RETURN_IF_ERROR(job_->Finish());
      return true;
    }
    offset_ += static_cast<uint64_t>(got);
    RETURN_IF_ERROR(job_->Feed(absl::string_view(slice_.data(), static_cast<size_t>(got))));
    return false;
  }

  // Reads until there is a row, so that a bad header shows.
  absl::Status ReadHead() {
    while (!read_to_end_ && job_->rows() == 0 && offset_ < kHeadBytes) {
      ASSIGN_OR_RETURN(read_to_end_, ReadSlice());
    }
    return absl::OkStatus();
  }

  ListJob& job() { return *job_; }
  bool read_to_end() const { return read_to_end_; }

 private:
  const OwnedFd fd_;
  const v1::ListFile file_;
  const std::unique_ptr<ListJob> job_;
  std::string slice_;
  uint64_t offset_ = 0;
  bool read_to_end_ = false;
};

ListFiles::ListFiles(store::Ledger& ledger, const Clock& clock, std::vector<std::string> roots,
                     std::string spool, int threads, JobEnded job_ended)
    : ledger_(ledger),
      clock_(clock),
      roots_(std::move(roots)),
      spool_(std::move(spool)),
      job_ended_(std::move(job_ended)),
      threads_(threads) {}

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
}

absl::StatusOr<std::shared_ptr<ListFiles::Reading>> ListFiles::Open(const v1::ListFile& file) {
  if (file.path().empty()) return absl::InvalidArgumentError("file.path: name a list below a list folder");
  ASSIGN_OR_RETURN(OwnedFd fd, OpenBeneath(roots_, file.path()));
  auto job = std::make_unique<ListJob>(
      ledger_, stopping_,
      lists::ListParser::Options{file.path(), file.format(), file.url_column(), file.id_column()}, spool_);
  return std::make_shared<Reading>(std::move(fd), file, std::move(job));
}

void ListFiles::Create(v1::JobSpec spec, v1::ListFile file, core::NewJob job, Created created) {
  threads_.Post([this, spec = std::move(spec), file = std::move(file), job = std::move(job),
                 created = std::move(created)] { OpenAndCreate(spec, file, job, created); });
}

void ListFiles::OpenAndCreate(const v1::JobSpec& spec, const v1::ListFile& file, core::NewJob job,
                              const Created& created) {
  auto opened = Open(file);
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
      threads_.Post([this, reading, id = made->id] {
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

void ListFiles::KeepReadings() {
  ledger_.KeepReadings([this](const absl::StatusOr<std::vector<core::Job>>& taken_up) {
    if (!taken_up.ok()) return log::Warning("lists: %s", taken_up.status().ToString());
    for (const core::Job& job : *taken_up) threads_.Post([this, job] { TakeUp(job); });
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
  absl::Status done = failed.status();
  if (failed.ok() && failed->end) return End(job_id, absl::OkStatus());
  if (failed.ok() && failed->shard) {
    std::promise<absl::Status> appended;
    ledger_.AppendShard(job_id, *std::move(failed->shard),
                        [&](const absl::Status& status) { appended.set_value(status); });
    done = appended.get_future().get();
  }
  switch (done.code()) {
    case absl::StatusCode::kOk:
      from = failed->next_index;
      break;
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kUnimplemented:
      return End(job_id, done);
    default:  // The store is away, or the owner has as many open items as may be.
      if (stopping_.Rest(kRetryRest)) return;
  }
  threads_.Post([this, job_id, parent, from] { RetryOn(job_id, parent, from); });
}

void ListFiles::TakeUp(const core::Job& job) {
  ListSource then;
  if (!then.ParseFromString(job.source)) {
    return End(job.id, absl::DataLossError("the list's source cannot be read back from the store"));
  }
  if (!then.failed_of().empty()) return RetryOn(job.id, then.failed_of(), job.items);
  const std::string& path = then.file().path();
  const bool known = then.modified_us() != 0;
  if (!known && job.items > 0) {
    return End(job.id, absl::FailedPreconditionError(absl::StrCat(
                           path,
                           ": its reading was cut off, and whether it is still the same is not known; "
                           "the schedule reads it anew the next time")));
  }
  auto opened = Open(then.file());
  if (!opened.ok()) {
    return End(job.id, Annotate(opened.status(), known ? absl::StrCat("after a restart of the coordinator, ",
                                                                      path, " could not be opened again")
                                                       : path));
  }
  const absl::StatusOr<ListSource> now = (*opened)->Source();
  if (!now.ok()) return End(job.id, now.status());
  if (known && (now->size_bytes() != then.size_bytes() || now->modified_us() != then.modified_us())) {
    return End(job.id, absl::FailedPreconditionError(absl::StrCat(
                           path, ": changed while it was being read (", then.size_bytes(), " bytes then, ",
                           now->size_bytes(), " after a restart of the coordinator); submit it again")));
  }
  log::Info("reading on list=%s job=%s items=%d", path, job.id, job.items);
  if (const absl::Status kept = (*opened)->job().Attach(job.id, job.items); !kept.ok())
    return End(job.id, kept);
  ReadOn(*opened);
}

void ListFiles::ReadOn(const std::shared_ptr<Reading>& reading) {
  const std::string& id = reading->job().job_id();
  if (reading->read_to_end()) return End(id, absl::OkStatus());
  const absl::StatusOr<bool> last = reading->ReadSlice();
  if (!last.ok()) return End(id, last.status());
  if (*last) return End(id, absl::OkStatus());
  threads_.Post([this, reading] { ReadOn(reading); });
}

void ListFiles::End(const std::string& job_id, const absl::Status& how, uint32_t failures) {
  // A stopping coordinator leaves the job to the next; a job that has ended meanwhile needs nothing.
  // What another coordinator reads now is its own.
  if (stopping_.stopped() || absl::IsAborted(how)) return;
  if (!how.ok() && failures == 0)
    log::Info("list of job=%s ends early: %s", job_id, std::string(how.message()));
  ledger_.FinishReading(job_id, how, [this, how, job_id, failures](const absl::StatusOr<core::Job>& job) {
    if (job.ok()) {
      if (!how.ok()) job_ended_(job_id);
      return;
    }
    if (absl::IsAborted(job.status()) || absl::IsNotFound(job.status())) return;
    if (failures == 0) {
      log::Warning("job %s could not be told that its list is read, trying on: %s", job_id,
                   job.status().ToString());
    }
    threads_.Post([this, job_id, how, failures] {
      absl::BitGen random;
      if (!stopping_.Rest(kStoreRetry.Wait(failures + 1, absl::Uniform(random, 0.0, 1.0)))) {
        End(job_id, how, failures + 1);
      }
    });
  });
}

}  // namespace imgfleet::service
