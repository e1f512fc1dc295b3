// For tests and benchmarks: a real PostgreSQL server that goes with its owner. It listens on a unix socket in
// a folder of its own below /tmp, trusts everybody, and runs as nobody where we are root.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"
#include "coordinator/store/store_testing.h"

namespace imgfleet::store {

class PostgresServer {
 public:
  struct Options {
    // Whether commits survive a power cut, as users have it; tests do without and are faster.
    bool fsync = false;
    std::string settings;  // More of postgresql.conf.
  };

  explicit PostgresServer(const Options& options);
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;
  ~PostgresServer();

  // One for the whole process, without fsync. Takes 0.6 s the first time.
  static PostgresServer& Shared();

  // Connection string for an empty schema of its own.
  std::string NewSchema();
  // Of database `postgres`, as its superuser.
  std::string Conninfo(const std::string& more = "") const;
  // As the superuser; dies where it fails. The first value, or "".
  std::string Exec(const std::string& sql);

  // Returns when it accepts connections.
  void Start();
  // As if the machine had failed: no shutdown, recovery at the next start.
  void Crash();

 private:
  const bool root_;
  const TemporaryFolder folder_;
  pid_t server_ = 0;
  int schemas_ = 0;
};

}  // namespace imgfleet::store
