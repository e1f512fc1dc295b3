// Fuzzes the reading of URLs, of redirects' Locations, and what stands for their host. The input is a URL, and a
// Location as well. What must hold whatever the bytes:
//
// - A host that was taken is an address in its one canonical form, or a name that nobody reads as an address.
// - What is sent (the URL, or the rewritten one) is read again to the same scheme, host and port by libcurl, which does
//   the sending, and by us; the port and scheme are those that may be fetched.
// - The quick way of reading agrees with libcurl's.
#include <arpa/inet.h>
#include <curl/curl.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/address_policy.h"
#include "common/http/target.h"

namespace imgfleet::fetch {
namespace {

using http::Authority;
using http::ParseTarget;
using http::Target;

void Require(bool holds, const char* what, const std::string& url, const Target& target) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s; url \"%s\" host \"%s\" port %d rewritten \"%s\"\n", what, url.c_str(),
               target.host.c_str(), target.port, target.rewritten.c_str());
  std::abort();
}

std::string Part(CURLU* url, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string result(text);
  curl_free(text);
  return result;
}

void CheckHost(const std::string& url, const Target& target) {
  if (const auto address = IpAddress::Parse(target.host); address.ok()) {
    Require(address->ToString() == target.host, "one form of an address", url, target);
    return;
  }
  for (const char c : target.host) {
    Require(absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_', "characters of a name", url, target);
    Require(!absl::ascii_isupper(c), "lower case", url, target);
  }
  Require(!target.host.empty(), "a host", url, target);
  in_addr v4;
  const std::string name(absl::StripSuffix(target.host, "."));
  Require(inet_aton(name.c_str(), &v4) == 0, "no address in the guise of a name", url, target);
}

// What libcurl will make of the request.
void CheckSent(const std::string& url, const Target& target) {
  const std::string& sent = target.rewritten.empty() ? url : target.rewritten;
  const std::unique_ptr<CURLU, void (*)(CURLU*)> parsed(curl_url(), curl_url_cleanup);
  Require(curl_url_set(parsed.get(), CURLUPART_URL, sent.c_str(), 0) == CURLUE_OK, "libcurl reads it", url,
          target);
  const std::string scheme = Part(parsed.get(), CURLUPART_SCHEME, 0);
  Require(scheme == (target.https ? "https" : "http"), "the same scheme", url, target);
  Require(Part(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT) == absl::StrCat(target.port),
          "the same port", url, target);
  std::string host = Part(parsed.get(), CURLUPART_HOST, 0);
  if (!host.empty() && host.front() == '[') {
    const auto address = IpAddress::Parse(host.substr(1, host.size() - 2));
    Require(address.ok(), "an address in brackets", url, target);
    host = address->ToString();
  }
  Require(host == target.host, "the same host", url, target);
  Target again;
  Require(ParseTarget(sent, &again).ok(), "it is read again", url, target);
  Require(again.host == target.host && again.port == target.port && again.https == target.https,
          "it is read again as the same", url, target);
}

void Check(const std::string& url) {
  Target target;
  if (!ParseTarget(url, &target).ok()) return;
  Require(target.port != 0, "a port", url, target);
  CheckHost(url, target);
  CheckSent(url, target);
  Authority(url);
}

}  // namespace
}  // namespace imgfleet::fetch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  imgfleet::fetch::Check(text);
  imgfleet::fetch::Check("http://" + text + "/");
  for (const char* base : {"http://a.example/dir/x?q#f", "https://u:p@[2001:db8::1]:8443/"}) {
    const auto resolved = imgfleet::http::ResolveReference(base, text);
    if (resolved.ok()) imgfleet::fetch::Check(*resolved);
  }
  return 0;
}
