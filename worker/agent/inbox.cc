#include "worker/agent/inbox.h"

#include <utility>

namespace imgfleet::agent {

void Inbox::Push(FinishedItem item) {
  absl::MutexLock lock(&mutex_);
  content_.finished.push_back(std::move(item));
  if (content_.finished.size() == wake_at_) awake_.Signal();
}

void Inbox::Push(StreamMessage message) {
  absl::MutexLock lock(&mutex_);
  content_.stream.emplace_back(std::move(message));
  if (content_.stream.size() == 1) awake_.Signal();
}

void Inbox::Push(StreamEnd end) {
  absl::MutexLock lock(&mutex_);
  content_.stream.emplace_back(std::move(end));
  if (content_.stream.size() == 1) awake_.Signal();
}

void Inbox::Poke() {
  absl::MutexLock lock(&mutex_);
  poked_ = true;
  awake_.Signal();
}

Inbox::Content Inbox::Wait(absl::Duration limit, size_t wake_at) {
  absl::MutexLock lock(&mutex_);
  wake_at_ = wake_at;
  const absl::Time deadline = absl::Now() + limit;
  while (!poked_ && content_.stream.empty() && content_.finished.size() < wake_at) {
    if (awake_.WaitWithDeadline(&mutex_, deadline)) break;
  }
  poked_ = false;
  return std::exchange(content_, Content());
}

}  // namespace imgfleet::agent
