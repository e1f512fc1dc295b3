// The Jobs service's calls of job control: pauses, priorities, failed items again, schedules.
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/status.h"
#include "coordinator/service/failed_items.h"
#include "coordinator/service/jobs_service.h"
#include "coordinator/service/unary.h"

namespace imgfleet::service {

grpc::ServerUnaryReactor* JobsService::SetPaused(grpc::CallbackServerContext* context, const std::string& id,
                                                 const std::string& owner, bool paused, v1::Job* response) {
  if (const absl::Status valid = Admit("id", id, owner); !valid.ok()) return Answered(context, valid);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  ledger_.PauseJob(id, paused, [reactor, response](const absl::StatusOr<core::Job>& job) {
    FinishWith(reactor, response, job);
  });
  return reactor;
}

grpc::ServerUnaryReactor* JobsService::PauseJob(grpc::CallbackServerContext* context,
                                                const v1::PauseJobRequest* request, v1::Job* response) {
  return SetPaused(context, request->id(), request->owner(), true, response);
}

grpc::ServerUnaryReactor* JobsService::ResumeJob(grpc::CallbackServerContext* context,
                                                 const v1::ResumeJobRequest* request, v1::Job* response) {
  return SetPaused(context, request->id(), request->owner(), false, response);
}

grpc::ServerUnaryReactor* JobsService::PrioritizeJob(grpc::CallbackServerContext* context,
                                                     const v1::PrioritizeJobRequest* request,
                                                     v1::Job* response) {
  const absl::Status valid = Admit("id", request->id(), request->owner());
  if (!valid.ok()) return Answered(context, valid);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  ledger_.PrioritizeJob(
      request->id(), request->priority(),
      [reactor, response](const absl::StatusOr<core::Job>& job) { FinishWith(reactor, response, job); });
  return reactor;
}

grpc::ServerUnaryReactor* JobsService::RetryFailed(grpc::CallbackServerContext* context,
                                                   const v1::RetryFailedRequest* request, v1::Job* response) {
  const absl::Status valid = Admit("id", request->id(), request->owner());
  if (!valid.ok()) return Answered(context, valid);
  const absl::StatusOr<core::Job> parent = ledger_.GetJob(request->id());
  if (!parent.ok()) return Answered(context, parent.status());
  if (!core::Ended(parent->state)) {
    return Answered(context, absl::FailedPreconditionError(absl::StrCat(
                                 "job ", parent->id, " has not ended; wait for it, or cancel it first")));
  }
  if (CountFailed(*parent) == 0) {
    return Answered(context, absl::FailedPreconditionError(absl::StrCat(
                                 "nothing of job ", parent->id, " failed that could be tried again")));
  }
  absl::StatusOr<core::NewJob> job = NewJobOf(parent->owner, request->priority(), request->idempotency_key(),
                                              absl::StrCat("retry of ", parent->id));
  if (!job.ok()) return Answered(context, job.status());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  lists_.Retry(*parent, *std::move(job), [reactor, response](const absl::StatusOr<core::Job>& made) {
    FinishWith(reactor, response, made);
  });
  return reactor;
}

// --- Schedules ------------------------------------------------------------------------------------------------

absl::Status JobsService::AdmitToSchedule(const std::string& id, const std::string& owner) {
  if (!IsUuid(id)) {
    return absl::InvalidArgumentError(
        absl::StrCat("id: \"", id, "\" is no schedule's id; it is a UUID, as CreateSchedule returned it"));
  }
  ASSIGN_OR_RETURN(const core::Schedule schedule, ledger_.GetSchedule(id));
  if (owner.empty() || schedule.owner == owner) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("there is no schedule ", id));
}

grpc::ServerUnaryReactor* JobsService::CreateSchedule(grpc::CallbackServerContext* context,
                                                      const v1::CreateScheduleRequest* request,
                                                      v1::Schedule* response) {
  absl::StatusOr<core::Schedule> schedule = FromProto(request->schedule());
  if (!schedule.ok()) return Answered(context, schedule.status());
  schedule->create_time = clock_.Wall();
  schedule->id = NewUuid(schedule->create_time);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  ledger_.CreateSchedule(*std::move(schedule),
                         [reactor, response](const absl::StatusOr<core::Schedule>& made) {
                           FinishWith(reactor, response, made);
                         });
  return reactor;
}

grpc::ServerUnaryReactor* JobsService::GetSchedule(grpc::CallbackServerContext* context,
                                                   const v1::GetScheduleRequest* request,
                                                   v1::Schedule* response) {
  const absl::Status valid = AdmitToSchedule(request->id(), request->owner());
  if (!valid.ok()) return Answered(context, valid);
  const absl::StatusOr<core::Schedule> schedule = ledger_.GetSchedule(request->id());
  if (schedule.ok()) *response = ToProto(*schedule);
  return Answered(context, schedule.status());
}

grpc::ServerUnaryReactor* JobsService::ListSchedules(grpc::CallbackServerContext* context,
                                                     const v1::ListSchedulesRequest* request,
                                                     v1::ListSchedulesResponse* response) {
  const absl::StatusOr<std::string> before = IdOfToken(request->page_token());
  if (!before.ok()) return Answered(context, before.status());
  const uint32_t limit = PageSize(request->page_size());
  const auto schedules = ledger_.ListSchedules(request->owner(), *before, limit + 1);
  if (!schedules.ok()) return Answered(context, schedules.status());
  const size_t shown = std::min<size_t>(schedules->size(), limit);
  for (size_t i = 0; i < shown; ++i) *response->add_schedules() = ToProto((*schedules)[i]);
  if (schedules->size() > shown) response->set_next_page_token(TokenAfter((*schedules)[shown - 1].id));
  return Answered(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* JobsService::SetSchedulePaused(grpc::CallbackServerContext* context,
                                                         const std::string& id, const std::string& owner,
                                                         bool paused, v1::Schedule* response) {
  if (const absl::Status valid = AdmitToSchedule(id, owner); !valid.ok()) return Answered(context, valid);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  ledger_.PauseSchedule(id, paused, [reactor, response](const absl::StatusOr<core::Schedule>& schedule) {
    FinishWith(reactor, response, schedule);
  });
  return reactor;
}

grpc::ServerUnaryReactor* JobsService::PauseSchedule(grpc::CallbackServerContext* context,
                                                     const v1::PauseScheduleRequest* request,
                                                     v1::Schedule* response) {
  return SetSchedulePaused(context, request->id(), request->owner(), true, response);
}

grpc::ServerUnaryReactor* JobsService::ResumeSchedule(grpc::CallbackServerContext* context,
                                                      const v1::ResumeScheduleRequest* request,
                                                      v1::Schedule* response) {
  return SetSchedulePaused(context, request->id(), request->owner(), false, response);
}

grpc::ServerUnaryReactor* JobsService::DeleteSchedule(grpc::CallbackServerContext* context,
                                                      const v1::DeleteScheduleRequest* request,
                                                      v1::DeleteScheduleResponse*) {
  const absl::Status valid = AdmitToSchedule(request->id(), request->owner());
  if (!valid.ok()) return Answered(context, valid);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  ledger_.DeleteSchedule(request->id(),
                         [reactor](const absl::Status& deleted) { reactor->Finish(ToGrpc(deleted)); });
  return reactor;
}

}  // namespace imgfleet::service
