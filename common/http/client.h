// One HTTP request at a time, under the address policy: for lists, webhooks, object stores. (Images are fetched by
// worker/fetch, which does thousands at once.)
//
//   http::Client client({.policy = policy});
//   ASSIGN_OR_RETURN(auto response, client.Send({.url = "https://example.com/list.tsv"}));
//   if (response->head().status != 200) ...
//   for (;;) {
//     ASSIGN_OR_RETURN(const std::optional<std::string> piece, response->Read(absl::Seconds(1)));
//     if (piece.has_value() && piece->empty()) break;   // The end, as the server meant it.
//   }
//
// What holds:
// - A host is looked up, its addresses are judged, and only those that pass are connected to; they are judged again when
//   the socket is opened and before the request is sent. A redirect is followed by hand, as a request of its own, at most
//   five times, for GET and HEAD only. Only http and https exist; no proxy, no .netrc, no cookies.
// - The body comes as it is asked for: at most 512 KiB of it are held, then TCP holds back the server. A body that ends
//   before its announced length is an error, never a short body.
// - Nobody waits for ever: for an address, a connection and a head 10 s each, for 1 KiB of the body 30 s (the time that
//   the caller lets pass between calls of Read does not count).
// - Messages hold URLs without their queries, which may be secret (ShownUrl).
//
// Statuses: INVALID_ARGUMENT  no http(s) URL · PERMISSION_DENIED  the policy closes the address · NOT_FOUND  no such host ·
// FAILED_PRECONDITION  the server's certificate, too many redirects · UNAVAILABLE  all that may go better next time ·
// RESOURCE_EXHAUSTED  more body than max_body_bytes · CANCELLED  stopped.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/address_policy.h"
#include "common/host_map.h"

namespace imgfleet::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method = "GET";
  std::string url;
  Headers headers = {};  // Sent to whoever it is redirected to as well.
  Headers secrets = {};  // To the URL's own origin only; never in messages.
  std::string body = "";
  uint64_t max_body_bytes = UINT64_MAX;  // Of the answer.
  bool follow_redirects = true;
  // Asked every tenth of a second while something is waited for; from then on all ends CANCELLED.
  std::function<bool()> stopped = nullptr;
};

struct Head {
  int status = 0;
  std::string url;  // Where it came from, after redirects.
  Headers headers;  // Names in lower case.
  // The end of the body can be told from a connection that broke: by a length, by chunks, or by HTTP/2.
  bool has_end = false;

  // The first of that name, in lower case; "" where there is none.
  absl::string_view Find(absl::string_view name) const;
};

// Not thread-safe. Ends the request when it is destroyed.
class Response {
 public:
  virtual ~Response() = default;
  virtual const Head& head() const = 0;
  // The next bytes, "" at the end; nothing where none came within `patience`.
  virtual absl::StatusOr<std::optional<std::string>> Read(absl::Duration patience) = 0;
};

// Immutable, thread-safe.
class Client {
 public:
  struct Options {
    AddressPolicy policy;
    HostMap host_map;
    std::string ca_file;  // PEM, trusted besides the system's authorities; empty: none.
    // Of the system's authorities, by their hashes, as OpenSSL has them.
    std::string ca_folder = "/etc/ssl/certs";
    std::string user_agent;   // Empty: "imgfleet/VERSION".
    std::string dns_servers;  // "ADDRESS[:PORT],..."; empty: the system's.
    absl::Duration connect_timeout = absl::Seconds(10);
    absl::Duration stall_timeout = absl::Seconds(30);
  };

  explicit Client(Options options);

  // Returns when the head of the final answer is there, whatever its status.
  absl::StatusOr<std::unique_ptr<Response>> Send(Request request) const;

 private:
  const Options options_;
};

// The whole body, up to max_body_bytes.
absl::StatusOr<std::string> ReadAll(Response& response);

// The URL as it may be shown and logged: without query, fragment and user.
std::string ShownUrl(absl::string_view url);
// Whether it begins with http:// or https://, in any case.
bool IsHttpUrl(absl::string_view url);

}  // namespace imgfleet::http
