#include "common/credentials.h"

#include <cstdlib>
#include <fstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace imgfleet {
namespace {

bool IsName(absl::string_view name) {
  if (name.empty() || name.size() > 128 || name.front() == '.') return false;
  for (const char c : name) {
    if (!absl::ascii_isalnum(c) && c != '-' && c != '_' && c != '.') return false;
  }
  return true;
}

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

absl::StatusOr<NamedCredential> ReadCredential(const std::string& folder, absl::string_view name) {
  if (!IsName(name)) return absl::InvalidArgumentError("credential: a name of letters, digits and \"-_.\"");
  if (folder.empty()) {
    return absl::FailedPreconditionError("credential: this coordinator holds none; see its --credentials");
  }
  std::ifstream file(absl::StrCat(folder, "/", name));
  if (!file) return absl::NotFoundError(absl::StrCat("credential: there is no \"", name, "\" here"));
  NamedCredential credential;
  const std::pair<absl::string_view, std::string*> keys[] = {
      {"access_key_id", &credential.access_key_id},
      {"secret_access_key", &credential.secret_access_key},
      {"session_token", &credential.session_token},
      {"authorization", &credential.authorization},
  };
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const absl::string_view text = absl::StripAsciiWhitespace(line);
    if (text.empty() || text.front() == '#') continue;
    const size_t equals = text.find('=');
    bool known = false;
    for (const auto& [key, value] : keys) {
      if (equals == absl::string_view::npos || absl::StripAsciiWhitespace(text.substr(0, equals)) != key)
        continue;
      *value = std::string(absl::StripAsciiWhitespace(text.substr(equals + 1)));
      known = true;
    }
    if (!known) {
      return absl::FailedPreconditionError(absl::StrCat("credential \"", name, "\": its line ", number,
                                                        " is not KEY=VALUE with a key that is known"));
    }
  }
  return credential;
}

NamedCredential CredentialOfEnvironment() {
  NamedCredential credential;
  credential.access_key_id = Variable("AWS_ACCESS_KEY_ID");
  credential.secret_access_key = Variable("AWS_SECRET_ACCESS_KEY");
  credential.session_token = Variable("AWS_SESSION_TOKEN");
  return credential;
}

}  // namespace imgfleet
