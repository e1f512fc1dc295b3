#include "cli/results.h"

#include <signal.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "common/outcome/codec.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"

namespace imgfleet::cli {
namespace {

// Serves the readings it was given, one after the other; each is what to send and how to end.
class FakeJobs final : public v1::Jobs::Service {
 public:
  struct Step {
    std::vector<v1::Outcomes> messages;
    grpc::Status end;
  };

  grpc::Status ReadResults(grpc::ServerContext*, const v1::ReadResultsRequest* request,
                           grpc::ServerWriter<v1::Outcomes>* writer) override {
    asked_from.push_back(request->from_index());
    const Step& step = steps.at(asked_from.size() - 1);
    for (const v1::Outcomes& message : step.messages) writer->Write(message);
    return step.end;
  }

  std::vector<Step> steps;
  std::vector<uint64_t> asked_from;
};

v1::Outcomes Packed(std::vector<uint64_t> indices, uint64_t next_index, bool complete) {
  v1::OutcomeChunk chunk;
  for (uint64_t index : indices) {
    v1::Outcome& outcome = *chunk.add_outcomes();
    outcome.set_index(index);
    outcome.set_id(std::to_string(index));
    outcome.mutable_image()->set_format("png");
  }
  v1::Outcomes message;
  message.set_packed(outcome::PackOutcomes(chunk));
  message.set_next_index(next_index);
  message.set_shard_complete(complete);
  return message;
}

class ResultsTest : public testing::Test {
 protected:
  void SetUp() override {
    grpc::ServerBuilder builder;
    builder.RegisterService(&jobs_);
    server_ = builder.BuildAndStart();
    stub_ = v1::Jobs::NewStub(server_->InProcessChannel({}));
    ASSERT_EQ(pipe(pipe_), 0);
  }

  // The ids printed, in order.
  std::vector<std::string> Printed() {
    close(pipe_[1]);
    std::string all;
    char piece[4096];
    for (ssize_t got; (got = read(pipe_[0], piece, sizeof piece)) > 0;)
      all.append(piece, static_cast<size_t>(got));
    std::vector<std::string> ids;
    for (size_t at = 0; (at = all.find("\"id\":\"", at)) != std::string::npos;) {
      at += 6;
      ids.push_back(all.substr(at, all.find('"', at) - at));
    }
    return ids;
  }

  FakeJobs jobs_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Jobs::Stub> stub_;
  int pipe_[2];
  Interrupt interrupt_;
};

TEST_F(ResultsTest, GoesOnWhereItWasWhenTheCoordinatorComesBack) {
  jobs_.steps = {
      {{Packed({1, 0}, 2, true), Packed({3}, 5, false)}, {grpc::StatusCode::UNAVAILABLE, "restarting"}},
      {{Packed({4, 3, 2}, 5, true)}, grpc::Status::OK},
  };
  Output output(pipe_[1]);
  Printer printer(Format::kNdjson, output);
  Reading reading{"job", 0, true};
  EXPECT_TRUE(PrintResults(*stub_, reading, printer, interrupt_).ok());
  EXPECT_EQ(Printed(), (std::vector<std::string>{"0", "1", "2", "3", "4"}));
  EXPECT_EQ(jobs_.asked_from, (std::vector<uint64_t>{0, 2}));
  EXPECT_EQ(reading.next_index, 5u);
}

TEST_F(ResultsTest, EndsWithTheStatusOfTheReading) {
  jobs_.steps = {{{}, {grpc::StatusCode::NOT_FOUND, "no such job"}}};
  Output output(pipe_[1]);
  Printer printer(Format::kNdjson, output);
  Reading reading{"job", 0, true};
  EXPECT_EQ(PrintResults(*stub_, reading, printer, interrupt_).code(), absl::StatusCode::kNotFound);
}

TEST_F(ResultsTest, AReaderThatLeavesEndsTheReading) {
  signal(SIGPIPE, SIG_IGN);
  jobs_.steps = {{{Packed({0}, 1, true)}, grpc::Status::OK}};
  close(pipe_[0]);
  Output output(pipe_[1]);
  Printer printer(Format::kNdjson, output);
  Reading reading{"job", 0, true};
  EXPECT_EQ(PrintResults(*stub_, reading, printer, interrupt_).code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(printer.reader_gone());
}

}  // namespace
}  // namespace imgfleet::cli
