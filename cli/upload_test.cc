#include "cli/upload.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"

namespace imgfleet::cli {
namespace {

// Takes lists as a coordinator does: names the job with the first message, and again when all is there.
class FakeJobs final : public v1::Jobs::Service {
 public:
  grpc::Status UploadJob(grpc::ServerContext* context,
                         grpc::ServerReaderWriter<v1::Job, v1::UploadJobRequest>* stream) override {
    if (!refusal.ok()) return refusal;
    v1::UploadJobRequest message;
    v1::Job job;
    job.set_id("the-job");
    while (stream->Read(&message)) {
      if (message.has_list()) {
        name = message.list().path();
        stream->Write(job);
      }
      bytes += message.data();
    }
    if (context->IsCancelled()) return grpc::Status::CANCELLED;
    whole = true;
    stream->Write(job);
    return grpc::Status::OK;
  }

  grpc::Status refusal;
  std::string name, bytes;
  bool whole = false;
};

class UploadTest : public testing::Test {
 protected:
  void SetUp() override {
    grpc::ServerBuilder builder;
    builder.RegisterService(&jobs_);
    server_ = builder.BuildAndStart();
    stub_ = v1::Jobs::NewStub(server_->InProcessChannel({}));
    first_.mutable_spec()->mutable_measure();
  }

  std::unique_ptr<ListSource> ListOf(const std::string& bytes) {
    path_ = std::string(getenv("TEST_TMPDIR")) + "/list.tsv";
    std::ofstream(path_, std::ios::binary) << bytes;
    auto source = ListSource::Open(path_);
    EXPECT_TRUE(source.ok()) << source.status();
    return *std::move(source);
  }

  FakeJobs jobs_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Jobs::Stub> stub_;
  v1::UploadJobRequest first_;
  std::string path_;
};

TEST_F(UploadTest, HandsOverEveryByteAndTheName) {
  const std::string bytes(1'000'003, 'u');
  auto source = ListOf(bytes);
  Upload upload(*stub_, *source, first_);
  EXPECT_EQ(*upload.JobId(), "the-job");
  EXPECT_TRUE(upload.Finish().ok());
  EXPECT_TRUE(upload.finished());
  EXPECT_EQ(jobs_.name, path_);
  EXPECT_EQ(jobs_.bytes, bytes);
}

TEST_F(UploadTest, AnEmptyListIsAskedForToo) {
  auto source = ListOf("");
  Upload upload(*stub_, *source, first_);
  EXPECT_TRUE(upload.JobId().ok());
  EXPECT_TRUE(upload.Finish().ok());
}

TEST_F(UploadTest, ARefusalIsTheAnswer) {
  jobs_.refusal = grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "list.tsv:1: no column \"url\"");
  auto source = ListOf(std::string(1'000'000, 'u'));
  Upload upload(*stub_, *source, first_);
  EXPECT_EQ(upload.JobId().status().message(), "list.tsv:1: no column \"url\"");
  EXPECT_FALSE(upload.Finish().ok());
}

TEST_F(UploadTest, AStoppedListNeverPassesForAWholeOne) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const int own_stdin = dup(STDIN_FILENO);
  ASSERT_EQ(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
  ASSERT_EQ(write(ends[1], "id\turl\n", 7), 7);
  {
    auto source = ListSource::Open("-");
    Upload upload(*stub_, **source, first_);
    ASSERT_TRUE(upload.JobId().ok());
    upload.Stop();
    EXPECT_EQ(upload.Finish().code(), absl::StatusCode::kCancelled);
    EXPECT_FALSE(upload.finished());
  }
  server_->Shutdown();
  EXPECT_FALSE(jobs_.whole);
  dup2(own_stdin, STDIN_FILENO);
  for (int fd : {ends[0], ends[1], own_stdin}) close(fd);
}

}  // namespace
}  // namespace imgfleet::cli
