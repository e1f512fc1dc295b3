#include "common/credentials.h"

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace imgfleet {
namespace {

class CredentialsTest : public testing::Test {
 protected:
  CredentialsTest() {
    char path[] = "/tmp/credentials.XXXXXX";
    folder_ = mkdtemp(path);
  }
  ~CredentialsTest() override { (void)!system(absl::StrCat("rm -rf ", folder_).c_str()); }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(absl::StrCat(folder_, "/", name)) << text;
  }

  std::string folder_;
};

TEST_F(CredentialsTest, AreReadFromLinesOfKeysEachTimeAnew) {
  Write("s3", "# of the archive\n\n access_key_id = AK \nsecret_access_key=a=b\r\nsession_token=\n");
  const auto s3 = ReadCredential(folder_, "s3");
  ASSERT_TRUE(s3.ok()) << s3.status();
  EXPECT_EQ(s3->access_key_id, "AK");
  EXPECT_EQ(s3->secret_access_key, "a=b");
  EXPECT_EQ(s3->session_token, "");
  EXPECT_EQ(s3->authorization, "");
  Write("s3", "authorization=Bearer of news");
  EXPECT_EQ(ReadCredential(folder_, "s3")->authorization, "Bearer of news");
}

TEST_F(CredentialsTest, NamesLeadNowhereElse) {
  Write("good-1_a.b", "authorization=x");
  EXPECT_TRUE(ReadCredential(folder_, "good-1_a.b").ok());
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string(".hidden"), std::string("a/b"),
        std::string("../etc/passwd"), std::string("a\0b", 3), std::string("a b"), std::string(129, 'a')}) {
    EXPECT_EQ(ReadCredential(folder_, name).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST_F(CredentialsTest, WhatIsWrongIsToldWithoutASecret) {
  EXPECT_EQ(ReadCredential("", "a").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReadCredential(folder_, "none").status().code(), absl::StatusCode::kNotFound);
  for (const std::string line : {"SECRET", "secret_accesskey=SECRET", "=SECRET"}) {
    Write("bad", absl::StrCat("authorization=SECRET\n", line, "\n"));
    const absl::Status status = ReadCredential(folder_, "bad").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << line;
    EXPECT_TRUE(absl::StrContains(status.message(), "line 2")) << status;
    EXPECT_FALSE(absl::StrContains(status.message(), "SECRET")) << status;
    EXPECT_FALSE(absl::StrContains(status.message(), folder_)) << status;
  }
}

TEST_F(CredentialsTest, OfTheEnvironment) {
  for (const char* name : {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}) unsetenv(name);
  EXPECT_EQ(CredentialOfEnvironment().access_key_id, "");
  setenv("AWS_ACCESS_KEY_ID", "AK", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "SK", 1);
  EXPECT_EQ(CredentialOfEnvironment().access_key_id, "AK");
  EXPECT_EQ(CredentialOfEnvironment().secret_access_key, "SK");
}

}  // namespace
}  // namespace imgfleet
