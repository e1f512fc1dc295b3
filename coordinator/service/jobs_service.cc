#include "coordinator/service/jobs_service.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/status.h"
#include "coordinator/lists/shard_builder.h"
#include "coordinator/service/fetch_now.h"
#include "coordinator/service/readings.h"
#include "coordinator/service/unary.h"

namespace imgfleet::service {
namespace {

// A stream that only tells why there is none.
template <typename Message>
class Refusal final : public grpc::ServerWriteReactor<Message> {
 public:
  explicit Refusal(const absl::Status& status) { this->Finish(ToGrpc(status)); }

 private:
  void OnDone() override { delete this; }
};

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
  v1::CreateJobRequest asked = *request;
  asked.clear_idempotency_key();
  absl::StatusOr<core::NewJob> job =
      NewJobOf(request->owner(), request->priority(), request->idempotency_key(), asked.SerializeAsString());
  if (!job.ok()) return Answered(context, job.status());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const Done done = [reactor, response](const absl::StatusOr<core::Job>& job) {
    FinishWith(reactor, response, job);
  };
  switch (request->source_case()) {
    case v1::CreateJobRequest::kItems:
      CreateInline(*spec, request->items(), *std::move(job), done);
      break;
    case v1::CreateJobRequest::kFile:
      if (job->idempotency_key.empty()) {
        lists_.Create(*spec, request->file(), *std::move(job), done);
        break;
      }
      // Before the list is looked at, which may be gone by now.
      ledger_.FindSubmitted(*job, [this, spec = *spec, file = request->file(), job = *job,
                                   done](const absl::StatusOr<std::optional<core::Job>>& known) {
        if (!known.ok()) return done(known.status());
        known->has_value() ? done(**known) : lists_.Create(spec, file, job, done);
      });
      break;
    default:
      reactor->Finish(ToGrpc(absl::InvalidArgumentError("source: give items or a file")));
  }
  return reactor;
}

void JobsService::CreateInline(const v1::JobSpec& spec, const v1::ItemBatch& items, core::NewJob job,
                               const Done& done) {
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
  job.create_time = clock_.Wall();
  job.id = NewUuid(job.create_time);
  job.spec = spec.SerializeAsString();
  ledger_.SubmitJob(std::move(job), std::move(shards), done);
}

absl::Status JobsService::Admit(absl::string_view field, const std::string& id, const std::string& owner) {
  RETURN_IF_ERROR(CheckJobId(field, id));
  if (owner.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const core::Job job, ledger_.GetJob(id));
  if (job.owner == owner) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("there is no job ", id));
}

grpc::ServerBidiReactor<v1::UploadJobRequest, v1::Job>* JobsService::UploadJob(grpc::CallbackServerContext*) {
  return StartUpload(uploads_);
}

grpc::ServerUnaryReactor* JobsService::GetJob(grpc::CallbackServerContext* context,
                                              const v1::GetJobRequest* request, v1::Job* response) {
  if (const absl::Status valid = Admit("id", request->id(), request->owner()); !valid.ok())
    return Answered(context, valid);
  const absl::StatusOr<core::Job> job = ledger_.GetJob(request->id());
  if (job.ok()) *response = ToProto(*job);
  return Answered(context, job.status());
}

grpc::ServerUnaryReactor* JobsService::ListJobs(grpc::CallbackServerContext* context,
                                                const v1::ListJobsRequest* request,
                                                v1::ListJobsResponse* response) {
  const absl::StatusOr<std::string> before = IdOfToken(request->page_token());
  if (!before.ok()) return Answered(context, before.status());
  const uint32_t limit = PageSize(request->page_size());
  // One more than the page, which tells whether there is another.
  const absl::StatusOr<std::vector<core::Job>> jobs = ledger_.ListJobs(request->owner(), *before, limit + 1);
  if (!jobs.ok()) return Answered(context, jobs.status());
  const size_t shown = std::min<size_t>(jobs->size(), limit);
  for (size_t i = 0; i < shown; ++i) *response->add_jobs() = ToProto((*jobs)[i]);
  if (jobs->size() > shown) response->set_next_page_token(TokenAfter((*jobs)[shown - 1].id));
  return Answered(context, absl::OkStatus());
}

grpc::ServerWriteReactor<v1::Job>* JobsService::WatchJob(grpc::CallbackServerContext*,
                                                         const v1::WatchJobRequest* request) {
  if (const absl::Status valid = Admit("id", request->id(), request->owner()); !valid.ok())
    return new Refusal<v1::Job>(valid);
  return Pump<v1::Job>::Start(WatchOf(ledger_, clock_, *request), request->id(), watch_, readers_);
}

grpc::ServerWriteReactor<v1::Outcomes>* JobsService::ReadResults(grpc::CallbackServerContext*,
                                                                 const v1::ReadResultsRequest* request) {
  const absl::Status valid = Admit("job_id", request->job_id(), request->owner());
  if (!valid.ok()) return new Refusal<v1::Outcomes>(valid);
  return Pump<v1::Outcomes>::Start(ResultsOf(ledger_, *request), request->job_id(), watch_, readers_);
}

grpc::ServerWriteReactor<v1::Outcomes>* JobsService::ReadEvents(grpc::CallbackServerContext*,
                                                                const v1::ReadEventsRequest* request) {
  const absl::Status valid = Admit("job_id", request->job_id(), request->owner());
  if (!valid.ok()) return new Refusal<v1::Outcomes>(valid);
  return Pump<v1::Outcomes>::Start(EventsOf(ledger_, *request), request->job_id(), watch_, readers_);
}

grpc::ServerUnaryReactor* JobsService::CancelJob(grpc::CallbackServerContext* context,
                                                 const v1::CancelJobRequest* request, v1::Job* response) {
  if (const absl::Status valid = Admit("id", request->id(), request->owner()); !valid.ok())
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
