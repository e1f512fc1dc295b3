// Credentials by name: files that the operator mounts into one folder. A job names one; what is in it is read where it is
// used, each time anew, and is in no log, message, store or result.
//
// A file holds lines KEY=VALUE; blank lines and '#' comments are skipped. The keys:
//   access_key_id, secret_access_key, session_token   for S3
//   authorization                                     the Authorization header for http and https, "Bearer ..." say
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace imgfleet {

struct NamedCredential {
  std::string access_key_id, secret_access_key, session_token;
  std::string authorization;
};

// INVALID_ARGUMENT: no name of letters, digits and -_. ; FAILED_PRECONDITION: no folder was given, or the file has lines
// of another kind; NOT_FOUND: no such credential. Messages hold the name alone.
absl::StatusOr<NamedCredential> ReadCredential(const std::string& folder, absl::string_view name);

// That of the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. Empty where they are not set.
NamedCredential CredentialOfEnvironment();

}  // namespace imgfleet
