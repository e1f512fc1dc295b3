#include "coordinator/service/job_watch.h"

#include <utility>

namespace imgfleet::service {

std::shared_ptr<void> JobWatch::Watch(const std::string& job_id, Wake wake) {
  auto entry = std::make_shared<Wake>(std::move(wake));
  absl::MutexLock lock(&mutex_);
  watched_[job_id].push_back(entry);
  return std::shared_ptr<void>(nullptr, [this, job_id, entry](void*) { Remove(job_id, entry); });
}

void JobWatch::Remove(const std::string& job_id, const std::shared_ptr<Wake>& wake) {
  absl::MutexLock lock(&mutex_);
  const auto found = watched_.find(job_id);
  std::erase(found->second, wake);
  if (found->second.empty()) watched_.erase(found);
}

void JobWatch::Changed(const std::vector<std::string>& job_ids) {
  Wakes wakes;
  {
    absl::MutexLock lock(&mutex_);
    if (watched_.empty()) return;
    for (const std::string& id : job_ids) {
      const auto found = watched_.find(id);
      if (found != watched_.end()) wakes.insert(wakes.end(), found->second.begin(), found->second.end());
    }
  }
  for (const auto& wake : wakes) (*wake)();
}

void JobWatch::Close() {
  Wakes wakes;
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    for (const auto& [id, watching] : watched_) wakes.insert(wakes.end(), watching.begin(), watching.end());
  }
  for (const auto& wake : wakes) (*wake)();
}

bool JobWatch::closed() const {
  absl::MutexLock lock(&mutex_);
  return closed_;
}

}  // namespace imgfleet::service
