// HTTP as handlers see it: no sockets, no Beast. The server (server.h) is one implementation of Response,
// tests have another.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/task.h"

namespace imgfleet::gateway {

struct Request {
  std::string method;  // As sent, but GET where it was HEAD.
  bool head = false;   // It was HEAD: nothing of the body will be sent.
  std::string path;    // Percent-decoded, without query; no slash at the end.
  std::vector<std::pair<std::string, std::string>> query;  // Percent-decoded.
  std::string accept;
  std::string content_type;
  std::string fetch_site;  // Sec-Fetch-Site: what a browser says about who sent it.
  std::string idempotency_key;
  std::string body;
  std::string id;  // What stood for {id} in the route.

  // The value of the first parameter of that name; "" where there is none.
  absl::string_view Parameter(absl::string_view name) const;
};

// Status and headers. Content-Length, Date, Server, Connection and the security headers are the server's.
struct Head {
  unsigned code = 200;
  std::string content_type;
  std::vector<std::pair<std::string, std::string>> headers;
};

struct Reply {
  Head head;
  std::string body;
};

// Whether the client is still there. All calls on the connection's thread.
class ClientGone {
 public:
  bool gone() const { return gone_; }
  // Called once when the client leaves, at once if it has; replaces what was set before. Null to take it
  // back.
  void Set(std::function<void()> on_gone) {
    on_gone_ = std::move(on_gone);
    if (gone_) Notify();
  }
  void Notify() {
    gone_ = true;
    if (const auto call = std::exchange(on_gone_, nullptr)) call();
  }

 private:
  bool gone_ = false;
  std::function<void()> on_gone_;
};

// The answer to one request: either one Send, or Begin, any number of Writes and End. A handler that returns
// without having ended what it began makes the server close the connection in the middle, without the last
// chunk, so that the client can tell a broken answer from a short one.
//
// Each returns once the bytes are with the kernel, which is what slows a handler down to its client. Not OK:
// the client is gone.
class Response {
 public:
  virtual ~Response() = default;
  virtual Task<absl::Status> Send(Reply reply) = 0;
  virtual Task<absl::Status> Begin(Head head) = 0;
  virtual Task<absl::Status> Write(absl::string_view bytes) = 0;  // Valid until it returns.
  virtual Task<absl::Status> End() = 0;
  virtual ClientGone& client_gone() = 0;
};

// The status says what went wrong after the answer had begun, or that the client left; it is for the log.
using Handler = std::function<Task<absl::Status>(const Request&, Response&)>;

// "Not Found" for 404.
absl::string_view ReasonPhrase(unsigned code);

// Percent-decodes; "+" stays. False where a % is not followed by two hex digits, or the result holds a NUL.
bool PercentDecode(absl::string_view text, std::string& out);

// Splits a request target in origin form ("/a/b/?x=1") or absolute form ("http://host/a") into path and query
// of `request`. False where it is neither, or a segment of the path is "." or "..": clients resolve those.
bool ParseTarget(absl::string_view target, Request& request);

// Whether the Accept header names that media type itself, not by a wildcard, with a weight above zero.
bool Accepts(absl::string_view accept, absl::string_view media_type);

}  // namespace imgfleet::gateway
