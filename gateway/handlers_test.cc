#include "gateway/handlers.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "boost/json.hpp"
#include "gateway/handlers_testing.h"
#include "gtest/gtest.h"

namespace imgfleet::gateway {
namespace {

namespace json = boost::json;

constexpr char kTwoUrls[] = R"({"urls": ["https://example.com/0.jpg", "https://example.com/1.jpg"]})";

TEST_F(HandlersTest, ImagesInfoStreamsOutcomesWhileTheJobIsRunning) {
  Start();
  jobs_->Commit({Measured(0), Failed(2, v1::ItemError::DNS_FAILURE)});
  response_.on_write = [this] {
    if (response_.writes != 1) return;
    EXPECT_TRUE(absl::StrContains(response_.body, "20413"));  // Here before the rest exists.
    jobs_->Commit({Measured(1)});
    jobs_->End();
  };
  EXPECT_TRUE(Ask("POST", "/api/v1/images_info", kTwoUrls).ok());
  EXPECT_TRUE(response_.ended);
  EXPECT_EQ(response_.head.code, 200u);
  EXPECT_EQ(response_.head.content_type, "application/json");
  const json::value parsed = json::parse(response_.body);
  ASSERT_EQ(parsed.as_object().size(), 3u);
  const json::value& info = parsed.at("0").at("image_info");
  EXPECT_EQ(info.at("image_size").as_int64(), 20413);
  EXPECT_EQ(info.at("image_dimension"), json::value({800, 600}));
  EXPECT_EQ(info.at("image_format").as_string(), "JPEG");
  EXPECT_EQ(parsed.at("2").at("error").as_string(), "Image could not be requested.");
  EXPECT_EQ(parsed.at("2").at("reason").as_string(), "DNS_FAILURE");
  const auto seen = jobs_->seen();
  EXPECT_EQ(seen.uploaded, "\"https://example.com/0.jpg\"\n\"https://example.com/1.jpg\"\n");
  EXPECT_EQ(seen.list.format(), v1::JSON_LINES);
  EXPECT_EQ(seen.cancels, 0);
}

TEST_F(HandlersTest, OutcomesComeDownWhileTheListIsStillGoingUp) {
  Start({.hold_upload = true});
  jobs_->Commit({Measured(0)});
  response_.on_write = [this] {
    if (response_.writes != 1) return;
    EXPECT_FALSE(jobs_->seen().uploaded_all);
    jobs_->ReleaseUpload();
    jobs_->End();
  };
  EXPECT_TRUE(Ask("POST", "/api/v1/images_info", kTwoUrls).ok());
  EXPECT_TRUE(response_.ended);
  EXPECT_TRUE(jobs_->seen().uploaded_all);
}

TEST_F(HandlersTest, ImagesInfoAsNdjson) {
  Start();
  jobs_->Commit({Measured(0), Failed(1, v1::ItemError::TIMEOUT)});
  jobs_->End();
  EXPECT_TRUE(Ask("POST", "/api/v1/images_info", kTwoUrls, "application/x-ndjson").ok());
  EXPECT_EQ(response_.head.content_type, "application/x-ndjson");
  const std::vector<std::string> lines = absl::StrSplit(response_.body, '\n');
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(json::parse(lines[0]).at("status").as_string(), "ok");
  EXPECT_EQ(json::parse(lines[1]).at("error").at("reason").as_string(), "TIMEOUT");
}

TEST_F(HandlersTest, ImagesInfoErrorsAreTheContracts) {
  Start();
  for (const char* body : {"", "no json", "[]", "{}"}) {
    response_.head = {};
    EXPECT_TRUE(Ask("POST", "/api/v1/images_info", body).ok());
    EXPECT_EQ(response_.head.code, 422u);
    EXPECT_EQ(json::parse(response_.body).at("error").as_string(), "Data is not provided") << body;
  }
  ASSERT_EQ(symlink("/etc/passwd", (root_ + "/link.tsv").c_str()), 0);
  for (const char* path : {"missing.tsv", "../../../../etc/passwd", "/etc/passwd", "link.tsv", ".",
                           "ftp://example.com/list", "file:///etc/passwd"}) {
    const std::string body = absl::StrCat("{\"filepath\": \"", path, "\"}");
    EXPECT_TRUE(Ask("POST", "/api/v1/images_info", body).ok());
    EXPECT_EQ(response_.head.code, 422u) << path;
    EXPECT_EQ(json::parse(response_.body).at("error").as_string(), "Invalid input file url")
        << response_.body;
    EXPECT_FALSE(json::parse(response_.body).at("detail").as_string().empty());
    EXPECT_TRUE(Ask("POST", "/api/v1/images_info_async", body).ok());
    EXPECT_EQ(response_.head.code, 422u) << path;
  }
  EXPECT_EQ(jobs_->seen().uploaded_bytes, 0u);
}

TEST_F(HandlersTest, AListThatTheCoordinatorRefusesIs422WithItsMessage) {
  Start({.refuse_upload = absl::InvalidArgumentError("list.tsv:1: no column \"url\"")});
  std::ofstream(root_ + "/list.tsv") << "id\tlink\n";
  EXPECT_TRUE(Ask("POST", "/api/v1/images_info", R"({"filepath": "list.tsv"})").ok());
  EXPECT_EQ(response_.head.code, 422u);
  EXPECT_EQ(json::parse(response_.body),
            json::parse(R"({"error": "Invalid input file url", "detail": "list.tsv:1: no column \"url\""})"));
  EXPECT_EQ(jobs_->seen().list.path(), "list.tsv");
}

TEST_F(HandlersTest, ACoordinatorThatIsAwayIs503) {
  Start({.refuse_upload = absl::UnavailableError("connection refused")});
  EXPECT_TRUE(Ask("POST", "/api/v1/images_info", kTwoUrls).ok());
  EXPECT_EQ(response_.head.code, 503u);
  EXPECT_EQ(response_.Header("Retry-After"), "2");
}

TEST_F(HandlersTest, AClientThatLeavesCancelsTheJob) {
  Start();
  jobs_->Commit({Measured(0)});
  response_.on_write = [this] { response_.client_gone().Notify(); };
  EXPECT_FALSE(Ask("POST", "/api/v1/images_info", kTwoUrls).ok());
  EXPECT_FALSE(response_.ended);
  EXPECT_EQ(jobs_->seen().cancels, 1);
}

TEST_F(HandlersTest, ABreakAfterTheBeginningNeverLooksLikeAnEnd) {
  Start({.fail_events = absl::DataLossError("a chunk is damaged")});
  jobs_->Commit({Measured(0)});
  EXPECT_EQ(Ask("POST", "/api/v1/images_info", kTwoUrls).code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(response_.begun);
  EXPECT_FALSE(response_.ended);
  EXPECT_FALSE(absl::StrContains(response_.body, "}\n}"));
  EXPECT_EQ(jobs_->seen().cancels, 1);
}

TEST_F(HandlersTest, AJobThatFailsOrLacksOutcomesIsBrokenOff) {
  Start();
  jobs_->Commit({Measured(0)});
  jobs_->End(v1::Job::FAILED);
  EXPECT_FALSE(Ask("POST", "/api/v1/images_info", kTwoUrls).ok());
  EXPECT_FALSE(response_.ended);
}

TEST_F(HandlersTest, AnObjectIsNeverShortInSilence) {
  Start();
  jobs_->Commit({Measured(0)});
  jobs_->End(v1::Job::COMPLETED, /*missing=*/1);
  EXPECT_EQ(Ask("POST", "/api/v1/images_info", kTwoUrls).code(), absl::StatusCode::kInternal);
  EXPECT_FALSE(response_.ended);
}

TEST_F(HandlersTest, AConnectionThatBreaksIsTakenUpWithoutDoubles) {
  Start({.break_events_after = 1});
  jobs_->Commit({Measured(0)});
  jobs_->Commit({Measured(1)});
  jobs_->End();
  EXPECT_TRUE(Ask("POST", "/api/v1/images_info", kTwoUrls).ok());
  EXPECT_TRUE(response_.ended);
  EXPECT_EQ(json::parse(response_.body).as_object().size(), 2u);
  EXPECT_EQ(jobs_->seen().event_readings, 2);
}

TEST_F(HandlersTest, ImagesInfoAsyncAnswersOnceTheListIsDurable) {
  Start();
  EXPECT_TRUE(
      Ask("POST", "/api/v1/images_info_async", R"({"items": [{"id": "a", "url": "https://x/"}]})").ok());
  EXPECT_EQ(response_.head.code, 200u);
  EXPECT_EQ(response_.Header("Location"), absl::StrCat("/api/v1/jobs/", FakeJobs::kId));
  const json::value parsed = json::parse(response_.body);
  EXPECT_EQ(parsed.at("ok").as_string(), "Processing Images");
  EXPECT_EQ(parsed.at("job").at("id").as_string(), FakeJobs::kId);
  EXPECT_TRUE(jobs_->seen().uploaded_all);
}

TEST_F(HandlersTest, Ping) {
  Start();
  EXPECT_TRUE(Ask("GET", "/ping/").ok());
  EXPECT_EQ(json::parse(response_.body), json::parse(R"({"ping": "pong"})"));
}

TEST_F(HandlersTest, CreatesAJob) {
  Start();
  EXPECT_TRUE(
      Ask("POST", "/api/v1/jobs", R"({"urls": ["https://x/"], "name": "n", "limits": {"max_attempts": 2}})")
          .ok());
  EXPECT_EQ(response_.head.code, 202u);
  EXPECT_EQ(response_.Header("Location"), absl::StrCat("/api/v1/jobs/", FakeJobs::kId));
  EXPECT_EQ(response_.Header("Retry-After"), "1");
  EXPECT_EQ(json::parse(response_.body).at("state").as_string(), "RUNNING");
  EXPECT_EQ(jobs_->seen().spec.display_name(), "n");
  EXPECT_EQ(jobs_->seen().spec.limits().max_attempts(), 2u);
}

TEST_F(HandlersTest, RefusalsAreProblems) {
  Start({.refuse_upload = absl::InvalidArgumentError("limits.max_attempts: at most 10")});
  const auto expect = [&](unsigned code, const char* reason) {
    EXPECT_EQ(response_.head.code, code) << response_.body;
    EXPECT_EQ(response_.head.content_type, "application/problem+json");
    const json::value problem = json::parse(response_.body);
    EXPECT_EQ(problem.at("status").as_int64(), code);
    EXPECT_EQ(problem.at("reason").as_string(), reason);
    EXPECT_TRUE(problem.at("type").is_string() && problem.at("title").is_string() &&
                problem.at("detail").is_string());
  };
  EXPECT_TRUE(Ask("POST", "/api/v1/jobs", "no json").ok());
  expect(400, "INVALID_ARGUMENT");
  EXPECT_TRUE(Ask("POST", "/api/v1/jobs", R"({"urls": ["u"], "webhook": "x"})").ok());
  expect(422, "INVALID_ARGUMENT");
  EXPECT_TRUE(Ask("POST", "/api/v1/jobs", R"({"urls": ["u"]})").ok());
  expect(422, "INVALID_ARGUMENT");
  EXPECT_TRUE(Ask("POST", "/api/v1/jobs", R"({"filepath": "../x"})").ok());
  expect(422, "INVALID_ARGUMENT");
  content_type_ = "text/plain";
  EXPECT_TRUE(Ask("POST", "/api/v1/jobs", kTwoUrls).ok());
  expect(415, "INVALID_ARGUMENT");
  fetch_site_ = "cross-site";
  for (const char* path : {"/api/v1/jobs", "/api/v1/images_info", "/api/v1/images_info_async"}) {
    EXPECT_TRUE(Ask("POST", path, kTwoUrls).ok());
    expect(403, "PERMISSION_DENIED");
  }
  for (const char* path : {"/api/v1/jobs/nonsense", "/api/v1/jobs/01900000-0000-7000-8000-000000000002",
                           "/api/v1/jobs/01900000-0000-7000-8000-000000000002/results", "/api/v1/unknown"}) {
    EXPECT_TRUE(Ask("GET", path).ok());
    expect(404, "NOT_FOUND");
  }
  for (const char* query : {"format=xml", "from=-1", "follow=perhaps"}) {
    EXPECT_TRUE(Ask("GET", absl::StrCat("/api/v1/jobs/", FakeJobs::kId, "/results?", query)).ok());
    expect(400, "INVALID_ARGUMENT");
  }
  EXPECT_TRUE(Ask("GET", "/api/v1/jobs?page_size=0").ok());
  expect(400, "INVALID_ARGUMENT");
  EXPECT_TRUE(Ask("GET", absl::StrCat("/api/v1/jobs/", FakeJobs::kId, ":cancel")).ok());
  expect(405, "METHOD_NOT_ALLOWED");
  EXPECT_EQ(response_.Header("Allow"), "POST");
}

TEST_F(HandlersTest, ListsShowsAndCancelsJobs) {
  Start();
  EXPECT_TRUE(Ask("GET", "/api/v1/jobs?page_size=7").ok());
  EXPECT_EQ(json::parse(response_.body).at("jobs").as_array().size(), 1u);
  EXPECT_EQ(json::parse(response_.body).at("next_page_token").as_string(), "more");
  EXPECT_EQ(jobs_->seen().page_size, 7u);
  EXPECT_TRUE(Ask("GET", "/api/v1/jobs/?page_token=more").ok());
  EXPECT_TRUE(json::parse(response_.body).at("next_page_token").is_null());
  EXPECT_EQ(jobs_->seen().page_token, "more");
  EXPECT_TRUE(Ask("GET", absl::StrCat("/api/v1/jobs/", FakeJobs::kId)).ok());
  EXPECT_EQ(json::parse(response_.body).at("state").as_string(), "READING");
  EXPECT_TRUE(Ask("POST", absl::StrCat("/api/v1/jobs/", FakeJobs::kId, ":cancel")).ok());
  EXPECT_EQ(json::parse(response_.body).at("state").as_string(), "CANCELLED");
}

TEST_F(HandlersTest, ResultsComeByIndexInEveryFormat) {
  Start();
  jobs_->Commit({Measured(1), Measured(0)});
  jobs_->Commit({Failed(2, v1::ItemError::CORRUPT)});
  jobs_->End();
  const std::string path = absl::StrCat("/api/v1/jobs/", FakeJobs::kId, "/results");
  EXPECT_TRUE(Ask("GET", path).ok());
  EXPECT_EQ(response_.head.content_type, "application/x-ndjson");
  std::vector<std::string> lines = absl::StrSplit(response_.body, '\n');
  ASSERT_EQ(lines.size(), 4u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(json::parse(lines[i]).at("index").as_int64(), i);

  response_.body.clear();
  EXPECT_TRUE(Ask("GET", path + "?from=1&format=json").ok());
  EXPECT_EQ(json::parse(response_.body).as_array().size(), 2u);

  response_.body.clear();
  EXPECT_TRUE(Ask("GET", path, "", "text/csv").ok());
  EXPECT_TRUE(absl::StartsWith(response_.head.content_type, "text/csv"));
  lines = absl::StrSplit(response_.body, "\r\n");
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_TRUE(absl::StartsWith(lines[0], "index,")) << lines[0];

  response_.body.clear();
  EXPECT_TRUE(Ask("GET", path + "?from=3&format=json&follow=true").ok());
  EXPECT_EQ(response_.body, "[]\n");
}

TEST_F(HandlersTest, ResultsThatBreakOffAreNotEnded) {
  Start({.fail_events = absl::UnavailableError("away")});
  jobs_->Commit({Measured(0)});
  EXPECT_FALSE(Ask("GET", absl::StrCat("/api/v1/jobs/", FakeJobs::kId, "/results")).ok());
  EXPECT_FALSE(response_.ended);
}

}  // namespace
}  // namespace imgfleet::gateway
