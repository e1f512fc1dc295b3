// For tests: the coordinator's messages in short, as the agent gets them, and what it says to them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/blob.h"
#include "gtest/gtest.h"
#include "proto/imgfleet/v1/worker.pb.h"
#include "worker/agent/agent.h"

namespace imgfleet::agent {

inline v1::ShardKey Key(uint32_t shard) {
  v1::ShardKey key;
  key.set_job_id("job");
  key.set_shard(shard);
  return key;
}

inline v1::CoordinatorMessage Welcome() {
  v1::CoordinatorMessage message;
  message.mutable_welcome()->set_protocol(1);
  message.mutable_welcome()->mutable_lease_period()->set_seconds(15);
  message.mutable_welcome()->mutable_report_interval()->set_seconds(5);
  return message;
}

inline v1::CoordinatorMessage LeaseOf(uint32_t shard, uint64_t epoch, uint64_t number, uint32_t items,
                                      const std::vector<uint32_t>& offsets) {
  v1::ItemBatch batch;
  for (uint32_t i = 0; i < items; ++i) batch.add_items()->set_url(absl::StrCat("http://h/", shard, "/", i));
  v1::CoordinatorMessage message;
  v1::Lease* lease = message.mutable_lease();
  *lease->mutable_shard() = Key(shard);
  lease->set_lease_epoch(epoch);
  lease->set_first_index(shard * 1000);
  lease->set_items(PackBlob(batch.SerializeAsString()));
  lease->mutable_offsets()->Add(offsets.begin(), offsets.end());
  lease->set_lease_number(number);
  return message;
}

// Makes it a lease of another job.
inline v1::CoordinatorMessage OfJob(const std::string& job, v1::CoordinatorMessage message,
                                    bool urgent = false) {
  message.mutable_lease()->mutable_shard()->set_job_id(job);
  message.mutable_lease()->set_urgent(urgent);
  return message;
}

inline v1::CoordinatorMessage LeaseOf(uint32_t shard, uint64_t epoch, uint64_t number, uint32_t items) {
  std::vector<uint32_t> offsets(items);
  for (uint32_t i = 0; i < items; ++i) offsets[i] = i;
  return LeaseOf(shard, epoch, number, items, offsets);
}

inline v1::CoordinatorMessage AckOf(const v1::Chunk& chunk, v1::Ack::Code code) {
  v1::CoordinatorMessage message;
  *message.mutable_ack()->mutable_shard() = chunk.shard();
  message.mutable_ack()->set_lease_epoch(chunk.lease_epoch());
  message.mutable_ack()->set_chunk_number(chunk.chunk_number());
  message.mutable_ack()->set_code(code);
  return message;
}

inline v1::CoordinatorMessage RevokeOf(uint32_t shard, uint64_t epoch) {
  v1::CoordinatorMessage message;
  *message.mutable_revoke()->mutable_shard() = Key(shard);
  message.mutable_revoke()->set_lease_epoch(epoch);
  return message;
}

inline v1::Outcome OutcomeOf(uint64_t index) {
  v1::Outcome outcome;
  outcome.set_index(index);
  outcome.mutable_image()->set_width(7);
  outcome.mutable_fetch()->set_fetched_bytes(10);
  return outcome;
}

// --- What an agent sends

inline std::vector<v1::Chunk> Chunks(const Agent::Output& output) {
  std::vector<v1::Chunk> chunks;
  for (const auto& message : output.send) {
    if (message.has_chunk()) chunks.push_back(message.chunk());
  }
  return chunks;
}

inline std::vector<v1::Report> Reports(const Agent::Output& output) {
  std::vector<v1::Report> reports;
  for (const auto& message : output.send) {
    if (message.has_report()) reports.push_back(message.report());
  }
  return reports;
}

inline std::vector<v1::HandBack> HandBacks(const Agent::Output& output) {
  std::vector<v1::HandBack> backs;
  for (const auto& message : output.send) {
    if (message.has_hand_back()) backs.push_back(message.hand_back());
  }
  return backs;
}

// An agent with little room, before its stream.
class AgentTest : public ::testing::Test {
 protected:
  static Agent::Options SmallOptions() {
    Agent::Options options;
    options.worker_id = "w";
    options.capacity_items = 8;
    options.chunk_items = 4;
    return options;
  }

  void Connect() {
    agent_.Connected(now_);
    agent_.Received(Welcome(), now_);
  }
  void Finish(const Agent::StartItem& item) {
    agent_.Finished(item.lease, item.offset, PackTo(OutcomeOf(item.index), &buffer_), now_);
  }

  Agent agent_{SmallOptions()};
  std::string buffer_;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
};

}  // namespace imgfleet::agent
