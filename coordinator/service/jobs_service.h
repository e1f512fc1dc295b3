// The Jobs service: requests in, ledger and lists called, replies out.
//
// Thread-safe.
#pragma once

#include <functional>
#include <string>

#include "common/clock.h"
#include "coordinator/service/express_lane.h"
#include "coordinator/service/job_watch.h"
#include "coordinator/service/list_files.h"
#include "coordinator/service/threads.h"
#include "coordinator/service/upload.h"
#include "coordinator/store/ledger.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"

namespace imgfleet::service {

class JobsService final : public v1::Jobs::CallbackService {
 public:
  using JobEnded = std::function<void(const std::string& job_id)>;

  // All must outlive the server; `job_ended` is told of jobs that were cancelled or failed here.
  JobsService(store::Ledger& ledger, const Clock& clock, JobWatch& watch, Threads& readers, ListFiles& lists,
              ExpressLane& express, JobEnded job_ended);

  grpc::ServerUnaryReactor* CreateJob(grpc::CallbackServerContext* context,
                                      const v1::CreateJobRequest* request, v1::Job* response) override;
  grpc::ServerBidiReactor<v1::UploadJobRequest, v1::Job>* UploadJob(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context, const v1::GetJobRequest* request,
                                   v1::Job* response) override;
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context, const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override;
  grpc::ServerWriteReactor<v1::Job>* WatchJob(grpc::CallbackServerContext* context,
                                              const v1::WatchJobRequest* request) override;
  grpc::ServerWriteReactor<v1::Outcomes>* ReadResults(grpc::CallbackServerContext* context,
                                                      const v1::ReadResultsRequest* request) override;
  grpc::ServerWriteReactor<v1::Outcomes>* ReadEvents(grpc::CallbackServerContext* context,
                                                     const v1::ReadEventsRequest* request) override;
  grpc::ServerUnaryReactor* CancelJob(grpc::CallbackServerContext* context,
                                      const v1::CancelJobRequest* request, v1::Job* response) override;
  grpc::ServerWriteReactor<v1::Outcomes>* FetchNow(grpc::CallbackServerContext* context,
                                                   const v1::FetchNowRequest* request) override;
  grpc::ServerUnaryReactor* PauseJob(grpc::CallbackServerContext* context, const v1::PauseJobRequest* request,
                                     v1::Job* response) override;
  grpc::ServerUnaryReactor* ResumeJob(grpc::CallbackServerContext* context,
                                      const v1::ResumeJobRequest* request, v1::Job* response) override;
  grpc::ServerUnaryReactor* PrioritizeJob(grpc::CallbackServerContext* context,
                                          const v1::PrioritizeJobRequest* request,
                                          v1::Job* response) override;
  grpc::ServerUnaryReactor* RetryFailed(grpc::CallbackServerContext* context,
                                        const v1::RetryFailedRequest* request, v1::Job* response) override;
  grpc::ServerUnaryReactor* CreateSchedule(grpc::CallbackServerContext* context,
                                           const v1::CreateScheduleRequest* request,
                                           v1::Schedule* response) override;
  grpc::ServerUnaryReactor* GetSchedule(grpc::CallbackServerContext* context,
                                        const v1::GetScheduleRequest* request,
                                        v1::Schedule* response) override;
  grpc::ServerUnaryReactor* ListSchedules(grpc::CallbackServerContext* context,
                                          const v1::ListSchedulesRequest* request,
                                          v1::ListSchedulesResponse* response) override;
  grpc::ServerUnaryReactor* PauseSchedule(grpc::CallbackServerContext* context,
                                          const v1::PauseScheduleRequest* request,
                                          v1::Schedule* response) override;
  grpc::ServerUnaryReactor* ResumeSchedule(grpc::CallbackServerContext* context,
                                           const v1::ResumeScheduleRequest* request,
                                           v1::Schedule* response) override;
  grpc::ServerUnaryReactor* DeleteSchedule(grpc::CallbackServerContext* context,
                                           const v1::DeleteScheduleRequest* request,
                                           v1::DeleteScheduleResponse* response) override;

 private:
  using Done = std::function<void(absl::StatusOr<core::Job>)>;

  // OK where there is such a job, and `owner` is empty or its own.
  absl::Status Admit(absl::string_view field, const std::string& id, const std::string& owner);
  absl::Status AdmitToSchedule(const std::string& id, const std::string& owner);
  void CreateInline(const v1::JobSpec& spec, const v1::ItemBatch& items, core::NewJob job, const Done& done);
  grpc::ServerUnaryReactor* SetPaused(grpc::CallbackServerContext* context, const std::string& id,
                                      const std::string& owner, bool paused, v1::Job* response);
  grpc::ServerUnaryReactor* SetSchedulePaused(grpc::CallbackServerContext* context, const std::string& id,
                                              const std::string& owner, bool paused, v1::Schedule* response);

  store::Ledger& ledger_;
  const Clock& clock_;
  JobWatch& watch_;
  Threads& readers_;
  ListFiles& lists_;
  ExpressLane& express_;
  const JobEnded job_ended_;
  const UploadContext uploads_;
};

}  // namespace imgfleet::service
