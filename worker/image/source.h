// A bounded, checked view of the bytes of one file that are at hand: what every format's reader reads
// through.
//
// Every access names its absolute offset in the file. Reading what is not at hand is never undefined: it
// gives zeros and is remembered, and Probe() then answers kNeedMore instead of whatever was made of the
// zeros. Readers ask Has() first all the same, so that they can say how much they need.
//
// One thread; lives as long as one call of Probe().
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>

#include "absl/strings/string_view.h"
#include "worker/image/probe.h"

namespace imgfleet::image {

// Larger than any offset in a file that can exist; offsets read from a file are refused above it, so that
// sums of two of them cannot wrap.
inline constexpr uint64_t kMaxOffset = uint64_t{1} << 62;

// What decides nothing of the size is read where it lies in the file's first bytes, so many: every fetch begins
// with them, so that nothing is fetched for such a field, and whether it is read depends on the file alone.
inline constexpr uint64_t kFieldReach = 12288;

// Segments, chunks or boxes that a walk passes at most. Nobody writes more of them before what is sought; a walk begins anew
// whenever more bytes have come, so that endless tiny ones would cost ever more.
inline constexpr uint32_t kMaxParts = 1 << 16;

// Where bytes are that are wanted only if they cost no fetch.
enum class Place : uint8_t {
  kAtHand,
  kMissing,  // Not at hand yet: to be asked for, so that the answer does not depend on how the file was cut.
  kFar,      // Not worth a fetch, or behind the file's end.
};

class Source {
 public:
  explicit Source(const Bytes& bytes) : bytes_(bytes) {}
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  // The bytes [offset, offset + size) are at hand. Counts as a use of them.
  bool Has(uint64_t offset, uint64_t size) { return InPrefix(offset, size) || HasBeyondPrefix(offset, size); }

  uint8_t U8(uint64_t offset) {
    if (offset < bytes_.prefix.size()) return static_cast<uint8_t>(bytes_.prefix[offset]);
    return ByteBeyondPrefix(offset);
  }
  uint16_t Be16(uint64_t offset) { return static_cast<uint16_t>(Big<2>(offset)); }
  uint32_t Be32(uint64_t offset) { return static_cast<uint32_t>(Big<4>(offset)); }
  uint64_t Be64(uint64_t offset) { return Big<8>(offset); }
  uint16_t Le16(uint64_t offset) { return static_cast<uint16_t>(Little<2>(offset)); }
  uint32_t Le24(uint64_t offset) { return static_cast<uint32_t>(Little<3>(offset)); }
  uint32_t Le32(uint64_t offset) { return static_cast<uint32_t>(Little<4>(offset)); }
  uint64_t Le64(uint64_t offset) { return Little<8>(offset); }
  // The bytes at `offset` are exactly `expected`.
  bool Equals(uint64_t offset, absl::string_view expected) {
    if (!InPrefix(offset, expected.size())) return EqualsBeyondPrefix(offset, expected);
    return std::memcmp(bytes_.prefix.data() + offset, expected.data(), expected.size()) == 0;
  }

  // The bytes at hand from `offset` on that lie in one buffer; empty if none. For scanning; counts as a use.
  absl::string_view Run(uint64_t offset);

  std::optional<uint64_t> total() const { return bytes_.total; }
  // The file is known to end at or before `offset`.
  bool EndsBefore(uint64_t offset) const { return bytes_.total.has_value() && *bytes_.total <= offset; }

  // Where [offset, offset + size) is, of which only what ends at or before `reach` is wanted.
  Place Find(uint64_t offset, uint64_t size, uint64_t reach = kFieldReach) {
    if (size > reach || offset > reach - size || EndsBefore(offset + size - 1)) return Place::kFar;
    return Has(offset, size) ? Place::kAtHand : Place::kMissing;
  }

  // The answer where [offset, offset + size) is needed and not at hand: kTruncated if the file is known to
  // end before that, else kNeedMore. `hint` bytes (if more than `size`) are likely to be wanted right after.
  // The range asked for is widened to all that was used behind the prefix, so that the piece that comes can
  // replace the piece that is there.
  ProbeResult Missing(Format format, uint64_t offset, uint64_t size, uint64_t hint = 0) const;

  // A read went past what is at hand, first at this offset.
  bool missed() const { return missed_ != kNone; }
  uint64_t missed_offset() const { return missed_; }

 private:
  static constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();

  bool HasBeyondPrefix(uint64_t offset, uint64_t size);
  bool EqualsBeyondPrefix(uint64_t offset, absl::string_view expected);
  uint8_t ByteBeyondPrefix(uint64_t offset);
  // Nearly all that is read lies there, and is read at once.
  bool InPrefix(uint64_t offset, uint64_t size) const {
    return size <= bytes_.prefix.size() && offset <= bytes_.prefix.size() - size;
  }
  template <int kSize>
  uint64_t Big(uint64_t offset) {
    uint64_t value = 0;
    if (InPrefix(offset, kSize)) {
      const char* const at = bytes_.prefix.data() + offset;
      for (int i = 0; i < kSize; ++i) value = value << 8 | static_cast<uint8_t>(at[i]);
    } else {
      for (int i = 0; i < kSize; ++i) value = value << 8 | U8(offset + i);
    }
    return value;
  }
  template <int kSize>
  uint64_t Little(uint64_t offset) {
    uint64_t value = 0;
    if (InPrefix(offset, kSize)) {
      const char* const at = bytes_.prefix.data() + offset;
      for (int i = kSize; i-- > 0;) value = value << 8 | static_cast<uint8_t>(at[i]);
    } else {
      for (int i = kSize; i-- > 0;) value = value << 8 | U8(offset + i);
    }
    return value;
  }
  void NoteUse(uint64_t begin, uint64_t end);

  const Bytes& bytes_;
  // Span of the bytes behind the prefix that were used.
  uint64_t used_begin_ = kNone;
  uint64_t used_end_ = 0;
  uint64_t missed_ = kNone;
};

// Answers, for the readers of single formats. `message` says what was seen, for a person.
ProbeResult Ok(const ImageInfo& info);
ProbeResult Corrupt(Format format, absl::string_view message);
ProbeResult Unsupported(Format format, absl::string_view message);
ProbeResult NotAnImage(absl::string_view message);

}  // namespace imgfleet::image
