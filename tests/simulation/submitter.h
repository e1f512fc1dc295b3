// Whoever submits one job of the plan: creates it, appends its shards and ends it as list_job.cc and upload.cc do it, goes
// on where a coordinator died, and pauses, resumes, weighs and cancels it when its time comes.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "coordinator/core/types.h"
#include "tests/simulation/coordinator_node.h"
#include "tests/simulation/world.h"

namespace imgfleet::simulation {

class Submitter {
 public:
  Submitter(World& world, const JobPlan& plan) : world_(world), plan_(plan) {}

  void Start();
  // That coordinator reads the list now.
  void TakenUp(CoordinatorNode& coordinator);

 private:
  // Does it at some coordinator, and again elsewhere where that one is gone before it has answered.
  void At(std::function<void(CoordinatorNode&)> what);
  void Again(absl::Duration wait, std::function<void()> what);

  void Create();
  void Append();
  void Finish();
  void Cancel();
  void Pause();
  void Resume();
  void Prioritize();
  // The list is read on from what is stored of it.
  void ReadOn();
  core::NewShard MakeShard(uint32_t number) const;

  World& world_;
  const JobPlan& plan_;
  bool created_ = false;
  bool resuming_ = false;
  uint32_t attempts_ = 0;  // To create it.
  uint32_t next_shard_ = 0;
  uint64_t next_index_ = 0;
  // Of the question that an answer is waited for; an older one's answer comes too late.
  uint64_t asked_ = 0;
  CoordinatorNode* reader_ = nullptr;  // That reads the list.
  uint64_t reader_life_ = 0;
};

}  // namespace imgfleet::simulation
