// The examples that AWS publishes for Signature Version 4 with S3, and places.
#include "absl/strings/match.h"
#include "common/s3/place.h"
#include "common/s3/sigv4.h"
#include "gtest/gtest.h"

namespace imgfleet::s3 {
namespace {

const Credential kExample{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};

std::string Signature(const Signed& request) {
  const absl::Time time = absl::FromCivil(absl::CivilSecond(2013, 5, 24), absl::UTCTimeZone());
  const http::Headers headers = Sign(request, kExample, "us-east-1", time);
  const std::string& authorization = headers.back().second;
  return authorization.substr(authorization.find("Signature=") + 10);
}

// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, its four examples.
TEST(SigV4, SignsThePublishedExamples) {
  const std::string host = "examplebucket.s3.amazonaws.com";
  EXPECT_EQ(Signature({"GET", host, "/test.txt", {}, {{"Range", "bytes=0-9"}}, ""}),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  EXPECT_EQ(
      Signature({"PUT",
                 host,
                 EncodePath("/test$file.text"),
                 {},
                 {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                 Sha256Hex("Welcome to Amazon S3.")}),
      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  EXPECT_EQ(Signature({"GET", host, "/", {{"lifecycle", ""}}, {}, ""}),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  EXPECT_EQ(Signature({"GET", host, "/", {{"prefix", "J"}, {"max-keys", "2"}}, {}, ""}),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(Place, IsFoundByEndpointAndStyle) {
  EXPECT_EQ(Find("s3://b/k/x y+1.tsv", {})->url, "https://b.s3.us-east-1.amazonaws.com/k/x%20y%2B1.tsv");
  EXPECT_EQ(Find("s3://b.c/k", {"", "eu-west-1"})->url, "https://s3.eu-west-1.amazonaws.com/b.c/k");
  EXPECT_EQ(Find("S3://b/k", {"http://127.0.0.1:7080/"})->url, "http://127.0.0.1:7080/b/k");
  EXPECT_EQ(Find("s3://b/k", {"https://minio:443", "x", true})->url, "https://b.minio/k");
  EXPECT_EQ(Find("s3://b/k", {"https://minio:443", "x", true})->host, "b.minio");
  for (const char* bad : {"s3://", "s3://b", "s3://b/", "s3:///k", "s3://b@c/k", "s3://b?x/k"}) {
    EXPECT_FALSE(Find(bad, {}).ok()) << bad;
  }
  EXPECT_FALSE(Find("s3://b/k", {"ftp://h"}).ok());
  EXPECT_FALSE(Find("s3://b/k", {"https://h/path"}).ok());
}

TEST(Authorize, AddsNothingWithoutAKey) {
  http::Request request;
  Authorize(*Find("s3://b/k", {}), {}, {}, absl::UnixEpoch(), request);
  EXPECT_TRUE(request.secrets.empty());
  Authorize(*Find("s3://b/k", {}), {}, {"id", "key", "token"}, absl::UnixEpoch(), request);
  EXPECT_EQ(request.secrets.size(), 4u);
  EXPECT_TRUE(absl::StrContains(request.secrets.back().second, "x-amz-security-token"))
      << "the token is signed";
}

}  // namespace
}  // namespace imgfleet::s3
