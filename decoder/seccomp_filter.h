// The decoder's filter of system calls: sandbox.h says what it is for.
#pragma once

#include "absl/status/status.h"

namespace imgfleet::decoder {

// From now on, for ever: reading and writing is allowed on `channel` only. Needs no_new_privs.
absl::Status FilterSystemCalls(int channel);

}  // namespace imgfleet::decoder
