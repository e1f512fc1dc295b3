#include "common/s3/place.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace imgfleet::s3 {
namespace {

constexpr absl::string_view kScheme = "s3://";

}  // namespace

bool IsS3Url(absl::string_view url) { return absl::StartsWithIgnoreCase(url, kScheme); }

absl::StatusOr<Place> Find(absl::string_view s3_url, const Endpoint& endpoint) {
  const absl::string_view rest = IsS3Url(s3_url) ? s3_url.substr(kScheme.size()) : absl::string_view();
  const size_t slash = rest.find('/');
  const absl::string_view bucket = rest.substr(0, slash);
  if (bucket.empty() || slash == absl::string_view::npos || slash + 1 == rest.size() ||
      bucket.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") !=
          absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("\"", s3_url, "\" is not s3://BUCKET/KEY"));
  }
  const bool own = !endpoint.url.empty();
  const std::string base =
      own ? endpoint.url : absl::StrCat("https://s3.", endpoint.region, ".amazonaws.com");
  const size_t scheme_end = base.find("://");
  if (!http::IsHttpUrl(base)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the S3 endpoint \"", http::ShownUrl(base), "\" is not https://HOST[:PORT]"));
  }
  const absl::string_view scheme = absl::string_view(base).substr(0, scheme_end);
  absl::string_view host = absl::StripSuffix(absl::string_view(base).substr(scheme_end + 3), "/");
  if (host.empty() || host.find_first_of("/?#@") != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("the S3 endpoint \"", http::ShownUrl(base),
                                                   "\" is not https://HOST[:PORT] without a path"));
  }
  // The scheme's own port stands in no Host header.
  host = absl::StripSuffix(host, absl::EqualsIgnoreCase(scheme, "https") ? ":443" : ":80");
  const bool virtual_host = own ? endpoint.virtual_host : !absl::StrContains(bucket, ".");
  const std::string key = EncodePath(rest.substr(slash));
  Place place;
  place.host = virtual_host ? absl::StrCat(bucket, ".", host) : std::string(host);
  place.path = virtual_host ? key : absl::StrCat("/", bucket, key);
  place.url = absl::StrCat(scheme, "://", place.host, place.path);
  return place;
}

void Authorize(const Place& place, const Endpoint& endpoint, const Credential& credential, absl::Time now,
               http::Request& request) {
  if (credential.access_key_id.empty()) return;
  Signed to_sign{request.method, place.host, place.path, {}, request.headers, Sha256Hex(request.body)};
  for (auto& header : Sign(to_sign, credential, endpoint.region, now))
    request.secrets.push_back(std::move(header));
}

}  // namespace imgfleet::s3
