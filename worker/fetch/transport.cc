#include "worker/fetch/transport.h"

#include <sys/epoll.h>

#include <utility>

#include "common/log.h"

namespace imgfleet::fetch {
namespace {

// So many requests under way are a crowd.
constexpr size_t kCrowd = 256;

}  // namespace

Transport::Transport(HandleSettings settings, SlotPool* slots, uint32_t max_running,
                     std::function<void(Exchange*, CURLcode)> done)
    : settings_(std::move(settings)),
      done_(std::move(done)),
      multi_(curl_multi_init()),
      share_(curl_share_init()),
      slots_(slots) {
  IMGFLEET_CHECK(multi_ != nullptr && share_ != nullptr);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Transport::OnSocket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &Transport::OnTimer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(max_running) + 64);
  // TLS sessions are good for every handle; one thread needs no locks for it.
  curl_share_setopt(share_, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
}

Transport::~Transport() {
  while (!running_.empty()) Break(running_.back());
  exchanges_.clear();
  curl_multi_cleanup(multi_);
  curl_share_cleanup(share_);
}

Exchange* Transport::Take(bool urgent) {
  if (!slots_.TryTake(urgent)) return nullptr;
  if (idle_.empty()) {
    exchanges_.push_back(std::make_unique<Exchange>(&settings_));
    return exchanges_.back().get();
  }
  Exchange* exchange = idle_.back();  // The last used: its memory is warm.
  idle_.pop_back();
  return exchange;
}

void Transport::GiveBack(Exchange* exchange) {
  slots_.GiveBack();
  exchange->fetch = nullptr;
  exchange->reading().Release();
  idle_.push_back(exchange);
}

void Transport::Start(Exchange* exchange) {
  exchange->position = running_.size();
  running_.push_back(exchange);
  exchange->UseBuffer(running_.size() > kCrowd);
  curl_easy_setopt(exchange->handle(), CURLOPT_SHARE, share_);
  IMGFLEET_CHECK(curl_multi_add_handle(multi_, exchange->handle()) == CURLM_OK);
}

void Transport::Break(Exchange* exchange) {
  curl_multi_remove_handle(multi_, exchange->handle());
  Unlist(exchange);
}

void Transport::Unlist(Exchange* exchange) {
  running_.back()->position = exchange->position;
  running_[exchange->position] = running_.back();
  running_.pop_back();
}

bool Transport::RunTimers(absl::Time now) {
  now_ = now;
  if (next_turn_ > now) return false;
  next_turn_ = absl::InfiniteFuture();
  Act(CURL_SOCKET_TIMEOUT, 0);
  return true;
}

void Transport::OnEvent(int fd, uint32_t events, absl::Time now) {
  now_ = now;
  const int flags = (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                    (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
  Act(fd, flags);
}

void Transport::Act(curl_socket_t fd, int flags) {
  int running;
  settings_.beat->Enter();
  curl_multi_socket_action(multi_, fd, flags, &running);
  settings_.beat->Leave();
  flooded_ = settings_.beat->TakeFreed();
  if (flooded_ == 0) return;
  // Who is on it may be told only later; where libcurl has closed it already, it is known by its port alone.
  settings_.connections->Flooded(flooded_);
  Collect();
  flooded_ = 0;
}

void Transport::Collect() {
  int left;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    CURL* const handle = message->easy_handle;
    char* exchange = nullptr;
    curl_easy_getinfo(handle, CURLINFO_PRIVATE, &exchange);
    auto* const over = reinterpret_cast<Exchange*>(exchange);
    Break(over);
    if (flooded_ != 0 && over->local_port() == flooded_) over->Flooded();
    done_(over, code);
  }
}

int Transport::OnSocket(CURL* handle, curl_socket_t fd, int what, void* arg, void*) {
  auto* self = static_cast<Transport*>(arg);
  const uint32_t events = what == CURL_POLL_REMOVE
                              ? 0
                              : (what & CURL_POLL_IN ? static_cast<uint32_t>(EPOLLIN) : 0) |
                                    (what & CURL_POLL_OUT ? static_cast<uint32_t>(EPOLLOUT) : 0);
  char* exchange = nullptr;
  curl_easy_getinfo(handle, CURLINFO_PRIVATE, &exchange);
  const bool urgent = exchange != nullptr && reinterpret_cast<Exchange*>(exchange)->urgent;
  self->settings_.poller->Watch(fd, Poller::Kind::kCurl, events, urgent);
  return 0;
}

int Transport::OnTimer(CURLM*, long timeout_ms, void* arg) {
  auto* self = static_cast<Transport*>(arg);
  self->next_turn_ = timeout_ms < 0    ? absl::InfiniteFuture()
                     : timeout_ms == 0 ? absl::InfinitePast()
                                       : self->now_ + absl::Milliseconds(timeout_ms);
  return 0;
}

}  // namespace imgfleet::fetch
