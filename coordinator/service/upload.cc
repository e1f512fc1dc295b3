#include "coordinator/service/upload.h"

#include <future>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/ids.h"
#include "common/status.h"
#include "coordinator/lists/format.h"
#include "coordinator/lists/places.h"
#include "coordinator/service/job_proto.h"

namespace imgfleet::service {
namespace {

constexpr size_t kMaxDataBytes = 1 << 20;
// How long a thread waits for rows of one list before it looks after the next.
constexpr absl::Duration kPatience = absl::Milliseconds(200);
// Until a list that had none is asked again.
constexpr absl::Duration kRest = absl::Milliseconds(50);

// Reads and writes take turns: read a message, work on it on a list thread, perhaps write, read the next.
class Upload final : public grpc::ServerBidiReactor<v1::UploadJobRequest, v1::Job>,
                     public std::enable_shared_from_this<Upload> {
 public:
  explicit Upload(const UploadContext& context) : context_(context) {}

  void Begin() {
    // The first callback may come before this returns, on another thread: under the lock it sees all that is here.
    absl::MutexLock lock(&mutex_);
    self_ = shared_from_this();
    StartRead(&request_);
  }

 private:
  enum class Phase { kReading, kFirstAnswer, kProbing, kLastAnswer };

  void OnReadDone(bool ok) override {
    Post([this, ok] { ok ? TakeMessage() : TakeEnd(); });
  }

  void OnWriteDone(bool ok) override {
    Post([this, ok] {
      if (!ok) return BrokenOff();
      switch (phase_) {
        case Phase::kFirstAnswer:
          return ReadNext();
        case Phase::kProbing:
          return Complete();
        default:
          return Finish(grpc::Status::OK);
      }
    });
  }

  void OnCancel() override {
    {
      absl::MutexLock lock(&mutex_);
      cancelled_ = true;
      if (waiting_ == nullptr) return;
    }
    Post([this] { Wake(); });
  }

  void OnDone() override {
    std::shared_ptr<Upload> self;
    absl::MutexLock lock(&mutex_);
    self.swap(self_);
  }

  void Post(std::function<void()> work) {
    std::shared_ptr<Upload> self;
    {
      absl::MutexLock lock(&mutex_);
      self = self_;
    }
    self->context_.lists.threads().Post([self, work = std::move(work)] { work(); });
  }

  // What this turn wrote is seen by the next, which begins with the lock in Post; gRPC in between sees to it as well, but
  // where the thread sanitizer cannot look.
  void PassTurn() { absl::MutexLock lock(&mutex_); }

  bool Cancelled() {
    absl::MutexLock lock(&mutex_);
    return cancelled_;
  }

  // `then` is the next turn, once there is room for more of the list. No thread waits for that, and no message is read
  // meanwhile: that is what holds back the client.
  void WhenRoom(std::function<void()> then) {
    if (Cancelled()) return BrokenOff();
    const absl::StatusOr<bool> room = list_->Advance();
    if (!room.ok()) {
      return Fail(absl::IsCancelled(room.status())
                      ? absl::UnavailableError("the coordinator is stopping; upload again")
                      : room.status());
    }
    if (*room) return then();
    {
      absl::MutexLock lock(&mutex_);
      waiting_ = [this, then = std::move(then)] { WhenRoom(then); };
    }
    list_->WhenMoved(context_.lists.threads(), [self = shared_from_this()] { self->Wake(); });
  }

  // The turn that waits, if one does: whoever wakes it first.
  void Wake() {
    std::function<void()> turn;
    {
      absl::MutexLock lock(&mutex_);
      turn.swap(waiting_);
    }
    if (turn != nullptr) turn();
  }

  void ReadNext() {
    phase_ = Phase::kReading;
    PassTurn();
    StartRead(&request_);
  }

  void TakeMessage() {
    if (Cancelled()) return BrokenOff();
    if (context_.lists.stopping().stopped())
      return Fail(absl::UnavailableError("the coordinator is stopping; upload again"));
    if (!open_) {
      if (lists::Places::IsRemote(request_.list().path())) return HandOver();
      if (const absl::Status opened = Open(); !opened.ok()) return Fail(opened);
      if (!terms_.idempotency_key.empty()) {
        const auto known = FindSubmitted();
        if (!known.ok()) return Fail(known.status());
        if (known->has_value()) return AnswerLast(**known);
      }
    } else if (request_.has_spec() || request_.has_list() || !request_.idempotency_key().empty()) {
      return Fail(
          absl::InvalidArgumentError("spec, list, idempotency_key: belong into the first message only"));
    }
    if (request_.data().size() > kMaxDataBytes) {
      return Fail(
          absl::InvalidArgumentError(absl::StrCat("data: at most ", kMaxDataBytes, " bytes a message")));
    }
    if (const absl::Status taken = TakeData(request_.data()); !taken.ok()) return Fail(taken);
    if (list_ == nullptr || list_->rows() == 0) return ReadNext();
    if (!list_->job_id().empty()) return WhenRoom([this] { ReadNext(); });
    MakeJob([this](const core::Job& job) {
      phase_ = Phase::kFirstAnswer;
      Answer(job);
    });
  }

  absl::Status TakeData(absl::string_view data) {
    if (spooled_ != nullptr) return spooled_->Add(data);
    if (list_ != nullptr) return list_->Feed(data);
    absl::StrAppend(&first_, data);
    return first_.size() < lists::kMagicBytes ? absl::OkStatus() : TellKind();
  }

  // By its first bytes: rows that are read as they come, or Parquet, which is needed as a whole.
  absl::Status TellKind() {
    if (lists::Places::IsParquetList(file_, name_, first_)) {
      file_.set_format(v1::PARQUET);
      ASSIGN_OR_RETURN(spooled_, context_.lists.places().Spool(file_, name_));
    } else {
      MakeList();
    }
    return TakeData(std::exchange(first_, std::string()));
  }

  void MakeList() {
    list_ = std::make_unique<ListJob>(
        context_.ledger, context_.lists.stopping(),
        lists::ListParser::Options{name_, file_.format(), file_.url_column(), file_.id_column()},
        context_.lists.spool());
  }

  // The list lies elsewhere: it is read from there like any that CreateJob names.
  void HandOver() {
    if (!request_.data().empty()) {
      return Fail(absl::InvalidArgumentError("data: a list that a URL names is read from there; send none"));
    }
    if (const absl::Status complete = TakeTerms(); !complete.ok()) return Fail(complete);
    if (!terms_.idempotency_key.empty()) {
      const auto known = FindSubmitted();
      if (!known.ok()) return Fail(known.status());
      if (known->has_value()) return AnswerLast(**known);
    }
    PassTurn();
    context_.lists.Create(spec_, request_.list(), terms_,
                          [self = shared_from_this()](const absl::StatusOr<core::Job>& job) {
                            return job.ok() ? self->AnswerLast(*job) : self->Fail(job.status());
                          });
  }

  absl::Status TakeTerms() {
    ASSIGN_OR_RETURN(spec_, CompleteSpec(request_.spec()));
    const v1::ListFile& file = request_.list();
    // Bytes that follow tell nothing yet, so what the client says of them has to do.
    ASSIGN_OR_RETURN(terms_, NewJobOf(request_.owner(), request_.priority(), request_.idempotency_key(),
                                      request_.request_hash().empty()
                                          ? absl::StrCat(spec_.SerializeAsString(), file.SerializeAsString())
                                          : request_.request_hash()));
    return absl::OkStatus();
  }

  absl::Status Open() {
    RETURN_IF_ERROR(TakeTerms());
    file_ = request_.list();
    name_ = file_.path().empty() ? "upload" : file_.path();
    open_ = true;
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<core::Job>> FindSubmitted() {
    std::promise<absl::StatusOr<std::optional<core::Job>>> promise;
    context_.ledger.FindSubmitted(terms_, [&](auto known) { promise.set_value(std::move(known)); });
    return promise.get_future().get();
  }

  void MakeJob(const std::function<void(const core::Job&)>& made) {
    core::NewJob job = terms_;
    job.create_time = context_.clock.Wall();
    job.id = NewUuid(job.create_time);
    job.spec = spec_.SerializeAsString();
    const std::string id = job.id;
    std::promise<absl::StatusOr<core::Job>> promise;
    context_.ledger.CreateJob(
        std::move(job), [&](absl::StatusOr<core::Job> created) { promise.set_value(std::move(created)); });
    const absl::StatusOr<core::Job> created = promise.get_future().get();
    if (!created.ok()) return Fail(created.status());
    if (created->id != id) return AnswerLast(*created);
    context_.lists.Hold(id);
    if (const absl::Status kept = list_->Attach(created->id, 0); !kept.ok()) return Fail(kept);
    made(*created);
  }

  // No more messages: the client has said all, or the stream broke. Which of the two, a write tells: on a broken stream
  // it fails. Without one a list could pass for whole that is not.
  void TakeEnd() {
    if (Cancelled()) return BrokenOff();
    if (!open_) return Fail(absl::InvalidArgumentError("the first message must carry spec and list"));
    if (list_ == nullptr && spooled_ == nullptr) {
      if (const absl::Status told = TellKind(); !told.ok()) return Fail(told);
    }
    if (spooled_ != nullptr) {
      auto rows = context_.lists.places().OpenSpooled(std::move(spooled_), file_, name_);
      if (!rows.ok()) return Fail(rows.status());
      rows_ = *std::move(rows);
      MakeList();
      return ReadRows();
    }
    if (list_->job_id().empty()) {
      // Shorter than one row, or broken off before it.
      if (const absl::Status finished = list_->Finish(); !finished.ok()) return Fail(finished);
      finished_ = true;
      return MakeJob([this](const core::Job& job) { Probe(job); });
    }
    const absl::StatusOr<core::Job> job = context_.ledger.GetJob(list_->job_id());
    if (!job.ok()) return Fail(job.status());
    Probe(*job);
  }

  // The next slice of a spooled list's rows. With the first of them there is a job, and whether the client is still there is
  // asked before the rest.
  void ReadRows() {
    if (Cancelled()) return BrokenOff();
    if (context_.lists.stopping().stopped())
      return Fail(absl::UnavailableError("the coordinator is stopping; upload again"));
    const absl::StatusOr<std::optional<std::string>> slice = rows_->Read(kPatience);
    if (!slice.ok()) return Fail(slice.status());
    if (slice->has_value()) {
      finished_ = (*slice)->empty();
      const absl::Status taken = finished_ ? list_->Finish() : list_->Feed(**slice);
      if (!taken.ok()) return Fail(taken);
    }
    if (list_->job_id().empty() && (finished_ || list_->rows() > 0)) {
      return MakeJob([this](const core::Job& job) { Probe(job); });
    }
    if (finished_) return Complete();
    const auto next = [this, rest = slice->has_value() ? absl::ZeroDuration() : kRest] {
      context_.lists.ThreadsOf(file_).PostAfter(rest, [self = shared_from_this()] { self->ReadRows(); });
    };
    if (!list_->job_id().empty()) return WhenRoom(next);
    PassTurn();
    next();
  }

  void Probe(const core::Job& job) {
    phase_ = Phase::kProbing;
    Answer(job);
  }

  // The job, and nothing after it; what the client still sends is not read.
  void AnswerLast(const core::Job& job) {
    phase_ = Phase::kLastAnswer;
    Answer(job);
  }

  void Answer(const core::Job& job) {
    answer_ = ToProto(job);
    PassTurn();
    StartWrite(&answer_);
  }

  void Complete() {
    if (Cancelled()) return BrokenOff();
    if (!finished_ && rows_ != nullptr) return ReadRows();
    if (!std::exchange(finished_, true)) {
      if (const absl::Status finished = list_->Finish(); !finished.ok()) return Fail(finished);
    }
    WhenRoom([this] { End(); });
  }

  // All is durable.
  void End() {
    const absl::StatusOr<core::Job> job = EndReading(absl::OkStatus());
    if (!job.ok()) return Fail(job.status());
    AnswerLast(*job);
  }

  void BrokenOff() {
    Fail(absl::CancelledError(
        absl::StrCat(name_, ": the upload broke off after ", list_ == nullptr ? 0 : list_->rows(), " rows")));
  }

  // The job, if there is one, ends FAILED with the outcomes it has.
  void Fail(const absl::Status& why) {
    if (list_ != nullptr && !list_->job_id().empty()) (void)EndReading(why);
    Finish(ToGrpc(why));
  }

  absl::StatusOr<core::Job> EndReading(const absl::Status& how) {
    std::promise<absl::StatusOr<core::Job>> promise;
    context_.ledger.FinishReading(list_->job_id(), how,
                                  [&](absl::StatusOr<core::Job> job) { promise.set_value(std::move(job)); });
    absl::StatusOr<core::Job> job = promise.get_future().get();
    context_.lists.LetGo(list_->job_id());
    if (job.ok() && !how.ok()) context_.job_ended(list_->job_id());
    return job;
  }

  const UploadContext& context_;

  std::shared_ptr<Upload> self_;  // Until OnDone.

  // Touched by one thread at a time: that of the current turn.
  v1::UploadJobRequest request_;
  v1::Job answer_;
  v1::JobSpec spec_;
  core::NewJob terms_;  // Of the job that is made of it.
  std::string name_ = "upload";
  v1::ListFile file_;
  bool open_ = false;                            // The first message was taken.
  std::string first_;                            // The list's first bytes, until they tell what it is.
  std::unique_ptr<lists::SpooledList> spooled_;  // Parquet, while it comes;
  std::unique_ptr<lists::Source> rows_;          // and once it is whole.
  std::unique_ptr<ListJob> list_;
  Phase phase_ = Phase::kReading;
  bool finished_ = false;

  absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> waiting_ ABSL_GUARDED_BY(mutex_);  // The next turn, while there is no room.
};

}  // namespace

grpc::ServerBidiReactor<v1::UploadJobRequest, v1::Job>* StartUpload(const UploadContext& context) {
  auto upload = std::make_shared<Upload>(context);
  upload->Begin();
  return upload.get();
}

}  // namespace imgfleet::service
