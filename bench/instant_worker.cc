// A worker that fetches nothing: it answers every lease at once with outcomes that it makes up. What is left to measure
// is the coordinator.
//
//   instant_worker --coordinator=127.0.0.1:7070 --streams=4 --credit=8192 --outcomes=ready
//
// It speaks proto/imgfleet/v1/worker.proto as the real worker does: reports what it holds, sends chunks of at most 256
// outcomes, sends again what the store could not take. `ready` sends the same packed outcomes again and again, of the size
// that true ones have, and costs next to nothing; `true` answers each item with an outcome of its own index, id and URL.
// Ends with SIGTERM, or when the coordinator is gone.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/config/config.h"
#include "common/ids.h"
#include "common/outcome/codec.h"
#include "grpcpp/create_channel.h"
#include "proto/imgfleet/v1/worker.grpc.pb.h"

namespace imgfleet {
namespace {

constexpr int kChunkItems = 256;
constexpr uint64_t kCreditBytes = 256 << 20;

struct Settings {
  config::HostPort coordinator{"127.0.0.1", 7070};
  int streams = 4;
  uint32_t credit = 8192;
  bool made_true = false;
  uint64_t rate = 0;
};

uint64_t Scatter(uint64_t number) {
  number = (number ^ (number >> 31)) * 0x7fb5d329728ea185;
  return (number ^ (number >> 27)) * 0x81dadef4bc2dd44d;
}

// As `imgfleet info` measures a photo: sizes, times and ETag differ from item to item.
void FillOutcome(uint64_t index, v1::Outcome* outcome) {
  const uint64_t some = Scatter(index + 1);
  outcome->set_index(index);
  outcome->set_attempts(1);
  v1::ImageInfo& image = *outcome->mutable_image();
  image.set_format("jpeg");
  image.set_mime("image/jpeg");
  image.set_width(400 + some % 3000);
  image.set_height(300 + some % 2000);
  image.set_display_width(image.width());
  image.set_display_height(image.height());
  image.set_orientation(1);
  image.set_size_bytes(20'000 + some % 1'000'000);
  image.set_size_source(v1::CONTENT_RANGE);
  image.set_bit_depth(8);
  image.set_channels(3);
  image.set_progressive(some % 3 == 0);
  image.set_color_space(v1::YCBCR);
  v1::FetchInfo& fetch = *outcome->mutable_fetch();
  fetch.set_http_status(206);
  fetch.set_fetched_bytes(12'288);
  fetch.set_content_type("image/jpeg");
  fetch.set_etag(absl::StrCat("\"", absl::Hex(some >> 16), "\""));
  fetch.set_last_modified(absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT",
                                           absl::FromUnixSeconds(1'700'000'000 + some % 60'000'000),
                                           absl::UTCTimeZone()));
  fetch.set_first_byte_us(20'000 + some % 50'000);
  fetch.set_total_us(fetch.first_byte_us() + some % 3000);
}

// Packed outcomes of so many items, made once.
const std::string& ReadyPayload(int items) {
  static const auto* const ready = [] {
    auto* payloads = new std::vector<std::string>(kChunkItems + 1);
    v1::OutcomeChunk chunk;
    for (int i = 0; i < kChunkItems; ++i) {
      v1::Outcome& outcome = *chunk.add_outcomes();
      FillOutcome(1'000'000 + i, &outcome);
      outcome.set_id(absl::StrCat(outcome.index()));
      outcome.set_url(absl::StrCat("https://img3.example.com/photos/",
                                   absl::Hex(Scatter(outcome.index() * 77), absl::kZeroPad16), ".jpg"));
      (*payloads)[i + 1] = outcome::PackOutcomes(chunk);
    }
    return payloads;
  }();
  return (*ready)[items];
}

// One stream, from its Hello to its end: this thread reads, another one writes.
class Session {
 public:
  Session(v1::Workers::Stub& stub, const Settings& settings) : settings_(settings) {
    stream_ = stub.Work(&context_);
  }

  grpc::Status Run() {
    std::thread writing([this] { WriteAll(); });
    v1::WorkerMessage hello;
    hello.mutable_hello()->set_protocol_min(1);
    hello.mutable_hello()->set_protocol_max(1);
    hello.mutable_hello()->set_worker_id(NewUuid(absl::Now()));
    hello.mutable_hello()->set_display_name("instant");
    Send(std::move(hello));
    v1::CoordinatorMessage message;
    while (stream_->Read(&message)) Take(message);
    {
      absl::MutexLock lock(&mutex_);
      over_ = true;
    }
    writing.join();
    return stream_->Finish();
  }

 private:
  struct Held {
    uint64_t epoch = 0;
    uint32_t open = 0;  // Items without an acknowledged outcome.
    uint64_t bytes = 0;
  };
  using Shard = std::pair<std::string, uint32_t>;
  using Sent = std::shared_ptr<const v1::WorkerMessage>;

  void Take(v1::CoordinatorMessage& message) {
    if (message.has_welcome()) {
      report_every_ = absl::Seconds(message.welcome().report_interval().seconds());
    } else if (message.has_lease()) {
      TakeLease(message.lease());
    } else if (message.has_ack()) {
      TakeAck(message.ack());
    } else if (message.has_revoke()) {
      held_.erase({message.revoke().shard().job_id(), message.revoke().shard().shard()});
    }
    if (freed_ >= settings_.credit / 4 || absl::Now() - reported_ >= report_every_) Report();
  }

  void TakeLease(const v1::Lease& lease) {
    lease_number_ = lease.lease_number();
    held_[{lease.shard().job_id(), lease.shard().shard()}] = {
        lease.lease_epoch(), static_cast<uint32_t>(lease.offsets_size()), lease.items().size()};
    v1::ItemBatch items;
    if (settings_.made_true) {
      absl::StatusOr<v1::ItemBatch> unpacked = outcome::UnpackItems(lease.items());
      if (!unpacked.ok()) {
        std::fprintf(stderr, "instant_worker: %s\n", unpacked.status().ToString().c_str());
        return context_.TryCancel();
      }
      items = *std::move(unpacked);
    }
    for (int from = 0; from < lease.offsets_size(); from += kChunkItems) {
      Pace(kChunkItems);
      SendChunk(lease, items, from, std::min(from + kChunkItems, lease.offsets_size()));
    }
  }

  void Pace(int items) {
    if (settings_.rate == 0) return;
    const absl::Time now = absl::Now();
    absl::SleepFor(turn_ - now);
    turn_ = std::max(turn_, now) + absl::Seconds(items) / static_cast<double>(settings_.rate);
  }

  void SendChunk(const v1::Lease& lease, const v1::ItemBatch& items, int from, int end) {
    v1::WorkerMessage message;
    v1::Chunk& chunk = *message.mutable_chunk();
    *chunk.mutable_shard() = lease.shard();
    chunk.set_lease_epoch(lease.lease_epoch());
    chunk.mutable_offsets()->Add(lease.offsets().begin() + from, lease.offsets().begin() + end);
    if (settings_.made_true) {
      v1::OutcomeChunk outcomes;
      for (int i = from; i < end; ++i) {
        const v1::Item& item = items.items(static_cast<int>(lease.offsets(i)));
        v1::Outcome& outcome = *outcomes.add_outcomes();
        FillOutcome(lease.first_index() + lease.offsets(i), &outcome);
        outcome.set_id(item.id().empty() ? absl::StrCat(outcome.index()) : item.id());
        outcome.set_url(item.url());
      }
      chunk.set_payload(outcome::PackOutcomes(outcomes));
    } else {
      chunk.set_payload(ReadyPayload(end - from));
    }
    chunk.set_succeeded(static_cast<uint32_t>(end - from));
    chunk.set_fetched_bytes(uint64_t{12'288} * static_cast<uint64_t>(end - from));
    chunk.set_chunk_number(next_chunk_);
    auto sent = std::make_shared<const v1::WorkerMessage>(std::move(message));
    unacknowledged_[next_chunk_++] = sent;
    Queue(std::move(sent));
  }

  void TakeAck(const v1::Ack& ack) {
    const auto sent = unacknowledged_.find(ack.chunk_number());
    if (sent == unacknowledged_.end()) return;
    if (ack.code() == v1::Ack::RETRY) {
      absl::SleepFor(absl::Milliseconds(50));
      return Queue(sent->second);
    }
    const Shard shard(ack.shard().job_id(), ack.shard().shard());
    const auto items = static_cast<uint32_t>(sent->second->chunk().offsets_size());
    unacknowledged_.erase(sent);
    const auto held = held_.find(shard);
    if (held == held_.end() || held->second.epoch != ack.lease_epoch()) return;
    freed_ += items;
    held->second.open -= items;
    if (held->second.open == 0 || ack.code() != v1::Ack::COMMITTED) held_.erase(held);
  }

  void Report() {
    v1::WorkerMessage message;
    v1::Report& report = *message.mutable_report();
    for (const auto& [shard, held] : held_) {
      v1::HeldLease& lease = *report.add_held();
      lease.mutable_shard()->set_job_id(shard.first);
      lease.mutable_shard()->set_shard(shard.second);
      lease.set_lease_epoch(held.epoch);
      lease.set_items(held.open);
      lease.set_bytes(held.bytes);
    }
    report.set_capacity_items(settings_.credit);
    report.set_capacity_bytes(kCreditBytes);
    report.set_last_lease_number(lease_number_);
    freed_ = 0;
    reported_ = absl::Now();
    Send(std::move(message));
  }

  void Send(v1::WorkerMessage message) {
    Queue(std::make_shared<const v1::WorkerMessage>(std::move(message)));
  }
  void Queue(Sent message) {
    absl::MutexLock lock(&mutex_);
    queue_.push_back(std::move(message));
  }

  void WriteAll() {
    for (;;) {
      Sent next;
      grpc::WriteOptions options;
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(
            +[](Session* self)
                 ABSL_NO_THREAD_SAFETY_ANALYSIS { return self->over_ || !self->queue_.empty(); },
            this));
        if (over_) return;
        next = std::move(queue_.front());
        queue_.pop_front();
        if (!queue_.empty()) options.set_buffer_hint();
      }
      if (!stream_->Write(*next, options)) return;
    }
  }

  const Settings& settings_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::CoordinatorMessage>> stream_;

  // The reading thread's.
  std::map<Shard, Held> held_;
  std::map<uint64_t, Sent> unacknowledged_;
  uint64_t next_chunk_ = 1;
  uint64_t lease_number_ = 0;
  uint64_t freed_ = 0;  // Items, since the last report.
  absl::Time reported_ = absl::InfinitePast();
  absl::Time turn_ = absl::InfinitePast();  // When the next chunk may be sent.
  absl::Duration report_every_ = absl::InfiniteDuration();

  absl::Mutex mutex_;
  std::deque<Sent> queue_ ABSL_GUARDED_BY(mutex_);
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
};

// A stream that has reached its age is opened again; any other end is the end.
void Serve(const Settings& settings, int number) {
  grpc::ChannelArguments arguments;
  arguments.SetInt("instant_worker.stream", number);  // A connection for each stream, as for workers.
  arguments.SetMaxReceiveMessageSize(8 << 20);
  const auto stub = v1::Workers::NewStub(grpc::CreateCustomChannel(
      settings.coordinator.ToString(), grpc::InsecureChannelCredentials(), arguments));
  for (;;) {
    const grpc::Status end = Session(*stub, settings).Run();
    if (end.error_message().find("reached its age") != std::string::npos) continue;
    std::fprintf(stderr, "instant_worker: the stream ended: %s\n", end.error_message().c_str());
    return;
  }
}

int Main(int argc, char** argv) {
  Settings settings;
  config::Program program("instant_worker", "Answers every lease at once with made-up outcomes.");
  program.Address("coordinator", &settings.coordinator, "The coordinator's address.");
  program.Integer("streams", &settings.streams, 1, 100, "Workers that it plays.");
  program.Integer("credit", &settings.credit, 1, 1'000'000, "Items that each of them holds.");
  program.Choice("outcomes", &settings.made_true, {{"ready", false}, {"true", true}},
                 "The same packed bytes again and again, or an outcome for each item.");
  program.Integer("rate", &settings.rate, 0, 1'000'000,
                  "Items a second that each of them answers; 0: as they come.");
  if (const auto exit_code = program.Parse(argc, argv)) return *exit_code;
  std::vector<std::thread> threads;
  for (int i = 0; i < settings.streams; ++i) threads.emplace_back(Serve, std::cref(settings), i);
  for (std::thread& thread : threads) thread.join();
  return 0;
}

}  // namespace
}  // namespace imgfleet

int main(int argc, char** argv) { return imgfleet::Main(argc, argv); }
