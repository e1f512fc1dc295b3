// Where objects lie: s3://BUCKET/KEY as a URL at an endpoint.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/http/client.h"
#include "common/s3/sigv4.h"

namespace imgfleet::s3 {

struct Endpoint {
  std::string url;  // "https://HOST[:PORT]"; empty: AWS's, of the region.
  std::string region = "us-east-1";
  // BUCKET.HOST instead of HOST/BUCKET. AWS's own endpoints are asked so anyway, but for buckets with a dot, whose names
  // no certificate covers.
  bool virtual_host = false;
};

struct Place {
  std::string url;   // To be asked for.
  std::string host;  // What Sign wants.
  std::string path;
};

bool IsS3Url(absl::string_view url);

// INVALID_ARGUMENT where `s3_url` is not s3://BUCKET/KEY, or the endpoint no URL of a host.
absl::StatusOr<Place> Find(absl::string_view s3_url, const Endpoint& endpoint);

// Signs the request for `place`, its headers and its body included. No access key: nothing is added, for what is
// public.
void Authorize(const Place& place, const Endpoint& endpoint, const Credential& credential, absl::Time now,
               http::Request& request);

}  // namespace imgfleet::s3
