#include "common/memory_limit.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "gtest/gtest.h"

namespace imgfleet {
namespace {

class MemoryLimitTest : public testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  const std::string root_ =
      testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(MemoryLimitTest, IsThatOfTheNearestGroupThatHasLess) {
  Write("/proc/self/cgroup", "0::/kubepods/pod1/worker\n");
  EXPECT_EQ(CgroupMemoryLimit(root_), UINT64_MAX);
  Write("/sys/fs/cgroup/kubepods/pod1/worker/memory.max", "max\n");
  EXPECT_EQ(CgroupMemoryLimit(root_), UINT64_MAX);
  Write("/sys/fs/cgroup/kubepods/pod1/memory.max", "1073741824\n");
  EXPECT_EQ(CgroupMemoryLimit(root_), 1073741824u);
  Write("/sys/fs/cgroup/kubepods/memory.max", "2147483648\n");
  EXPECT_EQ(CgroupMemoryLimit(root_), 1073741824u);
  Write("/sys/fs/cgroup/kubepods/pod1/worker/memory.max", "536870912\n");
  EXPECT_EQ(CgroupMemoryLimit(root_), 536870912u);
}

TEST_F(MemoryLimitTest, InAContainerIsThatOfItsTopmostGroup) {
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/memory.max", "1073741824\n");
  EXPECT_EQ(CgroupMemoryLimit(root_), 1073741824u);
}

TEST_F(MemoryLimitTest, KnowsVersion1WhereAContainerSeesAnotherPath) {
  Write("/proc/self/cgroup", "3:cpu,cpuacct:/docker/1\n2:memory:/docker/1\n1:name=systemd:/docker/1\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
  EXPECT_EQ(CgroupMemoryLimit(root_), 1073741824u);
}

TEST_F(MemoryLimitTest, OfThisMachineIsWhatItHasAtMost) {
  EXPECT_GT(MemoryLimit(), uint64_t{64} << 20);
  EXPECT_LE(MemoryLimit(), CgroupMemoryLimit(""));
  EXPECT_EQ(CgroupMemoryLimit(root_), UINT64_MAX);
}

}  // namespace
}  // namespace imgfleet
