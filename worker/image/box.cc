#include "worker/image/box.h"

namespace imgfleet::image {

BoxWalk::Step BoxWalk::Next(Box* box) {
  if (at_ >= end_) return Step::kEnd;
  if (end_ - at_ < 8) return Step::kBad;
  if (++passed_ > kMaxParts) return Step::kBad;
  need_size_ = 8;
  if (!source_.Has(at_, 8)) return Step::kMissing;
  uint64_t header = 8;
  uint64_t size = source_.Be32(at_);
  box->type = source_.Be32(at_ + 4);
  if (size == 0) {
    size = end_ - at_;  // To the end of what contains it.
  } else if (size == 1) {
    header = need_size_ = 16;
    if (end_ - at_ < header) return Step::kBad;
    if (!source_.Has(at_, header)) return Step::kMissing;
    size = source_.Be64(at_ + 8);
  }
  if (size < header || size > end_ - at_) return Step::kBad;
  box->begin = at_ + header;
  box->end = at_ + size;
  at_ = box->end;
  return Step::kBox;
}

}  // namespace imgfleet::image
