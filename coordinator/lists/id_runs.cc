#include "coordinator/lists/id_runs.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "common/log.h"
#include "common/status.h"
#include "coordinator/lists/temporary_file.h"

namespace imgfleet::lists {
namespace {

constexpr size_t kPageHashes = 512;  // 4 KiB.
constexpr uint64_t kMaxFences = 8192;
constexpr size_t kFanIn = 4;
constexpr size_t kMaxRuns = 24;
// For each run that is merged, and for the one that is written.
constexpr size_t kMergeBuffer = 8192;

absl::string_view AsBytes(absl::Span<const uint64_t> hashes) {
  return {reinterpret_cast<const char*>(hashes.data()), hashes.size() * sizeof(uint64_t)};
}

}  // namespace

class IdRun::Writer {
 public:
  static absl::StatusOr<Writer> Open(const std::string& folder, uint64_t size) {
    ASSIGN_OR_RETURN(OwnedFd file, OpenTemporary(folder));
    return Writer(std::move(file), size);
  }

  absl::Status Append(absl::Span<const uint64_t> hashes) {
    for (uint64_t at = (written_ + step_ - 1) / step_ * step_; at < written_ + hashes.size(); at += step_) {
      fences_.push_back(hashes[at - written_]);
    }
    RETURN_IF_ERROR(WriteAt(file_.get(), AsBytes(hashes), written_ * sizeof(uint64_t)));
    written_ += hashes.size();
    return absl::OkStatus();
  }

  std::shared_ptr<const IdRun> Finish() {
    return std::shared_ptr<const IdRun>(new IdRun(std::move(file_), written_, step_, std::move(fences_)));
  }

 private:
  Writer(OwnedFd file, uint64_t size)
      : file_(std::move(file)), step_(std::max<uint64_t>(kPageHashes, size / kMaxFences + 1)) {}

  OwnedFd file_;
  uint64_t step_;
  uint64_t written_ = 0;
  std::vector<uint64_t> fences_;
};

absl::StatusOr<size_t> IdRun::Read(uint64_t at, uint64_t* hashes, size_t count) const {
  ASSIGN_OR_RETURN(const size_t bytes, ReadAt(file_.get(), reinterpret_cast<char*>(hashes),
                                              count * sizeof(uint64_t), at * sizeof(uint64_t)));
  return bytes / sizeof(uint64_t);
}

absl::StatusOr<bool> IdRun::Contains(uint64_t hash) const {
  const auto after = std::upper_bound(fences_.begin(), fences_.end(), hash);
  if (after == fences_.begin()) return false;
  // Between two fences, as far along as the hash lies between theirs.
  const uint64_t low = static_cast<uint64_t>(after - fences_.begin() - 1) * step_;
  const uint64_t high = std::min(low + step_, size_);
  const uint64_t below = *std::prev(after);
  const uint64_t above = after == fences_.end() ? UINT64_MAX : *after;
  const double share = static_cast<double>(hash - below) / static_cast<double>(above - below);
  const auto guess = low + static_cast<uint64_t>(share * static_cast<double>(high - low));
  std::array<uint64_t, kPageHashes> page;
  uint64_t at = std::max(low, guess - std::min<uint64_t>(guess, kPageHashes / 2));
  for (;;) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(kPageHashes, high - at));
    ASSIGN_OR_RETURN(const size_t count, Read(at, page.data(), wanted));
    if (count != wanted || count == 0)
      return absl::DataLossError("a temporary file is shorter than it was written");
    if (hash < page[0]) {
      if (at == low) return false;
      at = at - low > kPageHashes ? at - kPageHashes : low;
    } else if (hash > page[count - 1]) {
      if (at + count == high) return false;
      at += count;
    } else {
      return std::binary_search(page.begin(), page.begin() + count, hash);
    }
  }
}

IdRuns::~IdRuns() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  stop_now_ = true;
  if (merging_.joinable()) merging_.join();
}

bool IdRuns::HasRoom() const { return runs_.size() < kMaxRuns || !merge_failure_.ok(); }

absl::Status IdRuns::Add(absl::Span<const uint64_t> hashes) {
  ASSIGN_OR_RETURN(IdRun::Writer writer, IdRun::Writer::Open(folder_, hashes.size()));
  RETURN_IF_ERROR(writer.Append(hashes));
  {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &IdRuns::HasRoom));
    const absl::Status failure = std::exchange(merge_failure_, absl::OkStatus());
    if (runs_.size() >= kMaxRuns) return failure;
    runs_.push_back({0, writer.Finish()});
    ++version_;
    if (NextMerge().empty()) return absl::OkStatus();
  }
  if (!merging_.joinable()) merging_ = std::thread([this] { MergeLoop(); });
  return absl::OkStatus();
}

absl::StatusOr<bool> IdRuns::Contains(uint64_t hash) {
  if (seen_version_ != version_) {
    absl::MutexLock lock(&mutex_);
    seen_version_ = version_;
    seen_.clear();
    for (const Tiered& tiered : runs_) seen_.push_back(tiered.run);
    // The largest is the likeliest.
    std::sort(seen_.begin(), seen_.end(), [](const auto& a, const auto& b) { return a->size() > b->size(); });
  }
  for (const auto& run : seen_) {
    ASSIGN_OR_RETURN(const bool there, run->Contains(hash));
    if (there) return true;
  }
  return false;
}

std::vector<IdRuns::Tiered> IdRuns::NextMerge() const {
  if (!merge_failure_.ok()) return {};
  for (int tier = 0; tier < 64; ++tier) {
    std::vector<Tiered> alike;
    bool any_above = false;
    for (const Tiered& run : runs_) {
      if (run.tier == tier && alike.size() < kFanIn) alike.push_back(run);
      any_above |= run.tier > tier;
    }
    if (alike.size() == kFanIn) return alike;
    if (!any_above) return {};
  }
  return {};
}

void IdRuns::MergeLoop() {
  for (;;) {
    std::vector<Tiered> taken;
    {
      absl::MutexLock lock(&mutex_);
      const auto wanted = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !Idle(); };
      mutex_.Await(absl::Condition(&wanted));
      if (stopping_) return;
      taken = NextMerge();
    }
    absl::StatusOr<std::shared_ptr<const IdRun>> merged = Merge(taken);
    absl::MutexLock lock(&mutex_);
    if (stopping_) return;
    if (!merged.ok()) {
      log::Warning("merging the ids of a list: %s", std::string(merged.status().message()));
      merge_failure_ = merged.status();
      continue;
    }
    const auto is_taken = [&](const Tiered& run) {
      return std::any_of(taken.begin(), taken.end(), [&](const Tiered& one) { return one.run == run.run; });
    };
    runs_.erase(std::remove_if(runs_.begin(), runs_.end(), is_taken), runs_.end());
    runs_.push_back({taken[0].tier + 1, *std::move(merged)});
    ++version_;
  }
}

absl::StatusOr<std::shared_ptr<const IdRun>> IdRuns::Merge(const std::vector<Tiered>& runs) {
  struct Input {
    const IdRun* run;
    std::vector<uint64_t> buffer;
    uint64_t read = 0;
    size_t at = 0, filled = 0;
  };
  uint64_t size = 0;
  std::vector<Input> inputs;
  for (const Tiered& tiered : runs) {
    size += tiered.run->size();
    inputs.push_back({tiered.run.get(), std::vector<uint64_t>(kMergeBuffer)});
  }
  ASSIGN_OR_RETURN(IdRun::Writer writer, IdRun::Writer::Open(folder_, size));
  std::vector<uint64_t> out;
  out.reserve(kMergeBuffer);
  while (!inputs.empty()) {
    for (size_t i = 0; i < inputs.size();) {
      Input& input = inputs[i];
      if (input.at == input.filled) {
        ASSIGN_OR_RETURN(input.filled, input.run->Read(input.read, input.buffer.data(), input.buffer.size()));
        input.at = 0;
        input.read += input.filled;
      }
      if (input.filled == 0) {
        inputs.erase(inputs.begin() + static_cast<ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
    // As long as every input has one at hand.
    for (bool all = !inputs.empty(); all && out.size() < kMergeBuffer;) {
      Input* least = &inputs[0];
      for (Input& input : inputs) {
        if (input.buffer[input.at] < least->buffer[least->at]) least = &input;
      }
      out.push_back(least->buffer[least->at]);
      all = ++least->at < least->filled;
    }
    if (stop_now_) return absl::CancelledError("stopping");
    if (out.size() == kMergeBuffer || inputs.empty()) {
      RETURN_IF_ERROR(writer.Append(out));
      out.clear();
    }
  }
  return writer.Finish();
}

}  // namespace imgfleet::lists
