// The rows of one list on their way into one job: parsed, cut into shards, appended one after the other.
//
// A few shards are on their way into the ledger at a time, so that one transaction takes several; while there are no
// more to be had (kShardsAhead, kBytesAhead), it blocks on the ledger. Besides them it holds the shard that is being
// filled and the parser's row. Not thread-safe; any thread but the ledger's.
#pragma once

#include <cstdint>
#include <deque>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/core/types.h"
#include "coordinator/lists/list_parser.h"
#include "coordinator/lists/shard_builder.h"
#include "coordinator/service/stopping.h"
#include "coordinator/store/ledger.h"

namespace imgfleet::service {

// Shards that may be on their way into the ledger, and their bytes in sum unless it is one alone.
inline constexpr size_t kShardsAhead = 32;
inline constexpr uint64_t kBytesAhead = 4 << 20;

class ListJob {
 public:
  // `stopping` ends waits for a failing store.
  // `spool`: the folder for temporary files.
  ListJob(store::Ledger& ledger, Stopping& stopping, lists::ListParser::Options options, std::string spool);

  // The next bytes of the list. Before Attach, shards are kept: feed no more than it takes to see a first row.
  // INVALID_ARGUMENT where the list is bad from here on; FAILED_PRECONDITION where the job has ended meanwhile;
  // ABORTED where another coordinator reads the list now; CANCELLED where the coordinator stops.
  absl::Status Feed(absl::string_view bytes);
  // The list is read to its end, and all its shards are durable once this has returned.
  absl::Status Finish();

  // From here on shards go into this job, except those of its first `skip_items`, which it has already.
  absl::Status Attach(std::string job_id, uint64_t skip_items);

  const std::string& job_id() const { return job_id_; }
  uint64_t rows() const { return builder_.items(); }

 private:
  absl::Status AddRow(const lists::Row& row);
  absl::Status Take(std::optional<core::NewShard> shard);
  absl::Status Append(core::NewShard shard);
  void Send(core::NewShard shard);
  // Waits for the oldest shard under way.
  absl::Status Settle();
  absl::Status SettleAll();
  absl::Status SettleRefused(const absl::Status& why);
  // The store could not take the oldest, so none after it was taken either: waits, and sends them all again.
  absl::Status SendAgain();
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
    std::future<absl::Status> appended;
  };
  std::deque<UnderWay> under_way_;
  uint64_t under_way_bytes_ = 0;
  uint32_t failures_ = 0;  // In a row.
};

}  // namespace imgfleet::service
