// Pixels depth with the runner and the decoder that ship, against a real origin.
#include "worker/task/pixels.h"

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"
#include "worker/fetch/testing/harness.h"
#include "worker/fetch/testing/scripted_origin.h"
#include "worker/task/engine_runner.h"

namespace imgfleet::task {
namespace {

using fetch::ScriptedOrigin;

std::string TestFile(const std::string& name) {
  std::ifstream file("decoder/testdata/" + name, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  EXPECT_FALSE(bytes.empty()) << name;
  return bytes;
}

std::set<pid_t> Decoders() {
  std::set<pid_t> found;
  DIR* const proc = opendir("/proc");
  while (const dirent* entry = readdir(proc)) {
    std::ifstream status("/proc/" + std::string(entry->d_name) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line == "PPid:\t" + std::to_string(getpid())) found.insert(std::atoi(entry->d_name));
    }
  }
  closedir(proc);
  return found;
}

class PixelsTest : public testing::Test {
 protected:
  PixelsTest() { lease_->spec.mutable_measure()->set_depth(v1::PIXELS); }

  Item ItemOf(uint64_t index, std::function<void(const v1::Outcome&)> done) {
    return {index, std::to_string(index), origin_.Url("/file"), lease_, std::move(done)};
  }
  v1::Outcome Measure(const std::string& file) {
    file_ = file;
    std::promise<v1::Outcome> promise;
    std::vector<Item> items;
    items.push_back(ItemOf(3, [&](const v1::Outcome& outcome) { promise.set_value(outcome); }));
    runner_->Start(std::move(items));
    return promise.get_future().get();
  }
  static std::unique_ptr<EngineRunner> Runner(const std::string& program) {
    decoder::Client::Options options;
    options.program = program;
    options.processes = 2;
    return EngineRunner::Create(fetch::TestOptions(), options).value();
  }

  std::string file_;
  ScriptedOrigin origin_{[this](const ScriptedOrigin::Request& request) {
    return ScriptedOrigin::Answer{ScriptedOrigin::Serve(request, file_)};
  }};
  std::shared_ptr<Lease> lease_ = std::make_shared<Lease>();
  std::unique_ptr<EngineRunner> runner_ = Runner("decoder/imgfleet-decoder");
};

TEST_F(PixelsTest, TellsWhatThePixelsAre) {
  const std::string file = TestFile("turned.jpg");
  const v1::Outcome outcome = Measure(file);
  EXPECT_EQ(outcome.index(), 3u);
  ASSERT_TRUE(outcome.has_image()) << outcome.DebugString();
  const v1::ImageInfo& image = outcome.image();
  EXPECT_EQ(image.orientation(), 6u);
  EXPECT_EQ(image.size_bytes(), file.size());
  EXPECT_EQ(image.sha256().size(), 32u);  // Pixels are no less than full depth.
  EXPECT_TRUE(image.complete());
  ASSERT_TRUE(image.pixels().decoded()) << image.DebugString();
  EXPECT_FALSE(image.pixels().has_error());
  // As Pillow and imagehash see the turned image.
  EXPECT_LE(__builtin_popcountll(image.pixels().phash() ^ 0xf80fc0c3877c1e0f), 4);
  EXPECT_EQ(image.pixels().average_color(), "#7394a5");
  EXPECT_EQ(image.pixels().dominant_color().size(), 7u);
  EXPECT_EQ(image.pixels().blurhash().size(), 28u);
}

TEST_F(PixelsTest, ACutImageKeepsItsMeasurement) {
  const std::string file = TestFile("large.jpg");
  const v1::Outcome outcome = Measure(file.substr(0, file.size() / 2));
  ASSERT_TRUE(outcome.has_image()) << outcome.DebugString();
  EXPECT_EQ(outcome.image().width(), 1200u);
  EXPECT_FALSE(outcome.image().complete());
  EXPECT_EQ(outcome.image().sha256().size(), 32u);
  EXPECT_FALSE(outcome.image().pixels().decoded());
  EXPECT_EQ(outcome.image().pixels().error().reason(), v1::ItemError::TRUNCATED);
  EXPECT_FALSE(outcome.image().pixels().error().retryable());
  EXPECT_FALSE(outcome.image().pixels().has_phash());
}

TEST_F(PixelsTest, AnImageOfAFormatThatIsNotDecodedKeepsItsMeasurement) {
  const v1::Outcome outcome =
      Measure("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"10\" height=\"20\"/>");
  ASSERT_TRUE(outcome.has_image()) << outcome.DebugString();
  EXPECT_EQ(outcome.image().height(), 20u);
  EXPECT_EQ(outcome.image().pixels().error().reason(), v1::ItemError::UNSUPPORTED_FORMAT);
  EXPECT_NE(outcome.image().pixels().error().message().find("jpeg, png, gif"), std::string::npos);
}

TEST_F(PixelsTest, ABombIsRefusedFromItsHeader) {
  std::string png = TestFile("rgb.png");
  png.replace(16, 8, std::string("\x00\x00\x75\x30\x00\x00\x75\x30", 8));  // 30000 x 30000.
  const v1::Outcome outcome = Measure(png);
  ASSERT_TRUE(outcome.has_image()) << outcome.DebugString();
  EXPECT_EQ(outcome.image().width(), 30'000u);
  EXPECT_EQ(outcome.image().pixels().error().reason(), v1::ItemError::TOO_MANY_PIXELS);
  EXPECT_TRUE(Decoders().empty());  // Nobody was asked.
}

TEST_F(PixelsTest, WhatIsNoImageFailsAsEver) {
  const v1::Outcome outcome = Measure("<!doctype html><p>hello");
  EXPECT_EQ(outcome.error().reason(), v1::ItemError::NOT_AN_IMAGE);
  EXPECT_FALSE(outcome.has_image());
}

TEST_F(PixelsTest, WithoutADecoderAllElseIsStillTold) {
  for (const std::string program : {"", "/nowhere/imgfleet-decoder"}) {
    runner_ = Runner(program);
    const v1::Outcome outcome = Measure(TestFile("rgb.png"));
    ASSERT_TRUE(outcome.has_image()) << outcome.DebugString();
    EXPECT_EQ(outcome.image().width(), 200u);
    EXPECT_EQ(outcome.image().sha256().size(), 32u);
    EXPECT_EQ(outcome.image().pixels().error().reason(), v1::ItemError::INTERNAL);
    EXPECT_TRUE(outcome.image().pixels().error().retryable());
    EXPECT_FALSE(runner_->decoding().ok());
  }
}

TEST_F(PixelsTest, ADecoderKilledInTheMiddleOfAJobCostsOneItem) {
  constexpr int kItems = 300;
  file_ = TestFile("large.jpg");
  absl::Mutex mutex;
  std::map<uint64_t, v1::Outcome> outcomes;
  std::vector<Item> items;
  for (int i = 0; i < kItems; ++i) {
    items.push_back(ItemOf(i, [&](const v1::Outcome& outcome) {
      absl::MutexLock lock(&mutex);
      outcomes[outcome.index()] = outcome;
    }));
  }
  runner_->Start(std::move(items));
  {
    auto half = [&] { return outcomes.size() >= kItems / 2; };
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(&half));
  }
  const std::set<pid_t> decoders = Decoders();
  ASSERT_EQ(decoders.size(), 2u);
  kill(*decoders.begin(), SIGKILL);
  {
    auto all = [&] { return outcomes.size() == kItems; };
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(&all));
  }
  int lost = 0;
  for (const auto& [index, outcome] : outcomes) {
    ASSERT_TRUE(outcome.has_image()) << outcome.DebugString();
    EXPECT_EQ(outcome.image().width(), 1200u);
    if (outcome.image().pixels().decoded()) continue;
    ++lost;
    EXPECT_EQ(outcome.image().pixels().error().reason(), v1::ItemError::INTERNAL);
  }
  // None where it fell between two items.
  EXPECT_LE(lost, 1);
}

TEST_F(PixelsTest, EveryItemEndsWhenTheRunnerDoes) {
  constexpr int kItems = 100;
  file_ = TestFile("large.jpg");
  std::atomic<int> ended = 0;
  std::vector<Item> items;
  for (int i = 0; i < kItems; ++i) items.push_back(ItemOf(i, [&](const v1::Outcome&) { ++ended; }));
  runner_->Start(std::move(items));
  runner_.reset();
  EXPECT_EQ(ended, kItems);
}

}  // namespace
}  // namespace imgfleet::task
