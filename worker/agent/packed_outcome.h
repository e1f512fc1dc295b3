// An outcome as chunks carry it. Packed on the thread that made it: bytes cross to the agent's thread in one buffer,
// where messages would cost each of their strings twice.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "proto/imgfleet/v1/image.pb.h"

namespace imgfleet::agent {

struct PackedOutcome {
  // A serialised v1.OutcomeChunk with this one outcome: such messages concatenate to the one with all of them.
  absl::string_view bytes;
  // What is counted of it.
  bool failed = false;
  v1::ItemError::Reason reason = v1::ItemError::REASON_UNSPECIFIED;
  uint64_t fetched_bytes = 0;
  // The origin wants to be asked again after this time; zero where it has not said so.
  absl::Duration put_off;
};

// Appends the outcome to `buffer`; the result's bytes are the end of it, until it grows again.
PackedOutcome PackTo(const v1::Outcome& outcome, std::string* buffer);

}  // namespace imgfleet::agent
