#include "coordinator/lists/shard_builder.h"

#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "common/outcome/codec.h"
#include "common/status.h"

namespace imgfleet::lists {
namespace {

// More than the tags and lengths around id and url take in a serialised ItemBatch.
constexpr uint64_t kItemOverhead = 16;

}  // namespace

ShardBuilder::ShardBuilder(std::string spool)
    : ids_(absl::Uniform<uint64_t>(absl::BitGen()), std::move(spool)) {}

absl::StatusOr<std::optional<core::NewShard>> ShardBuilder::Add(const Row& row) {
  std::optional<core::NewShard> full;
  const uint64_t bytes = row.id.size() + row.url.size() + row.error.size() + kItemOverhead;
  if (!sharder_.Fits(bytes)) full = Cut();
  sharder_.Add(bytes);
  v1::Item& item = *batch_.add_items();
  RETURN_IF_ERROR(NameRow(row, *item.mutable_id()));
  item.set_url(row.url.data(), row.url.size());
  if (!row.error.empty()) AddOutcome(row, item);
  ++next_index_;
  return full;
}

std::optional<core::NewShard> ShardBuilder::Finish() {
  if (sharder_.items() == 0) return std::nullopt;
  return Cut();
}

absl::Status ShardBuilder::NameRow(const Row& row, std::string& id) {
  if (row.id.empty()) {
    id = absl::StrCat(next_index_);
  } else {
    id.assign(row.id.data(), row.id.size());
  }
  // Once more where the list has an id that looks like a made one.
  for (;;) {
    ASSIGN_OR_RETURN(const bool is_new, ids_.Insert(id));
    if (is_new) return absl::OkStatus();
    absl::StrAppend(&id, "#", next_index_);
  }
}

void ShardBuilder::AddOutcome(const Row& row, const v1::Item& item) {
  v1::Outcome& outcome = *known_.add_outcomes();
  outcome.set_index(next_index_);
  outcome.set_id(item.id());
  outcome.set_url(item.url());
  v1::ItemError& error = *outcome.mutable_error();
  error.set_reason(v1::ItemError::BAD_ROW);
  error.set_message(row.error.data(), row.error.size());
  error.set_line(row.line);
  shard_.known.offsets.push_back(sharder_.items() - 1);
  ++shard_.known.counts.failed;
  ++shard_.known.counts.reasons[v1::ItemError::BAD_ROW];
}

core::NewShard ShardBuilder::Cut() {
  shard_.items = sharder_.items();
  shard_.payload = outcome::PackItems(batch_);
  if (known_.outcomes_size() > 0) shard_.known.payload = outcome::PackOutcomes(known_);
  batch_.Clear();  // Keeps its memory for the next shard.
  known_.Clear();
  sharder_.Cut();
  core::NewShard made = std::exchange(shard_, {});
  shard_.first_index = next_index_;
  return made;
}

absl::Status ReadItems(const v1::ItemBatch& items, absl::string_view name, RowSink sink) {
  uint64_t line = 0;
  for (const v1::Item& item : items.items()) {
    Row row{++line, item.id(), item.url(), {}};
    std::string error;
    if (item.url().empty()) error = absl::StrCat(name, ":", line, ": the URL is empty");
    row.error = error;
    RETURN_IF_ERROR(sink(row));
  }
  return absl::OkStatus();
}

}  // namespace imgfleet::lists
