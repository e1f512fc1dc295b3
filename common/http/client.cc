#include "common/http/client.h"

#include <curl/curl.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/http/target.h"
#include "common/http/transfer.h"
#include "common/log.h"
#include "common/status.h"

namespace imgfleet::http {
namespace {

constexpr int kMaxRedirects = 5;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool SameOrigin(const Target& a, const Target& b) {
  return a.https == b.https && a.host == b.host && a.port == b.port;
}

absl::Status Parse(const std::string& url, Target& target) {
  if (const absl::Status parsed = ParseTarget(url, &target); !parsed.ok())
    return Annotate(parsed, ShownUrl(url));
  if (absl::StrContains(Authority(url), "@")) {
    return absl::InvalidArgumentError(
        absl::StrCat(ShownUrl(url), ": the URL holds a user; name a credential instead"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::string_view Head::Find(absl::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

Client::Client(Options options) : options_(std::move(options)) {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  IMGFLEET_CHECK(ready);
}

absl::StatusOr<std::unique_ptr<Response>> Client::Send(Request request) const {
  Target target, first;
  RETURN_IF_ERROR(Parse(request.url, first));
  target = first;
  const std::string shown = ShownUrl(request.url);
  const bool follows = request.follow_redirects && (request.method == "GET" || request.method == "HEAD");
  for (int redirects = 0;; ++redirects) {
    auto transfer = std::make_unique<Transfer>(options_, request, target);
    const absl::Status started = transfer->Start();
    if (!started.ok())
      return redirects == 0 ? started : Annotate(started, absl::StrCat("redirected from ", shown));
    const absl::string_view location = transfer->head().Find("location");
    if (!follows || !IsRedirect(transfer->head().status) || location.empty()) return transfer;
    if (redirects == kMaxRedirects) {
      return absl::FailedPreconditionError(
          absl::StrCat(shown, ": redirected more than ", kMaxRedirects, " times"));
    }
    ASSIGN_OR_RETURN(request.url, ResolveReference(request.url, location));
    const absl::Status parsed = Parse(request.url, target);
    if (!parsed.ok()) return Annotate(parsed, absl::StrCat("redirected from ", shown));
    if (!SameOrigin(first, target)) request.secrets.clear();
  }
}

absl::StatusOr<std::string> ReadAll(Response& response) {
  std::string all;
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<std::string> piece, response.Read(absl::Minutes(1)));
    if (!piece.has_value()) continue;
    if (piece->empty()) return all;
    all.append(*piece);
  }
}

std::string ShownUrl(absl::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const size_t scheme = url.find("://");
  if (scheme == absl::string_view::npos) return std::string(url);
  const absl::string_view rest = url.substr(scheme + 3);
  const absl::string_view authority = rest.substr(0, rest.find('/'));
  const size_t at = authority.rfind('@');
  if (at == absl::string_view::npos) return std::string(url);
  return absl::StrCat(url.substr(0, scheme + 3), rest.substr(at + 1));
}

bool IsHttpUrl(absl::string_view url) {
  return absl::StartsWithIgnoreCase(url, "http://") || absl::StartsWithIgnoreCase(url, "https://");
}

}  // namespace imgfleet::http
