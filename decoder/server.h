// What a decoder process does between its lock-in and its end: answers one request after another.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"
#include "decoder/codec.h"
#include "decoder/protocol.h"

namespace imgfleet::decoder {

struct ServerLimits {
  // The largest file, held in memory while it is decoded.
  uint64_t file_bytes = 256u << 20;
  DecodeLimits decode;
  // CPU seconds of the process after which it asks to be replaced: the next image has as many again as the sandbox's
  // limit leaves.
  uint32_t retire_after_cpu_seconds = 10;
};

// The answer to one request.
Answer AnswerTo(const RequestHead& head, absl::string_view file, const DecodeLimits& limits);

// Reads requests from `channel` and writes answers to it, until its other end is closed. False where what came was no
// request.
bool Serve(int channel, const ServerLimits& limits);

// Writes all of an answer; false where the other end is gone.
bool Write(int channel, const Answer& answer);

}  // namespace imgfleet::decoder
