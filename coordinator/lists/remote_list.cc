#include "coordinator/lists/remote_list.h"

#include <openssl/evp.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/log.h"
#include "common/status.h"
#include "coordinator/lists/spooled_list.h"
#include "coordinator/lists/temporary_file.h"

namespace imgfleet::lists {
namespace {

constexpr absl::Duration kStep = absl::Milliseconds(100);
constexpr size_t kSliceBytes = 256 << 10;

bool MayPass(const absl::Status& status) { return absl::IsUnavailable(status); }

std::string StrongEtag(const http::Head& head) {
  const absl::string_view etag = head.Find("etag");
  return absl::StartsWith(etag, "\"") ? std::string(etag) : std::string();
}

}  // namespace

// The temporary file and the digest of what is in it.
class RemoteList::Spool {
 public:
  static absl::StatusOr<std::unique_ptr<Spool>> Open(const std::string& folder) {
    ASSIGN_OR_RETURN(OwnedFd file, OpenTemporary(folder));
    return std::unique_ptr<Spool>(new Spool(std::move(file)));
  }
  ~Spool() { EVP_MD_CTX_free(digest_); }

  absl::Status Add(absl::string_view bytes, uint64_t offset) {
    EVP_DigestUpdate(digest_, bytes.data(), bytes.size());
    return WriteAt(file_.get(), bytes, offset);
  }
  void Restart() { EVP_DigestInit_ex(digest_, EVP_sha256(), nullptr); }
  std::string Finish(uint64_t size) {
    whole_ = true;
    size_ = size;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int bytes = 0;
    EVP_DigestFinal_ex(digest_, digest, &bytes);
    return absl::BytesToHexString(absl::string_view(reinterpret_cast<char*>(digest), bytes));
  }
  absl::StatusOr<std::optional<std::string>> Read() {
    std::string slice(static_cast<size_t>(std::min<uint64_t>(kSliceBytes, size_ - read_)), '\0');
    ASSIGN_OR_RETURN(const size_t got, ReadAt(file_.get(), slice.data(), slice.size(), read_));
    if (got != slice.size()) return absl::DataLossError("a temporary file is shorter than it was written");
    read_ += got;
    return slice;
  }
  bool whole() const { return whole_; }
  int fd() const { return file_.get(); }

 private:
  explicit Spool(OwnedFd file) : file_(std::move(file)), digest_(EVP_MD_CTX_new()) { Restart(); }

  const OwnedFd file_;
  EVP_MD_CTX* const digest_;
  bool whole_ = false;
  uint64_t size_ = 0, read_ = 0;
};

RemoteList::RemoteList(const http::Client& client, std::string url, std::optional<Identity> then,
                       Options options)
    : client_(client),
      url_(std::move(url)),
      shown_(http::ShownUrl(url_)),
      then_(std::move(then)),
      options_(std::move(options)),
      identity_(then_) {}

RemoteList::~RemoteList() = default;

absl::Status RemoteList::Open() {
  RETURN_IF_ERROR(Request());
  while (!identity_.has_value()) {
    ASSIGN_OR_RETURN(const std::optional<std::string> none, ReadAnswer(kStep));
    IMGFLEET_CHECK(!none.has_value());
  }
  return absl::OkStatus();
}

absl::StatusOr<Identity> RemoteList::identity() const {
  if (!identity_.has_value()) return absl::FailedPreconditionError("not open");
  return *identity_;
}

absl::StatusOr<std::optional<int>> RemoteList::File(absl::Duration patience) {
  if (!options_.always_spool) return absl::UnimplementedError("the list is a stream");
  const auto whole = [this] { return spool_ != nullptr && spool_->whole(); };
  if (!whole()) RETURN_IF_ERROR(Read(patience).status());
  return whole() ? std::optional<int>(spool_->fd()) : std::nullopt;
}

absl::StatusOr<std::optional<std::string>> RemoteList::Read(absl::Duration patience) {
  if (spool_ != nullptr && spool_->whole()) return spool_->Read();
  if (response_ == nullptr) {
    if (const absl::Duration left = not_before_ - options_.clock->Boot(); left > absl::ZeroDuration()) {
      if (options_.stopped && options_.stopped()) return absl::CancelledError("stopped");
      absl::SleepFor(std::min({left, patience, kStep}));
      return std::optional<std::string>();
    }
    if (const absl::Status asked = Request(); !asked.ok()) return TryAgain(asked);
  }
  auto piece = ReadAnswer(patience);
  if (!piece.ok()) return TryAgain(piece.status());
  if (piece->has_value()) failures_ = 0;
  return piece;
}

absl::StatusOr<std::optional<std::string>> RemoteList::TryAgain(const absl::Status& failure) {
  response_.reset();
  if (!MayPass(failure)) return failure;
  if (++failures_ >= kTries) {
    return absl::UnavailableError(absl::StrCat(failure.message(), "; given up at byte ", offset_, " after ",
                                               failures_, " tries, submit the list again"));
  }
  not_before_ = options_.clock->Boot() + options_.backoff.Wait(static_cast<uint32_t>(failures_), 0.5);
  return std::optional<std::string>();
}

absl::Status RemoteList::Request() {
  http::Request request;
  request.url = url_;
  request.stopped = options_.stopped;
  // What is spooled is begun anew, unless an ETag holds its parts together.
  const bool resumes = identity_.has_value() && !identity_->etag.empty() && offset_ > 0;
  if (resumes) {
    request.headers = {{"Range", absl::StrCat("bytes=", offset_, "-")}, {"If-Range", identity_->etag}};
  } else {
    offset_ = 0;
    if (spool_ != nullptr) spool_->Restart();
  }
  if (options_.authorize) RETURN_IF_ERROR(options_.authorize(request));
  ASSIGN_OR_RETURN(response_, client_.Send(std::move(request)));
  const absl::Status taken = TakeAnswer();
  if (!taken.ok()) response_.reset();
  return taken;
}

absl::Status RemoteList::JudgeStatus() const {
  const int status = response_->head().status;
  const std::string what = absl::StrCat(shown_, ": the server answers ", status);
  if (status == 404 || status == 410)
    return absl::NotFoundError(absl::StrCat(what, "; there is no such list"));
  if (status == 401 || status == 403) {
    return absl::PermissionDeniedError(
        absl::StrCat(what, "; name a credential that may read it, or make it public"));
  }
  if (status >= 500 || status == 429 || status == 408) return absl::UnavailableError(what);
  return absl::FailedPreconditionError(what);
}

absl::Status RemoteList::Changed() const {
  return absl::FailedPreconditionError(
      absl::StrCat(shown_, ": changed while it was being read; submit it again"));
}

// Whether a 206 is the part that was asked for.
absl::Status RemoteList::CheckPart() const {
  const http::Head& head = response_->head();
  if (const std::string etag = StrongEtag(head); !etag.empty() && etag != identity_->etag) return Changed();
  if (absl::StartsWith(head.Find("content-range"), absl::StrCat("bytes ", offset_, "-")))
    return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(shown_, ": the server sends another part than it was asked for"));
}

absl::Status RemoteList::TakeAnswer() {
  const http::Head& head = response_->head();
  skip_ = 0;
  if (head.status == 206 && offset_ > 0) return CheckPart();
  // A list that had just ended when the connection broke.
  if (head.status == 416 && offset_ > 0 && head.Find("content-range") == absl::StrCat("bytes */", offset_)) {
    return absl::OkStatus();
  }
  if (head.status != 200) return JudgeStatus();
  if (!head.has_end) {
    return absl::FailedPreconditionError(absl::StrCat(
        shown_,
        ": the server tells neither the list's length nor its end, so that a broken connection would go "
        "unnoticed; fetch the list and submit it as a file"));
  }
  const absl::string_view encoding = head.Find("content-encoding");
  if (!encoding.empty() && encoding != "identity" && encoding != "gzip") {
    return absl::FailedPreconditionError(absl::StrCat(shown_, ": the server sends the list encoded as ",
                                                      encoding, ", which was not asked for"));
  }
  const std::string etag = StrongEtag(head);
  if (identity_.has_value() && identity_->etag != etag) return Changed();
  if (spool_ == nullptr && (etag.empty() || options_.always_spool)) {
    ASSIGN_OR_RETURN(spool_, Spool::Open(options_.spool));
  }
  skip_ = offset_;
  if (!identity_.has_value() && !etag.empty()) {
    identity_.emplace();
    identity_->etag = etag;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> RemoteList::ReadAnswer(absl::Duration patience) {
  if (response_->head().status == 416) return std::string();
  ASSIGN_OR_RETURN(std::optional<std::string> piece, response_->Read(patience));
  if (!piece.has_value()) return piece;
  if (skip_ > 0 && !piece->empty()) {
    const uint64_t had = std::min<uint64_t>(skip_, piece->size());
    skip_ -= had;
    piece->erase(0, static_cast<size_t>(had));
    if (piece->empty()) return std::optional<std::string>();
  }
  if (spool_ == nullptr) {
    offset_ += piece->size();
    return piece;
  }
  if (!piece->empty()) {
    if (offset_ + piece->size() > options_.spool_limit) return TooLargeToSpool(shown_, options_.spool_limit);
    RETURN_IF_ERROR(spool_->Add(*piece, offset_));
    offset_ += piece->size();
    failures_ = 0;
    return std::optional<std::string>();
  }
  response_.reset();
  const std::string sha256 = spool_->Finish(offset_);
  if (!identity_.has_value()) {
    identity_.emplace();
    identity_->sha256 = sha256;
    identity_->size_bytes = offset_;
  } else if (identity_->etag.empty() && identity_->sha256 != sha256) {
    return Changed();
  }
  return std::optional<std::string>();
}

}  // namespace imgfleet::lists
