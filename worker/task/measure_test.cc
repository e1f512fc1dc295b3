// The runner that ships against a real origin: images in, outcomes out.
#include <future>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "worker/fetch/testing/harness.h"
#include "worker/fetch/testing/scripted_origin.h"
#include "worker/task/digest.h"
#include "worker/task/engine_runner.h"
#include "worker/task/limits.h"
#include "worker/task/outcome.h"

namespace imgfleet::task {
namespace {

using fetch::ScriptedOrigin;
using Answer = ScriptedOrigin::Answer;

std::string Gif(uint16_t width, uint16_t height) {
  std::string gif = "GIF89a";
  for (const uint16_t side : {width, height}) {
    gif.push_back(static_cast<char>(side));
    gif.push_back(static_cast<char>(side >> 8));
  }
  gif += std::string("\x00\x00\x00", 3);                               // No colour table.
  gif += std::string("\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00", 10);  // One frame.
  return gif + std::string("\x02\x02\x44\x01\x00\x3b", 6);
}

// A JPEG whose frame header comes behind `before` bytes of application data.
std::string Jpeg(uint16_t width, uint16_t height, size_t before) {
  std::string jpeg = "\xff\xd8";
  while (before > 0) {
    const size_t payload = std::min<size_t>(before, 60'000);
    jpeg += "\xff\xe2";
    jpeg.push_back(static_cast<char>((payload + 2) >> 8));
    jpeg.push_back(static_cast<char>(payload + 2));
    jpeg += std::string(payload, 'p');
    before -= payload;
  }
  jpeg += std::string("\xff\xc0\x00\x0b\x08", 5);
  for (const uint16_t side : {height, width}) {
    jpeg.push_back(static_cast<char>(side >> 8));
    jpeg.push_back(static_cast<char>(side));
  }
  jpeg += std::string("\x01\x01\x11\x00", 4);
  jpeg += std::string("\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00", 10);
  return jpeg + std::string(20'000, 'd') + "\xff\xd9";
}

fetch::Options TestOptions() { return fetch::TestOptions(); }

class MeasureTest : public testing::Test {
 protected:
  v1::Outcome Measure(const std::string& url, const v1::JobSpec& spec = {}) {
    auto lease = std::make_shared<Lease>();
    lease->spec = spec;
    auto promise = std::make_shared<std::promise<v1::Outcome>>();
    auto future = promise->get_future();
    std::vector<Item> items;
    items.push_back(
        {7, "seven", url, lease, [promise](v1::Outcome outcome) { promise->set_value(std::move(outcome)); }});
    runner_->Start(std::move(items));
    return future.get();
  }
  // An outcome for `file` served by an honest origin.
  v1::Outcome MeasureFile(const std::string& file) {
    files_["/file"] = file;
    return Measure(origin_.Url("/file"));
  }

  std::map<std::string, std::string> files_;
  ScriptedOrigin origin_{[this](const ScriptedOrigin::Request& request) {
    const auto file = files_.find(request.path);
    if (file == files_.end()) return Answer{ScriptedOrigin::Http(404, {}, "no such image")};
    return Answer{ScriptedOrigin::Serve(request, file->second, {"ETag: \"\xff\"", "Content-Type: image/x"})};
  }};
  std::unique_ptr<EngineRunner> runner_ = EngineRunner::Create(TestOptions()).value();
};

TEST_F(MeasureTest, SaysWhatAnImageIs) {
  const std::string file = Jpeg(640, 480, 0);
  const v1::Outcome outcome = MeasureFile(file);
  EXPECT_EQ(outcome.index(), 7u);
  EXPECT_EQ(outcome.id(), "seven");
  EXPECT_EQ(outcome.url(), origin_.Url("/file"));
  EXPECT_EQ(outcome.attempts(), 1u);
  ASSERT_TRUE(outcome.has_image()) << outcome.DebugString();
  EXPECT_EQ(outcome.image().format(), "jpeg");
  EXPECT_EQ(outcome.image().mime(), "image/jpeg");
  EXPECT_EQ(outcome.image().width(), 640u);
  EXPECT_EQ(outcome.image().height(), 480u);
  EXPECT_EQ(outcome.image().size_bytes(), file.size());
  EXPECT_EQ(outcome.image().size_source(), v1::CONTENT_RANGE);
  EXPECT_EQ(outcome.fetch().http_status(), 206u);
  EXPECT_EQ(outcome.fetch().fetched_bytes(), 12288u);
  EXPECT_EQ(outcome.fetch().content_type(), "image/x");
  EXPECT_TRUE(outcome.fetch().content_type_wrong());
  EXPECT_EQ(outcome.image().color_space(), v1::GRAY);
  EXPECT_TRUE(outcome.image().has_has_icc());
  EXPECT_EQ(outcome.fetch().etag(), "\"\xef\xbf\xbd\"");  // What is no UTF-8 cannot stay.
  EXPECT_GT(outcome.fetch().total_us(), 0u);
}

TEST_F(MeasureTest, FetchesOnToALateHeader) {
  const v1::Outcome outcome = MeasureFile(Jpeg(320, 200, 150'000));
  ASSERT_TRUE(outcome.has_image()) << outcome.DebugString();
  EXPECT_EQ(outcome.image().width(), 320u);
}

TEST_F(MeasureTest, TypesWhatIsNoImage) {
  EXPECT_EQ(MeasureFile("<html><body>Hello</body></html>").error().reason(), v1::ItemError::NOT_AN_IMAGE);
  EXPECT_EQ(MeasureFile(Jpeg(9, 9, 40'000).substr(0, 30'000)).error().reason(), v1::ItemError::TRUNCATED);
  EXPECT_FALSE(MeasureFile("<html>").error().message().empty());
  const v1::Outcome missing = Measure(origin_.Url("/missing"));
  EXPECT_EQ(missing.error().reason(), v1::ItemError::HTTP_STATUS);
  EXPECT_EQ(missing.error().http_status(), 404u);
  EXPECT_EQ(missing.fetch().http_status(), 404u);
  const v1::Outcome bad = Measure("nonsense");
  EXPECT_EQ(bad.error().reason(), v1::ItemError::BAD_URL);
  EXPECT_FALSE(bad.has_fetch());
  EXPECT_EQ(bad.attempts(), 0u);
}

TEST_F(MeasureTest, RefusesMorePixelsThanAreTaken) {
  const v1::Outcome most = MeasureFile(Gif(65535, 32767));
  EXPECT_TRUE(most.has_image()) << most.DebugString();
  EXPECT_EQ(MeasureFile(Gif(65535, 65535)).error().reason(), v1::ItemError::TOO_MANY_PIXELS);
}

TEST_F(MeasureTest, FullDepthReadsAllOfIt) {
  v1::JobSpec spec;
  spec.mutable_measure()->set_depth(v1::FULL);
  for (const size_t before : {0, 150'000}) {
    const std::string file = Jpeg(640, 480, before);
    files_["/file"] = file;
    const v1::Outcome outcome = Measure(origin_.Url("/file"), spec);
    ASSERT_TRUE(outcome.has_image()) << outcome.DebugString();
    EXPECT_EQ(outcome.image().width(), 640u);
    EXPECT_EQ(outcome.image().size_bytes(), file.size());
    EXPECT_EQ(outcome.image().size_source(), v1::BODY);
    EXPECT_EQ(outcome.fetch().http_status(), 200u);
    EXPECT_EQ(outcome.fetch().fetched_bytes(), file.size());
    Sha256 sha256;
    sha256.Start();
    sha256.Add(file);
    EXPECT_EQ(outcome.image().sha256(), sha256.Finish());
    EXPECT_TRUE(outcome.image().complete());
    files_["/file"].resize(file.size() - 1);  // As the origin has it: the transfer is sound.
    const v1::Outcome cut = Measure(origin_.Url("/file"), spec);
    ASSERT_TRUE(cut.has_image()) << cut.DebugString();
    EXPECT_TRUE(cut.image().has_complete());
    EXPECT_FALSE(cut.image().complete());
  }
  // What is no image has no depth, and is not read to its end.
  files_["/file"] = "<html>" + std::string(3'000'000, ' ');
  const v1::Outcome page = Measure(origin_.Url("/file"), spec);
  EXPECT_EQ(page.error().reason(), v1::ItemError::NOT_AN_IMAGE);
  EXPECT_LT(page.fetch().fetched_bytes(), 1'000'000u);
  files_["/file"] = Gif(65535, 65535);
  EXPECT_EQ(Measure(origin_.Url("/file"), spec).error().reason(), v1::ItemError::TOO_MANY_PIXELS);
}

TEST(Sha256, IsTheHash) {
  Sha256 sha256;
  for (int round = 0; round < 2; ++round) {  // It can be begun anew.
    sha256.Start();
    sha256.Add("a");
    sha256.Add("bc");
    EXPECT_EQ(absl::BytesToHexString(sha256.Finish()),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  }
}

TEST_F(MeasureTest, ADepthThatIsNotKnownIsRefusedAndNotMeasuredOtherwise) {
  files_["/file"] = Gif(3, 2);
  v1::JobSpec spec;
  spec.mutable_measure()->set_depth(static_cast<v1::Depth>(77));
  const v1::Outcome outcome = Measure(origin_.Url("/file"), spec);
  EXPECT_EQ(outcome.index(), 7u);
  EXPECT_EQ(outcome.id(), "seven");
  EXPECT_EQ(outcome.error().reason(), v1::ItemError::INTERNAL);
  EXPECT_FALSE(outcome.error().retryable());
  EXPECT_NE(outcome.error().message().find("depth 77"), std::string::npos) << outcome.error().message();
  EXPECT_FALSE(outcome.has_fetch());
  EXPECT_EQ(outcome.attempts(), 0u);
}

TEST_F(MeasureTest, AnAbandonedLeaseEndsItsItems) {
  ScriptedOrigin silent([](const ScriptedOrigin::Request&) { return Answer{"", Answer::kHang}; });
  auto lease = std::make_shared<Lease>();
  std::vector<std::future<v1::Outcome>> outcomes;
  std::vector<Item> items;
  for (int i = 0; i < 50; ++i) {
    auto promise = std::make_shared<std::promise<v1::Outcome>>();
    outcomes.push_back(promise->get_future());
    items.push_back(
        {0, "", silent.Url("/"), lease, [promise](v1::Outcome outcome) { promise->set_value(outcome); }});
  }
  runner_->Start(std::move(items));
  lease->abandoned = true;
  runner_->DropAbandoned();
  for (auto& outcome : outcomes) EXPECT_EQ(outcome.get().error().reason(), v1::ItemError::CANCELLED);
}

TEST(Limits, DefaultsAndBounds) {
  v1::FetchLimits limits;
  EXPECT_EQ(ToLimits(limits).attempt_timeout, absl::Seconds(30));
  EXPECT_EQ(ToLimits(limits).max_attempts, 3u);
  EXPECT_EQ(ToLimits(limits).max_body_bytes, 64u << 20);
  limits.mutable_attempt_timeout()->set_seconds(100'000);
  limits.set_max_attempts(99);
  limits.set_max_body_bytes(uint64_t{1} << 40);
  EXPECT_EQ(ToLimits(limits).attempt_timeout, absl::Minutes(10));
  EXPECT_EQ(ToLimits(limits).max_attempts, 10u);
  EXPECT_EQ(ToLimits(limits).max_body_bytes, 1u << 30);
}

}  // namespace
}  // namespace imgfleet::task
