// What is asked of the ledger until a batch takes it, in fair order.
//
// Lists come in by the thousand shards, and nobody waits for a particular one of them: so what carries on a list (its job's
// making, its shards, its end) queues per job, in the order in which it was asked. Each batch takes of these in turn, one
// of each job, up to a bound; and all else, which somebody waits for, before what is left of the lists. So a small job's
// few verbs, a lease or a commit are in the next batch or the one after it, however long the lists are.
//
// Not thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/store/store.h"

namespace imgfleet::store {

class Batch;

// What one transaction may carry: bounds the memory and the time that a batch takes.
inline constexpr size_t kMaxBatchCommands = 1024;
inline constexpr size_t kMaxBatchBytes = 16 << 20;
// And how much of that may carry lists on.
inline constexpr size_t kMaxListCommands = kMaxBatchCommands / 4;
inline constexpr size_t kMaxListBytes = kMaxBatchBytes / 4;

struct Command {
  // Fails only where the store does; may be called again after that.
  std::function<absl::Status(Batch&)> apply;
  // Called once, with the store's failure or OK once `apply` is durable.
  std::function<void(const absl::Status&)> answer;
  size_t bytes = 0;
  Declared declared = {};
  std::string list_of = {};  // The job whose list it carries on; else empty.
  bool after_all = false;    // To be taken when nothing is left that was asked before.
};

class CommandQueue {
 public:
  void Push(Command command) {
    if (command.list_of.empty()) return verbs_.push_back(std::move(command));
    std::deque<Command>& list = lists_[command.list_of];
    if (list.empty()) turns_.push_back(command.list_of);
    list.push_back(std::move(command));
  }

  // Before all others of its kind: it was taken, and is to be done once more.
  void PushFront(Command command) {
    if (command.list_of.empty()) return verbs_.push_front(std::move(command));
    std::deque<Command>& list = lists_[command.list_of];
    if (list.empty()) turns_.push_front(command.list_of);
    list.push_front(std::move(command));
  }

  bool empty() const { return verbs_.empty() && turns_.empty(); }

  // The next batch, at least one command where there is any.
  std::vector<Command> Take() {
    std::vector<Command> batch;
    size_t bytes = 0;
    while (!turns_.empty() && batch.size() < kMaxListCommands && bytes < kMaxListBytes) {
      const auto list = lists_.find(turns_.front());
      Move(list->second, batch, bytes);
      if (list->second.empty()) {
        lists_.erase(list);
      } else {
        turns_.push_back(std::move(turns_.front()));
      }
      turns_.pop_front();
    }
    while (!verbs_.empty() && batch.size() < kMaxBatchCommands && bytes < kMaxBatchBytes &&
           (!verbs_.front().after_all || turns_.empty())) {
      Move(verbs_, batch, bytes);
    }
    return batch;
  }

 private:
  static void Move(std::deque<Command>& from, std::vector<Command>& batch, size_t& bytes) {
    bytes += from.front().bytes;
    batch.push_back(std::move(from.front()));
    from.pop_front();
  }

  std::deque<Command> verbs_;
  std::map<std::string, std::deque<Command>> lists_;  // None empty.
  std::deque<std::string> turns_;                     // The jobs among them, the next one first.
};

}  // namespace imgfleet::store
