#include "coordinator/service/gate.h"

#include <atomic>
#include <utility>

#include "common/status.h"

namespace imgfleet::service {
namespace {

using Context = grpc::CallbackServerContext;
using JobCalls = v1::Jobs::CallbackService;
using Unary = grpc::ServerUnaryReactor;
template <typename Response>
using Writer = grpc::ServerWriteReactor<Response>;
template <typename Request, typename Response>
using Bidi = grpc::ServerBidiReactor<Request, Response>;

// Ends as soon as it began. Owns itself until gRPC is done with it.
template <typename Base>
class Refused final : public Base {
 public:
  explicit Refused(const absl::Status& why) { this->Finish(ToGrpc(why)); }

 private:
  void OnDone() override { delete this; }
};

}  // namespace

class Gate::Jobs final : public v1::Jobs::CallbackService {
 public:
  explicit Jobs(const std::function<absl::Status()>& why) : why_(why) {}

  void Open(JobCalls& jobs) { open_ = &jobs; }

  Unary* CreateJob(Context* context, const v1::CreateJobRequest* request, v1::Job* response) override {
    return Pass(&JobCalls::CreateJob, context, request, response);
  }
  Bidi<v1::UploadJobRequest, v1::Job>* UploadJob(Context* context) override {
    if (JobCalls* const jobs = open_) return jobs->UploadJob(context);
    return new Refused<Bidi<v1::UploadJobRequest, v1::Job>>(why_());
  }
  Unary* GetJob(Context* context, const v1::GetJobRequest* request, v1::Job* response) override {
    return Pass(&JobCalls::GetJob, context, request, response);
  }
  Unary* ListJobs(Context* context, const v1::ListJobsRequest* request,
                  v1::ListJobsResponse* response) override {
    return Pass(&JobCalls::ListJobs, context, request, response);
  }
  Writer<v1::Job>* WatchJob(Context* context, const v1::WatchJobRequest* request) override {
    return Pass(&JobCalls::WatchJob, context, request);
  }
  Writer<v1::Outcomes>* ReadResults(Context* context, const v1::ReadResultsRequest* request) override {
    return Pass(&JobCalls::ReadResults, context, request);
  }
  Writer<v1::Outcomes>* ReadEvents(Context* context, const v1::ReadEventsRequest* request) override {
    return Pass(&JobCalls::ReadEvents, context, request);
  }
  Unary* CancelJob(Context* context, const v1::CancelJobRequest* request, v1::Job* response) override {
    return Pass(&JobCalls::CancelJob, context, request, response);
  }
  Writer<v1::Outcomes>* FetchNow(Context* context, const v1::FetchNowRequest* request) override {
    return Pass(&JobCalls::FetchNow, context, request);
  }
  Unary* PauseJob(Context* context, const v1::PauseJobRequest* request, v1::Job* response) override {
    return Pass(&JobCalls::PauseJob, context, request, response);
  }
  Unary* ResumeJob(Context* context, const v1::ResumeJobRequest* request, v1::Job* response) override {
    return Pass(&JobCalls::ResumeJob, context, request, response);
  }
  Unary* PrioritizeJob(Context* context, const v1::PrioritizeJobRequest* request,
                       v1::Job* response) override {
    return Pass(&JobCalls::PrioritizeJob, context, request, response);
  }
  Unary* RetryFailed(Context* context, const v1::RetryFailedRequest* request, v1::Job* response) override {
    return Pass(&JobCalls::RetryFailed, context, request, response);
  }
  Unary* CreateSchedule(Context* context, const v1::CreateScheduleRequest* request,
                        v1::Schedule* response) override {
    return Pass(&JobCalls::CreateSchedule, context, request, response);
  }
  Unary* GetSchedule(Context* context, const v1::GetScheduleRequest* request,
                     v1::Schedule* response) override {
    return Pass(&JobCalls::GetSchedule, context, request, response);
  }
  Unary* ListSchedules(Context* context, const v1::ListSchedulesRequest* request,
                       v1::ListSchedulesResponse* response) override {
    return Pass(&JobCalls::ListSchedules, context, request, response);
  }
  Unary* PauseSchedule(Context* context, const v1::PauseScheduleRequest* request,
                       v1::Schedule* response) override {
    return Pass(&JobCalls::PauseSchedule, context, request, response);
  }
  Unary* ResumeSchedule(Context* context, const v1::ResumeScheduleRequest* request,
                        v1::Schedule* response) override {
    return Pass(&JobCalls::ResumeSchedule, context, request, response);
  }
  Unary* DeleteSchedule(Context* context, const v1::DeleteScheduleRequest* request,
                        v1::DeleteScheduleResponse* response) override {
    return Pass(&JobCalls::DeleteSchedule, context, request, response);
  }

 private:
  // The methods are of classes below JobCalls.
  template <typename Owner, typename Request, typename Response>
  Unary* Pass(Unary* (Owner::*method)(Context*, const Request*, Response*), Context* context,
              const Request* request, Response* response) {
    if (JobCalls* const jobs = open_) return (jobs->*method)(context, request, response);
    Unary* const reactor = context->DefaultReactor();
    reactor->Finish(ToGrpc(why_()));
    return reactor;
  }
  template <typename Owner, typename Request, typename Response>
  Writer<Response>* Pass(Writer<Response>* (Owner::*method)(Context*, const Request*), Context* context,
                         const Request* request) {
    if (JobCalls* const jobs = open_) return (jobs->*method)(context, request);
    return new Refused<Writer<Response>>(why_());
  }

  const std::function<absl::Status()>& why_;
  std::atomic<JobCalls*> open_{nullptr};
};

class Gate::Workers final : public v1::Workers::CallbackService {
 public:
  explicit Workers(const std::function<absl::Status()>& why) : why_(why) {}

  void Open(v1::Workers::CallbackService& workers) { open_ = &workers; }

  Bidi<v1::WorkerMessage, v1::CoordinatorMessage>* Work(Context* context) override {
    if (v1::Workers::CallbackService* const workers = open_) return workers->Work(context);
    return new Refused<Bidi<v1::WorkerMessage, v1::CoordinatorMessage>>(why_());
  }

 private:
  const std::function<absl::Status()>& why_;
  std::atomic<v1::Workers::CallbackService*> open_{nullptr};
};

// Where it opens just now there may be no reason any more: still the call was not passed on.
Gate::Gate(std::function<absl::Status()> why)
    : why_([why = std::move(why)] {
        absl::Status refused = why();
        return refused.ok() ? absl::UnavailableError("it is just starting; ask again") : refused;
      }),
      jobs_(std::make_unique<Jobs>(why_)),
      workers_(std::make_unique<Workers>(why_)) {}

Gate::~Gate() = default;

grpc::Service& Gate::jobs() { return *jobs_; }

grpc::Service& Gate::workers() { return *workers_; }

void Gate::Open(v1::Jobs::CallbackService& jobs, v1::Workers::CallbackService& workers) {
  workers_->Open(workers);
  jobs_->Open(jobs);
}

}  // namespace imgfleet::service
