#include "worker/fetch/options.h"

#include "absl/strings/str_cat.h"
#include "common/http/target.h"

namespace imgfleet::fetch {

absl::Status Options::Exempt(absl::string_view host) {
  const std::string url = absl::StrCat("http://", host, "/");
  http::Target target;
  const bool plain = host.find_first_of("/?#@:") == absl::string_view::npos || host.front() == '[';
  if (host.empty() || !plain || !http::ParseTarget(url, &target).ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", host, "\" is no host: give a name or an address, without scheme and port"));
  }
  exempt_hosts.insert(target.host);
  return absl::OkStatus();
}

}  // namespace imgfleet::fetch
