// How the allocator of the programs that ship is set.
#include "mimalloc.h"

namespace {

// The memory of a body of megabytes that was let go of goes back to the system within a millisecond. Kept for longer, as
// mimalloc does by itself, it lies beside the next one, and a worker that is given one body's memory takes two.
__attribute__((constructor)) void SetMimalloc() {
  mi_option_set(mi_option_decommit_delay, 1);
  mi_option_set(mi_option_segment_decommit_delay, 0);
}

}  // namespace
