#include "worker/fetch/exchange.h"

#include <errno.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"

namespace imgfleet::fetch {
namespace {

// Of the body of a redirect or an error page: read so that the connection can be used again.
constexpr uint64_t kMaxUnusedBody = 64 << 10;
// What libcurl reads at a time. Of whole bodies more at once costs a sixth less; still more leaves the cache, and memory
// that has to be had anew each time.
constexpr long kRangeBuffer = CURL_MAX_WRITE_SIZE, kBodyBuffer = 64 << 10;

StringList MakeList(std::initializer_list<std::string> texts) {
  curl_slist* list = nullptr;
  for (const std::string& text : texts) list = curl_slist_append(list, text.c_str());
  return StringList(list);
}

template <typename Value>
void Set(CURL* handle, CURLoption option, Value value) {
  IMGFLEET_CHECK(curl_easy_setopt(handle, option, value) == CURLE_OK);
}

bool AcceptsStatus(uint32_t status) { return (status >= 200 && status < 300) || status == 416; }

}  // namespace

Route::Route(const IpAddress& ip, uint16_t port)
    : address(ip.ToString()),
      connect_to(MakeList({ip.is_v4() ? absl::StrCat("::", address, ":", port)
                                      : absl::StrCat("::[", address, "]:", port)})) {}

StringList HandleSettings::Headers(const Ask& ask) const {
  const std::string agent = absl::StrCat("User-Agent: ", user_agent), identity = "Accept-Encoding: identity";
  if (!ask.ranged) return MakeList({agent, identity});
  const std::string range = absl::StrCat("Range: bytes=", ask.first, "-", ask.last);
  if (ask.if_range.empty()) return MakeList({agent, identity, range});
  return MakeList({agent, identity, range, absl::StrCat("If-Range: ", ask.if_range)});
}

Exchange::Exchange(const HandleSettings* settings) : settings_(settings), handle_(curl_easy_init()) {
  IMGFLEET_CHECK(handle_ != nullptr);
  Set(handle_, CURLOPT_NOSIGNAL, 1L);
  Set(handle_, CURLOPT_PROTOCOLS_STR, "http,https");
  // Neither proxies from the environment nor credentials from ~/.netrc.
  Set(handle_, CURLOPT_PROXY, "");
  Set(handle_, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  Set(handle_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  Set(handle_, CURLOPT_ERRORBUFFER, error_);
  Set(handle_, CURLOPT_PRIVATE, this);
  Set(handle_, CURLOPT_HEADERFUNCTION, &Exchange::OnHeader);
  Set(handle_, CURLOPT_HEADERDATA, this);
  Set(handle_, CURLOPT_WRITEFUNCTION, &Exchange::OnBody);
  Set(handle_, CURLOPT_WRITEDATA, this);
  Set(handle_, CURLOPT_OPENSOCKETFUNCTION, &Exchange::OnOpen);
  Set(handle_, CURLOPT_OPENSOCKETDATA, this);
  Set(handle_, CURLOPT_CLOSESOCKETFUNCTION, &Exchange::OnClose);
  Set(handle_, CURLOPT_CLOSESOCKETDATA, settings->poller);
  Set(handle_, CURLOPT_PREREQFUNCTION, &Exchange::OnRequest);
  Set(handle_, CURLOPT_PREREQDATA, this);
  // One file and no folder: only so does libcurl parse the authorities once for all connections.
  Set(handle_, CURLOPT_CAPATH, nullptr);
  Set(handle_, CURLOPT_CAINFO,
      settings->ca_file.empty() ? "/etc/ssl/certs/ca-certificates.crt" : settings->ca_file.c_str());
}

Exchange::~Exchange() { curl_easy_cleanup(handle_); }

void Exchange::Prepare(const std::string& url, std::shared_ptr<const Route> route, const absl::Time* clock) {
  head_.Clear();
  head_complete_ = connected_ = for_reading_ = blocked_ = broken_off_ = false;
  refusal_ = nullptr;
  body_bytes_ = 0;
  error_[0] = '\0';
  clock_ = clock;
  started_ = last_bytes_ = *clock;
  Set(handle_, CURLOPT_URL, url.c_str());
  if (route != route_) {
    Set(handle_, CURLOPT_CONNECT_TO, route->connect_to.get());
    route_ = std::move(route);
  }
  SetHeaders(reading_.ask());
  const long buffer = reading_.ask().ranged ? kRangeBuffer : kBodyBuffer;
  if (buffer != buffer_) Set(handle_, CURLOPT_BUFFERSIZE, buffer);
  buffer_ = buffer;
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
  if (headers != headers_set_) Set(handle_, CURLOPT_HTTPHEADER, headers);
  headers_set_ = headers;
  own_headers_ = std::move(own);
}

size_t Exchange::OnHeader(char* data, size_t size, size_t count, void* arg) {
  auto* self = static_cast<Exchange*>(arg);
  const size_t bytes = size * count;
  self->last_bytes_ = *self->clock_;
  switch (self->head_.Add(absl::string_view(data, bytes))) {
    case ResponseHead::Line::kMore:
      return bytes;
    case ResponseHead::Line::kTooLarge:
      self->refusal_ = "the answer's header is larger than 64 KiB";
      return 0;
    case ResponseHead::Line::kConflict:
      self->refusal_ = "the answer's Content-Length headers contradict each other";
      return 0;
    case ResponseHead::Line::kEnd:
      break;
  }
  if (self->head_complete_) return bytes;  // Trailers.
  self->head_complete_ = true;
  self->for_reading_ = AcceptsStatus(self->head_.status);
  if (self->for_reading_ && self->reading_.OnHead(self->head_) == Reading::Flow::kBreakOff) {
    self->broken_off_ = true;
    return 0;
  }
  return bytes;
}

size_t Exchange::OnBody(char* data, size_t size, size_t count, void* arg) {
  auto* self = static_cast<Exchange*>(arg);
  const size_t bytes = size * count;
  self->last_bytes_ = *self->clock_;
  self->body_bytes_ += bytes;
  const bool go_on = self->for_reading_
                         ? self->reading_.OnBody(absl::string_view(data, bytes)) == Reading::Flow::kGoOn
                         : self->body_bytes_ <= kMaxUnusedBody;
  if (go_on) return bytes;
  self->broken_off_ = true;
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
  return socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
}

int Exchange::OnClose(void* poller, curl_socket_t fd) {
  static_cast<Poller*>(poller)->Forget(fd);
  return close(fd);
}

int Exchange::OnRequest(void* arg, char* ip, char*, int, int) {
  auto* self = static_cast<Exchange*>(arg);
  self->connected_ = true;
  self->last_bytes_ = *self->clock_;
  return self->Judge(IpAddress::Parse(ip)) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

Exchange::End Exchange::Finish(CURLcode code) {
  if (code == CURLE_OK) return head_complete_ ? End::kComplete : End::kProtocolError;
  if (blocked_) return End::kBlocked;
  if (refusal_ != nullptr) return End::kHeadRefused;
  if (broken_off_) return End::kBrokenOff;
  switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:  // Only connecting has a timeout in libcurl.
      return End::kConnectFailed;
    case CURLE_SSL_CONNECT_ERROR: {
      long os_error = 0;
      curl_easy_getinfo(handle_, CURLINFO_OS_ERRNO, &os_error);
      const bool cut =
          os_error == ECONNRESET || os_error == EPIPE || std::strstr(error_, "reset by peer") != nullptr;
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
    case CURLE_OUT_OF_MEMORY:         // What libcurl calls a header line of more than 100 KB.
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
  if (refusal_ != nullptr) return refusal_;
  return error_[0] != '\0' ? error_ : "the answer cannot be read";
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
