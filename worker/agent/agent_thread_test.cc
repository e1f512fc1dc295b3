// The agent over a real stream, against a coordinator that does what a test says and a runner without a network.
#include "worker/agent/agent_thread.h"

#include <deque>
#include <future>

#include "absl/strings/str_cat.h"
#include "common/outcome/codec.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"

namespace imgfleet::agent {
namespace {

// Finishes items only when told to.
class FakeRunner final : public task::Runner {
 public:
  void Start(std::vector<task::Item> items) override {
    absl::MutexLock lock(&mutex_);
    for (task::Item& item : items) items_.push_back(std::move(item));
  }
  void DropAbandoned() override {
    std::vector<task::Item> dropped, not_begun;
    {
      absl::MutexLock lock(&mutex_);
      for (auto item = items_.begin(); item != items_.end();) {
        const bool closing = begins_none_ && item->lease->closing;
        if (!item->lease->abandoned && !closing) {
          ++item;
          continue;
        }
        (item->lease->abandoned ? dropped : not_begun).push_back(std::move(*item));
        item = items_.erase(item);
      }
      dropped_ += dropped.size();
    }
    for (task::Item& item : dropped) item.done(v1::Outcome());
    for (task::Item& item : not_begun) item.lease->not_begun();
  }
  // What it is given waits.
  void BeginNone() {
    absl::MutexLock lock(&mutex_);
    begins_none_ = true;
  }
  uint32_t capacity() const override { return 1000; }

  void Finish(size_t count) {
    while (count-- > 0) {
      task::Item item;
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(this, &FakeRunner::Any));
        item = std::move(items_.front());
        items_.pop_front();
      }
      v1::Outcome outcome;
      outcome.set_index(item.index);
      outcome.mutable_image()->set_width(3);
      item.done(std::move(outcome));
    }
  }
  void WaitForDropped(size_t count) {
    absl::MutexLock lock(&mutex_);
    while (dropped_ < count)
      mutex_.AwaitWithTimeout(absl::Condition(this, &FakeRunner::Dropped), absl::Seconds(10));
  }

 private:
  bool Any() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !items_.empty(); }
  bool Dropped() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return dropped_ > 0; }

  mutable absl::Mutex mutex_;
  std::deque<task::Item> items_ ABSL_GUARDED_BY(mutex_);
  size_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;
  bool begins_none_ ABSL_GUARDED_BY(mutex_) = false;
};

using ServerStream = grpc::ServerReaderWriter<v1::CoordinatorMessage, v1::WorkerMessage>;

class FakeCoordinator final : public v1::Workers::Service {
 public:
  using Script = std::function<grpc::Status(ServerStream&, int stream)>;

  explicit FakeCoordinator(Script script) : script_(std::move(script)) {
    grpc::ServerBuilder builder;
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  std::shared_ptr<grpc::Channel> Channel() { return server_->InProcessChannel({}); }

  grpc::Status Work(grpc::ServerContext*, ServerStream* stream) override {
    return script_(*stream, ++streams_);
  }

  // Greets, and reads up to and with the first report.
  static v1::Report Greet(ServerStream& stream) {
    v1::WorkerMessage message;
    EXPECT_TRUE(stream.Read(&message) && message.has_hello());
    v1::CoordinatorMessage welcome;
    welcome.mutable_welcome()->set_protocol(1);
    welcome.mutable_welcome()->mutable_lease_period()->set_seconds(15);
    welcome.mutable_welcome()->mutable_report_interval()->set_seconds(5);
    stream.Write(welcome);
    EXPECT_TRUE(stream.Read(&message) && message.has_report());
    return message.report();
  }
  static void Lease(ServerStream& stream, int items) {
    v1::ItemBatch batch;
    v1::CoordinatorMessage message;
    v1::Lease* lease = message.mutable_lease();
    lease->mutable_shard()->set_job_id("job");
    lease->set_lease_epoch(4);
    lease->set_lease_number(1);
    for (int i = 0; i < items; ++i) {
      batch.add_items()->set_url(absl::StrCat("http://h/", i));
      lease->add_offsets(static_cast<uint32_t>(i));
    }
    lease->set_items(outcome::PackItems(batch));
    stream.Write(message);
  }
  static void Ack(ServerStream& stream, const v1::Chunk& chunk) {
    v1::CoordinatorMessage message;
    *message.mutable_ack()->mutable_shard() = chunk.shard();
    message.mutable_ack()->set_lease_epoch(chunk.lease_epoch());
    message.mutable_ack()->set_chunk_number(chunk.chunk_number());
    message.mutable_ack()->set_code(v1::Ack::COMMITTED);
    stream.Write(message);
  }
  // The next chunk, over reports.
  static v1::Chunk NextChunk(ServerStream& stream) {
    v1::WorkerMessage message;
    while (stream.Read(&message)) {
      if (message.has_chunk()) return message.chunk();
    }
    ADD_FAILURE() << "the stream ended";
    return {};
  }

 private:
  const Script script_;
  std::atomic<int> streams_{0};
  std::unique_ptr<grpc::Server> server_;
};

Agent::Options NamedOptions() {
  Agent::Options options;
  options.worker_id = "w";
  return options;
}

TEST(AgentThread, WorksOffALeaseKeepsItOverABreakAndDrains) {
  metrics::Registry metrics("worker");
  FakeRunner runner;
  std::promise<v1::Chunk> first, again;
  std::promise<void> ended;
  FakeCoordinator coordinator([&](ServerStream& stream, int number) {
    const v1::Report report = FakeCoordinator::Greet(stream);
    if (number == 1) {
      FakeCoordinator::Lease(stream, 3);
      first.set_value(FakeCoordinator::NextChunk(stream));
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "old");  // Without an answer.
    }
    EXPECT_EQ(report.held_size(), 1);
    const v1::Chunk chunk = FakeCoordinator::NextChunk(stream);
    again.set_value(chunk);
    FakeCoordinator::Ack(stream, chunk);
    v1::WorkerMessage message;
    bool draining = false;
    while (stream.Read(&message)) draining |= message.report().draining();
    EXPECT_TRUE(draining);
    ended.set_value();
    return grpc::Status::OK;
  });
  AgentThread agent(coordinator.Channel(), runner, Clock::System(), metrics, NamedOptions());
  runner.Finish(3);
  const v1::Chunk chunk = first.get_future().get();
  EXPECT_EQ(chunk.offsets_size(), 3);
  EXPECT_EQ(again.get_future().get().SerializeAsString(), chunk.SerializeAsString());
  agent.Drain(absl::Seconds(20));
  ended.get_future().get();
}

TEST(AgentThread, WhenTheTimeToDrainIsOverItHandsBackWhatRuns) {
  metrics::Registry metrics("worker");
  FakeRunner runner;
  std::promise<void> leased;
  std::promise<bool> handed_back;
  FakeCoordinator coordinator([&](ServerStream& stream, int) {
    FakeCoordinator::Greet(stream);
    FakeCoordinator::Lease(stream, 3);
    const v1::Chunk chunk = FakeCoordinator::NextChunk(stream);
    leased.set_value();
    FakeCoordinator::Ack(stream, chunk);
    v1::WorkerMessage message;
    bool back = false;
    while (stream.Read(&message)) back |= message.has_hand_back();
    handed_back.set_value(back);
    return grpc::Status::OK;
  });
  AgentThread agent(coordinator.Channel(), runner, Clock::System(), metrics, NamedOptions());
  runner.Finish(1);  // Its chunk goes when it is old enough; two go on.
  leased.get_future().get();
  agent.Drain(absl::ZeroDuration());
  EXPECT_TRUE(handed_back.get_future().get());
  runner.WaitForDropped(2);
}

TEST(AgentThread, WhatWasNotBegunIsHandedBackAtOnceWhenItDrains) {
  metrics::Registry metrics("worker");
  FakeRunner runner;
  std::promise<bool> handed_back;
  FakeCoordinator coordinator([&](ServerStream& stream, int) {
    FakeCoordinator::Greet(stream);
    FakeCoordinator::Lease(stream, 3);
    FakeCoordinator::Ack(stream, FakeCoordinator::NextChunk(stream));
    v1::WorkerMessage message;
    bool back = false;
    while (stream.Read(&message)) back |= message.has_hand_back();
    handed_back.set_value(back);
    return grpc::Status::OK;
  });
  AgentThread agent(coordinator.Channel(), runner, Clock::System(), metrics, NamedOptions());
  runner.Finish(1);
  runner.BeginNone();
  EXPECT_TRUE(agent.Ready().ok());
  agent.Drain(absl::Hours(1));
  EXPECT_TRUE(handed_back.get_future().get());
  EXPECT_EQ(agent.Ready().message(), "draining");
}

TEST(AgentThread, DrainsAtOnceWithoutACoordinator) {
  metrics::Registry metrics("worker");
  FakeRunner runner;
  FakeCoordinator coordinator([](ServerStream&, int) {
    return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "another version");
  });
  AgentThread agent(coordinator.Channel(), runner, Clock::System(), metrics, NamedOptions());
  agent.Drain(absl::Seconds(20));
  EXPECT_FALSE(agent.Ready().ok());
}

// The agent, or its stream, is the last to hold the channel; neither may let go of it on a thread of gRPC's.
TEST(AgentThread, EndsInTheMiddleOfAStreamWithTheLastOfItsChannel) {
  for (int round = 0; round < 20; ++round) {
    FakeRunner runner;
    metrics::Registry metrics("worker");
    std::promise<void> greeted;
    FakeCoordinator coordinator([&](ServerStream& stream, int) {
      FakeCoordinator::Greet(stream);
      greeted.set_value();
      v1::WorkerMessage message;
      while (stream.Read(&message)) {
      }
      return grpc::Status::OK;
    });
    AgentThread agent(coordinator.Channel(), runner, Clock::System(), metrics, NamedOptions());
    greeted.get_future().get();
  }
}

}  // namespace
}  // namespace imgfleet::agent
