// Image file directories: the structure that TIFF, BigTIFF and Exif share. Reads the header and the first
// directory.
#pragma once

#include <cstdint>
#include <optional>

#include "worker/image/source.h"

namespace imgfleet::image {

struct IfdEntry {
  uint16_t tag = 0;
  uint16_t type = 0;
  uint64_t count = 0;
  // Absolute offset of the values: inside the entry where they fit, else where the entry points.
  uint64_t values = 0;
};

class Ifd {
 public:
  enum class State {
    kOpen,     // All entries are at hand.
    kMissing,  // [need_offset(), need_offset() + need_size()) is needed first.
    kBad,      // No TIFF header, or a directory that cannot be; see problem().
  };

  // The TIFF structure begins at `begin` and may not reach beyond `end`; entries that do are left out.
  Ifd(Source& source, uint64_t begin, uint64_t end) : source_(source), begin_(begin), end_(end) {}

  State Open();
  uint64_t need_offset() const { return need_offset_; }
  uint64_t need_size() const { return need_size_; }
  const char* problem() const { return problem_; }

  uint64_t size() const { return entry_count_; }
  uint16_t tag(uint64_t i) { return U16(entries_ + i * entry_size()); }
  IfdEntry entry(uint64_t i);
  // Where the first `size` bytes of an entry's values are: those in the entry are at hand, others are wanted in
  // the file's first bytes (kFieldReach) and close behind the directory, which come with it.
  Place Find(const IfdEntry& entry, uint64_t size);
  // The entry's value if it is one integer, of whatever size, and not negative; read in place only.
  std::optional<uint64_t> Unsigned(const IfdEntry& entry);
  uint16_t U16(uint64_t offset) { return little_ ? source_.Le16(offset) : source_.Be16(offset); }
  uint32_t U32(uint64_t offset) { return little_ ? source_.Le32(offset) : source_.Be32(offset); }
  uint64_t U64(uint64_t offset) { return little_ ? source_.Le64(offset) : source_.Be64(offset); }

  // The directory's place, its count and the link to the next directory included.
  uint64_t directory_begin() const { return directory_; }
  uint64_t directory_end() const { return entries_ + entry_count_ * entry_size() + link_size(); }
  // Absolute offset of the next directory; 0 where none follows.
  uint64_t next();
  // Of a directory's parts, in bytes.
  uint64_t count_size() const { return big_ ? 8 : 2; }
  uint64_t entry_size() const { return big_ ? 20 : 12; }
  uint64_t link_size() const { return big_ ? 8 : 4; }

  // So much behind the begin of a directory is likely to be wanted with it.
  static constexpr uint64_t kCloseBehind = 4096;

 private:
  State Need(uint64_t offset, uint64_t size);
  State Bad(const char* problem);

  Source& source_;
  const uint64_t begin_;
  const uint64_t end_;
  bool little_ = false;
  bool big_ = false;
  bool whole_ = false;  // All entries that the count names, and the link, lie before end_.
  uint64_t directory_ = 0;
  uint64_t entries_ = 0;
  uint64_t entry_count_ = 0;
  uint64_t need_offset_ = 0;
  uint64_t need_size_ = 0;
  const char* problem_ = "";
};

}  // namespace imgfleet::image
