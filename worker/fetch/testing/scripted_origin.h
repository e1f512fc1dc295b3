// An origin that does what a test says, byte for byte, and remembers what it was asked.
//
//   ScriptedOrigin origin([](const ScriptedOrigin::Request& request) {
//     return ScriptedOrigin::Answer{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"};
//   });
//   ... origin.Url("/a.jpg") ...
//
// Listens on a free loopback port, a thread for each connection; with a certificate it speaks TLS.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace imgfleet::fetch {

// Thread-safe; the script is called from the connections' threads, one call at a time.
class ScriptedOrigin {
 public:
  struct Request {
    std::string path;
    std::string head;  // All of it, with the request line.
    std::string range, if_range;
    int connection = 0;  // From 1.
    int count = 0;       // Of requests to this path, from 1.
  };
  struct Answer {
    std::string bytes;  // Sent as they are.
    enum After {
      kKeep,
      kClose,
      kReset,
      kHang
    } after = kKeep;  // kHang: no further byte, the connection stays.
  };
  using Script = std::function<Answer(const Request&)>;

  explicit ScriptedOrigin(Script script, SSL_CTX* tls = nullptr);
  ~ScriptedOrigin();

  int port() const { return port_; }
  std::string Url(const std::string& path) const;
  int connections() const { return connections_; }
  int requests() const { return requests_; }
  std::vector<Request> log() const;

  // "HTTP/1.1 STATUS" with the header lines and Content-Length.
  static std::string Http(int status, const std::vector<std::string>& headers, const std::string& body);
  // What an honest server answers: 206 to a Range, else 200.
  static std::string Serve(const Request& request, const std::string& file,
                           const std::vector<std::string>& headers = {});

 private:
  void Accept();
  void Converse(int fd, int connection);
  bool Handle(int fd, SSL* ssl, std::string* buffer, int connection);

  const Script script_;
  SSL_CTX* const tls_;
  int listener_ = -1, port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> connections_{0}, requests_{0};
  mutable absl::Mutex mutex_;
  std::map<std::string, int> counts_ ABSL_GUARDED_BY(mutex_);
  std::vector<Request> log_ ABSL_GUARDED_BY(mutex_);
  std::vector<int> open_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;  // The accepting thread's.
  std::thread acceptor_;
};

}  // namespace imgfleet::fetch
