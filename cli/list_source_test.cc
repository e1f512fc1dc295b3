#include "cli/list_source.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace imgfleet::cli {
namespace {

using ::testing::HasSubstr;

std::string InTestFolder(const std::string& name) { return std::string(getenv("TEST_TMPDIR")) + "/" + name; }

TEST(ListSourceTest, GivesTheBytesAsTheyAre) {
  const std::string path = InTestFolder("list.tsv");
  const std::string bytes = std::string("id\turl\r\n\0\xff", 10) + std::string(300'000, 'x');
  std::ofstream(path, std::ios::binary) << bytes;
  auto source = ListSource::Open(path);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->name(), path);
  std::string got;
  while (true) {
    auto piece = (*source)->Read();
    ASSERT_TRUE(piece.ok()) << piece.status();
    if (piece->empty()) break;
    got += *piece;
  }
  EXPECT_EQ(got, bytes);
}

TEST(ListSourceTest, SaysWhatIsWrongWithWhatCannotBeRead) {
  EXPECT_THAT(ListSource::Open(InTestFolder("none.tsv")).status().message(),
              HasSubstr("none.tsv: No such file"));
  EXPECT_THAT(ListSource::Open(getenv("TEST_TMPDIR")).status().message(), HasSubstr("is a folder"));
}

TEST(ListSourceTest, AListAtAUrlIsOnlyNamed) {
  for (const char* url : {"https://example.com/list.tsv", "S3://bucket/list"}) {
    auto source = ListSource::Open(url);
    ASSERT_TRUE(source.ok()) << source.status();
    EXPECT_EQ((*source)->name(), url);
    EXPECT_EQ(*(*source)->Read(), "");
  }
}

TEST(ListSourceTest, StopWakesAReaderOfASilentPipe) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const int own_stdin = dup(STDIN_FILENO);
  ASSERT_EQ(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
  auto source = ListSource::Open("-");
  ASSERT_TRUE(source.ok());
  EXPECT_EQ((*source)->name(), "stdin");
  std::thread stopper([&] { (*source)->Stop(); });
  EXPECT_EQ((*source)->Read().status().code(), absl::StatusCode::kCancelled);
  stopper.join();
  dup2(own_stdin, STDIN_FILENO);
  for (int fd : {ends[0], ends[1], own_stdin}) close(fd);
}

}  // namespace
}  // namespace imgfleet::cli
