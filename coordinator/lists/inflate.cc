#include "coordinator/lists/inflate.h"

#include <zlib.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"

namespace imgfleet::lists {
namespace {

constexpr size_t kBufferBytes = 64 << 10;
// inflateInit2: the largest window, gzip framing only.
constexpr int kGzipWindowBits = 15 + 16;

}  // namespace

Inflater::Inflater() : stream_(std::make_unique<z_stream_s>()) {
  IMGFLEET_CHECK(inflateInit2(stream_.get(), kGzipWindowBits) == Z_OK);
}

Inflater::~Inflater() { inflateEnd(stream_.get()); }

absl::Status Inflater::Feed(absl::string_view bytes,
                            absl::FunctionRef<absl::Status(absl::string_view)> sink) {
  char buffer[kBufferBytes];
  while (!bytes.empty()) {
    if (between_members_ && bytes.front() == '\0') {
      bytes.remove_prefix(1);
      ++fed_;
      continue;
    }
    between_members_ = false;
    stream_->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_->avail_in = static_cast<uInt>(std::min<size_t>(bytes.size(), 1u << 30));
    const uInt offered = stream_->avail_in;
    stream_->next_out = reinterpret_cast<Bytef*>(buffer);
    stream_->avail_out = sizeof(buffer);
    const int result = inflate(stream_.get(), Z_NO_FLUSH);
    const size_t eaten = offered - stream_->avail_in;
    bytes.remove_prefix(eaten);
    fed_ += eaten;
    const size_t unpacked = sizeof(buffer) - stream_->avail_out;
    if (unpacked > 0) RETURN_IF_ERROR(sink(absl::string_view(buffer, unpacked)));
    if (result == Z_STREAM_END) {
      inflateReset(stream_.get());
      between_members_ = true;
    } else if (result != Z_OK && !(result == Z_BUF_ERROR && bytes.empty())) {
      return absl::InvalidArgumentError(absl::StrCat("the gzip data is damaged at its byte ", fed_, " (",
                                                     stream_->msg != nullptr ? stream_->msg : zError(result),
                                                     "); pack the list again"));
    }
  }
  return absl::OkStatus();
}

absl::Status Inflater::Finish() const {
  if (between_members_) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the gzip data is cut off after its byte ", fed_, "; send the whole file"));
}

}  // namespace imgfleet::lists
