// Whose lists these are, where the store and the one who reads them do not know the same.
#include "coordinator/service/list_files.h"

#include <fstream>
#include <future>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "coordinator/store/forwarding_store_testing.h"
#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/memory_store.h"
#include "gtest/gtest.h"

namespace imgfleet::service {
namespace {

// While it is told to, what it stores is durable and yet seems to fail: its answers are lost.
class MuteStore final : public store::ForwardingStore {
 public:
  MuteStore(std::unique_ptr<Store> store, const std::atomic<bool>& mute)
      : ForwardingStore(*store), store_(std::move(store)), mute_(mute) {}

  absl::Status Transact(const store::Declared& declared,
                        absl::FunctionRef<absl::Status(store::Transaction&)> body) override {
    const absl::Status done = store_->Transact(declared, body);
    return mute_ ? absl::UnavailableError("server away") : done;
  }

 private:
  const std::unique_ptr<Store> store_;
  const std::atomic<bool>& mute_;
};

class ListFilesTest : public testing::Test {
 protected:
  ListFilesTest() {
    char path[] = "/tmp/list_files.XXXXXX";
    folder_ = mkdtemp(path);
    std::ofstream(absl::StrCat(folder_, "/list.txt")) << "http://h/1\nhttp://h/2\n";
    lists::Places::Options places;
    places.roots = {folder_};
    lists_ = std::make_unique<ListFiles>(ledger_, clock_, places, 1, [](const std::string&) {});
    EXPECT_TRUE(lists_->Resume().ok());
  }
  ~ListFilesTest() override {
    lists_ = nullptr;
    (void)!system(absl::StrCat("rm -rf ", folder_).c_str());
  }

  // Lets a reading that nobody says more of lapse, and waits until the job is read.
  core::Job AfterItLapsed(const std::string& id) {
    std::promise<void> read;
    std::atomic<bool> told = false;
    const auto listening = ledger_.Listen([&](const store::Ledger::Changes&) {
      const auto job = ledger_.GetJob(id);
      if (job.ok() && job->state != core::JobState::kReading && !told.exchange(true)) read.set_value();
    });
    clock_.Advance(store::Ledger::Options().reading_period + absl::Seconds(1));
    lists_->LookSoon();
    read.get_future().wait();
    return *ledger_.GetJob(id);
  }

  std::string folder_;
  FakeClock clock_;
  std::atomic<bool> mute_{false};
  store::Ledger ledger_{std::make_unique<MuteStore>(store::NewMemoryStore(clock_), mute_), clock_,
                        store::Ledger::Options()};
  std::unique_ptr<ListFiles> lists_;
};

TEST_F(ListFilesTest, AJobWhoseMakingSeemedToFailIsTakenUpAndRead) {
  v1::JobSpec spec;
  spec.mutable_measure();
  v1::ListFile file;
  file.set_path("list.txt");
  core::NewJob job;
  job.owner = "owner";
  mute_ = true;
  const auto created =
      store::Await<absl::StatusOr<core::Job>>([&](auto done) { lists_->Create(spec, file, job, done); });
  EXPECT_TRUE(absl::IsUnavailable(created.status())) << created.status();
  mute_ = false;
  const auto reading = ledger_.JobsBeingRead();
  ASSERT_TRUE(reading.ok());
  ASSERT_EQ(reading->size(), 1u) << "it is durable all the same";
  const core::Job read = AfterItLapsed(reading->front().id);
  EXPECT_EQ(read.state, core::JobState::kRunning) << read.failure;
  EXPECT_EQ(read.items, 2u);
}

TEST_F(ListFilesTest, AnUploadWhoseEndCouldNotBeToldDoesNotStayReading) {
  ASSERT_TRUE(store::Create(ledger_, "upload").ok());
  lists_->Hold("upload");
  lists_->LetGo("upload");
  EXPECT_EQ(AfterItLapsed("upload").state, core::JobState::kFailed);
}

}  // namespace
}  // namespace imgfleet::service
