// Undoes the Content-Encoding that an origin applied although identity was asked for: gzip (RFC 1952) and
// deflate (RFC 9110 section 8.4.1.2: zlib, and the raw stream that some servers send). Output comes in pieces
// of at most 16 KiB to a receiver that may stop it, so a bomb costs no more than the receiver lets through.
#pragma once

#include <zlib.h>

#include <array>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "worker/fetch/response_head.h"

namespace imgfleet::fetch {

// Not thread-safe.
class ContentDecoder {
 public:
  // `coding` is kGzip or kDeflate.
  explicit ContentDecoder(Coding coding) : coding_(coding) {}
  ~ContentDecoder();
  ContentDecoder(const ContentDecoder&) = delete;
  ContentDecoder& operator=(const ContentDecoder&) = delete;

  enum class Result { kOk, kCorrupt, kStopped };
  // Decodes the next bytes; `receive` returns false to stop.
  Result Decode(absl::string_view encoded, absl::FunctionRef<bool(absl::string_view)> receive);
  // The stream has come to its own end.
  bool finished() const { return finished_; }

 private:
  bool Open(absl::string_view first);

  const Coding coding_;
  z_stream stream_{};
  bool open_ = false;
  bool finished_ = false;
  bool over_ = false;  // Something else follows the stream, and is passed over.
  std::array<char, 16384> out_;
};

}  // namespace imgfleet::fetch
