#include "worker/fetch/exchange.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"

namespace imgfleet::fetch {
namespace {

// Of the body of a redirect or an error page: read so that the connection can be used again.
constexpr uint64_t kMaxUnusedBody = 64 << 10;
// What libcurl reads at a time, into a buffer that it holds from before a request is sent, and that is a byte longer. A
// first range comes at one go with its head. Of whole bodies more at once costs a sixth less; still more leaves the
// cache, and memory that has to be had anew each time. Of thousands of requests the buffers would be most of what the
// process takes, while most of them wait for their origins.
constexpr long kRangeBuffer = (16 << 10) - 1, kBodyBuffer = 64 << 10, kCrowdBuffer = 1536 - 1;

StringList MakeList(std::initializer_list<std::string> texts) {
  curl_slist* list = nullptr;
  for (const std::string& text : texts) list = curl_slist_append(list, text.c_str());
  return StringList(list);
}

http::ParsedUrl Parse(const std::string& url) {
  http::ParsedUrl parsed(curl_url());
  const bool fine = curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) == CURLUE_OK;
  return fine ? std::move(parsed) : nullptr;
}

template <typename Value>
void Set(CURL* handle, CURLoption option, Value value) {
  IMGFLEET_CHECK(curl_easy_setopt(handle, option, value) == CURLE_OK);
}

bool AcceptsStatus(uint32_t status) { return (status >= 200 && status < 300) || status == 416; }

}  // namespace

Route::Route(const std::string& base, const IpAddress& ip, uint16_t port, bool http2)
    : ip(ip),
      address(ip.ToString()),
      http2(http2),
      connect_to(MakeList(
          {ip.is_v4() ? absl::StrCat("::", address, ":", port) : absl::StrCat("::[", address, "]:", port)})),
      base(Parse(base)) {}

StringList HandleSettings::Headers(const Ask& ask) const {
  const std::string agent = absl::StrCat("User-Agent: ", user_agent), identity = "Accept-Encoding: identity";
  if (!ask.ranged) return MakeList({agent, identity});
  const std::string range = absl::StrCat("Range: bytes=", ask.first, "-", ask.last);
  if (ask.if_range.empty()) return MakeList({agent, identity, range});
  return MakeList({agent, identity, range, absl::StrCat("If-Range: ", ask.if_range)});
}

Exchange::Exchange(const HandleSettings* settings) : settings_(settings) {}

// What libcurl 7.88 remembers from one request of a handle to the next does harm: where an answer's second line is
// folded it goes on with the last header of the answer before, which it has freed by then (curl issue 11101), and
// CURLINFO_OS_ERRNO stays that of an earlier failure. A new handle costs half a microsecond.
void Exchange::Renew() {
  curl_easy_cleanup(handle_);
  handle_ = curl_easy_init();
  IMGFLEET_CHECK(handle_ != nullptr);
  Set(handle_, CURLOPT_NOSIGNAL, 1L);
  Set(handle_, CURLOPT_PROTOCOLS_STR, "http,https");
  // Neither proxies from the environment nor credentials from ~/.netrc.
  Set(handle_, CURLOPT_PROXY, "");
  Set(handle_, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  Set(handle_, CURLOPT_ERRORBUFFER, error_);
  Set(handle_, CURLOPT_PRIVATE, this);
  Set(handle_, CURLOPT_HEADERFUNCTION, &Exchange::OnHeader);
  Set(handle_, CURLOPT_HEADERDATA, this);
  Set(handle_, CURLOPT_WRITEFUNCTION, &Exchange::OnBody);
  Set(handle_, CURLOPT_WRITEDATA, this);
  Set(handle_, CURLOPT_OPENSOCKETFUNCTION, &Exchange::OnOpen);
  Set(handle_, CURLOPT_OPENSOCKETDATA, this);
  Set(handle_, CURLOPT_CLOSESOCKETFUNCTION, &Exchange::OnClose);
  Set(handle_, CURLOPT_CLOSESOCKETDATA, settings_);
  Set(handle_, CURLOPT_PREREQFUNCTION, &Exchange::OnRequest);
  Set(handle_, CURLOPT_PREREQDATA, this);
}

void Exchange::SetTls() {
  Set(handle_, CURLOPT_SSL_CTX_FUNCTION, &Exchange::OnTls);
  Set(handle_, CURLOPT_SSL_CTX_DATA, this);
  // One file and no folder: only so does libcurl parse the authorities once for all connections.
  Set(handle_, CURLOPT_CAPATH, nullptr);
  Set(handle_, CURLOPT_CAINFO,
      settings_->ca_file.empty() ? "/etc/ssl/certs/ca-certificates.crt" : settings_->ca_file.c_str());
}

Exchange::~Exchange() { curl_easy_cleanup(handle_); }

void Exchange::Prepare(const std::string& url, size_t path, std::shared_ptr<const Route> route,
                       const absl::Time* clock) {
  Renew();
  head_.Clear();
  head_complete_ = connected_ = for_reading_ = blocked_ = broken_off_ = flooded_ = stale_ = false;
  tls_ = url[4] == 's';
  if (tls_) SetTls();
  opened_ = -1;
  connection_.reset();
  code_ = CURLE_OK;
  body_bytes_ = 0;
  error_[0] = '\0';
  clock_ = clock;
  started_ = last_bytes_ = *clock;
  Set(handle_, CURLOPT_CONNECT_TO, route->connect_to.get());
  Set(handle_, CURLOPT_HTTP_VERSION,
      static_cast<long>(route->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  route_ = std::move(route);
  SetUrl(url, path);
  SetHeaders(reading_.ask());
}

// A URL given as such is parsed and written out anew by libcurl for each request, a tenth of all that it does. So where
// path and query can be sent as they stand there, it is told the origin once, and then only them.
void Exchange::SetUrl(const std::string& url, size_t path) {
  CURLU* const base = path != 0 ? route_->base.get() : nullptr;
  if (base == nullptr) {
    Set(handle_, CURLOPT_URL, url.c_str());
    return;
  }
  Set(handle_, CURLOPT_CURLU, base);
  Set(handle_, CURLOPT_URL, "-");  // Not used, but were there none, libcurl would write out the origin's.
  Set(handle_, CURLOPT_REQUEST_TARGET, url.c_str() + path);
}

void Exchange::UseBuffer(bool crowded) {
  Set(handle_, CURLOPT_BUFFERSIZE,
      crowded                 ? kCrowdBuffer
      : reading_.ask().ranged ? kRangeBuffer
                              : kBodyBuffer);
}

void Exchange::SetHeaders(const Ask& ask) {
  const curl_slist* headers = ask.IsFirstRange() ? settings_->first_range_headers.get()
                              : !ask.ranged      ? settings_->whole_headers.get()
                                                 : nullptr;
  StringList own;
  if (headers == nullptr) {
    own = settings_->Headers(ask);
    headers = own.get();
  }
  Set(handle_, CURLOPT_HTTPHEADER, headers);
  own_headers_ = std::move(own);
}

// An HTTP/2 connection outlives an answer that is broken off; one whose answer was too much had better not, and one whose
// answer will be asked for again neither: an origin that goes on with the first would never come to the second.
void Exchange::BreakOff() {
  broken_off_ = true;
  if (!for_reading_ || reading_.failure() != Failure::kNone || reading_.waits_for_memory()) ForbidReuse();
}

void Exchange::ForbidReuse() { Set(handle_, CURLOPT_FORBID_REUSE, 1L); }

size_t Exchange::OnHeader(char* data, size_t size, size_t count, void* arg) {
  auto* self = static_cast<Exchange*>(arg);
  const Watchdog::Beat::Callback callback(self->settings_->beat);
  const size_t bytes = size * count;
  self->last_bytes_ = *self->clock_;
  if (self->connection_ != nullptr) self->connection_->delivered += bytes;
  switch (self->head_.Add(absl::string_view(data, bytes))) {
    case ResponseHead::Line::kMore:
      return bytes;
    case ResponseHead::Line::kRefused:
      self->ForbidReuse();
      return 0;
    case ResponseHead::Line::kEnd:
      break;
  }
  self->head_complete_ = true;
  if (self->head_.multiplexed && self->connection_ != nullptr) self->connection_->multiplexed = true;
  self->for_reading_ = AcceptsStatus(self->head_.status);
  if (self->for_reading_ && self->reading_.OnHead(self->head_) == Reading::Flow::kBreakOff) {
    self->BreakOff();
    return 0;
  }
  return bytes;
}

size_t Exchange::OnBody(char* data, size_t size, size_t count, void* arg) {
  auto* self = static_cast<Exchange*>(arg);
  const Watchdog::Beat::Callback callback(self->settings_->beat);
  const size_t bytes = size * count;
  self->last_bytes_ = *self->clock_;
  self->body_bytes_ += bytes;
  if (self->connection_ != nullptr) self->connection_->delivered += bytes;
  const bool go_on = self->for_reading_
                         ? self->reading_.OnBody(absl::string_view(data, bytes)) == Reading::Flow::kGoOn
                         : self->body_bytes_ <= kMaxUnusedBody;
  if (go_on) return bytes;
  self->BreakOff();
  return bytes + 1;  // Anything but `bytes` stops libcurl, 0 of 0 included.
}

bool Exchange::Judge(const absl::StatusOr<IpAddress>& address) {
  if (address.ok() && settings_->policy->Allows(*address)) return true;
  blocked_ = true;
  return false;
}

curl_socket_t Exchange::OnOpen(void* arg, curlsocktype, curl_sockaddr* address) {
  auto* self = static_cast<Exchange*>(arg);
  if (!self->Judge(IpAddress::FromSockaddr(&address->addr))) return CURL_SOCKET_BAD;
  const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
  self->opened_ = fd;
  self->connection_.reset();
  if (fd >= 0) self->settings_->beat->Opened(fd);
  return fd;
}

int Exchange::OnClose(void* arg, curl_socket_t fd) {
  const auto* settings = static_cast<const HandleSettings*>(arg);
  settings->poller->Forget(fd);
  settings->beat->Closed(fd);
  settings->connections->Remove(fd);
  return close(fd);
}

CURLcode Exchange::OnTls(CURL*, void* context, void* arg) {
  auto* self = static_cast<Exchange*>(arg);
  self->connection_ = std::make_shared<Connection>();
  Connection::Observe(self->connection_, static_cast<SSL_CTX*>(context));
  return CURLE_OK;
}

int Exchange::OnRequest(void* arg, char* ip, char*, int port, int local_port) {
  auto* self = static_cast<Exchange*>(arg);
  self->connected_ = true;
  self->last_bytes_ = *self->clock_;
  const uint64_t key = Connections::Key(ip, port, local_port);
  if (self->opened_ >= 0) {
    if (self->connection_ == nullptr) self->connection_ = std::make_shared<Connection>();
    self->connection_->fd = self->opened_;
    self->settings_->connections->Add(key, self->connection_);
  } else {
    self->connection_ = self->settings_->connections->Find(key);
    self->stale_ = self->connection_ != nullptr && self->connection_->HasStrayBytes();
    if (self->stale_) return CURL_PREREQFUNC_ABORT;
  }
  const bool routed = self->route_->address == ip;
  const bool allowed = self->Judge(routed ? self->route_->ip : IpAddress::Parse(ip));
  return allowed ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

Exchange::End Exchange::Finish(CURLcode code) {
  code_ = code;
  if (code == CURLE_OK && ends_in_doubt()) return flooded() ? End::kFlooded : End::kCutShort;
  if (code == CURLE_OK) return head_complete_ ? End::kComplete : End::kProtocolError;
  if (blocked_) return End::kBlocked;
  if (!head_.refusal().empty()) return End::kHeadRefused;
  if (broken_off_) return End::kBrokenOff;
  if (flooded()) return End::kFlooded;
  if (stale_) return End::kStale;
  switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:  // Only connecting has a timeout in libcurl.
      return End::kConnectFailed;
    case CURLE_SSL_CONNECT_ERROR: {
      long os_error = 0;
      curl_easy_getinfo(handle_, CURLINFO_OS_ERRNO, &os_error);
      const bool cut = os_error == ECONNRESET || std::strstr(error_, "SSL_ERROR_SYSCALL") != nullptr ||
                       os_error == EPIPE || std::strstr(error_, "reset by peer") != nullptr;
      return cut ? End::kConnectFailed : End::kTlsFailed;
    }
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return End::kTlsFailed;
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
      return End::kCutShort;
    case CURLE_URL_MALFORMAT:
      return End::kBadUrl;
    case CURLE_UNSUPPORTED_PROTOCOL:  // HTTP/0.9, or the scheme.
    default:
      return End::kProtocolError;
  }
}

// Without the milliseconds that libcurl adds: failures of one kind read alike.
std::string Exchange::connect_error() const {
  long os_error = 0;
  curl_easy_getinfo(handle_, CURLINFO_OS_ERRNO, &os_error);
  if (os_error == 0) return absl::StrCat("no connection to ", route_->address, ": ", error());
  return absl::StrCat("no connection to ", route_->address, ": ", std::strerror(static_cast<int>(os_error)));
}

std::string Exchange::error() const {
  if (!head_.refusal().empty()) return head_.refusal();
  if (code_ == CURLE_OUT_OF_MEMORY)
    return kHeadTooLarge;  // libcurl's word for a header line of more than 100 KB.
  if (flooded()) return "the origin kept the connection busy without going on with its answer";
  if (code_ == CURLE_OK && ends_in_doubt()) return "the connection ended without saying that this was all";
  return error_[0] != '\0' ? error_ : curl_easy_strerror(code_);
}

// Whether what libcurl takes for the end of a body without a length may be where it was cut: the TLS connection ended
// with it and without close_notify, as libcurl itself ends an HTTP/2 connection on a violation; or we cut it.
bool Exchange::ends_in_doubt() const {
  if (!head_complete_ || head_.content_length.has_value() || head_.chunked || head_.range.has_value() ||
      connection_ == nullptr)
    return false;
  return flooded() || (tls_ && connection_->closed && !connection_->close_notify);
}

int Exchange::local_port() const {
  long port = 0;
  curl_easy_getinfo(handle_, CURLINFO_LOCAL_PORT, &port);
  return static_cast<int>(port);
}

bool Exchange::connecting_tls() const {
  sockaddr_storage peer;
  socklen_t size = sizeof(peer);
  return !connected_ && opened_ >= 0 && getpeername(opened_, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

Exchange::Timings Exchange::timings() const {
  curl_off_t connect = 0, tls = 0, sent = 0, first = 0;
  long connections = 0;
  curl_easy_getinfo(handle_, CURLINFO_NUM_CONNECTS, &connections);
  curl_easy_getinfo(handle_, CURLINFO_PRETRANSFER_TIME_T, &sent);
  curl_easy_getinfo(handle_, CURLINFO_STARTTRANSFER_TIME_T, &first);
  Timings timings;
  if (connections > 0) {
    curl_easy_getinfo(handle_, CURLINFO_CONNECT_TIME_T, &connect);
    curl_easy_getinfo(handle_, CURLINFO_APPCONNECT_TIME_T, &tls);
    timings.connect = absl::Microseconds(connect);
    if (tls > connect) timings.tls = absl::Microseconds(tls - connect);
  }
  timings.first_byte = absl::Microseconds(first);
  timings.latency = absl::Microseconds(first > sent ? first - sent : 0);
  return timings;
}

}  // namespace imgfleet::fetch
