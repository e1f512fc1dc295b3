// A name server on a loopback UDP port that answers from a table and counts.
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace imgfleet::fetch {

// Thread-safe. A questions only are answered with addresses; AAAA with none. Unknown names do not exist; names that
// begin with "silent" get no answer.
class DnsServer {
 public:
  DnsServer();
  ~DnsServer();

  void Set(const std::string& host, const std::string& address);
  std::string server() const;
  int questions() const { return questions_; }

 private:
  void Run();

  int socket_, port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> questions_{0};
  absl::Mutex mutex_;
  std::map<std::string, std::string> hosts_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace imgfleet::fetch
