// How coordinators on one PostgreSQL tell each other what they changed: LISTEN and NOTIFY, on a connection and a
// thread of their own.
//
// What was committed is announced in a transaction of its own afterwards, since transactions with a NOTIFY commit
// one at a time; what comes up meanwhile goes out together. A coordinator may die between commit and notice, and a
// notice may be lost with a connection, so once a second each looks for itself which jobs have changed.
//
// A notice is lines: "+" a shard became READY, "-ID" the leases of this job are void, "ID" this job changed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "coordinator/store/postgres.h"
#include "coordinator/store/postgres_connector.h"
#include "coordinator/store/store.h"

namespace imgfleet::store::pg {

class PostgresNotices {
 public:
  // `hear` is called on the thread of this object, until it is destroyed.
  PostgresNotices(Connector& connector, const Clock& clock, std::function<void(News)> hear);
  PostgresNotices(const PostgresNotices&) = delete;
  PostgresNotices& operator=(const PostgresNotices&) = delete;
  ~PostgresNotices();

  // Thread-safe; does not wait.
  void Announce(const News& news);

 private:
  // What is compared from one look to the next.
  struct Stamp {
    int64_t state = 0;
    bool paused = false;
    int64_t last_commit_seq = 0;
    int64_t items = 0;
    bool operator==(const Stamp&) const = default;
  };
  struct Line;

  void Run();
  // Until something is to be sent, has come, or it is time to look; false at the end.
  bool Wait();
  absl::Status Work();
  absl::Status Connect();
  absl::Status Send();
  absl::Status Receive();
  absl::Status Look();

  Connector& connector_;
  const Clock& clock_;
  const std::function<void(News)> hear_;
  const int wake_;  // An eventfd.

  // The thread's own.
  std::unique_ptr<Line> line_;
  std::map<std::string, Stamp> stamps_;
  absl::Time next_look_ = absl::InfinitePast();

  absl::Mutex mutex_;
  News pending_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace imgfleet::store::pg
