// FetchNow: a request of the express lane, carried by gRPC.
#pragma once

#include "coordinator/service/express_lane.h"
#include "grpcpp/support/server_callback.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::service {

// The reactor to return to gRPC; it owns itself. `lane` must outlive the streams.
grpc::ServerWriteReactor<v1::Outcomes>* StartFetchNow(ExpressLane& lane, const v1::FetchNowRequest& request);

}  // namespace imgfleet::service
