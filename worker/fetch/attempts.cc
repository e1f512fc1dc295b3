// The part of the dispatcher between the turn of a fetch and the end of its attempt.
#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/fetch/dispatcher.h"

namespace imgfleet::fetch {
namespace {

constexpr size_t kMaxRedirects = 5;

// Fetches let on in one tick that have been waiting for memory: what some will take is not known yet.
constexpr int kMemoryTurns = 8;

// Without a byte; then a look at the connection is worth what it costs.
constexpr absl::Duration kSilence = absl::Milliseconds(100);

// Without a byte of what saves nothing but the connection.
constexpr absl::Duration kDrainPatience = absl::Seconds(1);

bool WorthARetry(Failure failure) {
  return failure == Failure::kProtocol || failure == Failure::kRangeMismatch;
}

}  // namespace

void Dispatcher::Pump() {
  Pump(/*urgent=*/true);
  Pump(/*urgent=*/false);
}

void Dispatcher::Pump(bool urgent) {
  std::deque<Origin*>& ready = urgent ? hurried_ : ready_;
  Exchange* exchange = nullptr;
  while (!ready.empty() && (exchange != nullptr || (exchange = transport_.Take(urgent)) != nullptr)) {
    Origin* const origin = ready.front();
    ready.pop_front();
    (urgent ? origin->hurried : origin->listed) = false;
    if (urgent && (origin->queue.empty() || !origin->queue.front()->urgent)) continue;
    if (FetchPtr fetch = Next(origin)) Begin(std::move(fetch), std::exchange(exchange, nullptr));
    Schedule(origin);
  }
  if (exchange != nullptr) transport_.GiveBack(exchange);
}

// The origin's next fetch, where it may be sent now; its place at the origin is taken then.
Dispatcher::FetchPtr Dispatcher::Next(Origin* origin) {
  std::deque<FetchPtr>& queue = origin->queue;
  while (!queue.empty()) {
    const Client& client = *queue.front()->client;
    // Bodies that are kept stay for longer than they take to fetch.
    const bool kept = client.extent() == Extent::kWholeKept;
    const uint64_t needed = std::min(queue.front()->memory_needed, budget_.size());
    const bool no_memory =
        needed > budget_.free() ||
        (needed == 0 && kept && (budget_.free() < budget_.size() / 4 || budget_.spoken_for()));
    const bool abandoned = client.Abandoned();
    if (!abandoned && !no_memory) break;
    FetchPtr fetch = std::move(queue.front());
    queue.pop_front();
    if (abandoned) {
      Fail(std::move(fetch), Failure::kAbandoned, "the item is no longer wanted here", /*retryable=*/false);
    } else {
      WaitForMemory(std::move(fetch));
    }
  }
  if (queue.empty() || origin->resolving || origin->full || origin->blocked_until > *now_) return nullptr;
  const uint32_t more = queue.size() - 1;
  const OriginBudget::Turn turn = origin->seat.budget().Start(origin->seat, *now_, more);
  if (turn.kind == OriginBudget::Turn::kFull || turn.full) {
    origin->full = true;
    if (!std::exchange(origin->in_full, true)) full_.push_back(origin);
  }
  if (turn.kind == OriginBudget::Turn::kWait) {
    if (turn.until - *now_ <= options_.max_retry_after) {
      Block(origin, turn.until);
    } else {
      std::deque<FetchPtr> waiting;
      waiting.swap(queue);
      const uint32_t status = origin->seat.budget().refused_with();
      for (FetchPtr& fetch : waiting) PutOff(std::move(fetch), status, turn.until - *now_);
    }
  }
  if (turn.kind != OriginBudget::Turn::kGo) return nullptr;
  ++origin->in_flight;
  FetchPtr fetch = std::move(queue.front());
  queue.pop_front();
  return fetch;
}

void Dispatcher::Begin(FetchPtr fetch, Exchange* exchange) {
  const Origin& origin = *fetch->origin;
  fetch->report.dns = absl::ZeroDuration();
  if (origin.resolved > fetch->queued) {
    fetch->report.dns = origin.resolved - std::max(fetch->queued, origin.resolve_started);
    fetch->left -= fetch->report.dns;
  }
  if (!fetch->in_attempt) {
    ++fetch->report.attempts;
    fetch->in_attempt = true;
  }
  if (fetch->first_sent == absl::InfinitePast()) fetch->first_sent = *now_;
  fetch->sent = *now_;
  fetch->deadline = *now_ + fetch->left;
  Memory memory;
  if (fetch->memory_needed > 0 && budget_.TryReserve(fetch->memory_needed, &memory.reservation)) {
    memory.bytes = fetch->memory_needed;
  }
  exchange->reading().Begin(fetch->client.get(), &fetch->limits, &budget_, std::move(memory));
  exchange->fetch = fetch.release();
  Send(exchange);
}

void Dispatcher::Send(Exchange* exchange) {
  const Fetch& fetch = *exchange->fetch;
  exchange->urgent = fetch.urgent;
  exchange->Prepare(fetch.url(), fetch.target.path, fetch.origin->route, now_);
  transport_.Start(exchange);
}

// Takes the fetch off its exchange, and gives back its place at the origin. `sign` is what its end says where no answer
// came.
Dispatcher::FetchPtr Dispatcher::Leave(Exchange* exchange, Sign sign) {
  FetchPtr fetch(exchange->fetch);
  Origin* const origin = fetch->origin;
  OriginBudget::Seat& seat = origin->seat;
  const bool more = !origin->queue.empty();
  if (sign == Sign::kRefusal) {
    OriginBudget::Refusal refusal;
    refusal.sent = fetch->sent;
    refusal.now = *now_;
    refusal.status = exchange->head().status;
    refusal.retry_after = exchange->head().RetryAfter(options_.clock->Wall());
    refusal.again = fetch->refusals++ > 0;
    refusal.random = absl::Uniform(random_, 0.0, 1.0);
    origin->failing = seat.budget().Refused(seat, refusal, more);
  } else if (sign == Sign::kSilence) {
    origin->failing = seat.budget().Silent(seat, fetch->sent, *now_, exchange->connected(), more);
  } else if (exchange->head_complete()) {
    seat.budget().Answered(seat, fetch->sent, exchange->timings().latency, *now_, !busy_, more);
  } else {
    seat.budget().Ended(seat, more);
  }
  --origin->in_flight;
  origin->full = false;
  origin->used = *now_;
  transport_.GiveBack(exchange);
  Schedule(origin);
  return fetch;
}

// Keeps what the report is to say of this exchange, should it be the last.
void Dispatcher::Record(Exchange* exchange) {
  Report& report = exchange->fetch->report;
  report.fetched_bytes += exchange->body_bytes();
  const ResponseHead& head = exchange->head();
  report.http_status = exchange->head_complete() ? head.status : 0;
  report.content_type = head.content_type;
  report.etag = head.etag;
  report.last_modified = head.last_modified;
  report.final_url = exchange->fetch->redirected.empty() ? "" : exchange->fetch->url();
  const Exchange::Timings timings = exchange->timings();
  report.connect = timings.connect;
  report.tls = timings.tls;
  report.first_byte = timings.first_byte;
}

void Dispatcher::OnDone(Exchange* exchange, CURLcode code) {
  const Exchange::End end = exchange->Finish(code);
  Record(exchange);
  const bool refused =
      end == Exchange::End::kHeadRefused || end == Exchange::End::kBlocked || end == Exchange::End::kFlooded;
  if (exchange->head_complete() && !refused) {
    OnAnswer(exchange, end);
  } else {
    OnTransferError(exchange, end);
  }
}

void Dispatcher::OnAnswer(Exchange* exchange, Exchange::End end) {
  if (exchange->for_reading()) {
    OnBody(exchange, end);
  } else if (IsRedirect(exchange->head().status) && !exchange->head().location.empty()) {
    Redirect(exchange);
  } else {
    OnRefusal(exchange);
  }
}

void Dispatcher::OnBody(Exchange* exchange, Exchange::End end) {
  Reading& reading = exchange->reading();
  switch (reading.OnEnd(end == Exchange::End::kComplete)) {
    case Reading::Next::kAsk:
      Send(exchange);
      return;
    case Reading::Next::kDone: {
      reading.HandOver(&exchange->fetch->report);
      Finish(Leave(exchange, Sign::kNone));
      return;
    }
    case Reading::Next::kFailed: {
      const Failure failure = reading.failure();
      std::string message = reading.message();
      if (failure == Failure::kProtocol && end != Exchange::End::kBrokenOff &&
          end != Exchange::End::kComplete) {
        absl::StrAppend(&message, ": ", exchange->error());
      }
      Fail(Leave(exchange, Sign::kNone), failure, std::move(message), WorthARetry(failure));
      return;
    }
    case Reading::Next::kWaitForMemory: {
      const uint64_t needed = reading.memory_needed();
      FetchPtr fetch = Leave(exchange, Sign::kNone);
      fetch->left = std::max(fetch->deadline - *now_, absl::Milliseconds(1));
      fetch->memory_needed = needed;
      WaitForMemory(std::move(fetch));
      return;
    }
  }
}

void Dispatcher::WaitForMemory(FetchPtr fetch) {
  fetch->origin = nullptr;  // It may be forgotten meanwhile.
  if (fetch->memory_needed > 0) budget_.set_spoken_for(true);
  waiting_for_memory_.push_back(std::move(fetch));
}

// Lets go on, in their order, those for whom there is memory. What one needs is known where it had to stop for it; others
// take an unknown part.
void Dispatcher::EndWaitsForMemory() {
  uint64_t free = budget_.free();
  for (int i = 0; i < kMemoryTurns && !waiting_for_memory_.empty(); ++i) {
    const uint64_t needed = std::min(waiting_for_memory_.front()->memory_needed, budget_.size());
    if (free < (needed > 0 ? needed : budget_.size() / 2)) break;
    free -= needed;
    FetchPtr fetch = std::move(waiting_for_memory_.front());
    waiting_for_memory_.pop_front();
    Enqueue(std::move(fetch), /*first=*/true);
  }
  budget_.set_spoken_for(std::any_of(waiting_for_memory_.begin(), waiting_for_memory_.end(),
                                     [](const FetchPtr& fetch) { return fetch->memory_needed > 0; }));
}

void Dispatcher::Redirect(Exchange* exchange) {
  const absl::StatusOr<std::string> url =
      http::ResolveReference(exchange->fetch->url(), exchange->head().location);
  const uint32_t status = exchange->head().status;
  FetchPtr fetch = Leave(exchange, Sign::kNone);
  if (!url.ok()) {
    Fail(std::move(fetch), Failure::kBadUrl, std::string(url.status().message()), /*retryable=*/false);
    return;
  }
  const std::hash<std::string> hash;
  if (fetch->visited.empty()) fetch->visited.push_back(hash(fetch->url()));
  const bool again = std::count(fetch->visited.begin(), fetch->visited.end(), hash(*url)) > 0;
  if (again || fetch->visited.size() > kMaxRedirects) {
    Fail(std::move(fetch), Failure::kTooManyRedirects,
         again ? std::string("the redirects run in a circle")
               : absl::StrCat("more than ", kMaxRedirects, " redirects"),
         /*retryable=*/false);
    return;
  }
  fetch->visited.push_back(hash(*url));
  fetch->redirected = *url;
  fetch->addresses_tried = 0;
  if (absl::Status parsed = http::ParseTarget(fetch->redirected, &fetch->target); !parsed.ok()) {
    Fail(std::move(fetch), Failure::kBadUrl,
         absl::StrCat("redirected (", status,
                      ") to where nothing is fetched: ", std::string(parsed.message())),
         /*retryable=*/false);
    return;
  }
  // The next hop waits for its turn at its own origin; that time is not the attempt's.
  fetch->origin = origins_.Get(fetch->target, *now_);
  fetch->left = fetch->deadline - *now_;
  Enqueue(std::move(fetch), /*first=*/true);
}

void Dispatcher::OnTransferError(Exchange* exchange, Exchange::End end) {
  std::string message = exchange->error();
  switch (end) {
    case Exchange::End::kConnectFailed:
      TryNextAddress(exchange, exchange->connect_error());
      return;
    case Exchange::End::kBlocked:
      Fail(Leave(exchange, Sign::kNone), Failure::kBlockedAddress,
           "the host's address is not public; the operator can open it with --allow-address", false);
      return;
    case Exchange::End::kTlsFailed:
      Fail(Leave(exchange, Sign::kNone), Failure::kTls, std::move(message), false);
      return;
    case Exchange::End::kBadUrl:
      Fail(Leave(exchange, Sign::kNone), Failure::kBadUrl, std::move(message), false);
      return;
    case Exchange::End::kInternal:
      Fail(Leave(exchange, Sign::kNone), Failure::kInternal, std::move(message), true);
      return;
    case Exchange::End::kHeadRefused:
      Fail(Leave(exchange, Sign::kNone), Failure::kProtocol, std::move(message), false);
      return;
    case Exchange::End::kCutShort:
      FailSilently(exchange, Failure::kProtocol, std::move(message));
      return;
    case Exchange::End::kStale:
      Send(exchange);
      return;
    case Exchange::End::kFlooded:
      exchange->fetch->origin->RefuseHttp2();
      Fail(Leave(exchange, Sign::kNone), Failure::kProtocol, std::move(message), true);
      return;
    case Exchange::End::kComplete:
    case Exchange::End::kBrokenOff:
    case Exchange::End::kProtocolError:
      Fail(Leave(exchange, Sign::kNone), Failure::kProtocol, std::move(message), true);
      return;
  }
}

// No connection: the attempt goes on with the host's next address, if there is another.
void Dispatcher::TryNextAddress(Exchange* exchange, std::string message) {
  Fetch& fetch = *exchange->fetch;
  Origin& origin = *fetch.origin;
  if (++fetch.addresses_tried < origin.addresses.size()) {
    if (exchange->route() == origin.route) origin.UseAddress(origin.address + 1);
    Send(exchange);
    return;
  }
  FailSilently(exchange, Failure::kConnect, std::move(message));
}

// Deadlines, connections that do not come about, answers that stop. One look at all of them every tick costs less than
// timers of their own.
void Dispatcher::CheckRunning() {
  const absl::Time now = *now_;
  for (size_t i = transport_.running().size(); i-- > 0;) {
    if (i >= transport_.running().size()) continue;
    Exchange* const exchange = transport_.running()[i];
    if (now - exchange->last_bytes() > kSilence) exchange->CutIfFlooded(now);
    const bool late = now >= exchange->fetch->deadline;
    // While there are other addresses, one that does not answer is not waited for so long.
    const bool others = exchange->fetch->addresses_tried + 1 < exchange->fetch->origin->addresses.size();
    const absl::Duration connect_timeout = options_.connect_timeout / (others ? 4 : 1);
    const bool unconnected = !exchange->connected() && now - exchange->started() > connect_timeout;
    const absl::Duration idle = now - exchange->last_bytes();
    const bool stalled =
        exchange->head().status != 0 &&
        (idle > options_.stall_timeout || (idle > kDrainPatience && exchange->rest_is_not_needed()));
    if (!late && !unconnected && !stalled) continue;
    const bool unanswered = exchange->connecting_tls();
    const bool silent = exchange->head().status == 0;
    transport_.Break(exchange);
    Record(exchange);
    if (exchange->rest_is_not_needed()) {
      OnAnswer(exchange, Exchange::End::kBrokenOff);
    } else if (late || stalled) {
      const absl::Duration timeout = exchange->fetch->limits.attempt_timeout;
      // Perhaps the HTTP/2 connection has died, and takes one item after the other with it.
      if (silent) exchange->fetch->origin->RefuseHttp2();
      FailSilently(exchange, stalled ? Failure::kStalled : Failure::kTimeout,
                   stalled ? absl::StrCat("the answer made no progress for ",
                                          absl::FormatDuration(options_.stall_timeout))
                           : absl::StrCat("no complete answer within ", absl::FormatDuration(timeout)));
    } else {
      const std::string& address = exchange->route()->address;
      TryNextAddress(
          exchange, absl::StrCat(unanswered ? absl::StrCat("the TLS handshake with ", address, " did not end")
                                            : absl::StrCat("no connection to ", address),
                                 " within ", absl::FormatDuration(connect_timeout)));
    }
  }
}

}  // namespace imgfleet::fetch
