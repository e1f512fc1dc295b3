// A Parquet list as a source of rows: the file is read by imgfleet-parquet (coordinator/parquet/), a process of its own that
// is started for it, and what comes out is what ListParser takes as v1::PARQUET.
//
// Whatever the file does to that process, it costs this list alone: it is locked in, its memory, CPU time and silence are
// bounded, and its death is one message. It ends with this object, and with this process.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/owned_fd.h"
#include "coordinator/lists/source.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::lists {

// How many lists are read at a time by processes that share this. Thread-safe.
class ParquetTurns {
 public:
  explicit ParquetTurns(int turns) : free_(turns) {}

  bool TryTake() {
    if (free_.fetch_sub(1) > 0) return true;
    free_.fetch_add(1);
    return false;
  }
  void GiveBack() { free_.fetch_add(1); }

 private:
  std::atomic<int> free_;
};

struct ParquetOptions {
  // Path of imgfleet-parquet; "auto": beside the running program, or where a build tree has it; empty: none.
  std::string program = "auto";
  // For pages and dictionaries of one list at a time; what the process takes beside them, parquet/main.cc says.
  uint64_t memory_bytes = 256 << 20;
  // How long it may be silent while its rows are waited for.
  absl::Duration silence = absl::Seconds(60);
  // Whose turn it is not waits, but for its first rows: those are read out of turn, by a process that ends after them, and
  // what was had is passed over when the turn comes. So a bad list shows at once, and lists that wait cost no memory.
  std::shared_ptr<ParquetTurns> turns = nullptr;
};

// Not thread-safe. The process dies with the thread that first reads, which must outlive the reading.
class ParquetList final : public Source {
 public:
  // Reads `list` as a Parquet file, with columns named as in `file`; `name` stands in messages. FAILED_PRECONDITION where
  // there is no program to read it, and the message says how to have one; INVALID_ARGUMENT where a column cannot be named so.
  static absl::StatusOr<std::unique_ptr<Source>> Open(std::unique_ptr<Source> list, std::string name,
                                                      const v1::ListFile& file, const ParquetOptions& options,
                                                      const Clock& clock);
  ~ParquetList() override;

  // INVALID_ARGUMENT where the process died of the list.
  absl::StatusOr<std::optional<std::string>> Read(absl::Duration patience) override;
  absl::StatusOr<Identity> identity() const override { return list_->identity(); }

 private:
  ParquetList(std::unique_ptr<Source> list, std::string name, std::string program, const v1::ListFile& file,
              const ParquetOptions& options, const Clock& clock);

  // Whether there may be a process now.
  bool TakeTurn();
  absl::StatusOr<std::optional<std::string>> ReadSlice(absl::Duration patience);
  absl::Status Start(int file);
  // Its rows have ended: waits for its own end, which tells whether that was all.
  absl::Status Reap();
  absl::Status Refuse(absl::string_view what) const;
  void Kill();

  const std::unique_ptr<Source> list_;
  const std::string name_;
  const std::string program_;
  const std::string url_column_, id_column_;
  const ParquetOptions options_;
  const Clock& clock_;

  pid_t process_ = -1;
  OwnedFd rows_;
  bool ended_ = false;
  bool has_turn_ = false;
  uint64_t delivered_ = 0;  // Bytes.
  uint64_t skip_ = 0;       // Of what this process writes: had from the last one.
  absl::Duration silent_ = absl::ZeroDuration();
};

}  // namespace imgfleet::lists
