// How much memory this process may take.
#pragma once

#include <cstdint>
#include <string>

namespace imgfleet {

// Bytes that the machine has, or the control groups of this process allow, whichever is less.
uint64_t MemoryLimit();

// Of the control groups alone (memory.max of version 2, memory.limit_in_bytes of version 1, this group's and those
// above it), as they are found below `root`, where a container has them as well; UINT64_MAX where there is no limit.
uint64_t CgroupMemoryLimit(const std::string& root);

}  // namespace imgfleet
