// A name server on one loopback port, UDP and TCP, that answers as a test says and counts what it is asked.
//
//   DnsServer dns;
//   dns.Set("a.example", "127.0.0.1");                                   // A, or AAAA by the form of the address
//   dns.Play("b.example", {{.records = {"A 8.8.8.8"}, .ttl = 0}, {.records = {"A 10.0.0.1"}}});  // one after the other
//   dns.Play("c.example", {{.records = {"CNAME d.example", "A 127.0.0.1", "AAAA ::1"}}});
//   dns.Play("e.example", {{.rcode = 2}});                               // SERVFAIL
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace imgfleet::fetch {

// Thread-safe. Unknown names do not exist; names that begin with "silent" get no answer. A question is answered with
// the records of its type and all CNAMEs before them; answers beyond 512 bytes are cut over UDP.
class DnsServer {
 public:
  struct Reply {
    std::vector<std::string> records;  // "A ADDRESS", "AAAA ADDRESS", "CNAME NAME".
    int ttl = 60;
    int rcode = 0;
    bool silent = false;
    bool silent_v6 = false;       // AAAA questions get no answer.
    bool wrong_id = false;        // A reply with another id, and no right one.
    std::string wrong_name = "";  // A reply to a question for that name instead.
    bool wrong_port = false;      // The reply comes from another port.
  };

  // `port` 0: any.
  explicit DnsServer(uint16_t port = 0);
  ~DnsServer();

  void Set(const std::string& host, const std::string& address);
  // The n-th question of a type gets the n-th reply; the last is for all that follow.
  void Play(const std::string& host, std::vector<Reply> replies);
  std::string server() const;
  // For A records, over UDP.
  int questions() const { return questions_; }
  int tcp_questions() const { return tcp_questions_; }

 private:
  struct Question {
    std::string name;
    int type = 0;
    std::string packet;  // Up to the end of the question.
  };
  static bool Parse(const std::string& packet, Question* question);
  bool Decide(const Question& question, Reply* reply);
  static std::string Packet(const Question& question, const Reply& reply, bool tcp);
  void RunUdp();
  void RunTcp();
  void ServeTcp(int fd);

  int udp_, tcp_;
  uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> questions_{0}, tcp_questions_{0};
  absl::Mutex mutex_;
  std::map<std::string, std::vector<Reply>> hosts_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<std::string, int>, size_t> asked_ ABSL_GUARDED_BY(mutex_);
  std::thread udp_thread_, tcp_thread_;
};

}  // namespace imgfleet::fetch
