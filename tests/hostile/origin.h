// All hostile origins in one process: a loopback port for each case, a thread for each connection.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "tests/hostile/case.h"
#include "worker/fetch/testing/tls.h"

namespace imgfleet::hostile {

// Besides the cases there are "good" and "good-tls", which are as they should be, and "forbidden" on 127.0.0.2, where
// nobody must come. Thread-safe.
class HostileOrigin {
 public:
  explicit HostileOrigin(std::vector<Case> cases);
  ~HostileOrigin();

  const std::vector<Case>& cases() const { return cases_; }
  // Of a case, or of those named above; `path` begins with a slash.
  std::string Url(absl::string_view name, absl::string_view path = "/x") const;
  // From now on each new connection finds an honest origin; those that exist stay as they are, and what they still meant
  // to say has been sent.
  void Mend();
  // Ends every connection.
  void HangUp();
  int connections(absl::string_view name) const;
  // PEM file of the authority to trust.
  std::string ca_file() const { return authority_.PemFile(); }

 private:
  struct Site {
    const Case* shown = nullptr;
    int listener = -1;
    std::string base;  // "http://127.0.0.1:PORT"
    Surroundings surroundings;
    std::atomic<int> connections{0};
    absl::Mutex mutex;
    std::map<std::string, int> counts ABSL_GUARDED_BY(mutex);
  };

  void Open(const std::string& name, const Case* shown, bool https, const std::string& address);
  SSL_CTX* Context(Tls tls);
  void Accept();
  void Converse(Site* site, int fd, int number);

  const std::vector<Case> cases_;
  const Case good_;
  fetch::TestAuthority authority_, stranger_;
  std::map<Tls, SSL_CTX*> contexts_;
  std::map<std::string, std::unique_ptr<Site>, std::less<>> sites_;
  const int wakeup_;
  std::atomic<bool> mended_{false}, stopping_{false};

  absl::Mutex mutex_;
  int owed_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<int> open_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  std::thread acceptor_;
};

}  // namespace imgfleet::hostile
