// One HTTP request and its answer, each on a libcurl handle of its own. The address is judged when a connection is opened
// and again before each request, on reused connections too. Redirects, retries and timeouts are the loop's business.
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/address_policy.h"
#include "common/http/target.h"
#include "worker/fetch/connections.h"
#include "worker/fetch/poller.h"
#include "worker/fetch/reading.h"
#include "worker/fetch/response_head.h"
#include "worker/fetch/watchdog.h"

namespace imgfleet::fetch {

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using StringList = std::unique_ptr<curl_slist, FreeList>;

// Where an origin is connected to: one address, judged before.
struct Route {
  // `base`: "http://host:port".
  Route(const std::string& base, const IpAddress& address, uint16_t port, bool http2 = true);

  const IpAddress ip;
  const std::string address;  // As libcurl writes it.
  const bool http2;           // May be spoken.
  const StringList connect_to;
  const http::ParsedUrl base;  // Null where libcurl cannot read it.
};

// What all handles of a loop have in common. Must outlive them.
struct HandleSettings {
  std::string user_agent;
  std::string ca_file;  // Empty: the system's.
  const AddressPolicy* policy = nullptr;
  Poller* poller = nullptr;
  Connections* connections = nullptr;
  Watchdog::Beat* beat = nullptr;
  StringList first_range_headers, whole_headers;

  // What is sent besides Host and Accept. One list: libcurl prints its own headers twice.
  StringList Headers(const Ask& ask) const;
};

// Not thread-safe. Lives at one address: libcurl holds pointers to it.
class Exchange {
 public:
  explicit Exchange(const HandleSettings* settings);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // Prepares the request that reading() asks for. `path` as Target has it. `clock` is the loop's present.
  void Prepare(const std::string& url, size_t path, std::shared_ptr<const Route> route,
               const absl::Time* clock);
  // For what was prepared: where libcurl reads into. `crowded`: thousands of requests are under way.
  void UseBuffer(bool crowded);
  CURL* handle() const { return handle_; }
  // Of the attempt that this exchange serves; several requests may belong to it.
  Reading& reading() { return reading_; }

  // What became of it, once libcurl is done.
  enum class End : uint8_t {
    kComplete,     // The whole answer came.
    kBrokenOff,    // We had enough: the reading knows.
    kBlocked,      // The address is not allowed.
    kHeadRefused,  // See error().
    kConnectFailed,
    kTlsFailed,
    kCutShort,  // The connection ended before the answer did.
    kProtocolError,
    kStale,    // The connection held bytes of nobody's: nothing was sent, and it is closed.
    kFlooded,  // The connection was kept busy with nothing.
    kBadUrl,
    kInternal,
  };
  End Finish(CURLcode code);
  // Before Finish: the watchdog had to cut the connection.
  void Flooded() {
    flooded_ = true;
    if (connection_ != nullptr) connection_->flooded = true;
  }
  // It waits, and its connection is flooded: cuts that, and ends with kFlooded.
  void CutIfFlooded(absl::Time now) {
    if (connection_ != nullptr && connection_->IsFlooded(now)) connection_->Cut();
  }

  const std::shared_ptr<const Route>& route() const { return route_; }
  const ResponseHead& head() const { return head_; }
  int local_port() const;
  bool head_complete() const { return head_complete_; }
  bool connected() const { return connected_; }
  // The body is the reading's, not that of a redirect or an error page.
  bool for_reading() const { return for_reading_; }
  // All that the answer was asked for has come: what is still to come matters to the connection alone.
  bool rest_is_not_needed() const {
    return head_complete_ && head_.refusal().empty() && (!for_reading_ || reading_.rest_is_not_needed());
  }
  // Connected, and not yet done with the TLS handshake.
  bool connecting_tls() const;
  uint64_t body_bytes() const { return body_bytes_; }
  absl::Time started() const { return started_; }
  absl::Time last_bytes() const { return last_bytes_; }
  std::string error() const;
  // After kConnectFailed: which address, and what the system said.
  std::string connect_error() const;

  struct Timings {
    absl::Duration connect, tls, first_byte;
    // From sending the request to the first byte of its answer.
    absl::Duration latency;
  };
  Timings timings() const;

  // The loop's: whose request it is, whether somebody waits for it, and where it stands in the list of running ones.
  struct Fetch* fetch = nullptr;
  bool urgent = false;
  size_t position = 0;

 private:
  static size_t OnHeader(char* data, size_t size, size_t count, void* self);
  static size_t OnBody(char* data, size_t size, size_t count, void* self);
  static curl_socket_t OnOpen(void* self, curlsocktype purpose, curl_sockaddr* address);
  static int OnClose(void* settings, curl_socket_t fd);
  static CURLcode OnTls(CURL* handle, void* context, void* self);
  static int OnRequest(void* self, char* ip, char* local_ip, int port, int local_port);
  bool Judge(const absl::StatusOr<IpAddress>& address);
  bool ends_in_doubt() const;
  bool flooded() const { return flooded_ || (connection_ != nullptr && connection_->flooded); }
  void ForbidReuse();
  void SetUrl(const std::string& url, size_t path);
  void BreakOff();
  void Renew();
  void SetTls();
  void SetHeaders(const Ask& ask);

  const HandleSettings* const settings_;
  CURL* handle_ = nullptr;  // Of this request.
  StringList own_headers_;
  std::shared_ptr<const Route> route_;
  Reading reading_;
  const absl::Time* clock_ = nullptr;

  ResponseHead head_;
  bool head_complete_ = false, connected_ = false, for_reading_ = false;
  bool blocked_ = false, broken_off_ = false, flooded_ = false, stale_ = false;
  int opened_ = -1;  // The socket, where a new one was needed.
  bool tls_ = false;
  std::shared_ptr<Connection> connection_;
  CURLcode code_ = CURLE_OK;
  uint64_t body_bytes_ = 0;
  absl::Time started_, last_bytes_;
  char error_[CURL_ERROR_SIZE];
};

}  // namespace imgfleet::fetch
