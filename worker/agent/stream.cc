#include "worker/agent/stream.h"

#include <utility>

#include "common/grpc_release.h"
#include "common/status.h"

namespace imgfleet::agent {

std::shared_ptr<Stream> Stream::Open(v1::Workers::Stub& stub, uint64_t number, std::shared_ptr<Inbox> inbox) {
  std::shared_ptr<Stream> stream(new Stream(number, std::move(inbox)));
  stream->self_ = stream;
  stub.async()->Work(&stream->context_, stream.get());
  stream->AddHold();
  stream->StartRead(&stream->incoming_);
  stream->StartCall();
  return stream;
}

void Stream::Send(v1::WorkerMessage message) {
  absl::MutexLock lock(&mutex_);
  if (closed_ || closing_) return;
  outgoing_.push_back(std::move(message));
  WriteNext();
}

void Stream::CloseSending() {
  absl::MutexLock lock(&mutex_);
  if (std::exchange(closing_, true)) return;
  WriteNext();
}

void Stream::WriteNext() {
  if (writing_ || closed_) return;
  if (!outgoing_.empty()) {
    current_ = std::move(outgoing_.front());
    outgoing_.pop_front();
    writing_ = true;
    StartWrite(&current_);
  } else if (closing_) {
    closed_ = true;
    StartWritesDone();
    LetGo();
  }
}

void Stream::LetGo() {
  if (std::exchange(held_, false)) RemoveHold();
}

void Stream::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  if (!ok) closed_ = true;
  if (closed_) return LetGo();
  WriteNext();
}

void Stream::OnReadDone(bool ok) {
  if (ok) {
    inbox_->Push(StreamMessage{number_, std::move(incoming_)});
    incoming_.Clear();
    return StartRead(&incoming_);
  }
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  if (!writing_) LetGo();
}

void Stream::OnDone(const grpc::Status& status) {
  inbox_->Push(StreamEnd{number_, FromGrpc(status)});
  ReleaseElsewhere(std::move(self_));
}

}  // namespace imgfleet::agent
