#include "cli/progress.h"

#include "gtest/gtest.h"

namespace imgfleet::cli {
namespace {

v1::Job JobWith(v1::Job::State state, uint64_t items, uint64_t succeeded, uint64_t failed) {
  v1::Job job;
  job.set_state(state);
  job.set_items(items);
  job.set_succeeded(succeeded);
  job.set_failed(failed);
  return job;
}

TEST(ProgressTest, ShowsShareRateAndTimeLeftOnceAllItemsAreKnown) {
  EXPECT_EQ(ProgressLine(JobWith(v1::Job::RUNNING, 6000, 2988, 12), absl::Seconds(2)),
            "[============>           ]  50% 3,000 of 6,000, 12 failed, 1,500/s, 2 s left");
}

TEST(ProgressTest, PromisesNothingWhileTheListIsBeingRead) {
  EXPECT_EQ(ProgressLine(JobWith(v1::Job::READING, 4000, 1000, 0), absl::Seconds(1)),
            "1,000 done of 4,000 read so far, 1,000/s");
}

TEST(ProgressTest, StandsTheEdges) {
  EXPECT_EQ(ProgressLine(JobWith(v1::Job::RUNNING, 10, 0, 0), absl::ZeroDuration()),
            "[>                       ]   0% 0 of 10");
  EXPECT_EQ(ProgressLine(JobWith(v1::Job::COMPLETED, 0, 0, 0), absl::Seconds(1)),
            "[========================] 100% 0 of 0");
}

TEST(ProgressTest, EndsWithCountsAndWhatWentWrongMost) {
  v1::Job job = JobWith(v1::Job::COMPLETED, 5005, 4650, 355);
  job.set_fetched_bytes(61'200'000);
  job.set_summary("355 of 5,005 items failed; all of them: HTTP_STATUS.");
  EXPECT_EQ(EndSentence(job, absl::Milliseconds(2700)),
            "5,005 items in 2.7 s (1,853/s, 61.2 MB fetched): 4,650 measured. 355 of 5,005 items failed; all "
            "of them: HTTP_STATUS.");
}

}  // namespace
}  // namespace imgfleet::cli
