#include "worker/fetch/content_decoder.h"

namespace imgfleet::fetch {
namespace {

constexpr int kGzipOnly = 16 + MAX_WBITS;
constexpr int kZlib = MAX_WBITS;
constexpr int kRaw = -MAX_WBITS;

// RFC 1950: method 8 in the low bits; a second byte, where there is one already, makes a multiple of 31.
bool LooksLikeZlib(absl::string_view bytes) {
  const auto cmf = static_cast<unsigned char>(bytes[0]);
  if ((cmf & 0x0f) != 8 || (cmf >> 4) > 7) return false;
  return bytes.size() < 2 || (cmf * 256 + static_cast<unsigned char>(bytes[1])) % 31 == 0;
}

}  // namespace

ContentDecoder::~ContentDecoder() {
  if (open_) inflateEnd(&stream_);
}

bool ContentDecoder::Open(absl::string_view first) {
  const int window = coding_ == Coding::kGzip ? kGzipOnly : LooksLikeZlib(first) ? kZlib : kRaw;
  open_ = inflateInit2(&stream_, window) == Z_OK;
  return open_;
}

ContentDecoder::Result ContentDecoder::Decode(absl::string_view encoded,
                                              absl::FunctionRef<bool(absl::string_view)> receive) {
  if (encoded.empty() || over_) return Result::kOk;
  if (!open_ && !Open(encoded)) return Result::kCorrupt;
  stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(encoded.data()));
  stream_.avail_in = static_cast<uInt>(encoded.size());
  do {
    if (finished_) {
      // gzip members may follow one another; what follows a single stream otherwise is no part of it.
      if (stream_.avail_in == 0) return Result::kOk;
      over_ = coding_ != Coding::kGzip || *stream_.next_in != 0x1f;
      if (over_) return Result::kOk;
      if (inflateReset(&stream_) != Z_OK) return Result::kCorrupt;
      finished_ = false;
    }
    stream_.next_out = reinterpret_cast<Bytef*>(out_.data());
    stream_.avail_out = out_.size();
    const int code = inflate(&stream_, Z_NO_FLUSH);
    const size_t produced = out_.size() - stream_.avail_out;
    if (produced > 0 && !receive(absl::string_view(out_.data(), produced))) return Result::kStopped;
    if (code == Z_STREAM_END) {
      finished_ = true;
    } else if (code == Z_BUF_ERROR) {
      return Result::kOk;
    } else if (code != Z_OK) {
      return Result::kCorrupt;
    }
  } while (stream_.avail_in > 0 || stream_.avail_out == 0);
  return Result::kOk;
}

}  // namespace imgfleet::fetch
