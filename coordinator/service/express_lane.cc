#include "coordinator/service/express_lane.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/status.h"
#include "coordinator/core/shard.h"
#include "coordinator/lists/shard_builder.h"
#include "coordinator/service/job_proto.h"
#include "coordinator/service/lane.h"

namespace imgfleet::service {
namespace {

// Who leases what no worker takes, to find out whose it is.
constexpr char kNobody[] = "express lane";

absl::Status NoRoom() {
  return absl::UnavailableError(
      "no worker of this coordinator has room at once; make a job of it (CreateJob), or try again");
}

absl::Status SuspectedOf() {
  return absl::ResourceExhaustedError(absl::StrCat(
      core::kMaxLosses,
      " workers were lost with this request, which one of its items may be guilty of; make a job of "
      "it (CreateJob), in which that is found out"));
}

absl::StatusOr<std::vector<core::NewShard>> ShardsOf(const v1::ItemBatch& items) {
  std::vector<core::NewShard> shards;
  lists::ShardBuilder builder("");  // So few ids need no place to spool.
  const absl::Status read = lists::ReadItems(items, "items", [&](const lists::Row& row) -> absl::Status {
    ASSIGN_OR_RETURN(std::optional<core::NewShard> shard, builder.Add(row));
    if (shard) shards.push_back(*std::move(shard));
    return absl::OkStatus();
  });
  RETURN_IF_ERROR(read);
  if (auto shard = builder.Finish()) shards.push_back(*std::move(shard));
  return shards;
}

}  // namespace

ExpressLane::ExpressLane(store::Ledger& ledger, const Clock& clock, Options options, Offer offer,
                         JobEnded job_ended)
    : ledger_(ledger),
      clock_(clock),
      options_(options),
      offer_(std::move(offer)),
      job_ended_(std::move(job_ended)) {}

absl::StatusOr<std::string> ExpressLane::Start(const v1::FetchNowRequest& request, Hear hear) {
  if (request.items().items_size() == 0) return absl::InvalidArgumentError("items: there is none");
  if (request.items().items_size() > options_.max_items) {
    return absl::ResourceExhaustedError(
        absl::StrCat(request.items().items_size(), " items are too many to wait for, at most ",
                     options_.max_items, " are taken here; make a job of them (CreateJob)"));
  }
  ASSIGN_OR_RETURN(const v1::JobSpec spec, CompleteSpec(request.spec()));
  ASSIGN_OR_RETURN(std::vector<core::NewShard> shards, ShardsOf(request.items()));
  core::NewJob job;
  job.create_time = clock_.Wall();
  job.id = ExpressId(NewUuid(job.create_time));
  job.spec = spec.SerializeAsString();
  const std::string id = job.id;
  auto admitted = std::make_shared<Request>();
  admitted->hear = std::move(hear);
  for (const core::NewShard& shard : shards) admitted->bytes += shard.payload.size();
  RETURN_IF_ERROR(Admit(id, request.items().items_size(), std::move(admitted)));
  ledger_.CreateWhole(std::move(job), std::move(shards), [this, id](const absl::StatusOr<core::Job>& made) {
    if (!made.ok()) End(id, {}, made.status());
  });
  return id;
}

absl::Status ExpressLane::Admit(const std::string& id, uint64_t items, std::shared_ptr<Request> request) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return absl::UnavailableError("the coordinator is stopping; ask another");
  if (requests_.size() >= options_.max_requests || bytes_ + request->bytes > options_.max_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        requests_.size(),
        " requests are being answered, as many as are taken at once; make a job of it (CreateJob)"));
  }
  bytes_ += request->bytes;
  fresh_items_ += items;
  requests_[id] = std::move(request);
  return absl::OkStatus();
}

std::shared_ptr<ExpressLane::Request> ExpressLane::Find(const std::string& id) const {
  absl::MutexLock lock(&mutex_);
  const auto found = requests_.find(id);
  return found == requests_.end() ? nullptr : found->second;
}

void ExpressLane::Changed(const store::Ledger::Changes& changes) {
  if (changes.work_available) OfferWork();
  for (const std::string& id : changes.jobs) Deliver(id);
  for (const std::string& id : changes.suspected) End(id, {}, SuspectedOf());
}

void ExpressLane::OfferWork() {
  uint64_t items;
  {
    absl::MutexLock lock(&mutex_);
    if (requests_.empty()) return;
    items = std::max<uint64_t>(std::exchange(fresh_items_, 0), 1);
  }
  if (!offer_(items)) RefuseWaiting();
}

void ExpressLane::WorkerLeft() { OfferWork(); }

void ExpressLane::RefuseWaiting() {
  core::Credit all;
  all.spare_items = all.spare_items_of_job = all.spare_bytes = std::numeric_limits<uint32_t>::max();
  ledger_.Acquire(kNobody, std::move(all), [this](const absl::StatusOr<core::Leases>& shards) {
    if (!shards.ok()) return;
    for (const core::LeasedShard& shard : *shards) End(shard.lease.shard.job_id, {}, NoRoom());
  });
}

void ExpressLane::Deliver(const std::string& id) {
  const std::shared_ptr<Request> request = Find(id);
  if (request == nullptr) return;
  auto chunks = ledger_.ReadByCommit(id, request->after, std::numeric_limits<uint64_t>::max());
  const absl::StatusOr<core::Job> job = ledger_.GetJob(id);
  if (!chunks.ok() || !job.ok()) return End(id, {}, chunks.ok() ? job.status() : chunks.status());
  if (core::Ended(job->state)) return End(id, *std::move(chunks), absl::OkStatus());
  if (chunks->empty()) return;
  request->after = chunks->back().commit_seq;
  request->hear(*std::move(chunks), std::nullopt);
}

void ExpressLane::Cancel(const std::string& id) { End(id, {}, absl::CancelledError("the client left")); }

void ExpressLane::End(const std::string& id, std::vector<core::StoredChunk> chunks, absl::Status status) {
  std::shared_ptr<Request> request;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = requests_.find(id);
    if (found == requests_.end()) return;
    request = std::move(found->second);
    requests_.erase(found);
    bytes_ -= request->bytes;
  }
  ledger_.Forget(id);
  const bool complete = status.ok();
  request->hear(std::move(chunks), std::move(status));
  // Workers that still fetch for it are to stop.
  if (!complete) job_ended_(id);
}

void ExpressLane::Close() {
  std::vector<std::string> ids;
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    for (const auto& [id, request] : requests_) ids.push_back(id);
  }
  for (const std::string& id : ids) {
    End(id, {}, absl::UnavailableError("the coordinator is stopping; ask another for what is missing"));
  }
}

size_t ExpressLane::requests() const {
  absl::MutexLock lock(&mutex_);
  return requests_.size();
}

}  // namespace imgfleet::service
