// The rows of one list on their way into one job: parsed, cut into shards, appended one after the other.
//
// A few shards are on their way into the ledger at a time, so that one transaction takes several. Nothing here waits: where
// there are no more to be had (kShardsAhead, kBytesAhead), the owner has as many open items as may be, or the store fails, what
// was cut is kept, and whoever feeds the list asks Advance before the next slice. So a list that has to wait holds no thread.
// Besides the shards of a slice it holds the shard that is being filled and the parser's row. Not thread-safe; any thread but
// the ledger's.
//
//   ASSIGN_OR_RETURN(const bool room, list.Advance());
//   if (!room) return list.WhenMoved(threads, [] { ... });     // and ask again then
//   RETURN_IF_ERROR(list.Feed(slice));
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/core/types.h"
#include "coordinator/lists/list_parser.h"
#include "coordinator/lists/shard_builder.h"
#include "coordinator/service/stopping.h"
#include "coordinator/service/threads.h"
#include "coordinator/store/ledger.h"

namespace imgfleet::service {

// Shards that may be on their way into the ledger, and their bytes in sum unless it is one alone.
inline constexpr size_t kShardsAhead = 32;
inline constexpr uint64_t kBytesAhead = 4 << 20;

class ListJob {
 public:
  // Once `stopping` says so, Advance says CANCELLED.
  // `spool`: the folder for temporary files.
  ListJob(store::Ledger& ledger, Stopping& stopping, lists::ListParser::Options options, std::string spool);

  // The next bytes of the list. Before Attach, shards are kept: feed no more than it takes to see a first row.
  // INVALID_ARGUMENT where the list is bad from here on.
  absl::Status Feed(absl::string_view bytes);
  // The list is read to its end: Advance says true once all its shards are durable.
  absl::Status Finish();

  // From here on shards go into this job, except those of its first `skip_items`, which it has already.
  absl::Status Attach(std::string job_id, uint64_t skip_items);

  // Takes the ledger's answers and sends what there is room for. False: there is none for more; see WhenMoved.
  //   FAILED_PRECONDITION  the job has ended meanwhile     ABORTED  another coordinator reads the list now
  //   CANCELLED  the coordinator stops
  absl::StatusOr<bool> Advance();
  // Runs `then` on one of `threads` once Advance may have something else to say: when the ledger has answered, or when it is
  // time to ask it again.
  void WhenMoved(Threads& threads, std::function<void()> then);

  const std::string& job_id() const { return job_id_; }
  uint64_t rows() const { return builder_.items(); }

 private:
  class Answer;

  absl::Status AddRow(const lists::Row& row);
  absl::Status Take(std::optional<core::NewShard> shard);
  // Sends as many as there is room for.
  void Pour();
  void Send(core::NewShard shard);
  // The answer to the oldest shard under way.
  absl::Status Settle(const absl::Status& answer);
  absl::Status SettleRefused(const absl::Status& why);
  // All that is under way was answered, and none of it was taken: is to be sent again after a rest.
  void TakeBack();
  void Forget();

  store::Ledger& ledger_;
  Stopping& stopping_;
  lists::ListParser parser_;
  lists::ShardBuilder builder_;
  std::string job_id_;  // Empty: not attached.
  uint64_t skip_items_ = 0;
  std::vector<core::NewShard> kept_;

  struct UnderWay {
    core::NewShard shard;
    std::shared_ptr<Answer> answer;
  };
  std::deque<UnderWay> under_way_;
  uint64_t under_way_bytes_ = 0;
  std::deque<core::NewShard> waiting_;  // After those under way.
  bool finished_ = false;
  bool refused_ = false;   // The oldest under way; when the others are answered, all go again.
  absl::Duration rest_;    // Before that.
  uint32_t failures_ = 0;  // In a row.
};

}  // namespace imgfleet::service
