#include "worker/fetch/resolver.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/log.h"

namespace imgfleet::fetch {
namespace {

constexpr absl::Duration kNoAddressTtl = absl::Minutes(1), kErrorTtl = absl::Milliseconds(200);
// Addresses of one kind that are taken from an answer.
constexpr int kMaxAddresses = 16;
// Room for the answers of all hosts asked for, should the loop be late; the kernel gives what it allows.
constexpr int kReceiveBuffer = 4 << 20;

bool InitLibrary() { return ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS; }

// The name servers have answered, and there is no address.
bool IsFinal(int status) {
  return status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME;
}

Resolver::Answer Named(const std::string& host, const std::vector<IpAddress>& addresses, int status,
                       absl::Time expiry) {
  Resolver::Answer answer{addresses, "", false, expiry};
  if (!addresses.empty()) return answer;
  answer.final = IsFinal(status);
  answer.error = answer.final ? absl::StrCat("the host ", host, " has no address")
                              : absl::StrCat("looking up the host ", host, ": ", ares_strerror(status));
  return answer;
}

// Whether this machine has a way to the address. Sends nothing.
bool HasRoute(const IpAddress& address) {
  const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  to.sin6_port = htons(443);
  std::memcpy(&to.sin6_addr, address.bytes().data(), 16);
  const bool has = connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0;
  close(fd);
  return has;
}

void Lower(absl::Duration* ttl, int seconds) { *ttl = std::min(*ttl, absl::Seconds(seconds)); }

bool IsLocalhost(absl::string_view host) { return host == "localhost" || absl::EndsWith(host, ".localhost"); }

}  // namespace

Resolver::Resolver(Poller* poller, const std::string& servers, const std::string& hosts_file)
    : poller_(poller), hosts_(hosts_file) {
  static const bool initialised = InitLibrary();
  IMGFLEET_CHECK(initialised);
  ares_options options{};
  options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
  options.timeout = 2000;
  options.tries = 3;
  options.socket_receive_buffer_size = kReceiveBuffer;
  char lookups[] = "b";
  options.lookups = lookups;
  options.sock_state_cb = [](void* self, ares_socket_t fd, int readable, int writable) {
    const uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
    Poller* poller = static_cast<Resolver*>(self)->poller_;
    // c-ares closes a socket right after it has lost interest in it.
    if (events == 0) {
      poller->Forget(fd);
    } else {
      poller->Watch(fd, Poller::Kind::kResolver, events);
    }
  };
  options.sock_state_cb_data = this;
  const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                   ARES_OPT_SOCK_RCVBUF | ARES_OPT_SOCK_STATE_CB;
  const int status = ares_init_options(&channel_, &options, mask);
  IMGFLEET_CHECK(status == ARES_SUCCESS);
  if (!servers.empty() && ares_set_servers_ports_csv(channel_, servers.c_str()) != ARES_SUCCESS) {
    log::Error("name servers \"%s\" cannot be read; the system's are used", servers);
  }
}

Resolver::~Resolver() {
  Shutdown();
  ares_destroy(channel_);
}

void Resolver::Shutdown() {
  if (shutting_down_) return;
  shutting_down_ = true;
  for (Pending* pending : waiting_) delete pending;
  waiting_.clear();
  pending_.clear();
  ares_cancel(channel_);
}

void Resolver::Lookup(const std::string& host, absl::Time now, Callback done) {
  if (shutting_down_) return;
  now_ = now;
  if (const Known* known = Find(host)) {
    done(Named(host, known->addresses, known->status, known->expiry));
    return;
  }
  const absl::string_view name = absl::StripSuffix(host, ".");
  const std::vector<IpAddress>* listed = hosts_.Find(name, now);
  if (listed != nullptr) {
    done(Named(host, *listed, ARES_SUCCESS, now + kMinTtl));
    return;
  }
  if (IsLocalhost(name)) {
    const std::array<uint8_t, 16> one{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    done(Named(host, {IpAddress::V4(0x7f000001), IpAddress::V6(one)}, ARES_SUCCESS, now + kMaxTtl));
    return;
  }
  if (absl::EndsWith(name, ".onion")) {
    done(Named(host, {}, ARES_ENOTFOUND, now + kMaxTtl));
    return;
  }
  Pending*& pending = pending_[host];
  if (pending != nullptr) {
    pending->callbacks.push_back(std::move(done));
    return;
  }
  pending = new Pending{.resolver = this, .host = host, .callbacks = {}, .v4 = {}, .v6 = {}};
  pending->callbacks.push_back(std::move(done));
  waiting_.push_back(pending);
  AskWaiting();
}

const Resolver::Known* Resolver::Find(const std::string& host) {
  auto found = young_.find(host);
  if (found == young_.end()) {
    const auto aged = old_.find(host);
    if (aged == old_.end()) return nullptr;
    Known known = std::move(aged->second);
    old_.erase(aged);
    if (known.expiry <= now_) return nullptr;
    Keep(host, std::move(known));
    found = young_.find(host);
  }
  return found->second.expiry > now_ ? &found->second : nullptr;
}

void Resolver::Keep(const std::string& host, Known known) {
  if (young_.size() >= kMaxCached / 2) {
    old_ = std::move(young_);
    young_.clear();
  }
  young_.insert_or_assign(host, std::move(known));
}

// A question may be over before it has left, and whoever is called back may ask again: one loop, no recursion.
void Resolver::AskWaiting() {
  if (asking_) return;
  asking_ = true;
  while (!waiting_.empty() && asked_.size() < kMaxAsked && fresh_ < kMaxFresh && !shutting_down_) {
    Pending* next = waiting_.front();
    waiting_.pop_front();
    Ask(next);
  }
  asking_ = false;
}

void Resolver::Ask(Pending* pending) {
  pending->position = asked_.size();
  asked_.push_back(pending);
  ++fresh_;
  pending->asked = now_;
  pending->open = 2;
  ares_query(channel_, pending->host.c_str(), ns_c_in, ns_t_a, &Resolver::OnV4, pending);
  ares_query(channel_, pending->host.c_str(), ns_c_in, ns_t_aaaa, &Resolver::OnV6, pending);
}

void Resolver::OnV4(void* arg, int status, int, unsigned char* packet, int bytes) {
  auto* pending = static_cast<Pending*>(arg);
  ares_addrttl answers[kMaxAddresses];
  int count = kMaxAddresses;
  if (status == ARES_SUCCESS) status = ares_parse_a_reply(packet, bytes, nullptr, answers, &count);
  pending->status_v4 = status == ARES_SUCCESS && count == 0 ? ARES_ENODATA : status;
  for (int i = 0; status == ARES_SUCCESS && i < count; ++i) {
    Lower(&pending->ttl, answers[i].ttl);
    pending->v4.push_back(IpAddress::V4(ntohl(answers[i].ipaddr.s_addr)));
  }
  pending->resolver->OnQuestionOver(pending);
}

void Resolver::OnV6(void* arg, int status, int, unsigned char* packet, int bytes) {
  auto* pending = static_cast<Pending*>(arg);
  ares_addr6ttl answers[kMaxAddresses];
  int count = kMaxAddresses;
  if (status == ARES_SUCCESS) status = ares_parse_aaaa_reply(packet, bytes, nullptr, answers, &count);
  pending->status_v6 = status == ARES_SUCCESS && count == 0 ? ARES_ENODATA : status;
  for (int i = 0; status == ARES_SUCCESS && i < count; ++i) {
    Lower(&pending->ttl, answers[i].ttl);
    std::array<uint8_t, 16> address;
    std::memcpy(address.data(), &answers[i].ip6addr, address.size());
    pending->v6.push_back(IpAddress::V6(address));
  }
  pending->resolver->OnQuestionOver(pending);
}

void Resolver::OnQuestionOver(Pending* pending) {
  --pending->open;
  if (!pending->v4.empty() || !pending->v6.empty()) pending->first = std::min(pending->first, now_);
  if (pending->open > 0) return;
  if (!pending->given) Give(pending);
  Release(pending);
  AskWaiting();
}

void Resolver::Age(Pending* pending) {
  if (pending->fresh) --fresh_;
  pending->fresh = false;
}

void Resolver::Release(Pending* pending) {
  Age(pending);
  asked_.back()->position = pending->position;
  asked_[pending->position] = asked_.back();
  asked_.pop_back();
  delete pending;
}

// By turns, the kind first that is likelier to connect. What came as IPv4 inside IPv6 is IPv4.
std::vector<IpAddress> Resolver::InOrder(const Pending& pending) const {
  if (pending.v6.empty()) return pending.v4;
  if (pending.v4.empty()) return pending.v6;
  const bool v6_first = HasRoute(pending.v6.front());
  const std::vector<IpAddress>& first = v6_first ? pending.v6 : pending.v4;
  const std::vector<IpAddress>& second = v6_first ? pending.v4 : pending.v6;
  std::vector<IpAddress> addresses;
  addresses.reserve(first.size() + second.size());
  for (size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) addresses.push_back(first[i]);
    if (i < second.size()) addresses.push_back(second[i]);
  }
  return addresses;
}

// Answers those who wait for the host, with what there is.
void Resolver::Give(Pending* pending) {
  pending->given = true;
  if (shutting_down_) return;
  Known known;
  known.addresses = InOrder(*pending);
  absl::Duration ttl = std::max(pending->ttl, kMinTtl);
  if (known.addresses.empty()) {
    // Final only if both are: the kind that nobody answered for might have had one.
    known.status = IsFinal(pending->status_v4) ? pending->status_v6 : pending->status_v4;
    ttl = IsFinal(known.status) ? kNoAddressTtl : kErrorTtl;
  }
  known.expiry = now_ + ttl;
  const Answer answer = Named(pending->host, known.addresses, known.status, known.expiry);
  Keep(pending->host, std::move(known));
  pending_.erase(pending->host);
  const std::vector<Callback> callbacks = std::move(pending->callbacks);
  for (const Callback& callback : callbacks) callback(answer);
}

void Resolver::OnEvent(int fd, uint32_t events, absl::Time now) {
  now_ = now;
  ares_process_fd(channel_, events & ~EPOLLOUT ? fd : ARES_SOCKET_BAD,
                  events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
}

void Resolver::OnTick(absl::Time now) {
  now_ = now;
  if (asked_.empty()) return;
  ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  for (size_t i = 0; i < asked_.size(); ++i) {
    Pending* const pending = asked_[i];
    if (pending->asked + kFresh <= now) Age(pending);
    if (!pending->given && pending->first + kGrace <= now) Give(pending);
  }
  AskWaiting();
}

}  // namespace imgfleet::fetch
