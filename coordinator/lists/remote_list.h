// A list behind an http or https URL, or in an object store that speaks HTTP, as a source of bytes.
//
// - Where the server gives a strong ETag and tells where the body ends, the list streams. When the connection breaks it
//   is gone on with at the same byte (Range, If-Range); a server that sends the whole again under the same ETag is
//   skipped through to there. Known again after a restart by the ETag.
// - Where there is no strong ETag nobody could tell whether the second half belongs to the first: the list is spooled to
//   a temporary file first, and read from there. A download that breaks is begun anew; nothing was handed on yet. Known
//   again by its SHA-256: after a restart it is downloaded again, and compared. A body whose end cannot be told from a
//   broken connection (neither length nor chunks) is refused.
// - A list that is another one by then fails with FAILED_PRECONDITION.
//
// What fails at the server's side (5xx, 429, 408) or on the way is tried again with growing pauses, kTries times in a row
// without a byte of progress. In messages the URL stands without its query.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/http/client.h"
#include "coordinator/lists/source.h"

namespace imgfleet::lists {

class RemoteList final : public Source {
 public:
  static constexpr int kTries = 8;

  struct Options {
    // For each request anew: adds to `secrets` what shows who asks, such as a signature.
    std::function<absl::Status(http::Request& request)> authorize = nullptr;
    std::string spool;                        // Folder for temporary files.
    uint64_t spool_limit = UINT64_MAX;        // Bytes of one list.
    bool always_spool = false;                // The whole is needed before its first row can be read.
    std::function<bool()> stopped = nullptr;  // From then on all ends CANCELLED.
    Backoff backoff{absl::Milliseconds(500), absl::Seconds(30)};
    const Clock* clock = &Clock::System();
  };

  // `client` must outlive it. `then`: the identity it must have; nothing: whatever it has.
  RemoteList(const http::Client& client, std::string url, std::optional<Identity> then, Options options);
  ~RemoteList() override;

  // Makes the first request and waits until the identity is known: for a list that has to be spooled, until that is
  // done. Tries once. A list that was known before needs none: it is read like any other.
  //   NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE  as the server or the address policy says
  absl::Status Open();

  absl::StatusOr<std::optional<std::string>> Read(absl::Duration patience) override;
  absl::StatusOr<Identity> identity() const override;
  // Where it is spooled.
  absl::StatusOr<std::optional<int>> File(absl::Duration patience) override;

 private:
  class Spool;

  absl::Status Request();
  absl::Status TakeAnswer();
  absl::Status CheckPart() const;
  absl::Status JudgeStatus() const;
  absl::StatusOr<std::optional<std::string>> ReadAnswer(absl::Duration patience);
  // A failure that may pass is waited for; another ends the reading.
  absl::StatusOr<std::optional<std::string>> TryAgain(const absl::Status& failure);
  absl::Status Changed() const;

  const http::Client& client_;
  const std::string url_;
  const std::string shown_;
  const std::optional<Identity> then_;
  const Options options_;

  std::optional<Identity> identity_;
  std::unique_ptr<http::Response> response_;
  uint64_t offset_ = 0;  // Bytes handed on, or spooled.
  uint64_t skip_ = 0;    // Bytes of the answer that were had before.
  int failures_ = 0;     // In a row.
  absl::Time not_before_ = absl::InfinitePast();
  std::unique_ptr<Spool> spool_;
};

}  // namespace imgfleet::lists
