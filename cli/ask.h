// One call of the Jobs service whose answer is printed: what the verbs of jobs and of schedules share.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "cli/output.h"
#include "common/status.h"
#include "grpcpp/client_context.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"

namespace imgfleet::cli {

using Stub = v1::Jobs::StubInterface;

// The request that names nothing but the job or schedule.
template <typename Request>
Request About(const std::string& id) {
  Request request;
  request.set_id(id);
  return request;
}

// `print(answer)` returns a status.
template <typename Request, typename Answer, typename Print>
absl::Status Ask(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Answer*),
                 const Request& request, Stub& jobs, Output& output, Print print) {
  grpc::ClientContext context;
  Answer answer;
  RETURN_IF_ERROR(FromGrpc((jobs.*method)(&context, request, &answer)));
  RETURN_IF_ERROR(print(answer));
  return output.Flush();
}

// All pages of a listing: `print` gets each of `rows(page)`.
template <typename Request, typename Page, typename Rows, typename Print>
absl::Status List(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Page*), Stub& jobs,
                  Output& output, Rows rows, Print print) {
  Request request;
  do {
    grpc::ClientContext context;
    Page page;
    RETURN_IF_ERROR(FromGrpc((jobs.*method)(&context, request, &page)));
    for (const auto& row : rows(page)) RETURN_IF_ERROR(print(row));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return output.Flush();
}

}  // namespace imgfleet::cli
