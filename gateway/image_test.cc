// One image, and a few, asked for at once.
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "boost/json.hpp"
#include "gateway/handlers_testing.h"

namespace imgfleet::gateway {
namespace {

namespace json = boost::json;

constexpr char kFour[] =
    R"({"items": [{"id": "a", "url": "u0"}, {"url": "u1"}, {"id": "a", "url": "u2"}, {"url": "u3"}]})";

class ImageTest : public HandlersTest {
 protected:
  ImageTest() { express_ = true; }
  static Script Answers(std::vector<Script::Fetch> fetches) {
    Script script;
    script.fetches = std::move(fetches);
    return script;
  }
  void ExpectProblem(unsigned code, const char* reason) {
    EXPECT_EQ(response_.head.code, code) << response_.body;
    EXPECT_EQ(response_.head.content_type, "application/problem+json");
    const json::value problem = json::parse(response_.body);
    EXPECT_EQ(problem.at("status").as_int64(), code);
    EXPECT_EQ(problem.at("reason").as_string(), reason);
  }
};

TEST_F(ImageTest, AMeasuredOneIsItsOutcome) {
  Start(Answers({{{Measured(0)}, absl::OkStatus()}}));
  EXPECT_TRUE(Ask("GET", "/api/v1/image?url=https%3A%2F%2Fexample.com%2F0.jpg&depth=full").ok());
  EXPECT_EQ(response_.head.code, 200u);
  EXPECT_EQ(response_.head.content_type, "application/json");
  EXPECT_EQ(response_.Header("Cache-Control"), "no-store");
  EXPECT_EQ(json::parse(response_.body).at("width").as_int64(), 800);
  const auto seen = jobs_->seen();
  ASSERT_EQ(seen.fetches.size(), 1u);
  EXPECT_EQ(seen.fetches[0].items().items(0).url(), "https://example.com/0.jpg");
  EXPECT_EQ(seen.fetches[0].spec().measure().depth(), v1::FULL);
}

TEST_F(ImageTest, AFailureIsAProblemWithItsOutcome) {
  struct Case {
    v1::ItemError::Reason reason;
    unsigned code;
  };
  for (const auto& [reason, code] :
       {Case{v1::ItemError::BAD_URL, 400}, Case{v1::ItemError::BLOCKED_ADDRESS, 403},
        Case{v1::ItemError::NOT_AN_IMAGE, 422}, Case{v1::ItemError::TRUNCATED, 422},
        Case{v1::ItemError::HTTP_STATUS, 502}, Case{v1::ItemError::DNS_FAILURE, 502},
        Case{v1::ItemError::TIMEOUT, 504}, Case{v1::ItemError::INTERNAL, 500}}) {
    SetUpAgain(Answers({{{Failed(0, reason)}, absl::OkStatus()}}));
    EXPECT_TRUE(Ask("GET", "/api/v1/image?url=u").ok());
    ExpectProblem(code, v1::ItemError::Reason_Name(reason).c_str());
    EXPECT_EQ(json::parse(response_.body).at("outcome").at("status").as_string(), "error");
  }
}

TEST_F(ImageTest, BadRequestsNeverReachTheCoordinator) {
  Start();
  for (const char* query : {"", "?url=", "?depth=full", "?url=u&depth=deep"}) {
    EXPECT_TRUE(Ask("GET", absl::StrCat("/api/v1/image", query)).ok());
    ExpectProblem(400, "INVALID_ARGUMENT");
  }
  fetch_site_ = "cross-site";
  EXPECT_TRUE(Ask("GET", "/api/v1/image?url=u").ok());
  ExpectProblem(403, "PERMISSION_DENIED");
  EXPECT_TRUE(jobs_->seen().fetches.empty());
}

TEST_F(ImageTest, ACoordinatorWithoutRoomIsAskedAgain) {
  const Script::Fetch full{{}, absl::UnavailableError("no worker has room; make a job")};
  Start(Answers({full, {{Measured(0)}, absl::OkStatus()}}));
  EXPECT_TRUE(Ask("GET", "/api/v1/image?url=u").ok());
  EXPECT_EQ(response_.head.code, 200u);
}

TEST_F(ImageTest, WhereNoWorkerHasRoomAtOnceItIsAJobThatIsWaitedFor) {
  const Script::Fetch full{{}, absl::UnavailableError("no worker has room; make a job")};
  Start(Answers({full, full, full, full}));
  jobs_->Commit({Measured(0)});
  jobs_->End();
  EXPECT_TRUE(Ask("GET", "/api/v1/image?url=u&depth=full").ok());
  EXPECT_EQ(response_.head.code, 200u) << response_.body;
  EXPECT_EQ(json::parse(response_.body).at("width").as_int64(), 800);
  EXPECT_EQ(jobs_->seen().uploaded, "{\"id\":\"0\",\"url\":\"u\"}\n");
  EXPECT_EQ(jobs_->seen().spec.measure().depth(), v1::FULL);
  EXPECT_EQ(jobs_->seen().cancels, 0);
}

TEST_F(ImageTest, AJobThatNobodyTakesIsWaitedForWithinBoundsAndCancelled) {
  Start(Answers({{{}, absl::ResourceExhaustedError("too many; make a job")}}));
  backend_->patience = absl::Milliseconds(50);
  EXPECT_TRUE(Ask("GET", "/api/v1/image?url=u").ok());
  ExpectProblem(503, "UNAVAILABLE");
  EXPECT_EQ(response_.Header("Retry-After"), "2");
  EXPECT_TRUE(absl::StrContains(response_.body, "start more workers, or make a job of it")) << response_.body;
  EXPECT_EQ(jobs_->seen().cancels, 1);
}

TEST_F(ImageTest, AQuotaThatRefusesTheJobIsToldAsItIs) {
  Script script = Answers({{{}, absl::ResourceExhaustedError("too many; make a job")}});
  script.refuse_upload =
      absl::ResourceExhaustedError("alice may have 1 jobs going; wait until one has ended");
  Start(std::move(script));
  EXPECT_TRUE(Ask("GET", "/api/v1/image?url=u").ok());
  ExpectProblem(429, "RESOURCE_EXHAUSTED");
  EXPECT_TRUE(absl::StrContains(response_.body, "wait until one has ended"));
}

TEST_F(ImageTest, ACoordinatorThatIsLostIsAskedAgainHoweverItWasLost) {
  for (const absl::Status& lost : {absl::UnavailableError("it stops"), absl::CancelledError("CANCELLED"),
                                   absl::UnknownError("Stream removed"), absl::AbortedError("it stops")}) {
    const Script::Fetch away{{}, lost};
    Script script = Answers({away, away, away, {{Measured(0)}, absl::OkStatus()}});
    script.refuse_upload = lost;
    SetUpAgain(std::move(script));
    EXPECT_TRUE(Ask("GET", "/api/v1/image?url=u").ok());
    EXPECT_EQ(response_.head.code, 200u) << response_.body;
  }
}

TEST_F(ImageTest, AFewWaitForACoordinatorBeforeAnythingWasAnsweredToo) {
  const Script::Fetch away{{}, absl::UnavailableError("it stops")};
  Script script = Answers({away,
                           away,
                           away,
                           {{Measured(1)}, away.end},
                           away,
                           away,
                           {{Measured(0), Measured(1), Measured(2)}, absl::OkStatus()}});
  script.refuse_upload = away.end;
  Start(std::move(script));
  EXPECT_TRUE(Ask("POST", "/api/v1/images_info", kFour).ok());
  EXPECT_TRUE(response_.ended);
  EXPECT_EQ(json::parse(response_.body).as_object().size(), 4u);
}

TEST_F(ImageTest, ACoordinatorThatStaysAwayIsWaitedForWithinBounds) {
  const absl::Status away = absl::UnavailableError("nobody is there");
  Script script = Answers(std::vector<Script::Fetch>(100, {{}, away}));
  script.refuse_upload = away;
  for (const auto& [method, target, body] :
       {std::tuple("GET", "/api/v1/image?url=u", ""), std::tuple("POST", "/api/v1/images_info", kFour)}) {
    SetUpAgain(script);
    backend_->patience = absl::Milliseconds(50);
    EXPECT_TRUE(Ask(method, target, body).ok());
    ExpectProblem(503, "UNAVAILABLE");
    EXPECT_EQ(response_.Header("Retry-After"), "2");
    EXPECT_EQ(jobs_->seen().fetches.size(), 6u);
  }
}

TEST_F(ImageTest, WhatCanNeverComeRightIsNotAskedAgain) {
  Start(Answers({{{}, absl::InvalidArgumentError("items[0].url: longer than 8192 bytes")}}));
  EXPECT_TRUE(Ask("GET", "/api/v1/image?url=u").ok());
  ExpectProblem(422, "INVALID_ARGUMENT");
  EXPECT_EQ(jobs_->seen().fetches.size(), 1u);
}

TEST_F(ImageTest, AFewAreAnsweredWithoutAJob) {
  Start(Answers({{{Measured(2), Measured(0), Measured(3), Measured(1)}, absl::OkStatus()}}));
  EXPECT_TRUE(Ask("POST", "/api/v1/images_info", kFour).ok());
  EXPECT_TRUE(response_.ended);
  EXPECT_EQ(json::parse(response_.body).as_object().size(), 4u);
  EXPECT_TRUE(json::parse(response_.body).as_object().contains("a#2"));
  EXPECT_EQ(jobs_->seen().uploaded_bytes, 0u);
}

TEST_F(ImageTest, OnlyWhatIsMissingIsAskedForAgain) {
  Start(Answers({{{Measured(2), Measured(0)}, absl::UnavailableError("the connection broke")},
                 {{Measured(1), Measured(0)}, absl::OkStatus()}}));
  EXPECT_TRUE(Ask("POST", "/api/v1/images_info", kFour, "application/x-ndjson").ok());
  EXPECT_TRUE(response_.ended);
  const auto seen = jobs_->seen();
  ASSERT_EQ(seen.fetches.size(), 2u);
  ASSERT_EQ(seen.fetches[1].items().items_size(), 2);
  EXPECT_EQ(seen.fetches[1].items().items(0).url(), "u1");
  EXPECT_EQ(seen.fetches[1].items().items(1).url(), "u3");
  for (const char* index : {"\"index\":0,", "\"index\":1,", "\"index\":2,", "\"index\":3,"}) {
    const size_t first = response_.body.find(index);
    ASSERT_NE(first, std::string::npos) << index;
    EXPECT_EQ(response_.body.find(index, first + 1), std::string::npos) << index;
  }
}

TEST_F(ImageTest, WhatIsNotTakenAtOnceBecomesAJobOfWhatIsMissing) {
  Start(Answers({{{Measured(2)}, absl::ResourceExhaustedError("too many requests; make a job")}}));
  jobs_->Commit({Measured(0), Measured(1), Measured(2)});
  jobs_->End();
  EXPECT_TRUE(Ask("POST", "/api/v1/images_info", kFour).ok());
  EXPECT_TRUE(response_.ended);
  EXPECT_EQ(json::parse(response_.body).as_object().size(), 4u);
  EXPECT_EQ(jobs_->seen().uploaded,
            "{\"id\":\"a\",\"url\":\"u0\"}\n{\"id\":\"1\",\"url\":\"u1\"}\n"
            "{\"id\":\"3\",\"url\":\"u3\"}\n");
}

TEST_F(ImageTest, LongerListsAreJobsFromTheBeginning) {
  Start();
  jobs_->Commit({Measured(0)});
  jobs_->End();
  std::string urls;
  for (int i = 0; i < 65; ++i) absl::StrAppend(&urls, i > 0 ? "," : "", "\"u\"");
  EXPECT_TRUE(Ask("POST", "/api/v1/images_info", absl::StrCat("{\"urls\": [", urls, "]}")).ok());
  EXPECT_TRUE(jobs_->seen().fetches.empty());
}

}  // namespace
}  // namespace imgfleet::gateway
