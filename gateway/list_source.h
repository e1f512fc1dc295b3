// The bytes of a list, piece by piece: what is uploaded to the coordinator.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "boost/asio/thread_pool.hpp"
#include "gateway/submission.h"
#include "gateway/task.h"

namespace imgfleet::gateway {

class ListSource {
 public:
  virtual ~ListSource() = default;
  // The next bytes, at most 256 KiB; "" at the end.
  virtual Task<absl::StatusOr<std::string>> Next() = 0;
};

// Where list files may lie, and who reads them: disks can block for long, so it is never the thread that
// serves connections.
struct ListFolders {
  std::vector<std::string> roots;
  boost::asio::thread_pool& readers;
};

// INVALID_ARGUMENT where the file is missing, forbidden or of a kind that cannot be read; the message is fit
// for the client. A list at a URL has no bytes here: the coordinator reads it by its name.
Task<absl::StatusOr<std::unique_ptr<ListSource>>> OpenList(const ListFolders& folders,
                                                           Submission& submission);

// Why a submission came to no job, where that may be because its list's URL cannot be read: INVALID_ARGUMENT then.
absl::Status ListRefusal(const Submission& submission, const absl::Status& status);

}  // namespace imgfleet::gateway
