#include "cli/progress.h"

#include <stdio.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/outcome/summary.h"

namespace imgfleet::cli {
namespace {

using outcome::Grouped;

constexpr int kBarWidth = 24;

double Rate(const v1::Job& job, absl::Duration elapsed) {
  const double seconds = absl::ToDoubleSeconds(elapsed);
  return seconds > 0 ? static_cast<double>(job.succeeded() + job.failed()) / seconds : 0;
}

std::string Bytes(uint64_t bytes) {
  const double count = static_cast<double>(bytes);
  if (count >= 1e9) return absl::StrFormat("%.1f GB", count / 1e9);
  if (count >= 1e6) return absl::StrFormat("%.1f MB", count / 1e6);
  return absl::StrFormat("%.1f kB", count / 1e3);
}

std::string Left(double seconds) {
  if (seconds < 90) return absl::StrFormat("%.0f s", seconds);
  if (seconds < 5400) return absl::StrFormat("%.0f min", seconds / 60);
  return absl::StrFormat("%.1f h", seconds / 3600);
}

}  // namespace

std::string ProgressLine(const v1::Job& job, absl::Duration elapsed) {
  const uint64_t done = job.succeeded() + job.failed();
  const double rate = Rate(job, elapsed);
  std::string line;
  if (job.state() == v1::Job::READING) {
    line = absl::StrCat(Grouped(done), " done of ", Grouped(job.items()), " read so far");
  } else {
    const double share =
        job.items() == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(job.items());
    const int filled = std::clamp(static_cast<int>(share * kBarWidth), 0, kBarWidth);
    std::string bar(static_cast<size_t>(filled), '=');
    if (filled < kBarWidth) bar += '>';
    bar.resize(kBarWidth, ' ');
    line = absl::StrFormat("[%s] %3d%% %s of %s", bar, static_cast<int>(share * 100), Grouped(done),
                           Grouped(job.items()));
  }
  if (job.failed() > 0) absl::StrAppend(&line, ", ", Grouped(job.failed()), " failed");
  if (rate >= 1) absl::StrAppend(&line, ", ", Grouped(static_cast<uint64_t>(rate)), "/s");
  if (job.state() == v1::Job::RUNNING && rate > 0) {
    absl::StrAppend(&line, ", ", Left(static_cast<double>(job.items() - std::min(done, job.items())) / rate),
                    " left");
  }
  return line;
}

std::string EndSentence(const v1::Job& job, absl::Duration elapsed) {
  const uint64_t done = job.succeeded() + job.failed();
  std::string text = absl::StrFormat("%s item%s in %.1f s (%s/s, %s fetched): %s measured.", Grouped(done),
                                     done == 1 ? "" : "s", absl::ToDoubleSeconds(elapsed),
                                     Grouped(static_cast<uint64_t>(Rate(job, elapsed))),
                                     Bytes(job.fetched_bytes()), Grouped(job.succeeded()));
  if (!job.summary().empty()) absl::StrAppend(&text, " ", job.summary());
  return text;
}

ProgressBar::ProgressBar(v1::Jobs::StubInterface& jobs, std::string job_id, const Clock& clock,
                         absl::Time start)
    : jobs_(jobs), job_id_(std::move(job_id)), clock_(clock), start_(start), watcher_([this] { Watch(); }) {}

ProgressBar::~ProgressBar() {
  context_.TryCancel();
  watcher_.join();
  fputs("\r\033[K", stderr);
}

void ProgressBar::Watch() {
  v1::WatchJobRequest request;
  request.set_id(job_id_);
  auto stream = jobs_.WatchJob(&context_, request);
  v1::Job job;
  while (stream->Read(&job)) {
    const std::string line = ProgressLine(job, clock_.Boot() - start_);
    fprintf(stderr, "\r%s\033[K", line.c_str());
  }
  // How the watching ended does not matter: the results tell.
  stream->Finish().IgnoreError();
}

}  // namespace imgfleet::cli
