// Gzip as a stream: bytes in, bytes out, any number of members one after the other. The unpacking is zlib's.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

struct z_stream_s;

namespace imgfleet::lists {

// Not thread-safe. Holds zlib's window and a buffer of 64 KiB, whatever the data unpacks to.
class Inflater {
 public:
  // The first two bytes of every gzip file.
  static bool IsGzip(absl::string_view first_two) { return first_two == "\x1f\x8b"; }

  Inflater();
  ~Inflater();

  // Hands the unpacked bytes to `sink` in pieces; a status other than OK from it ends the call.
  // INVALID_ARGUMENT where the data is damaged. Zero bytes between and after members are padding and skipped.
  absl::Status Feed(absl::string_view bytes, absl::FunctionRef<absl::Status(absl::string_view)> sink);
  // INVALID_ARGUMENT where the data ends inside a member.
  absl::Status Finish() const;

 private:
  const std::unique_ptr<z_stream_s> stream_;
  uint64_t fed_ = 0;  // Compressed bytes taken, for messages.
  bool between_members_ = true;
};

}  // namespace imgfleet::lists
