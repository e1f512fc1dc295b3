// GET /api/v1/jobs/{id}/results: a job's outcomes in the order of its list.
//
//   ?format=ndjson|csv|json   else by the Accept header, else ndjson; json is one array
//   ?from=INDEX               the first index wanted: one more than the last that came, to go on after a
//   break ?follow=true              wait for outcomes that are still missing, until the job has ended
//
// Without follow, what comes ends where the first shard without all its outcomes begins or breaks off.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "gateway/http.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"

namespace imgfleet::gateway {

enum class ResultFormat { kNdjson, kCsv, kJson };

struct ResultsRequest {
  ResultFormat format = ResultFormat::kNdjson;
  uint64_t from_index = 0;
  bool follow = false;
  bool gaps = false;  // The job has no item for some indices.
};

// INVALID_ARGUMENT names the parameter.
absl::StatusOr<ResultsRequest> ParseResultsRequest(const Request& request);

Task<absl::Status> StreamResults(v1::Jobs::Stub& jobs, std::string job_id, ResultsRequest wanted,
                                 bool head_only, Response& response);

}  // namespace imgfleet::gateway
