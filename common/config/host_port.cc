#include "common/config/host_port.h"

#include <arpa/inet.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace imgfleet::config {
namespace {

bool IsAddress(int family, const std::string& text) {
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(family, text.c_str(), bytes) == 1;
}

// RFC 1123, with the underscore that container networks use. Digits and dots alone would be a mistyped
// address.
bool IsName(absl::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  for (const absl::string_view label : absl::StrSplit(text, '.')) {
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    if (!std::all_of(label.begin(), label.end(),
                     [](unsigned char c) { return absl::ascii_isalnum(c) || c == '-' || c == '_'; })) {
      return false;
    }
  }
  return text.find_first_not_of("0123456789.") != absl::string_view::npos;
}

}  // namespace

bool HostPort::IsLoopback() const {
  if (host == "localhost" || host == "::1") return true;
  return IsAddress(AF_INET, host) && absl::StartsWith(host, "127.");
}

std::string HostPort::ToString() const {
  if (empty()) return "";
  const bool v6 = absl::StrContains(host, ":");
  return absl::StrCat(v6 ? "[" : "", host, v6 ? "]" : "", ":", port);
}

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  const absl::Status bad = absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is no HOST:PORT; write it like 127.0.0.1:8080, [::1]:8080 or name:8080"));
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return bad;
  absl::string_view host = text.substr(0, colon);
  const absl::string_view digits = text.substr(colon + 1);
  uint32_t port = 0;
  if (digits.empty() || digits.size() > 5 ||
      digits.find_first_not_of("0123456789") != absl::string_view::npos || !absl::SimpleAtoi(digits, &port) ||
      port > 65535) {
    return bad;
  }
  HostPort result{std::string(host), static_cast<uint16_t>(port)};
  if (absl::StartsWith(host, "[") && absl::EndsWith(host, "]")) {
    result.host = std::string(host.substr(1, host.size() - 2));
    if (!IsAddress(AF_INET6, result.host)) return bad;
    return result;
  }
  if (!IsAddress(AF_INET, result.host) && !IsName(host)) return bad;
  return result;
}

absl::StatusOr<std::string> DialTarget(const std::vector<HostPort>& servers) {
  if (servers.size() == 1) return servers.front().ToString();
  const auto all = [&](int family) {
    return std::all_of(servers.begin(), servers.end(),
                       [&](const HostPort& server) { return IsAddress(family, server.host); });
  };
  const bool v4 = all(AF_INET), v6 = all(AF_INET6);
  if (servers.empty() || (!v4 && !v6)) {
    return absl::InvalidArgumentError(
        "name one server, whose name may stand for several addresses, or several by their addresses, all "
        "IPv4 or all "
        "IPv6");
  }
  return absl::StrCat(v4 ? "ipv4:" : "ipv6:",
                      absl::StrJoin(servers, ",", [](std::string* out, const HostPort& server) {
                        absl::StrAppend(out, server.ToString());
                      }));
}

}  // namespace imgfleet::config
