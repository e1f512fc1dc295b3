// AWS Signature Version 4, as S3 wants it: header signatures, the path encoded once.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
//
// Our own because libcurl 7.88's goes wrong on queries and on paths that need escaping.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/http/client.h"

namespace imgfleet::s3 {

// What shows who asks. Never to be logged or stored.
struct Credential {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  // Of temporary credentials; else empty.
};

struct Signed {
  std::string method;
  std::string host;  // As the Host header has it, with a port that is not the scheme's own.
  std::string path;  // Encoded by EncodePath, from its first '/'.
  std::vector<std::pair<std::string, std::string>> query;  // Not encoded.
  http::Headers headers;       // Signed besides Host and the x-amz-* ones that are added.
  std::string payload_sha256;  // In hex; empty: that of an empty body.
};

// The headers to send besides `request.headers`: Authorization, x-amz-date, x-amz-content-sha256, and
// x-amz-security-token where the credential has one.
http::Headers Sign(const Signed& request, const Credential& credential, absl::string_view region,
                   absl::Time now);

// Everything but letters, digits and -._~ becomes %XX; '/' stays.
std::string EncodePath(absl::string_view path);
std::string Sha256Hex(absl::string_view bytes);

}  // namespace imgfleet::s3
