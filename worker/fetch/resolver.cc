#include "worker/fetch/resolver.h"

#include <netdb.h>
#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"

namespace imgfleet::fetch {
namespace {

// Questions on their way at a time; more wait, so that a local name server is not drowned.
constexpr size_t kMaxRunning = 256;
constexpr absl::Duration kMinTtl = absl::Seconds(1), kMaxTtl = absl::Minutes(10);
constexpr absl::Duration kNoSuchHostTtl = absl::Minutes(1), kErrorTtl = absl::Seconds(2);

bool InitLibrary() { return ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS; }

}  // namespace

Resolver::Resolver(Poller* poller, const std::string& servers) : poller_(poller) {
  static const bool initialised = InitLibrary();
  IMGFLEET_CHECK(initialised);
  ares_options options{};
  options.flags = ARES_FLAG_NOSEARCH;
  options.timeout = 2000;
  options.tries = 3;
  char lookups[] = "fb";
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
  const int mask =
      ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
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
  waiting_.clear();
  ares_cancel(channel_);
}

void Resolver::Lookup(const std::string& host, absl::Time now, Callback done) {
  if (shutting_down_) return;
  now_ = now;
  const auto cached = cache_.find(host);
  if (cached != cache_.end() && cached->second.expiry > now) {
    const Answer answer = cached->second;  // The callback may come back for another host.
    done(answer);
    return;
  }
  std::unique_ptr<Pending>& pending = pending_[host];
  if (pending != nullptr) {
    pending->callbacks.push_back(std::move(done));
    return;
  }
  pending = std::make_unique<Pending>(Pending{this, host, {}});
  pending->callbacks.push_back(std::move(done));
  if (running_ < kMaxRunning) {
    Begin(pending.get());
  } else {
    waiting_.push_back(pending.get());
  }
}

void Resolver::Begin(Pending* pending) {
  ++running_;
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  ares_getaddrinfo(
      channel_, pending->host.c_str(), nullptr, &hints,
      [](void* arg, int status, int, ares_addrinfo* result) {
        auto* self = static_cast<Pending*>(arg);
        self->resolver->Finish(self, status, result);
      },
      pending);
}

void Resolver::Finish(Pending* pending, int status, ares_addrinfo* result) {
  --running_;
  if (shutting_down_) {
    if (result != nullptr) ares_freeaddrinfo(result);
    return;
  }
  Answer answer;
  absl::Duration ttl = kMaxTtl;
  if (status == ARES_SUCCESS) {
    for (const ares_addrinfo_node* node = result->nodes; node != nullptr; node = node->ai_next) {
      absl::StatusOr<IpAddress> address = IpAddress::FromSockaddr(node->ai_addr);
      if (!address.ok()) continue;
      answer.addresses.push_back(*address);
      ttl = std::min(ttl, absl::Seconds(node->ai_ttl));
    }
    ttl = std::max(ttl, kMinTtl);
  }
  if (result != nullptr) ares_freeaddrinfo(result);
  if (answer.addresses.empty()) {
    answer.final = status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME;
    answer.error = answer.final
                       ? absl::StrCat("the host ", pending->host, " has no address")
                       : absl::StrCat("looking up the host ", pending->host, ": ", ares_strerror(status));
    ttl = answer.final ? kNoSuchHostTtl : kErrorTtl;
  }
  answer.expiry = now_ + ttl;
  Sweep();
  cache_[pending->host] = answer;
  const std::unique_ptr<Pending> finished = std::move(pending_[pending->host]);
  pending_.erase(finished->host);
  if (!waiting_.empty() && running_ < kMaxRunning) {
    Pending* next = waiting_.front();
    waiting_.pop_front();
    Begin(next);
  }
  for (const Callback& callback : finished->callbacks) callback(answer);
}

// Keeps the cache at about twice what is alive.
void Resolver::Sweep() {
  if (cache_.size() < sweep_at_) return;
  absl::erase_if(cache_, [this](const auto& entry) { return entry.second.expiry <= now_; });
  sweep_at_ = std::max<size_t>(1024, cache_.size() * 2);
}

void Resolver::OnEvent(int fd, uint32_t events, absl::Time now) {
  now_ = now;
  ares_process_fd(channel_, events & ~EPOLLOUT ? fd : ARES_SOCKET_BAD,
                  events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
}

void Resolver::OnTick(absl::Time now) {
  now_ = now;
  if (running_ > 0) ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

}  // namespace imgfleet::fetch
