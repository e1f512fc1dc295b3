// One connection, seen from a hostile origin.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace imgfleet::hostile {

struct Request {
  std::string path, head, range, if_range;
  uint64_t first = 0, last = 0;  // Of `range`.
  int count = 0;                 // Of requests for this path so far, on all connections, from 1.
};

// What a connection knows of the place it leads to.
struct Surroundings {
  std::string own;                                           // The URL of this case.
  std::function<std::string(absl::string_view name)> other;  // The URL of another case.
  std::function<int(const std::string& path)> count;
  std::function<bool()> mended;  // The origin has been told to behave.
  // So much more (or less) is still to be sent before it has been.
  std::function<void(int more)> owe;
};

// Belongs to its connection's thread. Every call comes back soon after the other side, or the origin, has closed.
class Peer {
 public:
  // Takes the descriptor over.
  Peer(int fd, int number, const Surroundings* surroundings);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // Which connection of this case it is, from 1.
  int number() const { return number_; }
  bool mended() const { return surroundings_->mended(); }
  const std::string& own_url() const { return surroundings_->own; }
  std::string UrlOf(absl::string_view name) const { return surroundings_->other(name); }

  // False where the other side would not have it.
  bool StartTls(SSL_CTX* context);
  SSL* tls() const { return tls_; }

  // The next request; none once the other side has gone. Requests for paths that begin with /good are answered
  // honestly on the way, with Good().
  std::optional<Request> Read();
  static std::string Good();
  // Exactly `size` bytes.
  bool ReadBytes(size_t size, std::string* bytes);

  bool Send(absl::string_view bytes);
  // Over TLS: close_notify comes in the same packet.
  void SendAndClose(absl::string_view bytes);
  // `later` comes when all items of the table are over, on the connection that this one has left behind.
  bool SendThenLater(absl::string_view now, absl::string_view later);
  // Again and again, until the other side has gone.
  void SendForEver(absl::string_view bytes);
  // The same, but at most `size` bytes.
  void SendMuch(absl::string_view bytes, uint64_t size);
  // For ever, a byte at a time, one every 30 ms.
  void DripForEver(absl::string_view bytes);
  // Nothing more, until the other side has gone.
  void Hang();
  // The other ways of ending: RST, and for TLS a FIN without close_notify before it.
  void Reset();
  void CloseWithoutNotice();

 private:
  bool Wait(int milliseconds);  // False once the other side has gone.
  ssize_t Receive(char* data, size_t size);
  bool Fill();

  int fd_;
  const int number_;
  const Surroundings* const surroundings_;
  SSL* tls_ = nullptr;
  std::string buffer_;
};

}  // namespace imgfleet::hostile
