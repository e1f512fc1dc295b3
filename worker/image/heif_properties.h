// What the properties of an image's items (ISO/IEC 23008-12, 6.5) say of it. heif_meta.cc finds out which those are.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "worker/image/box.h"
#include "worker/image/source.h"

namespace imgfleet::image {

// The answer of reading a meta box, as far as it has one. Readers return false after calling what sets result().
class MetaAnswer {
 public:
  MetaAnswer(Source& source, ImageInfo& info, uint64_t meta_end)
      : source_(source), info_(info), meta_end_(meta_end) {}

  // The first `size` bytes of a box's content are there.
  bool Need(const Box& box, uint64_t size) {
    if (box.end - box.begin < size) return Fail("HEIF: a box is too short for what it holds");
    return source_.Has(box.begin, size) || Missing(box.begin, size);
  }
  // A meta box is read as one: a part of it is asked for beyond what is missing.
  bool Missing(uint64_t offset, uint64_t size) {
    constexpr uint64_t kHint = 4096;
    result_ =
        source_.Missing(info_.format, offset, size, std::max(size, std::min(kHint, meta_end_ - offset)));
    return false;
  }
  bool Fail(absl::string_view message) {
    result_ = Corrupt(info_.format, message);
    return false;
  }
  bool Stopped(BoxWalk::Step step, const BoxWalk& walk) {
    if (step == BoxWalk::Step::kMissing) return Missing(walk.need_offset(), walk.need_size());
    return Fail(absl::StrCat("HEIF: ", walk.problem()));
  }
  bool End(ProbeResult result) {
    result_ = std::move(result);
    return false;
  }
  const ProbeResult& result() const { return result_; }

 private:
  Source& source_;
  const ImageInfo& info_;
  const uint64_t meta_end_;
  ProbeResult result_;
};

// The properties of one or a few items, in the order of association.
class ItemProperties {
 public:
  // More on one item than any writer makes; bounds the work.
  static constexpr size_t kMost = 64;

  bool full() const { return count_ == kMost; }
  // `index` counts from 1 in the order of ipco.
  void Add(uint16_t index) { entries_[count_++].index = index; }
  uint16_t last_index() const {
    uint16_t last = 0;
    for (size_t i = 0; i < count_; ++i) last = std::max(last, entries_[i].index);
    return last;
  }
  void Locate(uint16_t index, const Box& box) {
    for (size_t i = 0; i < count_; ++i) {
      if (entries_[i].index == index) entries_[i].box = box;
    }
  }
  size_t size() const { return count_; }
  const Box& box(size_t i) const { return entries_[i].box; }

 private:
  struct Entry {
    uint16_t index = 0;
    Box box;
  };
  std::array<Entry, kMost> entries_;
  size_t count_ = 0;
};

// Sets the size, the transformations in their order, samples, colours and transparency of `info`: by the `primary`
// item's own properties; where they leave samples and colours open, by those of the first `tile` it is put together from; by
// those of the items that are `auxiliary` to it. False: see `answer`.
bool ApplyItemProperties(Source& source, const ItemProperties& primary, const ItemProperties& tile,
                         const ItemProperties& auxiliary, MetaAnswer& answer, ImageInfo& info);

}  // namespace imgfleet::image
