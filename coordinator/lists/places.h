// Where lists may lie, and how one is opened: below a list folder, behind an http or https URL, in an S3 bucket.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/clock.h"
#include "common/http/client.h"
#include "common/s3/place.h"
#include "coordinator/lists/parquet_list.h"
#include "coordinator/lists/source.h"
#include "coordinator/lists/spooled_list.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::lists {

// Immutable, thread-safe.
class Places {
 public:
  struct Options {
    std::vector<std::string> roots;  // List folders.
    std::string spool;               // For temporary files; empty: $TMPDIR, or /tmp.
    http::Client::Options http;
    s3::Endpoint s3;
    std::string credentials;                   // The folder of common/credentials.h; empty: none.
    uint64_t spool_limit = uint64_t{8} << 30;  // Bytes that one list may take in `spool`.
    ParquetOptions parquet;
  };

  Places(Options options, const Clock& clock);

  // Whether a list's path is a URL that is read from elsewhere.
  static bool IsRemote(absl::string_view path);
  // The path as messages show it and the format is told by: of a URL no query, which may be secret.
  static std::string Shown(absl::string_view path);

  // Opens a list; `stopped` ends what is being waited for, from then on. Without `then` a remote list is asked for
  // at once, so that what is wrong shows; with it, the list must be the one of that identity.
  // A list that is Parquet is given as rows (lists/parquet_list.h), and `list.format` says so from then on.
  //   NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT, FAILED_PRECONDITION, UNAVAILABLE  the message says what to do
  absl::StatusOr<std::unique_ptr<Source>> Open(v1::ListFile& list, const std::optional<Identity>& then,
                                               std::function<bool()> stopped) const;

  // For a list that is sent in pieces, of which `first` are the first bytes (format.h: kMagicBytes, unless it is shorter):
  // whether it is Parquet, and so has to be spooled as a whole.
  static bool IsParquetList(const v1::ListFile& list, absl::string_view name, absl::string_view first);
  // The temporary file to spool it to, then its rows. Both fail where Parquet cannot be read here.
  absl::StatusOr<std::unique_ptr<SpooledList>> Spool(const v1::ListFile& list, const std::string& name) const;
  absl::StatusOr<std::unique_ptr<Source>> OpenSpooled(std::unique_ptr<SpooledList> spooled,
                                                      const v1::ListFile& list,
                                                      const std::string& name) const;

  const std::string& spool() const { return options_.spool; }

 private:
  absl::StatusOr<std::unique_ptr<Source>> OpenRemote(v1::ListFile& list, const std::optional<Identity>& then,
                                                     std::function<bool()> stopped) const;
  absl::StatusOr<std::unique_ptr<Source>> OpenFile(v1::ListFile& list,
                                                   const std::optional<Identity>& then) const;
  absl::StatusOr<std::unique_ptr<FileSource>> OpenPlainFile(const v1::ListFile& list,
                                                            const std::optional<Identity>& then) const;

  const Options options_;
  const Clock& clock_;
  const http::Client client_;
};

}  // namespace imgfleet::lists
