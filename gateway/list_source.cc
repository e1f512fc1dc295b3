#include "gateway/list_source.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "boost/asio/co_spawn.hpp"
#include "boost/asio/use_awaitable.hpp"
#include "common/list_root.h"
#include "common/list_url.h"
#include "common/log.h"

namespace imgfleet::gateway {
namespace {

constexpr size_t kPieceBytes = 256 << 10;

class InlineList final : public ListSource {
 public:
  explicit InlineList(std::string text) : text_(std::move(text)) {}
  Task<absl::StatusOr<std::string>> Next() override {
    std::string piece = text_.substr(at_, kPieceBytes);
    at_ += piece.size();
    co_return piece;
  }

 private:
  const std::string text_;
  size_t at_ = 0;
};

// Reads up to a piece; short only at the file's end.
Task<absl::StatusOr<std::string>> ReadPiece(int fd) {
  std::string piece(kPieceBytes, '\0');
  size_t filled = 0;
  while (filled < piece.size()) {
    const ssize_t got = read(fd, piece.data() + filled, piece.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      co_return absl::DataLossError(absl::StrCat("the list cannot be read on: ", std::strerror(errno)));
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  piece.resize(filled);
  co_return piece;
}

class FileList final : public ListSource {
 public:
  FileList(OwnedFd file, boost::asio::thread_pool& readers) : file_(std::move(file)), readers_(readers) {}
  Task<absl::StatusOr<std::string>> Next() override {
    co_return co_await boost::asio::co_spawn(readers_, ReadPiece(file_.get()), boost::asio::use_awaitable);
  }

 private:
  const OwnedFd file_;
  boost::asio::thread_pool& readers_;
};

Task<absl::StatusOr<OwnedFd>> Open(const std::vector<std::string>& roots, const std::string& path) {
  co_return OpenBeneath(roots, path);
}

}  // namespace

Task<absl::StatusOr<std::unique_ptr<ListSource>>> OpenList(const ListFolders& folders,
                                                           Submission& submission) {
  const std::string& path = submission.filepath;
  if (path.empty()) co_return std::make_unique<InlineList>(std::move(submission.list));
  // The coordinator reads it by its name.
  if (IsListUrl(path)) co_return std::make_unique<InlineList>("");
  if (absl::StrContains(path, "://")) {
    co_return absl::InvalidArgumentError(
        absl::StrCat("filepath \"", path.substr(0, path.find("://")),
                     "://...\" is not read; name a file below one of the list folders, a URL of http, "
                     "https or s3, or send the URLs themselves"));
  }
  absl::StatusOr<OwnedFd> file =
      co_await boost::asio::co_spawn(folders.readers, Open(folders.roots, path), boost::asio::use_awaitable);
  if (!file.ok()) {
    if (file.status().code() == absl::StatusCode::kUnimplemented) {
      log::Error("list folders cannot be used: %s", file.status().ToString());
    }
    co_return absl::InvalidArgumentError(file.status().message());
  }
  co_return std::make_unique<FileList>(*std::move(file), folders.readers);
}

absl::Status ListRefusal(const Submission& submission, const absl::Status& status) {
  const bool lists =
      absl::IsNotFound(status) || absl::IsPermissionDenied(status) || absl::IsFailedPrecondition(status);
  return lists && IsListUrl(submission.filepath) ? absl::InvalidArgumentError(status.message()) : status;
}

}  // namespace imgfleet::gateway
