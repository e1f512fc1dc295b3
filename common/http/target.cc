#include "common/http/target.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <idn2.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/address_policy.h"
#include "common/status.h"

namespace imgfleet::http {
namespace {

// libcurl's own bound is 8 MB; no web server takes lines of more than a few KB.
constexpr size_t kMaxUrlBytes = 16 << 10;

std::optional<std::string> Part(const ParsedUrl& url, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, flags) != CURLUE_OK) return std::nullopt;
  std::string result(text);
  curl_free(text);
  return result;
}

// A host name in characters other than ASCII, as DNS knows it (IDNA 2008). libcurl would read it in the
// locale's character set; URLs are UTF-8 everywhere.
absl::StatusOr<std::string> Punycode(const std::string& host) {
  char* ascii = nullptr;
  const int code = idn2_lookup_u8(reinterpret_cast<const uint8_t*>(host.c_str()),
                                  reinterpret_cast<uint8_t**>(&ascii), IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  if (code != IDN2_OK) {
    return absl::InvalidArgumentError(
        absl::StrCat("the URL's host is no domain name: ", idn2_strerror(code)));
  }
  std::string result(ascii);
  idn2_free(ascii);
  return result;
}

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return absl::ascii_isascii(c); });
}

// What stands between the slashes behind the scheme and the path: browsers read a backslash there as a slash, others as
// a part of the user's name, and drop or encode what is not printed.
bool AuthorityIsUnclear(absl::string_view url) {
  const size_t start = url.find_first_not_of('/', url.find(':') + 1);
  if (start == absl::string_view::npos) return false;
  const absl::string_view authority = url.substr(start, url.find_first_of("/?#", start) - start);
  return std::any_of(authority.begin(), authority.end(),
                     [](char c) { return c == '\\' || absl::ascii_iscntrl(c) || c == ' '; });
}

// "1", "0x7f" and the like: what makes a host whose last label it is a number, and so an address or nothing.
bool IsNumber(absl::string_view label) {
  const bool hex = absl::ConsumePrefix(&label, "0x");
  return (hex || !label.empty()) && std::all_of(label.begin(), label.end(), [hex](char c) {
           return hex ? absl::ascii_isxdigit(c) : absl::ascii_isdigit(c);
         });
}

// `host` as libcurl has it: percent-encoding decoded, IPv6 addresses in brackets.
absl::StatusOr<std::string> CanonicalHost(std::string host) {
  if (host.empty()) return absl::InvalidArgumentError("the URL's host cannot be read");
  if (host.front() == '[') {
    ASSIGN_OR_RETURN(const IpAddress address,
                     IpAddress::Parse(absl::string_view(host).substr(1, host.find(']') - 1)));
    return address.ToString();
  }
  if (!IsAscii(host)) {
    ASSIGN_OR_RETURN(host, Punycode(host));
  }
  absl::AsciiStrToLower(&host);
  const bool fine = std::all_of(host.begin(), host.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_';
  });
  if (!fine) return absl::InvalidArgumentError("the URL's host holds characters that no host name has");
  // Spellings of an IPv4 address: libcurl knows them, but not behind a trailing dot or characters of other scripts.
  const absl::string_view name = absl::StripSuffix(host, ".");
  if (!IsNumber(name.substr(name.rfind('.') + 1))) return host;
  in_addr v4;
  if (inet_aton(std::string(name).c_str(), &v4) == 0) {
    return absl::InvalidArgumentError("the URL's host is a number that is no address");
  }
  return IpAddress::V4(ntohl(v4.s_addr)).ToString();
}

bool PlainHost(absl::string_view host) {
  if (host.empty() || host.back() == '.') return false;
  for (const char c : host) {
    if (!absl::ascii_isdigit(c) && !absl::ascii_islower(c) && c != '.' && c != '-') return false;
  }
  // A last label that begins with a letter is a name; every numeric spelling of an address begins with a
  // digit.
  const size_t dot = host.rfind('.');
  const char first = host[dot == absl::string_view::npos ? 0 : dot + 1];
  return absl::ascii_islower(first) || IpAddress::Parse(host).ok();
}

bool PlainPath(absl::string_view path) {
  for (const char c : path) {
    if (c <= ' ' || c >= 0x7f || c == '#' || c == '\\' || c == '"' || c == '<' || c == '>' || c == '^' ||
        c == '`' || c == '{' || c == '|' || c == '}') {
      return false;
    }
  }
  return true;
}

// Reads URLs on whose meaning everybody agrees; false leaves the rest to libcurl.
bool ParsePlain(absl::string_view url, Target* target) {
  target->https = absl::StartsWith(url, "https://");
  if (!target->https && !absl::StartsWith(url, "http://")) return false;
  const absl::string_view rest = url.substr(target->https ? 8 : 7);
  const size_t slash = rest.find('/');
  if (slash == absl::string_view::npos || !PlainPath(rest.substr(slash))) return false;
  absl::string_view host = rest.substr(0, slash);
  target->port = target->https ? 443 : 80;
  if (const size_t colon = host.find(':'); colon != absl::string_view::npos) {
    uint32_t port;
    const absl::string_view digits = host.substr(colon + 1);
    // SimpleAtoi takes spaces and signs, too.
    if (digits.size() > 5 || !std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) ||
        !absl::SimpleAtoi(digits, &port) || port == 0 || port > 65535) {
      return false;
    }
    target->port = static_cast<uint16_t>(port);
    host = host.substr(0, colon);
  }
  if (!PlainHost(host)) return false;
  target->host.assign(host.data(), host.size());
  target->rewritten.clear();
  const size_t path = url.size() - rest.size() + slash;
  target->path = absl::StrContains(url.substr(path), "/.") ? 0 : path;  // Dot segments are taken out.
  return true;
}

absl::Status ParseWithCurl(const std::string& url, Target* target) {
  ParsedUrl parsed(curl_url());
  const CURLUcode code = curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(),
                                      CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE | CURLU_ALLOW_SPACE);
  if (code != CURLUE_OK) {
    return absl::InvalidArgumentError(absl::StrCat("the URL cannot be read: ", curl_url_strerror(code)));
  }
  const std::string scheme = Part(parsed, CURLUPART_SCHEME, 0).value_or("");
  if (scheme != "http" && scheme != "https") {
    return absl::InvalidArgumentError(
        absl::StrCat("the URL's scheme is \"", scheme, "\"; only http and https are fetched"));
  }
  target->https = scheme == "https";
  if (AuthorityIsUnclear(url) || Part(parsed, CURLUPART_ZONEID, 0).has_value()) {
    return absl::InvalidArgumentError(
        "before the URL's path stands a backslash, a space or a zone, which are read in different ways");
  }
  curl_url_set(parsed.get(), CURLUPART_FRAGMENT, nullptr, 0);
  ASSIGN_OR_RETURN(target->host, CanonicalHost(Part(parsed, CURLUPART_HOST, 0).value_or("")));
  if (target->host.find(':') == std::string::npos) {
    curl_url_set(parsed.get(), CURLUPART_HOST, target->host.c_str(), 0);
  }
  std::optional<std::string> rewritten = Part(parsed, CURLUPART_URL, 0);
  const std::string port = Part(parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT).value_or("");
  uint32_t number;
  if (!absl::SimpleAtoi(port, &number) || number == 0 || number > 65535) {
    return absl::InvalidArgumentError("the URL's port is not a number from 1 to 65535");
  }
  if (!rewritten.has_value()) return absl::InvalidArgumentError("the URL cannot be read");
  target->port = static_cast<uint16_t>(number);
  target->rewritten = *std::move(rewritten);
  target->path = 0;
  return absl::OkStatus();
}

}  // namespace

absl::Status ParseTarget(const std::string& url, Target* target) {
  if (url.empty()) return absl::InvalidArgumentError("the URL is empty");
  if (url.size() > kMaxUrlBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the URL is ", url.size(), " bytes long; at most ", kMaxUrlBytes, " are taken"));
  }
  if (url.find('\0') != std::string::npos) return absl::InvalidArgumentError("the URL holds a zero byte");
  if (ParsePlain(url, target)) return absl::OkStatus();
  return ParseWithCurl(url, target);
}

absl::StatusOr<std::string> ResolveReference(const std::string& base, absl::string_view reference) {
  ParsedUrl url(curl_url());
  const unsigned flags = CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE | CURLU_ALLOW_SPACE;
  CURLUcode code = curl_url_set(url.get(), CURLUPART_URL, base.c_str(), flags);
  if (code == CURLUE_OK) {
    code = curl_url_set(url.get(), CURLUPART_URL, std::string(reference).c_str(), flags);
  }
  std::optional<std::string> result;
  if (code == CURLUE_OK) result = Part(url, CURLUPART_URL, 0);
  if (!result.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the redirect's Location cannot be read: ", curl_url_strerror(code)));
  }
  return *std::move(result);
}

absl::string_view Authority(absl::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == absl::string_view::npos) return url;
  url.remove_prefix(scheme + 3);
  return url.substr(0, url.find_first_of("/?#"));
}

}  // namespace imgfleet::http
