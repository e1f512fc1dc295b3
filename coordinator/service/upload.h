// UploadJob: a list that comes in pieces becomes a job that is worked on while it still comes.
//
// The job is made when the first row is there, so a list with a bad header makes none. A Parquet list is spooled to a file
// until it is whole, and read then. One message is taken at a time
// and the next one only asked for when the shards of the last are durable: that is what holds back the client.
#pragma once

#include <functional>
#include <string>

#include "common/clock.h"
#include "coordinator/service/list_files.h"
#include "coordinator/store/ledger.h"
#include "grpcpp/support/server_callback.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::service {

struct UploadContext {
  store::Ledger& ledger;
  const Clock& clock;
  ListFiles& lists;
  std::function<void(const std::string& job_id)> job_ended;
};

// The reactor to return to gRPC; it owns itself. `context` must outlive the streams.
grpc::ServerBidiReactor<v1::UploadJobRequest, v1::Job>* StartUpload(const UploadContext& context);

}  // namespace imgfleet::service
