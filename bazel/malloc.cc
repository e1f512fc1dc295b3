// How the allocator of the programs that ship is set.
#include "mimalloc.h"

namespace {

// A body of megabytes that was freed goes back to the system at once. Kept for a while, as mimalloc does by itself, it lies
// beside the next one, and a worker that is given one body's memory takes two.
__attribute__((constructor)) void SetMimalloc() { mi_option_set(mi_option_segment_decommit_delay, 0); }

}  // namespace
