// The coordinator, put together: ledger, lists and the gRPC services over them.
//
//   Coordinator::Options options;
//   options.listen = {"127.0.0.1", 7070};
//   options.store = "sqlite:imgfleet.db";
//   ASSIGN_OR_RETURN(auto coordinator, Coordinator::Start(options, metrics, clock));
//   ...
//   coordinator->Shutdown();
//
// With no address to listen on and the store "memory:" it serves this process alone, through InProcessChannel(); that
// starts in milliseconds.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/config/host_port.h"
#include "common/http/client.h"
#include "common/metrics/metrics.h"
#include "common/s3/place.h"
#include "coordinator/core/quota.h"
#include "coordinator/lists/parquet_list.h"
#include "grpcpp/channel.h"

namespace imgfleet {

// Thread-safe, except that Shutdown is called once.
class Coordinator {
 public:
  struct Options {
    config::HostPort listen;        // Empty: this process only. Port 0: the system chooses.
    std::string store = "memory:";  // As store::OpenStore takes it.
    std::vector<std::string> list_roots;
    std::string spool;           // Folder for temporary files, of large lists; empty: $TMPDIR, or /tmp.
    http::Client::Options http;  // For lists behind URLs.
    s3::Endpoint s3;
    uint64_t spool_limit = uint64_t{8} << 30;  // Bytes that one list may take in `spool`.
    lists::ParquetOptions parquet;
    std::string credentials;  // Folder of credentials that jobs may name; empty: none.
    absl::Duration lease_period = absl::Seconds(15);
    std::vector<std::string> origin_limits;  // HOST=CONCURRENCY[,RATE/s], of all workers together.
    core::Quotas quotas;
    absl::Duration retention = absl::InfiniteDuration();  // Of jobs that have ended.
    // Of a worker's stream. A connection is to be renewed a little before, see Serve in the .cc.
    absl::Duration max_stream_age = absl::Minutes(10);
    int list_threads = 2;  // Parse lists.
    int read_threads = 2;  // Read results and events.
  };

  // `metrics` and `clock` must outlive it. Fails where the store cannot be opened, a list folder is none, or the address
  // cannot be listened on.
  static absl::StatusOr<std::unique_ptr<Coordinator>> Start(const Options& options,
                                                            metrics::Registry& metrics, const Clock& clock);
  ~Coordinator();  // Shuts down if that was not done.

  // A connection from inside the process.
  std::shared_ptr<grpc::Channel> InProcessChannel();
  // Where it listens, with the port the system chose.
  config::HostPort address() const;
  // OK while requests are served.
  absl::Status Ready() const;

  // Health says NOT_SERVING, streams end with UNAVAILABLE, calls in work are answered, then the store is closed.
  void Shutdown();

 private:
  class Parts;

  explicit Coordinator(std::unique_ptr<Parts> parts);

  const std::unique_ptr<Parts> parts_;
};

}  // namespace imgfleet
