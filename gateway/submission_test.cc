#include "gateway/submission.h"

#include "gtest/gtest.h"

namespace imgfleet::gateway {
namespace {

TEST(ParseSubmission, ListsBecomeJsonLines) {
  const auto urls = ParseSubmission(R"({"urls": ["https://a/\u00e9\n", "x"]})", Strangers::kRefuse);
  ASSERT_TRUE(urls.ok()) << urls.status();
  EXPECT_EQ(urls->list, "\"https://a/\xc3\xa9\\n\"\n\"x\"\n");
  EXPECT_TRUE(urls->spec.has_measure());
  const auto items = ParseSubmission(
      R"({"items": [{"id": "a\"", "url": "u"}, {"id": 7, "url": "v"}, {"url": "w"}, {"id": null, "url": ""}]})",
      Strangers::kRefuse);
  ASSERT_TRUE(items.ok()) << items.status();
  EXPECT_EQ(
      items->list,
      "{\"id\":\"a\\\"\",\"url\":\"u\"}\n{\"id\":\"7\",\"url\":\"v\"}\n{\"url\":\"w\"}\n{\"url\":\"\"}\n");
  EXPECT_EQ(ParseSubmission(R"({"filepath": "a/b.tsv"})", Strangers::kRefuse)->filepath, "a/b.tsv");
  // A list without items, as a file of a header line is.
  const auto none = ParseSubmission(R"({"urls": []})", Strangers::kPass);
  EXPECT_EQ(none->list, "id\turl\n");
  EXPECT_EQ(none->list_format, v1::TSV);
  EXPECT_TRUE(ParseSubmission(R"({"items": []})", Strangers::kPass).ok());
}

TEST(ParseSubmission, OptionsAreForJobsOnly) {
  const char* body = R"({"urls": ["u"], "kind": "measure", "name": "n",
      "limits": {"attempt_timeout_ms": 1500, "max_attempts": 2, "max_body_bytes": 1000}})";
  const auto job = ParseSubmission(body, Strangers::kRefuse);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->spec.display_name(), "n");
  EXPECT_EQ(job->spec.limits().attempt_timeout().seconds(), 1);
  EXPECT_EQ(job->spec.limits().attempt_timeout().nanos(), 500'000'000);
  EXPECT_EQ(job->spec.limits().max_attempts(), 2u);
  EXPECT_EQ(job->spec.limits().max_body_bytes(), 1000u);
  EXPECT_TRUE(ParseSubmission(R"({"urls": ["u"], "batch_size": 5})", Strangers::kPass).ok());
}

TEST(ParseSubmission, DepthIsTheCallersChoice) {
  const std::pair<const char*, v1::Depth> depths[] = {
      {"header", v1::HEADER}, {"full", v1::FULL}, {"pixels", v1::PIXELS}};
  for (const Strangers strangers : {Strangers::kRefuse, Strangers::kPass}) {
    for (const auto& [name, depth] : depths) {
      const auto given =
          ParseSubmission("{\"urls\": [\"u\"], \"depth\": \"" + std::string(name) + "\"}", strangers);
      ASSERT_TRUE(given.ok()) << given.status();
      EXPECT_EQ(given->spec.measure().depth(), depth);
    }
    EXPECT_EQ(ParseSubmission(R"({"urls": ["u"]})", strangers)->spec.measure().depth(),
              v1::DEPTH_UNSPECIFIED);
    for (const char* depth : {"\"deep\"", "\"FULL\"", "2", "null", "[]"}) {
      const auto given =
          ParseSubmission("{\"urls\": [\"u\"], \"depth\": " + std::string(depth) + "}", strangers);
      EXPECT_EQ(given.status().code(), absl::StatusCode::kInvalidArgument) << depth;
      EXPECT_EQ(given.status().message(), "\"depth\" is to be \"header\", \"full\" or \"pixels\"");
    }
  }
}

TEST(ParseSubmission, NothingToReadIsToldFromSomethingWrong) {
  for (const char* body :
       {"", "{", "[]", "null", "\"x\"", "{}", "{\"other\": 1}", "\xff", "{\"urls\": [\"a\"]} x"}) {
    EXPECT_EQ(ParseSubmission(body, Strangers::kPass).status().code(), absl::StatusCode::kNotFound) << body;
  }
  for (const char* body :
       {R"({"urls": "u"})", R"({"urls": [1]})", R"({"items": [{"id": "a"}]})", R"({"items": [1]})",
        R"({"items": [{"id": {}, "url": "u"}]})", R"({"filepath": ""})", R"({"filepath": 1})",
        R"({"urls": ["u"], "filepath": "f"})"}) {
    EXPECT_EQ(ParseSubmission(body, Strangers::kPass).status().code(), absl::StatusCode::kInvalidArgument)
        << body;
  }
  for (const char* body :
       {R"({"urls": ["u"], "schedule": "daily"})", R"({"urls": ["u"], "kind": "download"})",
        R"({"urls": ["u"], "limits": {"max_attempts": 0}})",
        R"({"urls": ["u"], "limits": {"max_attempts": "2"}})", R"({"urls": ["u"], "limits": {"other": 1}})",
        R"({"urls": ["u"], "name": 1})"}) {
    EXPECT_EQ(ParseSubmission(body, Strangers::kRefuse).status().code(), absl::StatusCode::kInvalidArgument)
        << body;
  }
}

TEST(ParseSubmission, DeepNestingIsNoStackOverflow) {
  const std::string deep(1 << 20, '[');
  EXPECT_FALSE(ParseSubmission(deep, Strangers::kPass).ok());
}

}  // namespace
}  // namespace imgfleet::gateway
