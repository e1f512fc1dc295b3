#include "gateway/few_items.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/outcome/json.h"

namespace imgfleet::gateway {

FewItems::FewItems(std::vector<v1::Item> items)
    : items_(std::move(items)), answered_(items_.size()), missing_(items_.size()) {
  std::set<std::string> ids;
  for (size_t i = 0; i < items_.size(); ++i) {
    std::string id = items_[i].id().empty() ? absl::StrCat(i) : items_[i].id();
    while (!ids.insert(id).second) absl::StrAppend(&id, "#", i);
    items_[i].set_id(std::move(id));
  }
}

v1::ItemBatch FewItems::AskForMissing() {
  v1::ItemBatch batch;
  asked_.clear();
  for (size_t i = 0; i < items_.size(); ++i) {
    if (answered_[i]) continue;
    asked_.push_back(i);
    *batch.add_items() = items_[i];
  }
  return batch;
}

std::string FewItems::AskForMissingAsList() {
  std::string list;
  const v1::ItemBatch missing = AskForMissing();
  for (const v1::Item& item : missing.items()) {
    list += "{\"id\":";
    outcome::AppendJsonString(item.id(), list);
    list += ",\"url\":";
    outcome::AppendJsonString(item.url(), list);
    list += "}\n";
  }
  return list;
}

v1::OutcomeChunk FewItems::Take(const v1::OutcomeChunk& chunk) {
  v1::OutcomeChunk fresh;
  for (const v1::Outcome& outcome : chunk.outcomes()) {
    if (outcome.index() >= asked_.size()) continue;
    const uint64_t index = asked_[outcome.index()];
    if (answered_[index]) continue;
    answered_[index] = true;
    --missing_;
    v1::Outcome& added = *fresh.add_outcomes();
    added = outcome;
    added.set_index(index);
    added.set_id(items_[index].id());
  }
  return fresh;
}

}  // namespace imgfleet::gateway
