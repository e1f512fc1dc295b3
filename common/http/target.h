// A URL taken apart as far as fetching needs.
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace imgfleet::http {

// libcurl's.
struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using ParsedUrl = std::unique_ptr<CURLU, FreeUrl>;

struct Target {
  bool https = false;
  // Lower case, IDN in punycode, IP literals in canonical form without brackets whatever their spelling was: hosts whose
  // last label is a number are IPv4 addresses or refused, as in browsers.
  std::string host;
  uint16_t port = 0;
  // What to ask for, where the given text cannot be sent as it is (spaces, other characters than ASCII); else
  // empty.
  std::string rewritten;
  // Where in the given text path and query begin, which can be sent as they stand there; 0 where libcurl has to make them
  // out.
  size_t path = 0;
};

// Takes an http or https URL apart as libcurl would; plain URLs by a quick way of our own. Spaces and
// characters outside ASCII are percent-encoded. Backslashes and zones in the host are refused. INVALID_ARGUMENT names what is wrong, without the URL.
// `target` is reused memory.
absl::Status ParseTarget(const std::string& url, Target* target);

// The absolute URL that `reference` (a Location header) means, seen from `base`. INVALID_ARGUMENT where it
// cannot be read. The scheme is not looked at.
absl::StatusOr<std::string> ResolveReference(const std::string& base, absl::string_view reference);

// The host[:port] part of a URL as it is written, to tell apart origins roughly and cheaply.
absl::string_view Authority(absl::string_view url);

}  // namespace imgfleet::http
