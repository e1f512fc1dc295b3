#include "coordinator/lists/places.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/credentials.h"
#include "common/list_root.h"
#include "common/status.h"
#include "coordinator/lists/format.h"
#include "coordinator/lists/remote_list.h"
#include "coordinator/lists/temporary_file.h"

namespace imgfleet::lists {
namespace {

constexpr absl::Duration kStep = absl::Milliseconds(100);

// Lists that Parquet is read of at a time: each takes memory, beside the coordinator's own.
constexpr int kParquetTurns = 2;

Places::Options WithTurns(Places::Options options) {
  if (options.parquet.turns == nullptr) options.parquet.turns = std::make_shared<ParquetTurns>(kParquetTurns);
  return options;
}

// A list of which the first bytes were read to see what it is, and are handed on with the rest.
class BegunList final : public Source {
 public:
  explicit BegunList(std::unique_ptr<Source> list) : list_(std::move(list)) {}

  absl::Status ReadFirst(const std::function<bool()>& stopped) {
    while (first_.size() < kMagicBytes) {
      if (stopped && stopped()) return absl::CancelledError("stopped");
      ASSIGN_OR_RETURN(const std::optional<std::string> piece, list_->Read(kStep));
      if (!piece.has_value()) continue;
      if (piece->empty()) break;
      first_ += *piece;
    }
    return absl::OkStatus();
  }
  const std::string& first() const { return first_; }

  absl::StatusOr<std::optional<std::string>> Read(absl::Duration patience) override {
    if (!first_.empty()) return std::exchange(first_, std::string());
    return list_->Read(patience);
  }
  absl::StatusOr<Identity> identity() const override { return list_->identity(); }

 private:
  const std::unique_ptr<Source> list_;
  std::string first_;
};

}  // namespace

Places::Places(Options options, const Clock& clock)
    : options_(WithTurns(std::move(options))), clock_(clock), client_(options_.http) {}

bool Places::IsRemote(absl::string_view path) { return absl::StrContains(path, "://"); }

std::string Places::Shown(absl::string_view path) {
  return IsRemote(path) ? http::ShownUrl(path) : std::string(path);
}

absl::StatusOr<std::unique_ptr<Source>> Places::Open(v1::ListFile& list, const std::optional<Identity>& then,
                                                     std::function<bool()> stopped) const {
  if (list.path().empty()) {
    return absl::InvalidArgumentError("file.path: name a list below a list folder, or a URL");
  }
  return IsRemote(list.path()) ? OpenRemote(list, then, std::move(stopped)) : OpenFile(list, then);
}

bool Places::IsParquetList(const v1::ListFile& list, absl::string_view name, absl::string_view first) {
  if (list.format() != v1::LIST_FORMAT_UNSPECIFIED) return list.format() == v1::PARQUET;
  return IsParquet(first) || FormatOfName(name) == v1::PARQUET;
}

absl::StatusOr<std::unique_ptr<SpooledList>> Places::Spool(const v1::ListFile& list,
                                                           const std::string& name) const {
  RETURN_IF_ERROR(ParquetList::Open(nullptr, name, list, options_.parquet, clock_).status());
  return SpooledList::Open(options_.spool, name, options_.spool_limit);
}

absl::StatusOr<std::unique_ptr<Source>> Places::OpenSpooled(std::unique_ptr<SpooledList> spooled,
                                                            const v1::ListFile& list,
                                                            const std::string& name) const {
  return ParquetList::Open(std::move(spooled), name, list, options_.parquet, clock_);
}

absl::StatusOr<std::unique_ptr<FileSource>> Places::OpenPlainFile(const v1::ListFile& list,
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

absl::StatusOr<std::unique_ptr<Source>> Places::OpenFile(v1::ListFile& list,
                                                         const std::optional<Identity>& then) const {
  ASSIGN_OR_RETURN(std::unique_ptr<FileSource> source, OpenPlainFile(list, then));
  ASSIGN_OR_RETURN(const std::optional<int> fd, source->File(absl::ZeroDuration()));
  char first[kMagicBytes];
  ASSIGN_OR_RETURN(const size_t got, ReadAt(*fd, first, sizeof first, 0));
  if (!IsParquetList(list, list.path(), absl::string_view(first, got))) return source;
  list.set_format(v1::PARQUET);
  return ParquetList::Open(std::move(source), list.path(), list, options_.parquet, clock_);
}

absl::StatusOr<std::unique_ptr<Source>> Places::OpenRemote(v1::ListFile& list,
                                                           const std::optional<Identity>& then,
                                                           std::function<bool()> stopped) const {
  RemoteList::Options options;
  options.spool = options_.spool;
  options.stopped = std::move(stopped);
  options.clock = &clock_;
  options.spool_limit = options_.spool_limit;
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
  const std::string name = Shown(list.path());
  if (!IsParquetList(list, name, "")) {
    auto source = std::make_unique<RemoteList>(client_, url, then, options);
    // What it was taken for the first time it stays.
    if (then.has_value()) return source;
    RETURN_IF_ERROR(source->Open());
    auto begun = std::make_unique<BegunList>(std::move(source));
    RETURN_IF_ERROR(begun->ReadFirst(options.stopped));
    if (!IsParquetList(list, name, begun->first())) return begun;
  }
  list.set_format(v1::PARQUET);
  options.always_spool = true;
  auto source = std::make_unique<RemoteList>(client_, std::move(url), then, std::move(options));
  RemoteList& remote = *source;
  // Before anything is asked for: whether it could be read here.
  ASSIGN_OR_RETURN(std::unique_ptr<Source> rows,
                   ParquetList::Open(std::move(source), name, list, options_.parquet, clock_));
  if (!then.has_value()) RETURN_IF_ERROR(remote.Open());
  return rows;
}

}  // namespace imgfleet::lists
