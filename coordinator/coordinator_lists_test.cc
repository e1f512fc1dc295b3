// Lists through the services that ship: files and uploads, over breaks and restarts.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/coordinator_testing.h"

namespace imgfleet {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(CoordinatorTest, ReadsAListFileInTheBackground) {
  Start();
  std::string text = "id\turl\r\n";
  for (int i = 0; i < 100; ++i) absl::StrAppend(&text, "n", i, "\thttp://h/", i, "\r\n");
  absl::StrAppend(&text, "only one field\r\n");
  const v1::Job created = Create(FileJob(WriteList("a.tsv", text)));
  const v1::Job job = WaitFor(created.id(), [](const v1::Job& j) { return j.state() == v1::Job::RUNNING; });
  EXPECT_EQ(job.items(), 101u);
  EXPECT_EQ(job.failed(), 1u);
  WorkOff(job.id(), 3);  // 16, 32, and 52 of 53.
  EXPECT_EQ(Get(job.id()).state(), v1::Job::COMPLETED);
  const std::vector<v1::Outcome> outcomes = Results(job.id());
  ExpectIndices(outcomes, 0, 101);
  EXPECT_EQ(outcomes[100].error().reason(), v1::ItemError::BAD_ROW);
}

TEST_F(CoordinatorTest, ABadListRefusesTheCallAndMakesNoJob) {
  Start();
  EXPECT_EQ(TryCreate(FileJob("missing.tsv")).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_NE(TryCreate(FileJob("../etc/passwd")).error_code(), grpc::StatusCode::OK);
  EXPECT_EQ(TryCreate(FileJob(WriteList("empty.tsv", ""))).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const grpc::Status status = TryCreate(FileJob(WriteList("b.tsv", "id\tlink\n1\thttp://h/\n")));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("b.tsv:1"));
  grpc::ClientContext context;
  v1::ListJobsResponse page;
  ASSERT_TRUE(jobs_->ListJobs(&context, {}, &page).ok());
  EXPECT_THAT(page.jobs(), IsEmpty());
}

class UploadTest : public CoordinatorTest {
 protected:
  static v1::UploadJobRequest First(const std::string& data) {
    v1::UploadJobRequest request;
    request.mutable_spec()->mutable_measure();
    request.mutable_list()->set_path("up.tsv");
    request.set_data(data);
    return request;
  }
  static v1::UploadJobRequest More(const std::string& data) {
    v1::UploadJobRequest request;
    request.set_data(data);
    return request;
  }
};

TEST_F(UploadTest, AnUploadIsWorkedOnWhileItComes) {
  Start();
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(10'000);
  grpc::ClientContext context;
  const auto stream = jobs_->UploadJob(&context);
  stream->Write(First("url\n"));
  std::string rows;
  for (int i = 0; i < 20; ++i) absl::StrAppend(&rows, "http://h/", i, "\n");
  stream->Write(More(rows));
  v1::Job job;
  ASSERT_TRUE(stream->Read(&job));
  EXPECT_EQ(job.state(), v1::Job::READING);
  worker.DoAll(worker.NextLease());  // Sixteen items, before the list is whole.
  stream->Write(More(rows));
  stream->WritesDone();
  while (stream->Read(&job)) {
  }
  ASSERT_TRUE(stream->Finish().ok());
  EXPECT_EQ(job.state(), v1::Job::RUNNING);
  EXPECT_EQ(job.items(), 40u);
}

TEST_F(UploadTest, AnUploadThatBreaksOffFailsItsJobAndKeepsTheOutcomes) {
  Start();
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(10'000);
  grpc::ClientContext context;
  const auto stream = jobs_->UploadJob(&context);
  std::string rows = "url\n";
  for (int i = 0; i < 20; ++i) absl::StrAppend(&rows, "http://h/", i, "\n");
  stream->Write(First(rows));
  v1::Job job;
  ASSERT_TRUE(stream->Read(&job));
  worker.DoAll(worker.NextLease());
  context.TryCancel();
  (void)stream->Finish();
  job = WaitFor(job.id(), Ended);
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  EXPECT_THAT(job.failure(), HasSubstr("broke off"));
  EXPECT_EQ(job.succeeded(), 16u);
  EXPECT_GE(Results(job.id()).size(), 16u);
}

TEST_F(UploadTest, NoCancelledUploadEverPassesForWhole) {
  Start();
  for (int round = 0; round < 50; ++round) {
    grpc::ClientContext context;
    const auto stream = jobs_->UploadJob(&context);
    stream->Write(First("url\nhttp://h/1\n"));
    v1::Job job;
    ASSERT_TRUE(stream->Read(&job));
    stream->Write(More("http://h/2\n"));
    context.TryCancel();
    (void)stream->Finish();
    EXPECT_EQ(WaitFor(job.id(), [](const v1::Job& j) { return j.state() != v1::Job::READING; }).state(),
              v1::Job::FAILED);
  }
}

TEST_F(UploadTest, ABadUploadIsRefusedWithItsLine) {
  Start();
  struct Case {
    const char* data;
    const char* message;
  };
  for (const Case& c : {Case{"id\tlink\n1\thttp://h/\n", "up.tsv:1"}, Case{"", "empty"}}) {
    grpc::ClientContext context;
    const auto stream = jobs_->UploadJob(&context);
    stream->Write(First(c.data));
    stream->WritesDone();
    v1::Job job;
    while (stream->Read(&job)) {
    }
    const grpc::Status status = stream->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << c.message;
    EXPECT_THAT(status.error_message(), HasSubstr(c.message));
  }
}

TEST_F(CoordinatorTest, AListGoesOnAfterARestart) {
  options_.store = absl::StrCat("sqlite:", folder_, "/db");
  std::string text = "url\n";
  constexpr uint64_t kRows = 300'000;
  for (uint64_t i = 0; i < kRows; ++i) absl::StrAppend(&text, "http://h/", i, "\n");
  Start();
  const std::string id = Create(FileJob(WriteList("big.tsv", text))).id();
  const v1::Job before = Get(id);
  Start();  // Stops in the middle of the list.
  EXPECT_EQ(before.state(), v1::Job::READING);
  const v1::Job after = WaitFor(id, [](const v1::Job& j) { return j.state() != v1::Job::READING; });
  EXPECT_EQ(after.state(), v1::Job::RUNNING) << after.failure();
  EXPECT_EQ(after.items(), kRows);
}

TEST_F(CoordinatorTest, AListThatChangedMeanwhileFailsItsJob) {
  options_.store = absl::StrCat("sqlite:", folder_, "/db");
  std::string text = "url\n";
  for (int i = 0; i < 300'000; ++i) absl::StrAppend(&text, "http://h/", i, "\n");
  Start();
  const std::string id = Create(FileJob(WriteList("big.tsv", text))).id();
  ASSERT_EQ(Get(id).state(), v1::Job::READING);
  jobs_.reset();
  channel_.reset();
  coordinator_.reset();
  WriteList("big.tsv", text + "http://h/more\n");
  Start();
  const v1::Job job = WaitFor(id, Ended);
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  EXPECT_THAT(job.failure(), HasSubstr("changed while it was being read"));
}

}  // namespace
}  // namespace imgfleet
