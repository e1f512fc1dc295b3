#include "coordinator/store/listeners.h"

#include <thread>
#include <utility>

namespace imgfleet::store {

class Listeners::Entry {
 public:
  explicit Entry(Ledger::Listener listener) : listener_(std::move(listener)) {}

  void Call(const Ledger::Changes& changes) {
    {
      absl::MutexLock lock(&mutex_);
      if (closed_) return;
      caller_ = std::this_thread::get_id();
    }
    listener_(changes);
    absl::MutexLock lock(&mutex_);
    caller_ = std::thread::id();
    idle_.SignalAll();
  }

  void Close() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    if (caller_ == std::this_thread::get_id()) return;
    while (caller_ != std::thread::id()) idle_.Wait(&mutex_);
  }

 private:
  const Ledger::Listener listener_;
  absl::Mutex mutex_;
  absl::CondVar idle_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread::id caller_ ABSL_GUARDED_BY(mutex_);  // Who is inside listener_.
};

std::shared_ptr<void> Listeners::Add(Ledger::Listener listener) {
  auto entry = std::make_shared<Entry>(std::move(listener));
  {
    absl::MutexLock lock(&mutex_);
    std::erase_if(entries_, [](const std::weak_ptr<Entry>& known) { return known.expired(); });
    entries_.push_back(entry);
  }
  // The entry outlives its handle while it is being called; the handle is what closes it.
  return std::shared_ptr<void>(entry.get(), [entry](void*) { entry->Close(); });
}

void Listeners::Tell(const Ledger::Changes& changes) {
  std::vector<std::shared_ptr<Entry>> entries;
  {
    absl::MutexLock lock(&mutex_);
    for (const std::weak_ptr<Entry>& known : entries_) {
      if (auto entry = known.lock()) entries.push_back(std::move(entry));
    }
  }
  for (const std::shared_ptr<Entry>& entry : entries) entry->Call(changes);
}

}  // namespace imgfleet::store
