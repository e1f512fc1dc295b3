#include "coordinator/service/jobs_service.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/status.h"
#include "coordinator/lists/shard_builder.h"
#include "coordinator/service/fetch_now.h"
#include "coordinator/service/job_proto.h"
#include "coordinator/service/readings.h"

namespace imgfleet::service {
namespace {

constexpr uint32_t kDefaultPage = 100;
constexpr uint32_t kMaxPage = 1000;
constexpr char kTokenPrefix[] = "after:";

// Answers a unary call with a status.
grpc::ServerUnaryReactor* Answered(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

void FinishWith(grpc::ServerUnaryReactor* reactor, v1::Job* response, const absl::StatusOr<core::Job>& job) {
  if (job.ok()) *response = ToProto(*job);
  reactor->Finish(ToGrpc(job.status()));
}

// A stream that only tells why there is none.
template <typename Message>
class Refusal final : public grpc::ServerWriteReactor<Message> {
 public:
  explicit Refusal(const absl::Status& status) { this->Finish(ToGrpc(status)); }

 private:
  void OnDone() override { delete this; }
};

// Appends the shards of one job and tells when all are durable, or what went wrong first.
class Appending : public std::enable_shared_from_this<Appending> {
 public:
  using Done = std::function<void(absl::Status)>;

  Appending(size_t shards, Done done) : left_(shards), done_(std::move(done)) {}

  // The ledger answers on one thread.
  void Answer(const absl::Status& status) {
    if (status_.ok()) status_ = status;
    if (--left_ == 0) done_(status_);
  }

 private:
  size_t left_;
  absl::Status status_;
  const Done done_;
};

std::string TokenAfter(absl::string_view job_id) {
  return absl::WebSafeBase64Escape(absl::StrCat(kTokenPrefix, job_id));
}

absl::StatusOr<std::string> JobOfToken(absl::string_view token) {
  if (token.empty()) return std::string();
  std::string text;
  if (!absl::WebSafeBase64Unescape(token, &text) || !absl::StartsWith(text, kTokenPrefix) ||
      !IsUuid(absl::string_view(text).substr(sizeof(kTokenPrefix) - 1))) {
    return absl::InvalidArgumentError("page_token: not one that ListJobs gave");
  }
  return text.substr(sizeof(kTokenPrefix) - 1);
}

}  // namespace

JobsService::JobsService(store::Ledger& ledger, const Clock& clock, JobWatch& watch, Threads& readers,
                         ListFiles& lists, ExpressLane& express, JobEnded job_ended)
    : ledger_(ledger),
      clock_(clock),
      watch_(watch),
      readers_(readers),
      lists_(lists),
      express_(express),
      job_ended_(job_ended),
      uploads_{ledger, clock, lists, job_ended} {}

grpc::ServerUnaryReactor* JobsService::CreateJob(grpc::CallbackServerContext* context,
                                                 const v1::CreateJobRequest* request, v1::Job* response) {
  const absl::StatusOr<v1::JobSpec> spec = CompleteSpec(request->spec());
  if (!spec.ok()) return Answered(context, spec.status());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  Done done = [reactor, response](const absl::StatusOr<core::Job>& job) {
    FinishWith(reactor, response, job);
  };
  switch (request->source_case()) {
    case v1::CreateJobRequest::kItems:
      CreateInline(*spec, request->items(), done);
      break;
    case v1::CreateJobRequest::kFile:
      lists_.Create(*spec, request->file(), std::move(done));
      break;
    default:
      reactor->Finish(ToGrpc(absl::InvalidArgumentError("source: give items or a file")));
  }
  return reactor;
}

void JobsService::CreateInline(const v1::JobSpec& spec, const v1::ItemBatch& items, const Done& done) {
  if (items.items_size() == 0) return done(absl::InvalidArgumentError("items: the list is empty"));
  std::vector<core::NewShard> shards;
  lists::ShardBuilder builder(lists_.spool());
  const absl::Status read = lists::ReadItems(items, "items", [&](const lists::Row& row) -> absl::Status {
    ASSIGN_OR_RETURN(std::optional<core::NewShard> shard, builder.Add(row));
    if (shard) shards.push_back(*std::move(shard));
    return absl::OkStatus();
  });
  if (!read.ok()) return done(read);
  if (auto shard = builder.Finish()) shards.push_back(*std::move(shard));
  core::NewJob job;
  job.create_time = clock_.Wall();
  job.id = NewUuid(job.create_time);
  job.spec = spec.SerializeAsString();
  const std::string id = job.id;
  // One verb behind the other: the ledger writes them together.
  auto appending = std::make_shared<Appending>(shards.size() + 1, [this, id, done](const absl::Status& all) {
    ledger_.FinishReading(
        id, all, [all, done](absl::StatusOr<core::Job> job) { done(all.ok() ? std::move(job) : all); });
  });
  ledger_.CreateJob(std::move(job),
                    [appending](const absl::StatusOr<core::Job>& made) { appending->Answer(made.status()); });
  for (core::NewShard& shard : shards) {
    ledger_.AppendShard(id, std::move(shard),
                        [appending](const absl::Status& status) { appending->Answer(status); });
  }
}

grpc::ServerBidiReactor<v1::UploadJobRequest, v1::Job>* JobsService::UploadJob(grpc::CallbackServerContext*) {
  return StartUpload(uploads_);
}

grpc::ServerUnaryReactor* JobsService::GetJob(grpc::CallbackServerContext* context,
                                              const v1::GetJobRequest* request, v1::Job* response) {
  if (const absl::Status valid = CheckJobId("id", request->id()); !valid.ok())
    return Answered(context, valid);
  const absl::StatusOr<core::Job> job = ledger_.GetJob(request->id());
  if (job.ok()) *response = ToProto(*job);
  return Answered(context, job.status());
}

grpc::ServerUnaryReactor* JobsService::ListJobs(grpc::CallbackServerContext* context,
                                                const v1::ListJobsRequest* request,
                                                v1::ListJobsResponse* response) {
  const absl::StatusOr<std::string> before = JobOfToken(request->page_token());
  if (!before.ok()) return Answered(context, before.status());
  const uint32_t limit = request->page_size() == 0 ? kDefaultPage : std::min(request->page_size(), kMaxPage);
  // One more than the page, which tells whether there is another.
  const absl::StatusOr<std::vector<core::Job>> jobs = ledger_.ListJobs("", *before, limit + 1);
  if (!jobs.ok()) return Answered(context, jobs.status());
  const size_t shown = std::min<size_t>(jobs->size(), limit);
  for (size_t i = 0; i < shown; ++i) *response->add_jobs() = ToProto((*jobs)[i]);
  if (jobs->size() > shown) response->set_next_page_token(TokenAfter((*jobs)[shown - 1].id));
  return Answered(context, absl::OkStatus());
}

grpc::ServerWriteReactor<v1::Job>* JobsService::WatchJob(grpc::CallbackServerContext*,
                                                         const v1::WatchJobRequest* request) {
  if (const absl::Status valid = CheckJobId("id", request->id()); !valid.ok())
    return new Refusal<v1::Job>(valid);
  return Pump<v1::Job>::Start(WatchOf(ledger_, clock_, *request), request->id(), watch_, readers_);
}

grpc::ServerWriteReactor<v1::Outcomes>* JobsService::ReadResults(grpc::CallbackServerContext*,
                                                                 const v1::ReadResultsRequest* request) {
  const absl::Status valid = CheckJobId("job_id", request->job_id());
  if (!valid.ok()) return new Refusal<v1::Outcomes>(valid);
  return Pump<v1::Outcomes>::Start(ResultsOf(ledger_, *request), request->job_id(), watch_, readers_);
}

grpc::ServerWriteReactor<v1::Outcomes>* JobsService::ReadEvents(grpc::CallbackServerContext*,
                                                                const v1::ReadEventsRequest* request) {
  const absl::Status valid = CheckJobId("job_id", request->job_id());
  if (!valid.ok()) return new Refusal<v1::Outcomes>(valid);
  return Pump<v1::Outcomes>::Start(EventsOf(ledger_, *request), request->job_id(), watch_, readers_);
}

grpc::ServerUnaryReactor* JobsService::CancelJob(grpc::CallbackServerContext* context,
                                                 const v1::CancelJobRequest* request, v1::Job* response) {
  if (const absl::Status valid = CheckJobId("id", request->id()); !valid.ok())
    return Answered(context, valid);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  ledger_.CancelJob(request->id(), [this, reactor, response](const absl::StatusOr<core::Job>& job) {
    if (job.ok() && job->state == core::JobState::kCancelled) job_ended_(job->id);
    FinishWith(reactor, response, job);
  });
  return reactor;
}

grpc::ServerWriteReactor<v1::Outcomes>* JobsService::FetchNow(grpc::CallbackServerContext*,
                                                              const v1::FetchNowRequest* request) {
  return StartFetchNow(express_, *request);
}

}  // namespace imgfleet::service
