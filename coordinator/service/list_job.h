// The rows of one list on their way into one job: parsed, cut into shards, appended one after the other.
//
// Blocks on the ledger while a shard is being appended, which is what bounds memory: it holds the shard that is being
// filled and the parser's row. Not thread-safe; any thread but the ledger's.
#pragma once

#include <cstdint>
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

class ListJob {
 public:
  // `stopping` ends waits for a failing store.
  // `spool`: the folder for temporary files.
  ListJob(store::Ledger& ledger, Stopping& stopping, lists::ListParser::Options options, std::string spool);

  // The next bytes of the list. Before Attach, shards are kept: feed no more than it takes to see a first row.
  // INVALID_ARGUMENT where the list is bad from here on; FAILED_PRECONDITION where the job has ended meanwhile;
  // CANCELLED where the coordinator stops.
  absl::Status Feed(absl::string_view bytes);
  // The list is read to its end.
  absl::Status Finish();

  // From here on shards go into this job, except those of its first `skip_items`, which it has already.
  absl::Status Attach(std::string job_id, uint64_t skip_items);

  const std::string& job_id() const { return job_id_; }
  uint64_t rows() const { return builder_.items(); }

 private:
  absl::Status AddRow(const lists::Row& row);
  absl::Status Take(std::optional<core::NewShard> shard);
  absl::Status Append(core::NewShard shard);

  store::Ledger& ledger_;
  Stopping& stopping_;
  lists::ListParser parser_;
  lists::ShardBuilder builder_;
  std::string job_id_;  // Empty: not attached.
  uint64_t skip_items_ = 0;
  std::vector<core::NewShard> kept_;
};

}  // namespace imgfleet::service
