#include "coordinator/lists/places.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/credentials.h"
#include "common/list_root.h"
#include "common/status.h"
#include "coordinator/lists/remote_list.h"

namespace imgfleet::lists {

Places::Places(Options options, const Clock& clock)
    : options_(std::move(options)), clock_(clock), client_(options_.http) {}

bool Places::IsRemote(absl::string_view path) { return absl::StrContains(path, "://"); }

std::string Places::Shown(absl::string_view path) {
  return IsRemote(path) ? http::ShownUrl(path) : std::string(path);
}

absl::StatusOr<std::unique_ptr<Source>> Places::Open(const v1::ListFile& list,
                                                     const std::optional<Identity>& then,
                                                     std::function<bool()> stopped) const {
  if (list.path().empty()) {
    return absl::InvalidArgumentError("file.path: name a list below a list folder, or a URL");
  }
  return IsRemote(list.path()) ? OpenRemote(list, then, std::move(stopped)) : OpenFile(list, then);
}

absl::StatusOr<std::unique_ptr<Source>> Places::OpenFile(const v1::ListFile& list,
                                                         const std::optional<Identity>& then) const {
  ASSIGN_OR_RETURN(OwnedFd fd, OpenBeneath(options_.roots, list.path()));
  auto source = std::make_unique<FileSource>(std::move(fd), list.path());
  if (!then.has_value()) return source;
  ASSIGN_OR_RETURN(const Identity now, source->identity());
  if (now == *then) return source;
  return absl::FailedPreconditionError(absl::StrCat(list.path(), ": changed while it was being read (",
                                                    then->size_bytes, " bytes then, ", now.size_bytes,
                                                    " after a restart of the coordinator); submit it again"));
}

absl::StatusOr<std::unique_ptr<Source>> Places::OpenRemote(const v1::ListFile& list,
                                                           const std::optional<Identity>& then,
                                                           std::function<bool()> stopped) const {
  RemoteList::Options options;
  options.spool = options_.spool;
  options.stopped = std::move(stopped);
  options.clock = &clock_;
  const auto credential = [this, name = list.credential()]() -> absl::StatusOr<NamedCredential> {
    if (!name.empty()) return ReadCredential(options_.credentials, name);
    return CredentialOfEnvironment();
  };
  std::string url = list.path();
  if (s3::IsS3Url(url)) {
    ASSIGN_OR_RETURN(const s3::Place place, s3::Find(url, options_.s3));
    url = place.url;
    options.authorize = [this, place, credential](http::Request& request) -> absl::Status {
      ASSIGN_OR_RETURN(const NamedCredential keys, credential());
      s3::Authorize(place, options_.s3, {keys.access_key_id, keys.secret_access_key, keys.session_token},
                    clock_.Wall(), request);
      // A redirect would be to another host than was signed for.
      request.follow_redirects = false;
      return absl::OkStatus();
    };
  } else if (!http::IsHttpUrl(url)) {
    return absl::InvalidArgumentError(absl::StrCat("file.path: \"", url.substr(0, url.find("://")),
                                                   "://\" is not read; http, https and s3 are"));
  } else if (!list.credential().empty()) {
    options.authorize = [credential](http::Request& request) -> absl::Status {
      ASSIGN_OR_RETURN(const NamedCredential keys, credential());
      if (!keys.authorization.empty()) request.secrets.emplace_back("Authorization", keys.authorization);
      return absl::OkStatus();
    };
  }
  auto source = std::make_unique<RemoteList>(client_, std::move(url), then, std::move(options));
  if (!then.has_value()) RETURN_IF_ERROR(source->Open());
  return source;
}

}  // namespace imgfleet::lists
