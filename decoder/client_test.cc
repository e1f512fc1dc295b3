// The pool with the decoder that ships.
#include "decoder/client.h"

#include <dirent.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "decoder/samples.h"
#include "decoder/testing/bombs.h"
#include "gtest/gtest.h"

namespace imgfleet::decoder {
namespace {

constexpr char kDecoder[] = "decoder/imgfleet-decoder";

std::string TestFile(const std::string& name) {
  std::ifstream file("decoder/testdata/" + name, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// What a line of a process's status says, in the unit that stands behind it.
int64_t StatusOf(pid_t pid, const std::string& name) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(name + ":", 0) == 0) return std::stoll(line.substr(name.size() + 1));
  }
  return -1;
}

// The decoders of this process.
std::set<pid_t> Decoders() {
  std::set<pid_t> found;
  DIR* const proc = opendir("/proc");
  while (const dirent* entry = readdir(proc)) {
    const pid_t pid = std::atoi(entry->d_name);
    if (pid > 0 && StatusOf(pid, "PPid") == getpid()) found.insert(pid);
  }
  closedir(proc);
  return found;
}

int64_t CpuTicks(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  std::istringstream rest(line.substr(line.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) rest >> skipped;
  int64_t ticks = 0;
  rest >> ticks;
  return ticks;
}

// MiB that were resident at most in one of the decoders that have ended.
int64_t MostOfADecoder() {
  rusage used;
  getrusage(RUSAGE_CHILDREN, &used);
  return used.ru_maxrss >> 10;
}

DecodeRequest Request(const std::string& format, const std::string& file,
                      std::function<void(Decoding)> done) {
  DecodeRequest request;
  request.format = format;
  request.file = file;
  request.done = std::move(done);
  return request;
}

class ClientTest : public testing::Test {
 protected:
  Decoding Decode(Client& client, const std::string& format, const std::string& file) {
    std::promise<Decoding> promise;
    client.Decode(Request(format, file, [&](Decoding decoding) { promise.set_value(std::move(decoding)); }));
    return promise.get_future().get();
  }
  std::unique_ptr<Client> Start(Client::Options options = {}) {
    if (options.program.empty()) options.program = kDecoder;
    if (options.processes == 0) options.processes = 1;
    return std::make_unique<Client>(options, Clock::System());
  }
  const std::string small_ = BlackPng(8, 8);
};

TEST_F(ClientTest, DecodesWhatItsFormatsAre) {
  const auto client = Start();
  const std::map<Format, std::string> names = {
      {Format::kJpeg, "jpeg"}, {Format::kPng, "png"},   {Format::kGif, "gif"},   {Format::kWebp, "webp"},
      {Format::kAvif, "avif"}, {Format::kHeic, "heic"}, {Format::kTiff, "tiff"}, {Format::kJxl, "jxl"},
      {Format::kJp2, "jp2"},   {Format::kJ2k, "j2k"}};
  for (const Sample& sample : Samples()) {
    const std::string& name = names.at(sample.format);
    const Decoding decoding = Decode(*client, name, sample.file);
    ASSERT_EQ(decoding.kind, Decoding::kDecoded) << name << ": " << decoding.message;
    // An orange square, one of its pixels blue in some.
    EXPECT_NEAR((*decoding.facts.average)[0], 198, 8) << name;
    EXPECT_NEAR((*decoding.facts.average)[1], 99, 8) << name;
    EXPECT_NEAR((*decoding.facts.average)[2], 53, 8) << name;
    EXPECT_EQ(decoding.facts.blurhash.size(), 28u);
  }
  EXPECT_EQ(client->started(), 1u);
  EXPECT_TRUE(client->status().ok());
}

TEST_F(ClientTest, NamesWhatItDecodesWhereAFormatIsNone) {
  const auto client = Start();
  const Decoding decoding = Decode(*client, "icns", "icns....");
  EXPECT_EQ(decoding.kind, Decoding::kUnsupported);
  EXPECT_NE(decoding.message.find("icns"), std::string::npos);
  EXPECT_NE(decoding.message.find("jpeg, png"), std::string::npos);
  EXPECT_EQ(client->started(), 0u);
}

TEST_F(ClientTest, CutFilesAreToldAsCut) {
  const auto client = Start();
  const std::string png = BlackPng(300, 300);
  for (size_t cut = 0; cut < png.size(); cut += 7) {
    const Decoding decoding = Decode(*client, "png", png.substr(0, cut));
    EXPECT_EQ(decoding.kind, Decoding::kTruncated) << cut << ": " << decoding.message;
  }
  for (const Sample& sample : Samples()) {
    if (sample.format != Format::kJpeg) continue;
    const Decoding decoding = Decode(*client, "jpeg", sample.file.substr(0, sample.file.size() - 3));
    EXPECT_EQ(decoding.kind, Decoding::kTruncated) << decoding.message;
  }
  EXPECT_EQ(client->started(), 1u);
}

TEST_F(ClientTest, BombsAreRefusedFromTheirHeaders) {
  const auto client = Start();
  const struct {
    const char* format;
    std::string file;
  } kBombs[] = {{"png", BlackPng(30'000, 30'000)}, {"webp", HugeWebp()},      {"gif", HugeGif()},
                {"jpeg", HugeProgressiveJpeg()},   {"jxl", HugeJxl(100'000)}, {"jxl", HugeJxl(8'000)}};
  for (const auto& bomb : kBombs) {
    const Decoding decoding = Decode(*client, bomb.format, bomb.file);
    EXPECT_EQ(decoding.kind, Decoding::kTooLarge) << bomb.format << ": " << decoding.message;
    EXPECT_LT(MostOfADecoder(), 64) << bomb.format;
  }
}

TEST_F(ClientTest, BombsInOtherFormatsToo) {
  const auto client = Start();
  const struct {
    const char* format;
    const char* file;
  } kFiles[] = {{"avif", "rgb.avif"},
                {"heic", "rgb.heic"},
                {"tiff", "half_transparent.tif"},
                {"j2k", "lossless.j2k"},
                {"jp2", "rgb.jp2"}};
  for (const auto& one : kFiles) {
    const std::string file = TestFile(one.file), bomb = Enlarged(file, 15'000, 15'000);
    ASSERT_NE(bomb, file) << one.file;
    ASSERT_EQ(Decode(*client, one.format, file).kind, Decoding::kDecoded) << one.file;
    const std::set<pid_t> decoders = Decoders();
    ASSERT_EQ(decoders.size(), 1u);
    const Decoding decoding = Decode(*client, one.format, bomb);
    EXPECT_EQ(decoding.kind, Decoding::kTooLarge) << one.file << ": " << decoding.message;
    EXPECT_LT(MostOfADecoder(), 64) << one.file;
  }
}

TEST_F(ClientTest, TheWorkerItselfRefusesWhatItKnowsToBeTooLarge) {
  const auto client = Start();
  std::promise<Decoding> promise;
  DecodeRequest request =
      Request("png", small_, [&](Decoding decoding) { promise.set_value(std::move(decoding)); });
  request.width = request.height = 30'000;
  client->Decode(std::move(request));
  EXPECT_EQ(promise.get_future().get().kind, Decoding::kTooLarge);
  EXPECT_EQ(client->started(), 0u);
}

// A filter of system calls on the calling thread, which those that it starts inherit: the calls fail with an errno.
void Refuse(const std::vector<int>& calls, int error) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  for (const int call : calls) ASSERT_EQ(seccomp_rule_add(filter, SCMP_ACT_ERRNO(error), call, 0), 0);
  ASSERT_EQ(seccomp_load(filter), 0);
  seccomp_release(filter);
}

TEST_F(ClientTest, WhereALayerOfTheSandboxIsMissingItRefusesToRunAndSaysSo) {
  const struct {
    int call;
    const char* said;
  } kLayers[] = {{SCMP_SYS(landlock_create_ruleset), "cannot lock itself in: Landlock"},
                 {SCMP_SYS(landlock_restrict_self), "cannot lock itself in: landlock_restrict_self"},
                 {SCMP_SYS(seccomp), "cannot lock itself in: seccomp: Linux 4.14 or newer is needed"},
                 {SCMP_SYS(capset), "cannot lock itself in: capset"},
                 {SCMP_SYS(close_range), "cannot lock itself in: close_range"}};
  for (const auto& layer : kLayers) {
    std::thread([&] {
      Refuse({layer.call}, EOPNOTSUPP);
      const auto client = Start();
      const Decoding decoding = Decode(*client, "png", small_);
      EXPECT_EQ(decoding.kind, Decoding::kUnavailable);
      EXPECT_NE(decoding.message.find(layer.said), std::string::npos) << decoding.message;
      EXPECT_FALSE(client->status().ok());
    }).join();
  }
}

TEST_F(ClientTest, RunsBehindAContainersOwnFilter) {
  std::thread([this] {
    // What Docker's and containerd's default profiles refuse a process without capabilities.
    Refuse({SCMP_SYS(acct),
            SCMP_SYS(add_key),
            SCMP_SYS(bpf),
            SCMP_SYS(chroot),
            SCMP_SYS(clock_settime),
            SCMP_SYS(fanotify_init),
            SCMP_SYS(init_module),
            SCMP_SYS(kexec_load),
            SCMP_SYS(keyctl),
            SCMP_SYS(mount),
            SCMP_SYS(move_pages),
            SCMP_SYS(open_by_handle_at),
            SCMP_SYS(perf_event_open),
            SCMP_SYS(pivot_root),
            SCMP_SYS(ptrace),
            SCMP_SYS(quotactl),
            SCMP_SYS(reboot),
            SCMP_SYS(request_key),
            SCMP_SYS(sethostname),
            SCMP_SYS(setns),
            SCMP_SYS(swapon),
            SCMP_SYS(umount2),
            SCMP_SYS(unshare),
            SCMP_SYS(userfaultfd)},
           EPERM);
    Refuse({SCMP_SYS(clone3)}, ENOSYS);
    const auto client = Start();
    const Decoding decoding = Decode(*client, "png", small_);
    EXPECT_EQ(decoding.kind, Decoding::kDecoded) << decoding.message;
  }).join();
}

TEST_F(ClientTest, AnImageMayBeLargeWithoutItsDecoderBeing) {
  const auto client = Start();
  const Decoding decoding = Decode(*client, "png", BlackPng(16'000, 16'000));
  ASSERT_EQ(decoding.kind, Decoding::kDecoded) << decoding.message;
  EXPECT_EQ(*decoding.facts.average, (Colour{0, 0, 0}));
  const std::set<pid_t> decoders = Decoders();
  ASSERT_EQ(decoders.size(), 1u);
  EXPECT_LT(StatusOf(*decoders.begin(), "VmHWM"), 64 << 10);  // KiB; 256 million pixels.
}

TEST_F(ClientTest, ADecoderKilledInTheMiddleCostsOneItem) {
  signal(SIGCHLD, SIG_IGN);  // As some supervisors leave it to what they start.
  const auto client = Start();
  const std::string slow = BlackPng(16'000, 16'000);
  constexpr int kItems = 60, kVictim = 20;
  absl::Mutex mutex;
  std::map<int, Decoding> decodings;
  std::promise<void> begun;
  for (int i = 0; i < kItems; ++i) {
    DecodeRequest request = Request("png", i == kVictim ? slow : small_, [&, i](Decoding decoding) {
      absl::MutexLock lock(&mutex);
      decodings[i] = std::move(decoding);
    });
    if (i == kVictim) {
      request.abandoned = [&] {
        begun.set_value();
        return false;
      };
    }
    client->Decode(std::move(request));
  }
  begun.get_future().get();
  const std::set<pid_t> decoders = Decoders();
  ASSERT_EQ(decoders.size(), 1u);
  // In the middle: the small ones before took no tenth of a second of CPU time, this one takes more.
  const int64_t ticks = CpuTicks(*decoders.begin());
  while (CpuTicks(*decoders.begin()) < ticks + 5) poll(nullptr, 0, 1);
  kill(*decoders.begin(), SIGKILL);
  {
    auto all = [&] { return decodings.size() == kItems; };
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(&all));
  }
  for (const auto& [index, decoding] : decodings) {
    EXPECT_EQ(decoding.kind, index == kVictim ? Decoding::kDied : Decoding::kDecoded) << index;
  }
  EXPECT_NE(decodings[kVictim].message.find("signal 9"), std::string::npos) << decodings[kVictim].message;
  EXPECT_EQ(client->started(), 2u);
}

TEST_F(ClientTest, ADecoderThatHangsIsKilledAndReplaced) {
  const auto client = Start({.program = kDecoder, .timeout = absl::Milliseconds(300)});
  ASSERT_EQ(Decode(*client, "png", small_).kind, Decoding::kDecoded);
  const pid_t hung = *Decoders().begin();
  kill(hung, SIGSTOP);
  const Decoding decoding = Decode(*client, "png", small_);
  EXPECT_EQ(decoding.kind, Decoding::kTimeout) << decoding.message;
  EXPECT_EQ(Decode(*client, "png", small_).kind, Decoding::kDecoded);
  EXPECT_EQ(Decoders().count(hung), 0u);
}

TEST_F(ClientTest, AFileThatNoDecoderReadsBlocksNobodyForEver) {
  // More than a socket holds, to a process that does not read.
  const auto client = Start({.program = kDecoder, .timeout = absl::Milliseconds(300)});
  ASSERT_EQ(Decode(*client, "png", small_).kind, Decoding::kDecoded);
  kill(*Decoders().begin(), SIGSTOP);
  EXPECT_EQ(Decode(*client, "png", std::string(8 << 20, 'x')).kind, Decoding::kTimeout);
}

TEST_F(ClientTest, SaysWhyThereIsNoDecoder) {
  const struct {
    const char* program;
    const char* said;
  } kCases[] = {{"/nowhere/imgfleet-decoder", "No such file"}, {"/bin/false", "exit code 1"}};
  for (const auto& one : kCases) {
    const auto client = Start({.program = one.program});
    for (int i = 0; i < 2; ++i) {
      const Decoding decoding = Decode(*client, "png", small_);
      EXPECT_EQ(decoding.kind, Decoding::kUnavailable) << one.program;
      EXPECT_NE(decoding.message.find(one.said), std::string::npos) << decoding.message;
    }
    EXPECT_FALSE(client->status().ok());
  }
  Client off({}, Clock::System());
  EXPECT_EQ(Decode(off, "png", small_).kind, Decoding::kUnavailable);
  EXPECT_FALSE(off.status().ok());
}

TEST_F(ClientTest, WhatNobodyWantsIsNotBegun) {
  const auto client = Start();
  std::promise<Decoding> promise;
  DecodeRequest request =
      Request("png", small_, [&](Decoding decoding) { promise.set_value(std::move(decoding)); });
  request.abandoned = [] { return true; };
  client->Decode(std::move(request));
  EXPECT_EQ(promise.get_future().get().kind, Decoding::kAbandoned);
  EXPECT_EQ(client->started(), 0u);
}

TEST_F(ClientTest, EveryRequestIsAnsweredAtTheEnd) {
  std::atomic<int> answered = 0;
  {
    const auto client = Start({.program = kDecoder, .processes = 2});
    const std::string slow = BlackPng(16'000, 16'000);
    for (int i = 0; i < 10; ++i) client->Decode(Request("png", slow, [&](Decoding) { ++answered; }));
    poll(nullptr, 0, 1);
  }
  EXPECT_EQ(answered, 10);
  EXPECT_TRUE(Decoders().empty());
}

TEST_F(ClientTest, ADecoderDoesNotOutliveItsClientsProcess) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t worker = fork();
  if (worker == 0) {
    Client client({.program = kDecoder, .processes = 1}, Clock::System());
    client.Decode(Request("png", small_, [](Decoding) {}));
    while (Decoders().empty()) poll(nullptr, 0, 1);
    const pid_t decoder = *Decoders().begin();
    if (write(ends[1], &decoder, sizeof(decoder)) != sizeof(decoder)) _exit(1);
    pause();
  }
  pid_t decoder = -1;
  ASSERT_EQ(read(ends[0], &decoder, sizeof(decoder)), static_cast<ssize_t>(sizeof(decoder)));
  kill(worker, SIGKILL);
  // It is somebody else's child now, or gone.
  while (kill(decoder, 0) == 0 && StatusOf(decoder, "VmRSS") > 0) poll(nullptr, 0, 1);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace imgfleet::decoder
