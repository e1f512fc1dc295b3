// Cuts rows into shards: gives each its index and an id of its own, packs the items, and turns bad rows into
// outcomes.
//
//   ShardBuilder builder(spool);
//   parser.Feed(bytes, [&](const Row& row) -> absl::Status {
//     ASSIGN_OR_RETURN(std::optional<core::NewShard> shard, builder.Add(row));
//     if (shard) append it to the job, and wait for that;
//     return absl::OkStatus();
//   });
//   ... = builder.Finish();
//
// A row without an id gets its index as id; an id that was there before becomes "id#index" (what an IdSet
// costs, id_set.h says). Where the cuts lie depends on the rows alone (coordinator/core/sharder.h), so a list
// that is read again from its beginning gives the same shards: a reader that goes on after a restart drops
// those that are there already.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/core/sharder.h"
#include "coordinator/core/types.h"
#include "coordinator/lists/id_set.h"
#include "coordinator/lists/list_parser.h"
#include "proto/imgfleet/v1/image.pb.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::lists {

// Not thread-safe.
class ShardBuilder {
 public:
  // With a seed of its own for the ids' hashes. `spool` is the folder for temporary files, which only lists with more
  // than three quarters of a million ids need (lists/temporary_file.h).
  explicit ShardBuilder(std::string spool);

  // Adds the next row. Returns the shard before it where that has no room for the row. Fails where temporary files
  // cannot be written; nothing can be added after that.
  absl::StatusOr<std::optional<core::NewShard>> Add(const Row& row);
  // The last shard, unless there is nothing left.
  std::optional<core::NewShard> Finish();

  // Rows added so far, bad ones included.
  uint64_t items() const { return next_index_; }

 private:
  core::NewShard Cut();
  absl::Status NameRow(const Row& row, std::string& id);
  void AddOutcome(const Row& row, const v1::Item& item);

  core::Sharder sharder_;
  IdSet ids_;
  uint64_t next_index_ = 0;
  v1::ItemBatch batch_;
  v1::OutcomeChunk known_;
  core::NewShard
      shard_;  // What is known of the shard being filled: first_index, known.offsets and known.counts.
};

// Hands on the items of a request as rows; `line` counts them from 1, `name` stands in messages. An item
// without a URL is a bad row.
absl::Status ReadItems(const v1::ItemBatch& items, absl::string_view name, RowSink sink);

}  // namespace imgfleet::lists
