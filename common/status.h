// The bridge between absl::Status, which all of imgfleet speaks, and gRPC's and HTTP's words for it.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "grpcpp/support/status.h"

namespace imgfleet {

// The codes are numbered alike; messages are carried over unchanged.
grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

// The HTTP status code that answers a failed request best: 400, 404, 409, 422, 429, 499, 500, 501, 503, 504,
// ...
int HttpCode(absl::StatusCode code);

// `status` with "context: " put before its message; OK stays OK.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

}  // namespace imgfleet

#define IMGFLEET_CONCAT_INNER(a, b) a##b
#define IMGFLEET_CONCAT(a, b) IMGFLEET_CONCAT_INNER(a, b)

// Leaves the function with the status unless it is OK.
#define RETURN_IF_ERROR(expression)                                         \
  do {                                                                      \
    if (absl::Status status_ = (expression); !status_.ok()) return status_; \
  } while (false)

// ASSIGN_OR_RETURN(auto file, Open(path)): leaves the function with the status unless there is a value.
#define ASSIGN_OR_RETURN(declaration, expression) \
  ASSIGN_OR_RETURN_INNER(IMGFLEET_CONCAT(status_or_, __LINE__), declaration, expression)
#define ASSIGN_OR_RETURN_INNER(status_or, declaration, expression) \
  auto status_or = (expression);                                   \
  if (!status_or.ok()) return std::move(status_or).status();       \
  declaration = *std::move(status_or)
