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
#include <functional>
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
    // Where the store does not open, and somebody may mend that from outside (store::MendedByWaiting): be there, not ready,
    // answer every call with UNAVAILABLE and why, and serve once it opens. Otherwise Start fails.
    bool wait_for_store = false;
    // Called once, on a thread of the coordinator's, where it turns out that the store will never open: see Refused.
    std::function<void()> store_refused;
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

  // `metrics` and `clock` must outlive it; `clock` the process, where the store is waited for. Fails where the store cannot
  // be opened, a list folder is none, or the address cannot be listened on.
  static absl::StatusOr<std::unique_ptr<Coordinator>> Start(const Options& options,
                                                            metrics::Registry& metrics, const Clock& clock);
  ~Coordinator();  // Shuts down if that was not done.

  // A connection from inside the process.
  std::shared_ptr<grpc::Channel> InProcessChannel();
  // Where it listens, with the port the system chose.
  config::HostPort address() const;
  // OK while requests are served: the store is open and works (store/store_health.h), and nobody has asked to stop. Else why
  // not, in one line that names the store and shows no password. gRPC's health service says the same.
  absl::Status Ready() const;
  // Why the store will never open, where it was waited for; else OK.
  absl::Status Refused() const;

  // The end, in two steps, for whoever sends clients here by what health says needs a while to hear of it. From the first
  // on Ready and health say no, and everything is served as before, new connections too. False where nothing was served
  // yet, so that there is nothing to wait for.
  bool BeginDrain();
  // The second, or both: no new calls, streams end with UNAVAILABLE, calls in work are answered within three seconds, then
  // the store is closed. Whatever was acknowledged is durable; what was asked and not answered may or may not have happened.
  void Shutdown();

 private:
  class Parts;

  explicit Coordinator(std::unique_ptr<Parts> parts);

  const std::unique_ptr<Parts> parts_;
};

}  // namespace imgfleet
