// Lets go of gRPC's channels in a place where that is safe.
#pragma once

#include <memory>

namespace imgfleet {

// Drops the reference on a thread kept for this. A callback of gRPC that may hold the last reference to a
// client's context, and with it to the channel, gives it here: whoever drops the last channel joins gRPC's
// callback threads, and one of those cannot join itself (gRPC 1.51 aborts). Thread-safe.
void ReleaseElsewhere(std::shared_ptr<void> reference);

}  // namespace imgfleet
