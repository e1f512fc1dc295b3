#include "common/http/transfer.h"

#include <sys/socket.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/http/lookup.h"
#include "common/log.h"
#include "common/status.h"
#include "common/version.h"

namespace imgfleet::http {
namespace {

constexpr size_t kMaxHeadBytes = 64 << 10;
constexpr size_t kMaxHeld = 512 << 10;
constexpr int kStepMs = 100;
// Less than so much of a body in stall_timeout is a stall.
constexpr uint64_t kLeastBytes = 1 << 10;

template <typename Value>
void Set(CURL* handle, CURLoption option, Value value) {
  IMGFLEET_CHECK(curl_easy_setopt(handle, option, value) == CURLE_OK);
}

std::string ForCurl(const IpAddress& address) {
  return address.is_v4() ? address.ToString() : absl::StrCat("[", address.ToString(), "]");
}

}  // namespace

Transfer::Transfer(const Client::Options& options, const Request& request, const Target& target)
    : options_(options),
      request_(request),
      target_(target),
      handle_(curl_easy_init()),
      multi_(curl_multi_init()) {
  IMGFLEET_CHECK(handle_ != nullptr && multi_ != nullptr);
  head_.url = request.url;
}

Transfer::~Transfer() {
  curl_multi_remove_handle(multi_, handle_);
  curl_easy_cleanup(handle_);
  curl_multi_cleanup(multi_);
  curl_slist_free_all(sent_);
  curl_slist_free_all(route_);
}

absl::Status Transfer::Judge(const IpAddress& address) const {
  if (options_.policy.Allows(address)) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat(Shown(), ": the address ", address.ToString(),
                   " is not one of the public Internet; open it with --allow-address if it may be reached"));
}

// Decides which addresses libcurl may connect to, and tells it.
absl::Status Transfer::Route() {
  if (const auto* mapped = options_.host_map.Find(target_.host, target_.port)) {
    RETURN_IF_ERROR(Judge(mapped->address));
    const uint16_t port = mapped->port != 0 ? mapped->port : target_.port;
    route_ = curl_slist_append(nullptr, absl::StrCat("::", ForCurl(mapped->address), ":", port).c_str());
    Set(handle_, CURLOPT_CONNECT_TO, route_);
    return absl::OkStatus();
  }
  if (const auto literal = IpAddress::Parse(target_.host); literal.ok()) return Judge(*literal);
  const auto found = Lookup(target_.host, options_.dns_servers, options_.connect_timeout, request_.stopped);
  if (!found.ok()) return Annotate(found.status(), Shown());
  std::vector<std::string> open;
  for (const IpAddress& address : *found) {
    if (Judge(address).ok()) open.push_back(ForCurl(address));
  }
  if (open.empty()) return Judge(found->front());
  route_ = curl_slist_append(
      nullptr, absl::StrCat(target_.host, ":", target_.port, ":", absl::StrJoin(open, ",")).c_str());
  Set(handle_, CURLOPT_RESOLVE, route_);
  return absl::OkStatus();
}

void Transfer::SetUp() {
  Set(handle_, CURLOPT_URL, target_.rewritten.empty() ? request_.url.c_str() : target_.rewritten.c_str());
  Set(handle_, CURLOPT_NOSIGNAL, 1L);
  Set(handle_, CURLOPT_PROTOCOLS_STR, "http,https");
  // Neither proxies from the environment nor credentials from ~/.netrc.
  Set(handle_, CURLOPT_PROXY, "");
  Set(handle_, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  Set(handle_, CURLOPT_PATH_AS_IS, 1L);
  Set(handle_, CURLOPT_ERRORBUFFER, error_);
  Set(handle_, CURLOPT_CONNECTTIMEOUT_MS,
      static_cast<long>(absl::ToInt64Milliseconds(options_.connect_timeout)));
  Set(handle_, CURLOPT_HEADERFUNCTION, &Transfer::OnHeader);
  Set(handle_, CURLOPT_HEADERDATA, this);
  Set(handle_, CURLOPT_WRITEFUNCTION, &Transfer::OnBody);
  Set(handle_, CURLOPT_WRITEDATA, this);
  Set(handle_, CURLOPT_OPENSOCKETFUNCTION, &Transfer::OnOpen);
  Set(handle_, CURLOPT_OPENSOCKETDATA, this);
  Set(handle_, CURLOPT_PREREQFUNCTION, &Transfer::OnRequest);
  Set(handle_, CURLOPT_PREREQDATA, this);
  if (!options_.ca_file.empty()) {
    Set(handle_, CURLOPT_CAPATH, options_.ca_folder.c_str());
    Set(handle_, CURLOPT_CAINFO, options_.ca_file.c_str());
  }
  if (request_.method == "HEAD") {
    Set(handle_, CURLOPT_NOBODY, 1L);
  } else if (request_.method != "GET" || !request_.body.empty()) {
    Set(handle_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
    Set(handle_, CURLOPT_POSTFIELDS, request_.body.data());
    Set(handle_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  }
  const std::string agent =
      options_.user_agent.empty() ? absl::StrCat("imgfleet/", kVersion) : options_.user_agent;
  Set(handle_, CURLOPT_USERAGENT, agent.c_str());
  // "Expect:" and "Content-Type:" without a value: libcurl's own are left out.
  for (const char* fixed : {"Accept-Encoding: identity", "Expect:", "Content-Type:"}) {
    sent_ = curl_slist_append(sent_, fixed);
  }
  for (const Headers* headers : {&request_.headers, &request_.secrets}) {
    for (const auto& [name, value] : *headers) {
      sent_ = curl_slist_append(
          sent_, value.empty() ? absl::StrCat(name, ";").c_str() : absl::StrCat(name, ": ", value).c_str());
    }
  }
  Set(handle_, CURLOPT_HTTPHEADER, sent_);
}

absl::Status Transfer::Start() {
  RETURN_IF_ERROR(Route());
  SetUp();
  IMGFLEET_CHECK(curl_multi_add_handle(multi_, handle_) == CURLM_OK);
  const absl::Time until = absl::Now() + options_.connect_timeout + options_.stall_timeout;
  while (!head_complete_ && !ended_.has_value()) {
    if (Stopped()) return absl::CancelledError("stopped");
    if (absl::Now() > until) return absl::UnavailableError(absl::StrCat(Shown(), ": no answer"));
    Step();
  }
  if (!head_complete_) return Failure();
  long version = 0;
  curl_easy_getinfo(handle_, CURLINFO_HTTP_VERSION, &version);
  head_.has_end = version >= CURL_HTTP_VERSION_2_0 || !head_.Find("content-length").empty() ||
                  absl::EndsWithIgnoreCase(head_.Find("transfer-encoding"), "chunked");
  return absl::OkStatus();
}

bool Transfer::Step() {
  int running = 0;
  const uint64_t before = body_bytes_ + head_bytes_;
  curl_multi_perform(multi_, &running);
  int left;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg == CURLMSG_DONE) ended_ = message->data.result;
  }
  if (ended_.has_value() || body_bytes_ + head_bytes_ != before) return true;
  curl_multi_poll(multi_, nullptr, 0, kStepMs, nullptr);
  return false;
}

absl::StatusOr<std::optional<std::string>> Transfer::Read(absl::Duration patience) {
  const absl::Time begin = absl::Now();
  for (;;) {
    if (!body_.empty()) {
      waited_ += absl::Now() - begin;
      if (window_bytes_ >= kLeastBytes) {
        window_bytes_ = 0;
        waited_ = absl::ZeroDuration();
      }
      return std::exchange(body_, {});
    }
    if (ended_.has_value()) {
      if (*ended_ != CURLE_OK) return Failure();
      return std::string();
    }
    if (Stopped()) return absl::CancelledError("stopped");
    if (const absl::Duration waited = absl::Now() - begin; waited >= patience) {
      waited_ += waited;
      return std::optional<std::string>();
    }
    if (const absl::Duration stalled = waited_ + (absl::Now() - begin); stalled > options_.stall_timeout) {
      return absl::UnavailableError(absl::StrCat(Shown(), ": fewer than ", kLeastBytes, " bytes came in ",
                                                 absl::FormatDuration(options_.stall_timeout)));
    }
    if (std::exchange(paused_, false)) curl_easy_pause(handle_, CURLPAUSE_CONT);
    Step();
  }
}

absl::Status Transfer::Failure() const {
  if (!refusal_.ok()) return refusal_;
  const std::string why = error_[0] != '\0' ? error_ : curl_easy_strerror(ended_.value_or(CURLE_OK));
  const std::string what = absl::StrCat(Shown(), ": ", why);
  switch (ended_.value_or(CURLE_OK)) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return absl::FailedPreconditionError(what);
    case CURLE_URL_MALFORMAT:
      return absl::InvalidArgumentError(what);
    default:
      return absl::UnavailableError(what);
  }
}

size_t Transfer::OnHeader(char* data, size_t size, size_t count, void* arg) {
  auto* const self = static_cast<Transfer*>(arg);
  const size_t bytes = size * count;
  self->head_bytes_ += bytes;
  if (self->head_bytes_ > kMaxHeadBytes) {
    self->refusal_ = absl::UnavailableError(absl::StrCat(self->Shown(), ": the answer's head is too long"));
    return 0;
  }
  self->TakeHeaderLine(absl::StripTrailingAsciiWhitespace(absl::string_view(data, bytes)));
  return bytes;
}

void Transfer::TakeHeaderLine(absl::string_view line) {
  if (head_complete_) return;  // Trailers.
  if (absl::StartsWith(line, "HTTP/")) {
    head_.headers.clear();
    long status = 0;
    curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
    head_.status = static_cast<int>(status);
    return;
  }
  if (line.empty()) {
    long status = 0;
    curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
    head_.status = static_cast<int>(status);
    head_complete_ = status >= 200;
    return;
  }
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) return;
  head_.headers.emplace_back(absl::AsciiStrToLower(line.substr(0, colon)),
                             std::string(absl::StripAsciiWhitespace(line.substr(colon + 1))));
}

size_t Transfer::OnBody(char* data, size_t size, size_t count, void* arg) {
  auto* const self = static_cast<Transfer*>(arg);
  const size_t bytes = size * count;
  if (self->body_.size() >= kMaxHeld) {
    self->paused_ = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  self->body_bytes_ += bytes;
  self->window_bytes_ += bytes;
  if (self->body_bytes_ > self->request_.max_body_bytes) {
    self->refusal_ = absl::ResourceExhaustedError(
        absl::StrCat(self->Shown(), ": more than ", self->request_.max_body_bytes, " bytes"));
    return bytes + 1;
  }
  self->body_.append(data, bytes);
  return bytes;
}

curl_socket_t Transfer::OnOpen(void* arg, curlsocktype, curl_sockaddr* address) {
  auto* const self = static_cast<Transfer*>(arg);
  const auto to = IpAddress::FromSockaddr(&address->addr);
  const absl::Status judged = to.ok() ? self->Judge(*to) : to.status();
  if (!judged.ok()) {
    self->refusal_ = judged;
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

int Transfer::OnRequest(void* arg, char* ip, char*, int, int) {
  auto* const self = static_cast<Transfer*>(arg);
  const auto to = IpAddress::Parse(ip);
  const absl::Status judged = to.ok() ? self->Judge(*to) : to.status();
  if (judged.ok()) return CURL_PREREQFUNC_OK;
  self->refusal_ = judged;
  return CURL_PREREQFUNC_ABORT;
}

}  // namespace imgfleet::http
