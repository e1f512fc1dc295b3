// Lists that lie in files or behind URLs: opened (lists/places.h), judged by their header before there is a job, then
// read in the background on a few threads, one slice of each list after the other. Remote lists have threads of their
// own, since they wait for others' servers, and for the process that reads Parquet.
//
// A list whose coordinator ended goes on where it was with the next one: it is read again from its start and what is in
// shards already is dropped. If the list has changed since, the job fails and keeps its outcomes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/clock.h"
#include "common/steady_cond_var.h"
#include "coordinator/core/types.h"
#include "coordinator/lists/places.h"
#include "coordinator/service/list_job.h"
#include "coordinator/service/stopping.h"
#include "coordinator/service/threads.h"
#include "coordinator/store/ledger.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::service {

class ListSource;

// Thread-safe.
class ListFiles {
 public:
  using Created = std::function<void(absl::StatusOr<core::Job>)>;
  using JobEnded = std::function<void(const std::string& job_id)>;

  // `job_ended` is called when a list has failed its job.
  ListFiles(store::Ledger& ledger, const Clock& clock, lists::Places::Options places, int threads,
            JobEnded job_ended);
  ~ListFiles();

  // Makes the job once the list's header was found good, answers when it is durable, and reads on. `spec` is complete.
  //   NOT_FOUND, PERMISSION_DENIED  no such list     INVALID_ARGUMENT  the list is bad
  //   FAILED_PRECONDITION  its server does not give it
  // The job is made from `job`, of which id, times, spec and source are set here. Under a key that was used before nothing
  // is made and nothing read.
  void Create(v1::JobSpec spec, v1::ListFile file, core::NewJob job, Created created);
  // A job of the failed items of `parent`, which has ended; gathers them after it is durable. Otherwise as Create.
  void Retry(const core::Job& parent, core::NewJob job, Created created);
  // Takes up the lists that nobody reads, now and from time to time, and holds on to those that are read here. Once.
  absl::Status Resume();
  // There is a list that nobody reads: does not wait for the next time to look.
  void LookSoon();
  // Stops reading; what was not read stays for Resume. Once, while the ledger still answers.
  void Stop();

  // This coordinator has begun, or has ended, to read the list of that job, an upload perhaps. What is not held is taken up
  // like what nobody reads: a job that was made though the store seemed to fail, or whose end could not be told.
  void Hold(const std::string& job_id);
  void LetGo(const std::string& job_id);

  // Where lists are parsed, uploaded ones too: their work may wait for the ledger.
  Threads& threads() { return threads_; }
  // Where that one is read: what has to be waited for, another's server or a process, has threads of its own.
  Threads& ThreadsOf(const v1::ListFile& file) {
    const bool waits = lists::Places::IsRemote(file.path()) || file.format() == v1::PARQUET;
    return waits ? waiting_threads_ : threads_;
  }
  Stopping& stopping() { return stopping_; }
  const lists::Places& places() const { return places_; }
  const std::string& spool() const { return places_.spool(); }

 private:
  class Reading;

  absl::StatusOr<std::shared_ptr<Reading>> Open(v1::ListFile file,
                                                const std::optional<lists::Identity>& then);
  void OpenAndCreate(const v1::JobSpec& spec, const v1::ListFile& file, core::NewJob job,
                     const Created& created);
  void TakeUp(const core::Job& job);
  void TakeUpList(const core::Job& job, const ListSource& then);
  void ReadOnFrom(const core::Job& job, const std::shared_ptr<Reading>& reading);
  // Takes up what nobody reads, and goes on as long as there is more than is taken up at a time.
  void KeepReadings();
  void Keep();
  // Appends what failed of `parent` from `from` on, one shard a turn.
  void RetryOn(const std::string& job_id, const std::string& parent, uint64_t from);
  // What became of that turn, of which `next` is the end.
  void Retried(const std::string& job_id, const std::string& parent, uint64_t from, uint64_t next,
               const absl::Status& how);
  // Reads the next slice, and posts the one after it; waits for room, on no thread, before.
  void ReadOn(const std::shared_ptr<Reading>& reading);
  void End(const std::string& job_id, const absl::Status& how, uint32_t failures = 0);

  store::Ledger& ledger_;
  const Clock& clock_;
  const lists::Places places_;
  const JobEnded job_ended_;
  Stopping stopping_;
  Threads threads_;
  Threads waiting_threads_;

  absl::Mutex mutex_;
  SteadyCondVar wake_;
  bool look_ ABSL_GUARDED_BY(mutex_) = false;
  bool keeping_ ABSL_GUARDED_BY(mutex_) = true;
  std::set<std::string> held_ ABSL_GUARDED_BY(mutex_);
  std::thread keeper_;
};

}  // namespace imgfleet::service
