// The worker's side of decoding: a pool of decoder processes, each handed one file at a time.
//
//   decoder::Client client({.program = "auto"}, Clock::System());
//   client.Decode({.format = "jpeg", .orientation = 6, .file = std::move(body), .done = [](Decoding decoding) { ... }});
//
// A process that dies, hangs or breaks the protocol is killed and replaced, and costs the one image it was given. Each
// is served by a thread of its own, so that nobody waits for another's image; processes are started when they are first
// needed. A worker that decodes nothing pays nothing, unless it asks for one process at once (Options::check). Where the
// process was started with SIGCHLD ignored, it no longer is.
//
// What waits in the queue is bounded by whoever fills it: the worker's byte budget sets every file's bytes aside until its
// image is done.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "decoder/facts.h"

namespace imgfleet::decoder {

class Process;

// Bytes that one process takes at most: its program and libraries, and what its sandbox lets it have beside them.
inline constexpr uint64_t kProcessBytes = 544u << 20;

// What became of one image.
struct Decoding {
  enum Kind : uint8_t {
    kDecoded,      // `facts` holds them.
    kUnsupported,  // Its format, or this variant of it, is not decoded.
    kTooLarge,     // More pixels or memory than a decoder is given.
    kTruncated,    // The file ends before the image does.
    kCorrupt,      // It is damaged.
    kTimeout,      // It took too long, or more CPU time than a decoder is given.
    kDied,         // The decoder died of it, or answered nonsense.
    kUnavailable,  // No decoder can be started on this worker: it may go well on another.
    kAbandoned,    // Nobody wanted it any more, or the client is being destroyed.
  };
  Kind kind = kAbandoned;
  PixelFacts facts;
  std::string message;  // Unless decoded: one sentence for a person, printable ASCII.
};

struct DecodeRequest {
  std::string format;              // As v1.ImageInfo.format names it.
  uint32_t width = 0, height = 0;  // As stored; 0: not known.
  uint32_t orientation = 1;        // EXIF.
  std::string file;
  // May be empty. True: the answer is wanted by nobody, do not begin.
  std::function<bool()> abandoned;
  // Called once, on one of the client's threads, or on the caller's where no process is needed to answer.
  std::function<void(Decoding)> done;
};

// Thread-safe.
class Client {
 public:
  struct Options {
    // Path of imgfleet-decoder; "auto": beside the running program, or where a build tree has it, in ../decoder; empty:
    // nothing is decoded.
    std::string program = {};
    uint32_t processes = 0;  // 0: one a core.
    // For one image; the decoder's own limit of CPU time is shorter.
    absl::Duration timeout = absl::Seconds(60);
    // Start one process at once, so that status() tells early whether there can be any.
    bool check = false;
  };
  // `clock` must outlive it.
  Client(Options options, const Clock& clock);
  // Every `done` has been called when it returns; running processes are killed.
  ~Client();

  void Decode(DecodeRequest request);

  // FAILED_PRECONDITION where no decoder could be started when one was last tried, and why; it is said in the log, once.
  absl::Status status() const;
  // Processes started so far.
  uint64_t started() const;

 private:
  using ProcessPtr = std::unique_ptr<Process>;

  // A thread: serves one process after another.
  void Run(bool check);
  // False when the client ends.
  bool Take(DecodeRequest* next);
  Decoding Serve(const DecodeRequest& request, ProcessPtr* process);
  // Has a process that is locked in.
  absl::Status Ensure(ProcessPtr* process);
  void NoteStart(const absl::Status& started);

  const Options options_;
  const std::string program_;
  const Clock& clock_;
  const int stop_event_;  // Readable from the destructor's beginning on.

  mutable absl::Mutex mutex_;
  std::deque<DecodeRequest> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  absl::Time retry_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  uint64_t started_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace imgfleet::decoder
