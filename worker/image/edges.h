// Where the parts of an image file begin and end: segments, chunks, boxes, blocks, directories. For tests that cut files
// there. Written apart from the readers, so that a reader's mistake is not repeated by what tests it.
#pragma once

#include <cstdint>
#include <set>
#include <string>

namespace imgfleet::image {

// Offsets in `file`, ascending, at most a few thousand; none where the format has no such parts.
std::set<size_t> Edges(const std::string& file);

}  // namespace imgfleet::image
