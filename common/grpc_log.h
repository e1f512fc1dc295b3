// gRPC's own log lines, which would otherwise go to stderr in a form of their own.
#pragma once

namespace imgfleet::log {

// From here on they are lines of ours, at level debug: what matters in them reaches the caller as a status, too.
void AdoptGrpcLog();

}  // namespace imgfleet::log
