#include "decoder/client.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "decoder/client_process.h"
#include "decoder/protocol.h"

namespace imgfleet::decoder {
namespace {

// After a start in vain: what was missing will hardly be there a moment later.
constexpr absl::Duration kRetryStart = absl::Seconds(10);

Decoding::Kind ToKind(AnswerStatus status) {
  switch (status) {
    case AnswerStatus::kOk:
      return Decoding::kDecoded;
    case AnswerStatus::kUnsupported:
      return Decoding::kUnsupported;
    case AnswerStatus::kTooLarge:
      return Decoding::kTooLarge;
    case AnswerStatus::kTruncated:
      return Decoding::kTruncated;
    case AnswerStatus::kCorrupt:
      return Decoding::kCorrupt;
    case AnswerStatus::kInternal:
    case AnswerStatus::kRefused:
      break;
  }
  return Decoding::kDied;
}

Decoding Failed(Decoding::Kind kind, absl::string_view message) {
  Decoding decoding;
  decoding.kind = kind;
  decoding.message = std::string(message);
  return decoding;
}

Decoding Failed(const absl::Status& status) {
  const Decoding::Kind kind = absl::IsCancelled(status)            ? Decoding::kAbandoned
                              : absl::IsDeadlineExceeded(status)   ? Decoding::kTimeout
                              : absl::IsFailedPrecondition(status) ? Decoding::kUnavailable
                                                                   : Decoding::kDied;
  return Failed(kind, status.message());
}

// Empty where it is in neither place.
std::string FindDecoder() {
  char self[4096];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof(self));
  if (length <= 0 || length == sizeof(self)) return "";
  const std::string path(self, length), folder = path.substr(0, path.rfind('/'));
  for (const char* place : {"/imgfleet-decoder", "/../decoder/imgfleet-decoder"}) {
    if (access((folder + place).c_str(), X_OK) == 0) return folder + place;
  }
  return "";
}

// A process whose parent had it ignore the ends of its children passes that on: then nobody is told how a decoder ended,
// and the number of one that is gone may soon be another process's.
void WaitForChildren() {
  struct sigaction present;
  IMGFLEET_CHECK(sigaction(SIGCHLD, nullptr, &present) == 0);
  if (present.sa_handler == SIG_IGN || (present.sa_flags & SA_NOCLDWAIT) != 0) signal(SIGCHLD, SIG_DFL);
}

Decoding Ended() { return Failed(Decoding::kAbandoned, "the worker is ending"); }

}  // namespace

Client::Client(Options options, const Clock& clock)
    : options_(std::move(options)),
      program_(options_.program == "auto" ? FindDecoder() : options_.program),
      clock_(clock),
      stop_event_(eventfd(0, EFD_CLOEXEC)) {
  IMGFLEET_CHECK(stop_event_ >= 0);
  if (program_.empty()) {
    const absl::Status off = absl::FailedPreconditionError(
        options_.program.empty()
            ? "decoding is turned off (--decoder)"
            : "there is no imgfleet-decoder beside this program; name one with --decoder");
    if (options_.check) log::Warning("no image can be decoded: %s", std::string(off.message()));
    absl::MutexLock lock(&mutex_);
    status_ = off;
    return;
  }
  WaitForChildren();
  const uint32_t wanted =
      options_.processes > 0 ? options_.processes : std::max(1u, std::thread::hardware_concurrency());
  absl::MutexLock lock(&mutex_);
  for (uint32_t i = 0; i < wanted; ++i) {
    threads_.emplace_back([this, check = options_.check && i == 0] { Run(check); });
  }
}

Client::~Client() {
  std::vector<std::thread> threads;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  const uint64_t one = 1;
  IMGFLEET_CHECK(write(stop_event_, &one, sizeof(one)) == sizeof(one));
  for (std::thread& thread : threads) thread.join();
  close(stop_event_);
  for (DecodeRequest& left : queue_) left.done(Ended());
}

void Client::Decode(DecodeRequest request) {
  Decoding answer;
  if (!FormatOf(request.format).has_value()) {
    answer = Failed(Decoding::kUnsupported, absl::StrCat("images of format ", request.format,
                                                         " are not decoded, only ", kFormatNames));
  } else if (uint64_t{request.width} * request.height > kMaxPixels) {
    answer = Failed(Decoding::kTooLarge,
                    absl::StrCat("the image says to be ", request.width, " x ", request.height,
                                 " pixels; at most ", kMaxPixels, " are decoded"));
  } else {
    absl::MutexLock lock(&mutex_);
    if (!stopping_ && !threads_.empty()) {
      queue_.push_back(std::move(request));
      return;
    }
    answer = stopping_ ? Ended() : Failed(status_);
  }
  request.done(std::move(answer));
}

bool Client::Take(DecodeRequest* next) {
  absl::MutexLock lock(&mutex_);
  auto wanted = [this] {
    mutex_.AssertReaderHeld();
    return stopping_ || !queue_.empty();
  };
  mutex_.Await(absl::Condition(&wanted));
  if (stopping_) return false;
  *next = std::move(queue_.front());
  queue_.pop_front();
  return true;
}

void Client::Run(bool check) {
  ProcessPtr process;
  if (check) (void)Ensure(&process);
  DecodeRequest next;
  while (Take(&next)) {
    const bool unwanted = next.abandoned && next.abandoned();
    Decoding decoding =
        unwanted ? Failed(Decoding::kAbandoned, "the item is no longer wanted here") : Serve(next, &process);
    // The file's memory first: `done` may give back the budget that counts it.
    std::string().swap(next.file);
    next.done(std::move(decoding));
    next = {};
  }
}

// A process that is locked in.
absl::Status Client::Ensure(ProcessPtr* process) {
  if (*process != nullptr && (*process)->Alive()) return absl::OkStatus();
  process->reset();
  {
    absl::MutexLock lock(&mutex_);
    if (!status_.ok() && clock_.Boot() < retry_at_) return status_;
  }
  absl::StatusOr<ProcessPtr> made = Process::Start(program_, stop_event_, clock_);
  const absl::Status started = made.status();
  if (made.ok()) *process = *std::move(made);
  if (!absl::IsCancelled(started)) NoteStart(started);
  return started;
}

void Client::NoteStart(const absl::Status& started) {
  bool news;
  {
    absl::MutexLock lock(&mutex_);
    news = status_.ok() != started.ok();
    status_ = started;
    if (started.ok()) ++started_;
    retry_at_ = clock_.Boot() + kRetryStart;
  }
  if (!news) return;
  if (started.ok()) {
    log::Info("images are decoded again");
  } else {
    log::Error("no image can be decoded: %s", std::string(started.message()));
  }
}

Decoding Client::Serve(const DecodeRequest& request, ProcessPtr* process) {
  if (absl::Status ready = Ensure(process); !ready.ok()) return Failed(ready);
  RequestHead head;
  head.format = *FormatOf(request.format);
  head.orientation = static_cast<uint8_t>(std::clamp(request.orientation, 1u, 8u));
  head.file_bytes = request.file.size();
  absl::StatusOr<Answer> answer = (*process)->Ask(head, request.file, options_.timeout);
  if (!answer.ok() || answer->last) process->reset();
  if (!answer.ok()) return Failed(answer.status());
  Decoding decoding;
  decoding.kind = ToKind(answer->status);
  decoding.facts = std::move(answer->facts);
  decoding.message = std::move(answer->text);
  return decoding;
}

absl::Status Client::status() const {
  absl::MutexLock lock(&mutex_);
  return status_;
}

uint64_t Client::started() const {
  absl::MutexLock lock(&mutex_);
  return started_;
}

}  // namespace imgfleet::decoder
