#include "gateway/http.h"

#include "gateway/router.h"
#include "gtest/gtest.h"

namespace imgfleet::gateway {
namespace {

TEST(ParseTarget, TakesPathAndQueryApart) {
  Request request;
  ASSERT_TRUE(ParseTarget("/api/v1/jobs/?page_size=5&page_token=a%20b&flag", request));
  EXPECT_EQ(request.path, "/api/v1/jobs");
  EXPECT_EQ(request.Parameter("page_size"), "5");
  EXPECT_EQ(request.Parameter("page_token"), "a b");
  EXPECT_EQ(request.Parameter("flag"), "");
  EXPECT_EQ(request.Parameter("none"), "");
  Request absolute;
  ASSERT_TRUE(ParseTarget("http://host:80/ping?x=1", absolute));
  EXPECT_EQ(absolute.path, "/ping");
  Request root;
  ASSERT_TRUE(ParseTarget("/", root));
  EXPECT_EQ(root.path, "/");
}

TEST(ParseTarget, RefusesWhatIsNoPath) {
  for (const char* target : {"", "*", "http://a", "ftp://a/b", "a", "/%", "/%4", "/%zz", "/a%00b", "/a?x=%",
                             "/..", "/a/../b", "/a/.", "/%2e%2e/b"}) {
    Request request;
    EXPECT_FALSE(ParseTarget(target, request)) << target;
  }
  Request request;
  EXPECT_FALSE(ParseTarget(absl::string_view("/a\0b", 4), request));
}

TEST(Accepts, WantsTheTypeItselfWithAWeight) {
  EXPECT_TRUE(Accepts("application/x-ndjson", "application/x-ndjson"));
  EXPECT_TRUE(Accepts("text/html, Application/X-NDJSON;q=0.5", "application/x-ndjson"));
  EXPECT_FALSE(Accepts("*/*", "application/x-ndjson"));
  EXPECT_FALSE(Accepts("application/x-ndjson;q=0", "application/x-ndjson"));
  EXPECT_FALSE(Accepts("", "application/x-ndjson"));
}

class RouterTest : public testing::Test {
 protected:
  RouterTest() {
    const auto none = [](const Request&, Response&) -> Task<absl::Status> { co_return absl::OkStatus(); };
    router_.Add("POST", "/api/v1/jobs", none);
    router_.Add("GET", "/api/v1/jobs", none);
    router_.Add("GET", "/api/v1/jobs/{id}", none);
    router_.Add("GET", "/api/v1/jobs/{id}/results", none);
    router_.Add("POST", "/api/v1/jobs/{id}:cancel", none);
    router_.Add("GET", "/ping", none);
    router_.SetFallback(none);
  }
  std::string Find(const std::string& method, const std::string& path) {
    request_ = {};
    request_.method = method;
    request_.path = path;
    return router_.Find(request_).name;
  }
  Router router_;
  Request request_;
};

TEST_F(RouterTest, FindsRoutesAndTheirIds) {
  EXPECT_EQ(Find("GET", "/api/v1/jobs"), "GET /api/v1/jobs");
  EXPECT_EQ(Find("GET", "/api/v1/jobs/abc"), "GET /api/v1/jobs/{id}");
  EXPECT_EQ(request_.id, "abc");
  EXPECT_EQ(Find("GET", "/api/v1/jobs/abc/results"), "GET /api/v1/jobs/{id}/results");
  EXPECT_EQ(request_.id, "abc");
  EXPECT_EQ(Find("POST", "/api/v1/jobs/abc:cancel"), "POST /api/v1/jobs/{id}:cancel");
  EXPECT_EQ(request_.id, "abc");
}

TEST_F(RouterTest, WhatIsMissingOrNotAllowedHasAHandlerToo) {
  EXPECT_EQ(Find("GET", "/api/v2"), "not found");
  EXPECT_EQ(Find("GET", "/api/v1/jobs/a/b/results"), "not found");
  EXPECT_EQ(Find("GET", "/api"), "not found");
  EXPECT_EQ(Find("DELETE", "/api/v1/jobs"), "not allowed");
  EXPECT_EQ(Find("GET", "/api/v1/jobs/abc:cancel"), "not allowed");
  EXPECT_EQ(Find("POST", "/ping"), "not allowed");
  EXPECT_EQ(Find("GET", "/"), "page");
  EXPECT_EQ(Find("GET", "/any/thing"), "page");
  EXPECT_EQ(Find("GET", "/apis"), "page");
  EXPECT_EQ(Find("POST", "/any/thing"), "not allowed");
}

}  // namespace
}  // namespace imgfleet::gateway
