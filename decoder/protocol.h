// What passes between the client and a decoder process, over a stream socket. Little-endian; pure functions.
//
// The process begins with an answer of its own: status kOk, it is locked in and ready; or kRefused, and why. Then each
// request (a head, followed by the file's bytes) gets one answer, in order; there is never more than one under way.
// Neither side trusts the other's bytes: sizes are bounded before anything is held, and what breaks the form ends the
// conversation.
//
//   request head, 16 bytes          answer head, 32 bytes
//    0  u32 magic "IFd1"             0  u32 magic "IFa1"
//    4  u8  format                   4  u8  status
//    5  u8  orientation, EXIF        5  u8  1: has colours; 2: the process ends now, start another
//    6  u16 0                        6  u16 bytes of the text behind the head
//    8  u64 bytes of the file        8  u64 phash
//                                   16  u8  average red, green, blue, dominant red, green, blue
//                                   22  u16 0
//                                   24  u64 0
//                                   the text: the BlurHash with kOk (none behind the first answer, which speaks of
//                                   no image), else one sentence for a person
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "decoder/facts.h"
#include "decoder/format.h"

namespace imgfleet::decoder {

inline constexpr size_t kRequestHeadBytes = 16, kAnswerHeadBytes = 32;
inline constexpr size_t kMaxTextBytes = 400;

struct RequestHead {
  Format format = Format::kJpeg;
  uint8_t orientation = 1;
  uint64_t file_bytes = 0;
};

// The status of one decoding, or of the process.
enum class AnswerStatus : uint8_t {
  kOk = 0,
  kUnsupported = 1,
  kTooLarge = 2,
  kTruncated = 3,
  kCorrupt = 4,
  kInternal = 5,
  kRefused = 6,  // Of the process: it has no sandbox.
};

struct Answer {
  AnswerStatus status = AnswerStatus::kInternal;
  // The process ends behind this answer.
  bool last = false;
  PixelFacts facts;  // With kOk.
  std::string text;  // Else why not.
};

std::string Encode(const RequestHead& head);
// Nothing where the head is none, or its format or orientation does not exist.
std::optional<RequestHead> ParseRequestHead(absl::string_view bytes);

std::string Encode(const Answer& answer);
// Of the text behind a head of kAnswerHeadBytes; nothing where it is no head.
std::optional<size_t> AnswerTextBytes(absl::string_view head);
// `bytes` are head and text. Nothing where they are no answer. The text is printable ASCII; a BlurHash is one in
// form, or empty.
std::optional<Answer> ParseAnswer(absl::string_view bytes);

}  // namespace imgfleet::decoder
