#include "worker/agent/inbox.h"

#include <utility>

namespace imgfleet::agent {

void Inbox::Push(uint64_t lease, uint32_t offset, const v1::Outcome& outcome, bool urgent,
                 absl::Duration put_off) {
  thread_local std::string buffer;
  buffer.clear();
  PackedOutcome packed = PackTo(outcome, &buffer);
  packed.put_off = put_off;
  absl::MutexLock lock(&mutex_);
  content_.bytes.append(packed.bytes.data(), packed.bytes.size());
  content_.finished.push_back({lease, offset, packed});
  const bool wakes = (urgent && !std::exchange(poked_, true)) || content_.finished.size() == wake_at_;
  if (wakes) awake_.Signal();
}

void Inbox::PushNotBegun(uint64_t lease) {
  absl::MutexLock lock(&mutex_);
  content_.not_begun.push_back(lease);
  if (!std::exchange(poked_, true)) awake_.Signal();
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

void Inbox::Wait(absl::Duration limit, size_t wake_at, Content* content) {
  content->finished.clear();
  content->bytes.clear();
  content->not_begun.clear();
  content->stream.clear();
  absl::MutexLock lock(&mutex_);
  wake_at_ = wake_at;
  // Woken for nothing, the reader finds nothing due and comes back.
  if (!poked_ && content_.stream.empty() && content_.finished.size() < wake_at) awake_.WaitFor(mutex_, limit);
  poked_ = false;
  std::swap(content_, *content);
  // Now that the buffer grows no more, every outcome can say where it lies.
  const char* at = content->bytes.data();
  for (FinishedItem& item : content->finished) {
    item.outcome.bytes = absl::string_view(at, item.outcome.bytes.size());
    at += item.outcome.bytes.size();
  }
}

}  // namespace imgfleet::agent
