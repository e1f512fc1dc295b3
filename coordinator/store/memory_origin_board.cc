#include "coordinator/store/memory_origin_board.h"

#include <vector>

namespace imgfleet::store {

class MemoryOriginBoard final : public OriginBoard {
 public:
  explicit MemoryOriginBoard(MemoryOriginTable& table) : table_(table) {
    absl::MutexLock lock(&table_.mutex_);
    table_.boards_.insert(this);
  }
  ~MemoryOriginBoard() override {
    absl::MutexLock lock(&table_.mutex_);
    table_.boards_.erase(this);
  }

  absl::Status Exchange(const core::OriginQuery& query, Decide decide) override {
    core::OriginNews news;
    {
      absl::MutexLock lock(&table_.mutex_);
      if (table_.fails_ && !table_.after_commit_) return absl::UnavailableError("the table is away");
      news.number = ++table_.number_;
      news.now = table_.clock_.Boot();
      const std::set<std::string> names(query.origins.begin(), query.origins.end());
      for (const auto& [key, row] : table_.rows_) {
        if (row.number > query.after || names.contains(key.first)) news.rows.push_back(row);
      }
    }
    const core::OriginWrites writes = decide(news);
    absl::MutexLock lock(&table_.mutex_);
    for (const core::OriginRow& row : writes.rows) {
      core::OriginRow& written = table_.rows_[{row.origin, row.coordinator}] = row;
      written.number = news.number;
      ++table_.writes_;
    }
    if (writes.sweep) {
      std::erase_if(table_.rows_, [&](const auto& entry) {
        return entry.second.until + core::OriginHomes::kKept < news.now;
      });
    }
    for (MemoryOriginBoard* board : table_.boards_) board->news_ |= writes.tell && board != this;
    if (writes.tell) table_.told_.SignalAll();
    return table_.fails_ ? absl::UnavailableError("the answer was lost") : absl::OkStatus();
  }

  bool Wait(absl::Duration limit) override {
    absl::MutexLock lock(&table_.mutex_);
    while (!news_ && !interrupted_) {
      if (table_.told_.WaitFor(table_.mutex_, limit)) break;
    }
    interrupted_ = false;
    return std::exchange(news_, false);
  }

  void Interrupt() override {
    absl::MutexLock lock(&table_.mutex_);
    interrupted_ = true;
    table_.told_.SignalAll();
  }

 private:
  friend class MemoryOriginTable;
  MemoryOriginTable& table_;
  // Guarded by the table's mutex.
  bool news_ = false, interrupted_ = false;
};

std::unique_ptr<OriginBoard> MemoryOriginTable::Open() { return std::make_unique<MemoryOriginBoard>(*this); }

void MemoryOriginTable::Fail(bool fails, bool after_commit) {
  absl::MutexLock lock(&mutex_);
  fails_ = fails;
  after_commit_ = after_commit;
}

size_t MemoryOriginTable::rows() const {
  absl::MutexLock lock(&mutex_);
  return rows_.size();
}

uint64_t MemoryOriginTable::writes() const {
  absl::MutexLock lock(&mutex_);
  return writes_;
}

}  // namespace imgfleet::store
