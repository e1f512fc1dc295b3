#include "worker/fetch/dispatcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"

// Queues, addresses and ends; attempts.cc holds what happens between.
namespace imgfleet::fetch {
namespace {

// Looks at libcurl's timers between two at the sockets.
constexpr int kMaxRounds = 4;

// How long an origin's last addresses are used when nobody answers for its name any more, and how often it is asked
// about meanwhile.
constexpr absl::Duration kMaxStale = absl::Hours(1), kStale = absl::Seconds(30);

}  // namespace

Dispatcher::Dispatcher(const Options& options, Share share, HandleSettings settings,
                       std::function<void()> wake, const absl::Time* now)
    : options_(options),
      now_(now),
      resolver_(settings.poller, options.dns_servers),
      budget_(share.bytes),
      wake_([this, wake = std::move(wake)] {
        room_.store(true, std::memory_order_release);
        wake();
      }),
      origins_(&options_, share.origins, &wake_),
      transport_(std::move(settings), share.slots, options.concurrency,
                 [this](Exchange* exchange, CURLcode code) { OnDone(exchange, code); }) {}

Dispatcher::~Dispatcher() {
  resolver_.Shutdown();
  DropAbandoned(/*all=*/true);
}

void Dispatcher::Add(FetchPtr fetch) {
  ++held_;
  Enqueue(std::move(fetch), /*first=*/false);
}

// `first`: it has been waited for already, by an attempt that is under way.
void Dispatcher::Enqueue(FetchPtr fetch, bool first) {
  if (fetch->origin == nullptr) {
    const std::string& url = fetch->redirected.empty() ? fetch->client->url() : fetch->redirected;
    if (absl::Status status = http::ParseTarget(url, &fetch->target); !status.ok()) {
      Fail(std::move(fetch), Failure::kBadUrl, std::string(status.message()), /*retryable=*/false);
      return;
    }
    fetch->origin = origins_.Get(fetch->target, *now_);
  }
  Origin* const origin = fetch->origin;
  fetch->queued = *now_;
  if (!fetch->in_attempt) fetch->left = fetch->limits.attempt_timeout;
  auto place = first ? origin->queue.begin() : origin->queue.end();
  if (fetch->urgent != first) {
    place = std::find_if(origin->queue.begin(), origin->queue.end(),
                         [](const FetchPtr& queued) { return !queued->urgent; });
  }
  origin->queue.insert(place, std::move(fetch));
  Schedule(origin);
}

void Dispatcher::Schedule(Origin* origin) {
  if (origin->full || origin->resolving || origin->queue.empty() || origin->blocked_until > *now_) return;
  if (std::max(origin->addresses_expire, origin->use_stale_until) <= *now_) {
    Resolve(origin);
    return;
  }
  if (!std::exchange(origin->listed, true)) ready_.push_back(origin);
  if (origin->queue.front()->urgent && !std::exchange(origin->hurried, true)) hurried_.push_back(origin);
}

void Dispatcher::Block(Origin* origin, absl::Time until) {
  if (until <= origin->blocked_until) return;
  origin->blocked_until = until;
  blocked_.emplace(until, origin);
}

// Origins whose time has come.
void Dispatcher::Unblock() {
  while (!blocked_.empty() && blocked_.begin()->first <= *now_) {
    Origin* const origin = blocked_.begin()->second;
    blocked_.erase(blocked_.begin());
    Schedule(origin);
  }
}

// All that were full may try again.
void Dispatcher::AskForRoom() {
  std::vector<Origin*> full;
  full.swap(full_);
  for (Origin* origin : full) {
    origin->in_full = false;
    if (!std::exchange(origin->full, false)) continue;
    if (origin->queue.empty()) origin->seat.budget().Decline(origin->seat);
    Schedule(origin);
  }
}

void Dispatcher::Resolve(Origin* origin) {
  origin->resolving = true;
  origin->resolve_started = *now_;
  resolving_.insert(origin);
  origin->connect_port = origin->port;
  Resolver::Answer fixed;
  fixed.expiry = absl::InfiniteFuture();
  if (const HostMap::Destination* mapped = options_.host_map.Find(origin->host, origin->port)) {
    if (mapped->port != 0) origin->connect_port = mapped->port;
    fixed.addresses.push_back(mapped->address);
    Resolved(origin, fixed);
  } else if (absl::StatusOr<IpAddress> literal = IpAddress::Parse(origin->host); literal.ok()) {
    fixed.addresses.push_back(*literal);
    Resolved(origin, fixed);
  } else {
    resolver_.Lookup(origin->host, *now_,
                     [this, origin](const Resolver::Answer& answer) { Resolved(origin, answer); });
  }
}

void Dispatcher::Resolved(Origin* origin, const Resolver::Answer& answer) {
  origin->resolving = false;
  resolving_.erase(origin);
  origin->resolved = *now_;
  if (answer.addresses.empty()) {
    // Name servers that are down for a moment take nothing away from an origin whose addresses were known (RFC 8767).
    if (!answer.final && !origin->addresses.empty() && *now_ < origin->addresses_expire + kMaxStale) {
      origin->use_stale_until = *now_ + kStale;
      Schedule(origin);
      return;
    }
    origin->addresses.clear();
    origin->route = nullptr;
    FailQueue(origin, Failure::kDns, answer.error, !answer.final);
    return;
  }
  const std::vector<IpAddress> before = std::move(origin->addresses);
  origin->addresses.clear();
  for (const IpAddress& address : answer.addresses) {
    if (options_.policy.Allows(address)) origin->addresses.push_back(address);
  }
  if (origin->addresses.empty()) {
    origin->route = nullptr;
    FailQueue(origin, Failure::kBlockedAddress,
              absl::StrCat("the host's address ", answer.addresses.front().ToString(),
                           " is not public; the operator can open it with --allow-address"),
              /*retryable=*/false);
    return;
  }
  origin->addresses_expire = answer.expiry;
  // The address in use stays in use as long as DNS names it, and with it its connections.
  const auto same = origin->route == nullptr ? origin->addresses.end()
                                             : std::find(origin->addresses.begin(), origin->addresses.end(),
                                                         before[origin->address]);
  if (same == origin->addresses.end()) {
    origin->UseAddress(0);
  } else {
    origin->address = same - origin->addresses.begin();
  }
  Schedule(origin);
}

// What is queued has been waiting for the origin's address and ends its attempt with it.
void Dispatcher::FailQueue(Origin* origin, Failure failure, const std::string& message, bool retryable) {
  std::deque<FetchPtr> queue;
  queue.swap(origin->queue);
  for (FetchPtr& fetch : queue) {
    if (!fetch->in_attempt) ++fetch->report.attempts;
    Fail(std::move(fetch), failure, message, retryable);
  }
}

// Attempts whose time ran out while their host was looked up.
void Dispatcher::ExpireQueues() {
  for (Origin* const resolving : resolving_) {
    Origin& origin = *resolving;
    for (size_t i = 0; i < origin.queue.size();) {
      Fetch& fetch = *origin.queue[i];
      if (std::max(fetch.queued, origin.resolve_started) + fetch.left > *now_) {
        ++i;
        continue;
      }
      FetchPtr late = std::move(origin.queue[i]);
      origin.queue.erase(origin.queue.begin() + i);
      if (!late->in_attempt) ++late->report.attempts;
      Fail(std::move(late), Failure::kTimeout,
           absl::StrCat("the host ", origin.host, " was not found in time"),
           /*retryable=*/true);
    }
  }
}

void Dispatcher::Turn(bool busy) {
  busy_ = busy;
  if (room_.load(std::memory_order_relaxed) && room_.exchange(false)) AskForRoom();
  Unblock();
  // libcurl always wants another turn while a connection has bytes to read: an origin that sends without end must not
  // keep the loop from its other sockets and from its clock.
  for (int i = 0; i < kMaxRounds; ++i) {
    transport_.Collect();
    Pump();
    if (!transport_.RunTimers(*now_)) return;
  }
  transport_.Collect();
  Pump();
}

void Dispatcher::Hurry() {
  transport_.Collect();
  if (hurried_.empty()) return;
  Pump(/*urgent=*/true);
  transport_.RunTimers(*now_);
}

void Dispatcher::OnEvent(int fd, Poller::Kind kind, uint32_t events) {
  if (kind == Poller::Kind::kCurl) transport_.OnEvent(fd, events, *now_);
  if (kind == Poller::Kind::kResolver) resolver_.OnEvent(fd, events, *now_);
}

void Dispatcher::Tick() {
  while (!delayed_.empty() && delayed_.begin()->first <= *now_) {
    FetchPtr fetch = std::move(delayed_.begin()->second);
    delayed_.erase(delayed_.begin());
    Enqueue(std::move(fetch), /*first=*/false);
  }
  // Room is promised and told of; this is for whoever missed it.
  std::erase_if(full_, [this](Origin* origin) {
    if (origin->full && origin->in_flight > 0) return false;
    origin->in_full = origin->full = false;
    Schedule(origin);
    return true;
  });
  EndWaitsForMemory();
  CheckRunning();
  resolver_.OnTick(*now_);
  ExpireQueues();
  origins_.Sweep(*now_);
}

void Dispatcher::DropAbandoned(bool all) {
  std::vector<FetchPtr> dropped;
  const auto drop = [&](FetchPtr& fetch) {
    const bool begun = fetch->in_attempt || fetch->report.attempts > 0;
    if (!all && !fetch->client->Abandoned() && (begun || !fetch->client->NotToBegin())) return false;
    dropped.push_back(std::move(fetch));
    return true;
  };
  const auto drop_from = [&](std::deque<FetchPtr>& queue) {
    for (FetchPtr& fetch : queue) drop(fetch);
    std::erase(queue, nullptr);
  };
  const auto running = transport_.running();
  for (Exchange* exchange : running) {
    if (!all && !exchange->fetch->client->Abandoned()) continue;
    transport_.Break(exchange);
    Record(exchange);
    dropped.push_back(Leave(exchange, Sign::kNone));
  }
  origins_.ForEach([&](Origin& origin) { drop_from(origin.queue); });
  drop_from(waiting_for_memory_);
  for (auto entry = delayed_.begin(); entry != delayed_.end();) {
    entry = drop(entry->second) ? delayed_.erase(entry) : std::next(entry);
  }
  for (FetchPtr& fetch : dropped) {
    Fail(std::move(fetch), Failure::kAbandoned, "the item is no longer wanted here", /*retryable=*/false);
  }
}

void Dispatcher::Fail(FetchPtr fetch, Failure failure, std::string message, bool retryable) {
  Reset(*fetch);
  const uint32_t counted = fetch->report.attempts - fetch->excused;
  if (retryable && counted < fetch->limits.max_attempts && !fetch->client->Abandoned()) {
    const double random = absl::Uniform(random_, 0.0, 1.0);
    delayed_.emplace(*now_ + options_.backoff.Wait(counted, random), std::move(fetch));
    return;
  }
  End(std::move(fetch), failure, std::move(message), retryable);
}

// What belongs to one attempt.
void Dispatcher::Reset(Fetch& fetch) {
  fetch.in_attempt = false;
  fetch.memory_needed = 0;
  fetch.redirected.clear();
  fetch.visited.clear();
  fetch.origin = nullptr;
  fetch.addresses_tried = 0;
}

void Dispatcher::End(FetchPtr fetch, Failure failure, std::string message, bool retryable) {
  fetch->report.failure = failure;
  fetch->report.message = std::move(message);
  fetch->report.retryable = retryable;
  Finish(std::move(fetch));
}

void Dispatcher::Finish(FetchPtr fetch) {
  if (fetch->first_sent != absl::InfinitePast()) {
    fetch->report.total = options_.clock->Boot() - fetch->first_sent;
  }
  --held_;
  ++ended_;
  fetch->client->Finish(std::move(fetch->report));
}

uint32_t Dispatcher::TakeEnded() { return std::exchange(ended_, 0); }

}  // namespace imgfleet::fetch
