// A few items asked for by one request, each to be answered once, however often what is missing is asked for again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::gateway {

class FewItems {
 public:
  // Gives the items the ids that the coordinator would: their index where they have none, "id#index" where it came before.
  explicit FewItems(std::vector<v1::Item> items);

  bool complete() const { return missing_ == 0; }
  // Those without an outcome. What Take gets after this is indexed as in here.
  v1::ItemBatch AskForMissing();
  // The same as a list of JSON lines.
  std::string AskForMissingAsList();
  // Of outcomes that came, those of items that had none, under the index that they have for the client.
  v1::OutcomeChunk Take(const v1::OutcomeChunk& chunk);

 private:
  std::vector<v1::Item> items_;
  std::vector<bool> answered_;
  std::vector<uint64_t> asked_;  // Their indices.
  size_t missing_;
};

}  // namespace imgfleet::gateway
