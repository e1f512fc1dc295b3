// Streams what a source has to its client: one message in flight, so that a slow reader holds back the reading of the
// store, and nothing else; between messages it sleeps until its job changes.
//
// The source runs on the reading threads, one call at a time; on gRPC's own where it is ready.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/status.h"
#include "coordinator/service/job_watch.h"
#include "coordinator/service/threads.h"
#include "grpcpp/support/server_callback.h"

namespace imgfleet::service {

enum class Step {
  kWrite,  // The message is to be sent.
  kWait,   // Nothing to send before the job changes.
  kPause,  // Nothing to send before the source's pause is over.
  kEnd,    // All was sent.
};

template <typename Message>
class Source {
 public:
  virtual ~Source() = default;
  // An error ends the stream with it.
  virtual absl::StatusOr<Step> Next(Message* message) = 0;
  virtual absl::Duration pause() const { return absl::ZeroDuration(); }
  // Next has a message at hand and needs no store for it: it may be called on a thread of gRPC's.
  virtual bool ready() const { return false; }
};

template <typename Message>
class Pump final : public grpc::ServerWriteReactor<Message>,
                   public std::enable_shared_from_this<Pump<Message>> {
 public:
  // The reactor to return to gRPC. Owns itself until the stream has ended.
  static Pump* Start(std::unique_ptr<Source<Message>> source, const std::string& job_id, JobWatch& watch,
                     Threads& threads) {
    std::shared_ptr<Pump> pump(new Pump(std::move(source), watch, threads));
    pump->self_ = pump;
    std::weak_ptr<Pump> weak = pump;
    pump->watching_ = watch.Watch(job_id, [weak] {
      if (auto woken = weak.lock()) woken->Wake();
    });
    pump->PostRun();
    return pump.get();
  }

 private:
  enum class State { kRunning, kWriting, kWaiting, kPausing, kFinished };

  Pump(std::unique_ptr<Source<Message>> source, JobWatch& watch, Threads& threads)
      : source_(std::move(source)), watch_(watch), threads_(threads) {}

  void PostRun() {
    threads_.Post([self = this->shared_from_this()] { self->Run(); });
  }

  void Wake() {
    {
      absl::MutexLock lock(&mutex_);
      changed_ = true;
      if (state_ != State::kWaiting) return;
      state_ = State::kRunning;
    }
    PostRun();
  }

  void Run() {
    while (true) {
      {
        absl::MutexLock lock(&mutex_);
        changed_ = false;
        if (cancelled_) return End(absl::CancelledError("the client left"));
      }
      if (watch_.closed())
        return EndUnlocked(absl::UnavailableError("the coordinator is stopping; try again"));
      message_.Clear();
      const absl::StatusOr<Step> step = source_->Next(&message_);
      if (!step.ok()) return EndUnlocked(step.status());
      if (*step == Step::kEnd) return EndUnlocked(absl::OkStatus());
      absl::MutexLock lock(&mutex_);
      if (*step == Step::kWait && !changed_ && !cancelled_) {
        state_ = State::kWaiting;
        return;
      }
      if (*step == Step::kPause && !cancelled_) {
        state_ = State::kPausing;
        threads_.PostAfter(source_->pause(), [weak = this->weak_from_this()] {
          if (auto pump = weak.lock()) pump->Resume();
        });
        return;
      }
      if (*step == Step::kWrite) {
        state_ = State::kWriting;
        break;
      }
    }
    // Without a buffer hint, though more may be at hand: gRPC 1.51 can leave hinted messages lying until its next ping.
    this->StartWrite(&message_);
  }

  void Resume() {
    {
      absl::MutexLock lock(&mutex_);
      if (state_ != State::kPausing) return;
      state_ = State::kRunning;
    }
    PostRun();
  }

  void EndUnlocked(const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    End(status);
  }
  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    state_ = State::kFinished;
    this->Finish(ToGrpc(status));
  }

  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&mutex_);
      if (!ok) cancelled_ = true;
      state_ = State::kRunning;
    }
    if (ok && source_->ready()) return Run();
    PostRun();
  }

  void OnCancel() override {
    {
      absl::MutexLock lock(&mutex_);
      cancelled_ = true;
    }
    Resume();
    Wake();
  }

  void OnDone() override {
    std::shared_ptr<void> watching;
    std::shared_ptr<Pump> self;
    absl::MutexLock lock(&mutex_);
    watching.swap(watching_);
    self.swap(self_);
  }

  const std::unique_ptr<Source<Message>> source_;
  JobWatch& watch_;
  Threads& threads_;

  std::shared_ptr<Pump> self_;      // Until OnDone.
  std::shared_ptr<void> watching_;  // Until OnDone.

  // Touched by the one that runs.
  Message message_;

  absl::Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kRunning;
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace imgfleet::service
