#include "common/grpc_log.h"

#include "common/log.h"
#include "grpc/support/log.h"

namespace imgfleet::log {

void AdoptGrpcLog() {
  gpr_set_log_function([](gpr_log_func_args* args) { Debug("grpc: %s", args->message); });
}

}  // namespace imgfleet::log
