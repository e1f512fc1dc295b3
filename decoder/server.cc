#include "decoder/server.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <new>
#include <string>

#include "absl/strings/str_cat.h"
#include "decoder/codec.h"
#include "decoder/facts.h"
#include "decoder/profile.h"

namespace imgfleet::decoder {
namespace {

// The bytes read: fewer than `size` only at the stream's end.
size_t ReadFully(int fd, char* to, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t count = read(fd, to + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += count;
  }
  return done;
}

// Reads and forgets.
bool Skip(int fd, uint64_t size) {
  char buffer[4096];
  while (size > 0) {
    const size_t count = ReadFully(fd, buffer, std::min<uint64_t>(size, sizeof(buffer)));
    if (count == 0) return false;
    size -= count;
  }
  return true;
}

double CpuSeconds() {
  timespec used = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + used.tv_nsec * 1e-9;
}

AnswerStatus ToAnswerStatus(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnimplemented:
      return AnswerStatus::kUnsupported;
    case absl::StatusCode::kResourceExhausted:
      return AnswerStatus::kTooLarge;
    case absl::StatusCode::kOutOfRange:
      return AnswerStatus::kTruncated;
    case absl::StatusCode::kDataLoss:
      return AnswerStatus::kCorrupt;
    default:
      return AnswerStatus::kInternal;
  }
}

Answer Refusal(AnswerStatus status, std::string text) {
  Answer answer;
  answer.status = status;
  answer.text = std::move(text);
  return answer;
}

}  // namespace

Answer AnswerTo(const RequestHead& head, absl::string_view file, const DecodeLimits& limits) {
  absl::StatusOr<Decoded> decoded = Decode(head.format, file, limits);
  if (!decoded.ok())
    return Refusal(ToAnswerStatus(decoded.status().code()), std::string(decoded.status().message()));
  ToSrgb(decoded->icc, &decoded->raster);
  Answer answer;
  answer.status = AnswerStatus::kOk;
  answer.facts = FactsOf(Oriented(std::move(decoded->raster), decoded->oriented ? 1 : head.orientation));
  return answer;
}

bool Write(int channel, const Answer& answer) {
  const std::string bytes = Encode(answer);
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t count = write(channel, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    done += count;
  }
  return true;
}

bool Serve(int channel, const ServerLimits& limits) {
  while (true) {
    char head_bytes[kRequestHeadBytes];
    const size_t count = ReadFully(channel, head_bytes, sizeof(head_bytes));
    if (count == 0) return true;
    const std::optional<RequestHead> head = ParseRequestHead(absl::string_view(head_bytes, count));
    if (!head.has_value()) return false;
    Answer answer;
    std::unique_ptr<char[]> file;
    if (head->file_bytes <= limits.file_bytes) file.reset(new (std::nothrow) char[head->file_bytes]);
    if (file == nullptr) {
      if (!Skip(channel, head->file_bytes)) return false;
      answer = Refusal(AnswerStatus::kTooLarge,
                       absl::StrCat("a file of ", head->file_bytes >> 20,
                                    " MiB is more than the decoder's memory holds; at most ",
                                    limits.file_bytes >> 20, " MiB are decoded"));
    } else {
      if (ReadFully(channel, file.get(), head->file_bytes) != head->file_bytes) return false;
      answer = AnswerTo(*head, absl::string_view(file.get(), head->file_bytes), limits.decode);
    }
    // A process whose memory ran out may have it in pieces.
    answer.last = answer.status == AnswerStatus::kTooLarge || CpuSeconds() >= limits.retire_after_cpu_seconds;
    if (!Write(channel, answer)) return false;
    if (answer.last) return true;
  }
}

}  // namespace imgfleet::decoder
