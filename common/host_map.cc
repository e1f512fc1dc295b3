#include "common/host_map.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace imgfleet {
namespace {

absl::StatusOr<uint16_t> ParsePort(absl::string_view text) {
  uint32_t port;
  const bool digits = std::all_of(text.begin(), text.end(), absl::ascii_isdigit);  // SimpleAtoi takes more.
  if (!digits || !absl::SimpleAtoi(text, &port) || port == 0 || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is no port from 1 to 65535"));
  }
  return static_cast<uint16_t>(port);
}

absl::StatusOr<HostMap::Destination> ParseDestination(absl::string_view text) {
  HostMap::Destination destination;
  const size_t bracket = text.find(']');
  const size_t colon = text.rfind(':');
  absl::string_view address = text;
  if (!text.empty() && text[0] == '[' && bracket != absl::string_view::npos) {
    address = text.substr(1, bracket - 1);
    if (bracket + 1 < text.size()) {
      if (text[bracket + 1] != ':') return absl::InvalidArgumentError("\":PORT\" must follow the bracket");
      ASSIGN_OR_RETURN(destination.port, ParsePort(text.substr(bracket + 2)));
    }
  } else if (colon != absl::string_view::npos && text.find(':') == colon) {
    address = text.substr(0, colon);
    ASSIGN_OR_RETURN(destination.port, ParsePort(text.substr(colon + 1)));
  }
  ASSIGN_OR_RETURN(destination.address, IpAddress::Parse(address));
  return destination;
}

}  // namespace

absl::Status HostMap::Add(absl::string_view entry) {
  const std::string context = absl::StrCat("host mapping \"", entry, "\"");
  const size_t equals = entry.find('=');
  if (equals == absl::string_view::npos || equals == 0) {
    return absl::InvalidArgumentError(absl::StrCat(context, " is not HOST[:PORT]=ADDRESS[:PORT]"));
  }
  absl::string_view host = entry.substr(0, equals);
  uint16_t port = 0;
  if (const size_t colon = host.rfind(':'); colon != absl::string_view::npos) {
    absl::StatusOr<uint16_t> parsed = ParsePort(host.substr(colon + 1));
    if (!parsed.ok()) return Annotate(parsed.status(), context);
    port = *parsed;
    host = host.substr(0, colon);
  }
  absl::StatusOr<Destination> destination = ParseDestination(entry.substr(equals + 1));
  if (!destination.ok()) return Annotate(destination.status(), context);
  entries_[absl::StrCat(absl::AsciiStrToLower(host), ":", port)] = *destination;
  return absl::OkStatus();
}

const HostMap::Destination* HostMap::Find(absl::string_view host, uint16_t port) const {
  if (entries_.empty()) return nullptr;
  auto it = entries_.find(absl::StrCat(host, ":", port));
  if (it == entries_.end()) it = entries_.find(absl::StrCat(host, ":0"));
  return it == entries_.end() ? nullptr : &it->second;
}

}  // namespace imgfleet
