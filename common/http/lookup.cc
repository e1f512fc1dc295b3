#include "common/http/lookup.h"

#include <ares.h>
#include <netdb.h>
#include <poll.h>

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "common/log.h"

namespace imgfleet::http {
namespace {

constexpr int kAnswerTimeoutMs = 2000;
constexpr int kTries = 3;
constexpr int kStepMs = 100;

struct Answer {
  bool given = false;
  int status = ARES_ENODATA;
  std::vector<IpAddress> addresses;
};

void OnAnswer(void* arg, int status, int, ares_addrinfo* found) {
  auto* const answer = static_cast<Answer*>(arg);
  answer->given = true;
  answer->status = status;
  if (found == nullptr) return;
  for (const ares_addrinfo_node* node = found->nodes; node != nullptr; node = node->ai_next) {
    const auto address = IpAddress::FromSockaddr(node->ai_addr);
    if (address.ok()) answer->addresses.push_back(*address);
  }
  ares_freeaddrinfo(found);
}

void Wait(ares_channel channel) {
  ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
  const int wanted = ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM);
  std::vector<pollfd> polled;
  for (int i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
    const int events =
        (ARES_GETSOCK_READABLE(wanted, i) ? POLLIN : 0) | (ARES_GETSOCK_WRITABLE(wanted, i) ? POLLOUT : 0);
    if (events != 0) polled.push_back({sockets[i], static_cast<short>(events), 0});
  }
  poll(polled.data(), polled.size(), kStepMs);
  for (const pollfd& one : polled) {
    ares_process_fd(channel, one.revents & (POLLIN | POLLERR | POLLHUP) ? one.fd : ARES_SOCKET_BAD,
                    one.revents & POLLOUT ? one.fd : ARES_SOCKET_BAD);
  }
  ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // Timeouts.
}

}  // namespace

absl::StatusOr<std::vector<IpAddress>> Lookup(const std::string& host, const std::string& servers,
                                              absl::Duration timeout, const std::function<bool()>& stopped) {
  static const bool library = ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
  IMGFLEET_CHECK(library);
  const absl::string_view name = absl::StripSuffix(host, ".");
  // RFC 6761: never a question to a name server.
  if (name == "localhost" || absl::EndsWith(name, ".localhost")) {
    return std::vector<IpAddress>{IpAddress::V4(0x7f000001), *IpAddress::Parse("::1")};
  }
  ares_options options{};
  options.flags = ARES_FLAG_NOSEARCH;
  options.timeout = kAnswerTimeoutMs;
  options.tries = kTries;
  ares_channel channel = nullptr;
  if (ares_init_options(&channel, &options, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) !=
      ARES_SUCCESS) {
    return absl::UnavailableError("the system's name servers cannot be read; see /etc/resolv.conf");
  }
  Answer answer;  // Must outlive the channel, which calls back when it is destroyed.
  const absl::Cleanup destroy = [&] { ares_destroy(channel); };
  if (!servers.empty() && ares_set_servers_ports_csv(channel, servers.c_str()) != ARES_SUCCESS) {
    return absl::InvalidArgumentError(absl::StrCat("\"", servers, "\" are no name servers"));
  }
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_flags = ARES_AI_NOSORT;
  ares_getaddrinfo(channel, host.c_str(), nullptr, &hints, &OnAnswer, &answer);
  for (const absl::Time until = absl::Now() + timeout; !answer.given;) {
    if (stopped && stopped()) return absl::CancelledError("stopped");
    if (absl::Now() > until)
      return absl::UnavailableError(absl::StrCat("looking up the host ", host, ": no answer"));
    Wait(channel);
  }
  if (!answer.addresses.empty()) return answer.addresses;
  const bool none =
      answer.status == ARES_ENOTFOUND || answer.status == ARES_ENODATA || answer.status == ARES_SUCCESS;
  if (none) return absl::NotFoundError(absl::StrCat("the host ", host, " has no address"));
  return absl::UnavailableError(
      absl::StrCat("looking up the host ", host, ": ", ares_strerror(answer.status)));
}

}  // namespace imgfleet::http
