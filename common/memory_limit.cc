#include "common/memory_limit.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace imgfleet {
namespace {

constexpr uint64_t kNone = UINT64_MAX;

// Of one file; "max", and no file, are no limit.
uint64_t LimitIn(const std::string& path) {
  std::ifstream file(path);
  uint64_t bytes = 0;
  return file >> bytes ? bytes : kNone;
}

// The smallest on the way from a group up to the topmost.
uint64_t LimitAbove(const std::string& top, std::string group, const std::string& name) {
  uint64_t least = LimitIn(top + "/" + name);
  while (!group.empty()) {
    least = std::min(least, LimitIn(top + group + "/" + name));
    group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
  return least;
}

}  // namespace

uint64_t CgroupMemoryLimit(const std::string& root) {
  uint64_t least = kNone;
  // ID:CONTROLLERS:GROUP, cgroups(7); without controllers it is version 2's.
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string group = line.substr(second + 1);
    if (controllers == ",,") {
      least = std::min(least, LimitAbove(root + "/sys/fs/cgroup", group, "memory.max"));
    } else if (controllers.find(",memory,") != std::string::npos) {
      least = std::min(least, LimitAbove(root + "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
    }
  }
  return least;
}

uint64_t MemoryLimit() {
  const auto machine =
      static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return std::min(machine, CgroupMemoryLimit(""));
}

}  // namespace imgfleet
