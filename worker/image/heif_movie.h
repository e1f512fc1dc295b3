// What the movie box of an image sequence tells beside its size: frames, and how often they are shown. Boxes:
// ISO/IEC 14496-12.
#pragma once

#include <cstdint>

#include "worker/image/box.h"
#include "worker/image/source.h"

namespace imgfleet::image {

// Finds the next box of `type` in [*at, end) as far as headers lie before `reach`, and leaves *at behind it.
// kMissing: the header at *at is needed first, *need bytes. kFar also where there is none, or a box is damaged.
Place SeekBox(Source& source, uint64_t* at, uint64_t end, uint32_t type, uint64_t reach, Box* box,
              uint64_t* need);

// Sets frames, animated and loop_count from the first track that has a size, as far as all that is read for it lies
// before `reach`. False: [*need_offset, *need_offset + *need_size) is needed first.
bool ReadHeifMovie(Source& source, const Box& moov, uint64_t reach, ImageInfo& info, uint64_t* need_offset,
                   uint64_t* need_size);

}  // namespace imgfleet::image
