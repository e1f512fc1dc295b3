#include "common/list_root.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace imgfleet {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class ListRootTest : public testing::Test {
 protected:
  ListRootTest() {
    std::string name = testing::TempDir() + "/list_root.XXXXXX";
    base_ = mkdtemp(name.data());
    fs::create_directories(base_ + "/root/sub");
    fs::create_directories(base_ + "/second");
    fs::create_directories(base_ + "/outside");
    Write("root/a.tsv", "in root");
    Write("root/sub/b.tsv", "in sub");
    Write("second/a.tsv", "in second");
    Write("second/c.tsv", "only in second");
    Write("outside/secret", "secret");
    Write("root-twin.tsv", "beside the root");
    roots_ = {base_ + "/root", base_ + "/second/"};
  }
  ~ListRootTest() override { fs::remove_all(base_); }

  void Write(const std::string& path, const std::string& text) { std::ofstream(base_ + "/" + path) << text; }
  void Link(const std::string& target, const std::string& path) {
    fs::create_symlink(target, base_ + "/" + path);
  }

  // What stands in the file, or the status code.
  std::string Read(const std::string& path) {
    const absl::StatusOr<OwnedFd> file = OpenBeneath(roots_, path);
    if (!file.ok()) {
      // Beside the client's own words there is nothing of what lies where.
      const std::string rest = absl::StrReplaceAll(file.status().message(), {{path, ""}});
      EXPECT_THAT(rest, Not(HasSubstr(base_))) << path;
      EXPECT_THAT(rest, Not(HasSubstr("outside"))) << path;
      return absl::StatusCodeToString(file.status().code());
    }
    char bytes[64];
    const ssize_t got = read(file->get(), bytes, sizeof(bytes));
    return std::string(bytes, got > 0 ? got : 0);
  }

  std::string base_;
  std::vector<std::string> roots_;
};

TEST_F(ListRootTest, OpensFilesBelowTheRoots) {
  EXPECT_EQ(Read("a.tsv"), "in root");
  EXPECT_EQ(Read("./sub//b.tsv"), "in sub");
  EXPECT_EQ(Read("sub/../a.tsv"), "in root");
  EXPECT_EQ(Read("c.tsv"), "only in second");
  EXPECT_EQ(Read(base_ + "/root/sub/b.tsv"), "in sub");
  EXPECT_EQ(Read(base_ + "/root//a.tsv"), "in root");
  EXPECT_EQ(Read(base_ + "/second/a.tsv"), "in second");
}

TEST_F(ListRootTest, NothingOutsideIsReachable) {
  Link("../outside/secret", "root/link");
  Link(base_ + "/outside/secret", "root/absolute");
  Link(base_ + "/outside/no-such-file", "root/dangling");
  Link("../outside", "root/folder");
  Link("loop", "root/loop");
  Link("/proc/self/root", "root/magic");
  for (const char* path :
       {"link", "absolute", "dangling", "folder/secret", "loop", "magic/etc/passwd", "../outside/secret",
        "../second/../outside/secret", "sub/../../outside/secret", "..", "../../../../../../etc/passwd"}) {
    EXPECT_EQ(Read(path), "PERMISSION_DENIED") << path;
  }
  for (const std::string& path :
       {std::string("/etc/passwd"), std::string("/no/such/file"), std::string("/"), base_ + "/root-twin.tsv",
        base_ + "/root/../root-twin.tsv", base_ + "/root/link", base_ + "/roo"}) {
    EXPECT_EQ(Read(path), "PERMISSION_DENIED") << path;
  }
}

TEST_F(ListRootTest, FollowsLinksThatStayInside) {
  Link("sub/../a.tsv", "root/near");
  Link("../a.tsv", "root/sub/up");
  Link("sub", "root/alias");
  EXPECT_EQ(Read("near"), "in root");
  EXPECT_EQ(Read("sub/up"), "in root");
  EXPECT_EQ(Read("alias/b.tsv"), "in sub");
}

TEST_F(ListRootTest, TellsWhatIsMissing) {
  EXPECT_EQ(Read("none.tsv"), "NOT_FOUND");
  EXPECT_EQ(Read("a.tsv/x"), "NOT_FOUND");
  EXPECT_EQ(Read(base_ + "/root/none.tsv"), "NOT_FOUND");
  EXPECT_EQ(Read(std::string(300, 'x')), "NOT_FOUND");
  EXPECT_EQ(OpenBeneath(roots_, "").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(OpenBeneath(roots_, absl::string_view("a.tsv\0b", 7)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(OpenBeneath({}, "a.tsv").status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(std::string(OpenBeneath(roots_, "none.tsv").status().message()),
            "no list file none.tsv below the list folders");
}

TEST_F(ListRootTest, OpensRegularFilesOnlyAndNeverWaits) {
  ASSERT_EQ(mkfifo((base_ + "/root/fifo").c_str(), 0600), 0);
  EXPECT_EQ(Read("fifo"), "INVALID_ARGUMENT");  // Would wait for a writer.
  EXPECT_EQ(Read("sub"), "INVALID_ARGUMENT");
  EXPECT_EQ(Read("."), "INVALID_ARGUMENT");
  EXPECT_EQ(Read(base_ + "/root/"), "INVALID_ARGUMENT");
  roots_ = {"/dev"};
  EXPECT_EQ(Read("null"), "INVALID_ARGUMENT");
}

TEST_F(ListRootTest, ChecksTheRootsAtTheStart) {
  EXPECT_TRUE(CheckListRoots(roots_).ok());
  const absl::Status missing = CheckListRoots({base_ + "/root", base_ + "/none"});
  EXPECT_EQ(missing.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(missing.message()),
            absl::StrCat("--list-root ", base_, "/none: No such file or directory"));
  EXPECT_FALSE(CheckListRoots({base_ + "/root/a.tsv"}).ok());
}

}  // namespace
}  // namespace imgfleet
