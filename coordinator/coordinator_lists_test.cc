// Lists through the services that ship: files and uploads, over breaks and restarts.
#include <sys/stat.h>

#include <future>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "coordinator/coordinator_testing.h"
#include "coordinator/service/list_job.h"
#include "coordinator/service/list_source.pb.h"
#include "coordinator/store/open_store.h"

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

// More of them than there are threads that read lists, of an owner who may add nothing.
TEST_F(CoordinatorTest, ListsThatWaitForAQuotaHoldUpNobodyElses) {
  options_.list_threads = 1;
  ASSERT_TRUE(core::AddQuota("greedy=items:20", options_.quotas).ok());
  Start();
  constexpr uint64_t kItems = 40;  // A shard of 16, one of 24.
  std::string text;
  for (uint64_t i = 0; i < kItems; ++i) absl::StrAppend(&text, "http://h/", i, "\n");
  v1::CreateJobRequest request = FileJob(WriteList("list.txt", text));
  request.set_owner("greedy");
  std::vector<std::string> greedy;
  for (int i = 0; i < 3; ++i) greedy.push_back(Create(request).id());
  grpc::ClientContext context;
  const auto upload = jobs_->UploadJob(&context);
  v1::UploadJobRequest first;
  first.mutable_spec()->mutable_measure();
  first.mutable_list()->set_path("up.txt");
  first.set_owner("greedy");
  first.set_data(text);
  ASSERT_TRUE(upload->Write(first));
  v1::Job uploading;
  ASSERT_TRUE(upload->Read(&uploading));
  ASSERT_TRUE(upload->WritesDone());

  request.set_owner("modest");
  const std::string modest = Create(request).id();
  EXPECT_EQ(WaitFor(modest, [](const v1::Job& j) { return j.state() != v1::Job::READING; }).items(), kItems);
  for (const std::string& id : greedy) EXPECT_EQ(Get(id).state(), v1::Job::READING);

  v1::Job cancelled;
  ASSERT_TRUE(Cancel(greedy[2], &cancelled).ok());
  EXPECT_EQ(cancelled.state(), v1::Job::CANCELLED);
  context.TryCancel();
  (void)upload->Finish();
  const v1::Job broken = WaitFor(uploading.id(), Ended);
  EXPECT_EQ(broken.state(), v1::Job::FAILED);

  FakeWorker worker(channel_, "w");
  EXPECT_TRUE(worker.Read().has_welcome());
  worker.Report(100'000);
  for (int lease = 0; lease < 6; ++lease) worker.DoAll(worker.NextLease());
  for (const std::string& id : {modest, greedy[0], greedy[1]}) {
    EXPECT_EQ(WaitFor(id, Ended).state(), v1::Job::COMPLETED);
    ExpectIndices(Results(id), 0, kItems);
  }
}

TEST_F(CoordinatorTest, ListsThatWaitForAQuotaEndWithTheCoordinator) {
  ASSERT_TRUE(core::AddQuota("greedy=items:20", options_.quotas).ok());
  Start();
  std::string text;
  for (int i = 0; i < 40; ++i) absl::StrAppend(&text, "http://h/", i, "\n");
  v1::CreateJobRequest request = FileJob(WriteList("list.txt", text));
  request.set_owner("greedy");
  const std::string id = Create(request).id();
  WaitFor(id, [](const v1::Job& j) { return j.items() > 0; });
  const absl::Time begun = clock_->Boot();
  coordinator_->Shutdown();
  EXPECT_LT(clock_->Boot() - begun, absl::Seconds(5));
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
  const std::vector<v1::Outcome> outcomes = Results(job.id(), true);
  ASSERT_GE(outcomes.size(), 16u);
  ExpectIndices(outcomes, 0, job.items());
  EXPECT_TRUE(outcomes[15].has_image());
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
  Start();  // Stops in the middle of the list, or on a fast disk behind its end: it is the same to the job.
  const v1::Job after = WaitFor(id, [](const v1::Job& j) { return j.state() != v1::Job::READING; });
  EXPECT_EQ(after.state(), v1::Job::RUNNING) << after.failure();
  EXPECT_EQ(after.items(), kRows);
}

// A coordinator that died in the middle of a list.
class HalfReadTest : public CoordinatorTest {
 protected:
  static constexpr uint64_t kRows = 1000;

  HalfReadTest() {
    options_.store = absl::StrCat("sqlite:", folder_, "/db");
    text_ = "url\n";
    for (uint64_t i = 0; i < kRows; ++i) absl::StrAppend(&text_, "http://h/", i, "\n");
    WriteList("half.tsv", text_);
    ReadHalf();
  }

  // What the coordinator has stored by then: the job, its source, and shards of less than all rows.
  void ReadHalf() {
    auto opened = store::OpenStore(options_.store, Clock::System());
    ASSERT_TRUE(opened.ok()) << opened.status();
    store::Ledger ledger(*std::move(opened), Clock::System(), store::Ledger::Options());
    struct stat status;
    ASSERT_EQ(stat(absl::StrCat(folder_, "/half.tsv").c_str(), &status), 0);
    service::ListSource source;
    source.mutable_file()->set_path("half.tsv");
    source.set_size_bytes(static_cast<uint64_t>(status.st_size));
    source.set_modified_us(absl::ToUnixMicros(absl::TimeFromTimespec(status.st_mtim)));
    core::NewJob job;
    job.create_time = Clock::System().Wall();
    job.id = id_ = NewUuid(job.create_time);
    job.spec = Inline(0).spec().SerializeAsString();
    job.source = source.SerializeAsString();
    std::promise<absl::StatusOr<core::Job>> created;
    ledger.CreateJob(job, [&](absl::StatusOr<core::Job> made) { created.set_value(std::move(made)); });
    ASSERT_TRUE(created.get_future().get().ok());
    service::Stopping stopping;
    service::ListJob list(ledger, stopping, {"half.tsv", {}, "", ""}, "");
    ASSERT_TRUE(list.Attach(id_, 0).ok());
    ASSERT_TRUE(list.Feed(absl::string_view(text_).substr(0, text_.size() / 2)).ok());
    std::promise<absl::Status> appended;  // What was under way.
    ledger.Tick([&](absl::Status status) { appended.set_value(std::move(status)); });
    ASSERT_TRUE(appended.get_future().get().ok());
    const uint64_t items = ledger.GetJob(id_)->items;
    ASSERT_GT(items, 0u);
    ASSERT_LT(items, kRows / 2);
  }

  std::string text_, id_;
};

TEST_F(HalfReadTest, TheListGoesOnWhereItWas) {
  Start();
  const v1::Job job = WaitFor(id_, [](const v1::Job& j) { return j.state() != v1::Job::READING; });
  EXPECT_EQ(job.state(), v1::Job::RUNNING) << job.failure();
  EXPECT_EQ(job.items(), kRows);
  ASSERT_TRUE(Cancel(id_).ok());
  const std::vector<v1::Outcome> outcomes = Results(id_);
  ExpectIndices(outcomes, 0, kRows);
  for (uint64_t i = 0; i < kRows; ++i) EXPECT_EQ(outcomes[i].url(), absl::StrCat("http://h/", i));
}

TEST_F(HalfReadTest, AListThatChangedMeanwhileFailsItsJob) {
  WriteList("half.tsv", text_ + "http://h/more\n");
  Start();
  const v1::Job job = WaitFor(id_, Ended);
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  EXPECT_THAT(job.failure(), HasSubstr("changed while it was being read"));
  // What is known and was never finished says why.
  const std::vector<v1::Outcome> outcomes = Results(id_);
  ExpectIndices(outcomes, 0, job.items());
  for (const v1::Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.error().reason(), v1::ItemError::CANCELLED);
    EXPECT_THAT(outcome.error().message(), HasSubstr("The job failed before"));
    EXPECT_THAT(outcome.error().message(), HasSubstr("changed while it was being read"));
  }
}

}  // namespace
}  // namespace imgfleet
