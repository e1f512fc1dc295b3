// A client with a list of any length: makes it up row by row, streams it to a coordinator, and reads what came of it.
//
//   list_client run --items=1000000        upload and read at the same time; prints what that took
//   list_client upload --items=1000000     upload alone; prints the job's id as soon as there is a job
//   list_client read --job=ID              results by index from --from on, packed, until the job has ended
//   list_client events --job=ID            the same in the order of commits, after --from
//   list_client jump --job=ID --items=N    results from --jumps random indices on, one shard each
//
// With --check every outcome is unpacked and compared with the row of its index: each once, none missing (needs workers
// that answer truly). With --pause-at=N a reader stops once it has N outcomes, says so in a line, and goes on when it is
// given a line on its standard input. Each command ends with one line of JSON; exit code 1 where anything was wrong.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <future>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/config/config.h"
#include "common/outcome/codec.h"
#include "common/status.h"
#include "grpcpp/create_channel.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"

namespace imgfleet {
namespace {

constexpr size_t kMessageBytes = 256 << 10;
constexpr int kReceiveBytes = 16 << 20;

struct Settings {
  config::HostPort coordinator{"127.0.0.1", 7070};
  uint64_t items = 10'000;
  std::string job;
  uint64_t from = 0;
  bool check = false;
  uint64_t pause_at = 0;
  int jumps = 20;
};

std::string UrlOf(uint64_t index) {
  uint64_t some = (index + 1) * 0x9e3779b97f4a7c15;
  some ^= some >> 29;
  return absl::StrCat("https://img", index % 7, ".example.com/photos/", absl::Hex(some, absl::kZeroPad16),
                      ".jpg");
}

// What a reading got.
struct Tally {
  uint64_t outcomes = 0;
  uint64_t bytes = 0;
  uint64_t next = 0;                          // Index or commit_seq to go on from.
  absl::Time first = absl::InfiniteFuture();  // When the first outcome came.
};

// Judges the messages of a reading by index.
class Shards {
 public:
  Shards(uint64_t from, bool check) : from_(from), next_(from), check_(check) {}

  absl::Status Take(const v1::Outcomes& message) {
    bytes_ += message.packed().size();
    if (first_ == absl::InfiniteFuture()) first_ = absl::Now();
    if (message.next_index() < next_) {
      return absl::DataLossError(
          absl::StrCat("results went back from ", next_, " to ", message.next_index()));
    }
    if (check_ && !message.packed().empty()) RETURN_IF_ERROR(Unpack(message.packed()));
    if (!message.shard_complete()) return absl::OkStatus();
    if (check_) RETURN_IF_ERROR(CheckShard(message.next_index()));
    next_ = message.next_index();
    return absl::OkStatus();
  }

  Tally tally() const { return {next_ - from_, bytes_, next_, first_}; }

 private:
  absl::Status Unpack(const std::string& packed) {
    ASSIGN_OR_RETURN(const v1::OutcomeChunk chunk, outcome::UnpackOutcomes(packed));
    for (const v1::Outcome& outcome : chunk.outcomes()) {
      if (outcome.url() != UrlOf(outcome.index())) {
        return absl::DataLossError(absl::StrCat("item ", outcome.index(), " has the URL ", outcome.url()));
      }
      indices_.push_back(outcome.index());
    }
    return absl::OkStatus();
  }

  // From `next_` on every index once; only a reading that begins in the middle of a shard gets some before.
  absl::Status CheckShard(uint64_t end) {
    std::sort(indices_.begin(), indices_.end());
    auto at = std::lower_bound(indices_.begin(), indices_.end(), next_);
    for (uint64_t wanted = next_; wanted < end; ++wanted, ++at) {
      if (at == indices_.end() || *at != wanted)
        return absl::DataLossError(absl::StrCat("item ", wanted, " is missing, or came twice"));
    }
    if (at != indices_.end())
      return absl::DataLossError(absl::StrCat("item ", *at, " came twice, or too early"));
    indices_.clear();
    return absl::OkStatus();
  }

  const uint64_t from_;
  uint64_t next_;
  const bool check_;
  uint64_t bytes_ = 0;
  absl::Time first_ = absl::InfiniteFuture();
  std::vector<uint64_t> indices_;  // Of the shard under way.
};

class Client {
 public:
  explicit Client(const Settings& settings) : settings_(settings) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kReceiveBytes);
    channel_ = grpc::CreateCustomChannel(settings.coordinator.ToString(), grpc::InsecureChannelCredentials(),
                                         arguments);
    stub_ = v1::Jobs::NewStub(channel_);
  }

  // Streams the list; `known` is told the job's id when there is one, or "".
  absl::Status Upload(std::promise<std::string>& known) {
    grpc::ClientContext context;
    const auto stream = stub_->UploadJob(&context);
    std::thread answers([&] {
      v1::Job job;
      bool first = true;
      while (stream->Read(&job)) {
        if (std::exchange(first, false)) known.set_value(job.id());
        if (job.state() != v1::Job::READING && job.items() == settings_.items) whole_ = true;
      }
      if (first) known.set_value("");
    });
    v1::UploadJobRequest request;
    request.mutable_spec()->mutable_measure()->set_depth(v1::HEADER);
    request.mutable_list()->set_path("list.tsv");
    request.set_data("id\turl\n");
    bool good = true;
    for (uint64_t index = 0; good && index < settings_.items;) {
      while (index < settings_.items && request.data().size() < kMessageBytes) {
        absl::StrAppend(request.mutable_data(), index, "\t", UrlOf(index), "\n");
        ++index;
      }
      good = stream->Write(request);
      request.clear_spec();
      request.clear_list();
      request.mutable_data()->clear();
    }
    stream->WritesDone();
    answers.join();
    RETURN_IF_ERROR(FromGrpc(stream->Finish()));
    return whole_ ? absl::OkStatus() : absl::DataLossError("the job does not have all items");
  }

  absl::StatusOr<Tally> ReadResults(const std::string& job) {
    grpc::ClientContext context;
    v1::ReadResultsRequest request;
    request.set_job_id(job);
    request.set_from_index(settings_.from);
    request.set_follow(true);
    request.set_encoding(v1::PACKED);
    const auto stream = stub_->ReadResults(&context, request);
    Shards shards(settings_.from, settings_.check);
    v1::Outcomes message;
    while (stream->Read(&message)) {
      RETURN_IF_ERROR(shards.Take(message));
      PauseAt(shards.tally().outcomes);
    }
    RETURN_IF_ERROR(FromGrpc(stream->Finish()));
    return shards.tally();
  }

  absl::StatusOr<Tally> ReadEvents(const std::string& job) {
    grpc::ClientContext context;
    v1::ReadEventsRequest request;
    request.set_job_id(job);
    request.set_after_commit_seq(settings_.from);
    request.set_follow(true);
    request.set_encoding(v1::PACKED);
    const auto stream = stub_->ReadEvents(&context, request);
    Tally tally;
    tally.next = settings_.from;
    v1::Outcomes message;
    std::vector<bool> seen;
    while (stream->Read(&message)) {
      if (message.commit_seq() != tally.next + 1) {
        return absl::DataLossError(
            absl::StrCat("commit_seq ", message.commit_seq(), " came after ", tally.next));
      }
      tally.next = message.commit_seq();
      tally.bytes += message.packed().size();
      ASSIGN_OR_RETURN(const v1::OutcomeChunk chunk, outcome::UnpackOutcomes(message.packed()));
      tally.outcomes += static_cast<uint64_t>(chunk.outcomes_size());
      for (const v1::Outcome& outcome : chunk.outcomes()) {
        if (!settings_.check) break;
        if (outcome.index() >= seen.size()) seen.resize(outcome.index() + 1);
        if (seen[outcome.index()])
          return absl::DataLossError(absl::StrCat("item ", outcome.index(), " came twice"));
        seen[outcome.index()] = true;
      }
      PauseAt(tally.outcomes);
    }
    RETURN_IF_ERROR(FromGrpc(stream->Finish()));
    return tally;
  }

  // The shard that holds each of some random indices, as far as it has outcomes.
  absl::StatusOr<Tally> Jump(const std::string& job) {
    std::mt19937_64 random(settings_.items);
    Tally tally;
    for (int i = 0; i < settings_.jumps; ++i) {
      const uint64_t index = random() % settings_.items;
      grpc::ClientContext context;
      v1::ReadResultsRequest request;
      request.set_job_id(job);
      request.set_from_index(index);
      request.set_encoding(v1::PACKED);
      const auto stream = stub_->ReadResults(&context, request);
      Shards shards(index, settings_.check);
      v1::Outcomes message;
      while (stream->Read(&message)) {
        RETURN_IF_ERROR(shards.Take(message));
        if (message.shard_complete()) break;
      }
      context.TryCancel();
      while (stream->Read(&message)) continue;
      (void)stream->Finish();
      if (shards.tally().outcomes > 0) ++tally.outcomes;  // Counts jumps that found a whole shard.
    }
    return tally;
  }

 private:
  void PauseAt(uint64_t outcomes) {
    if (settings_.pause_at == 0 || paused_ || outcomes < settings_.pause_at) return;
    paused_ = true;
    std::printf("paused %llu\n", static_cast<unsigned long long>(outcomes));
    std::fflush(stdout);
    // Somebody has to answer the coordinator's pings meanwhile, or it takes this process for dead: waiting for the channel
    // does.
    std::atomic<bool> over = false;
    std::thread alive([&] {
      while (!over) {
        channel_->WaitForStateChange(channel_->GetState(false),
                                     std::chrono::system_clock::now() + std::chrono::milliseconds(100));
      }
    });
    std::string line;
    std::getline(std::cin, line);
    over = true;
    alive.join();
  }

  const Settings& settings_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Jobs::Stub> stub_;
  bool whole_ = false;
  bool paused_ = false;
};

int End(const absl::StatusOr<Tally>& got, const std::string& job, absl::Time begun, double upload_seconds) {
  if (!got.ok()) return std::fprintf(stderr, "list_client: %s\n", got.status().ToString().c_str()), 1;
  std::printf(
      "%s\n",
      absl::StrFormat(
          R"({"job":"%s","outcomes":%d,"bytes":%d,"next":%d,"seconds":%.6f,"first_seconds":%.6f,"upload_seconds":%.6f})",
          job, got->outcomes, got->bytes, got->next, absl::ToDoubleSeconds(absl::Now() - begun),
          absl::ToDoubleSeconds(std::min(got->first, absl::Now()) - begun), upload_seconds)
          .c_str());
  return 0;
}

int UploadAnd(const Settings& settings, bool read) {
  const absl::Time begun = absl::Now();
  Client uploading(settings), reading(settings);
  std::promise<std::string> known;
  absl::Status uploaded;
  double upload_seconds = 0;
  std::thread upload([&] {
    uploaded = uploading.Upload(known);
    upload_seconds = absl::ToDoubleSeconds(absl::Now() - begun);
  });
  const std::string job = known.get_future().get();
  absl::StatusOr<Tally> got = Tally{};
  if (!read) {
    std::printf("job %s\n", job.c_str());
    std::fflush(stdout);
  } else if (!job.empty()) {
    got = reading.ReadResults(job);
  }
  upload.join();
  if (got.ok() && !uploaded.ok()) got = uploaded;
  if (read && got.ok() && got->next != settings.items) got = absl::DataLossError("the results end too early");
  return End(got, job, begun, upload_seconds);
}

int Main(int argc, char** argv) {
  Settings settings;
  config::Program program("list_client", "Streams a list of any length and reads its results.");
  program.Address("coordinator", &settings.coordinator, "The coordinator's address.");
  program.Integer("items", &settings.items, 1, 1'000'000'000, "Rows of the list.");
  program.Text("job", "ID", &settings.job, "The job to read.");
  program.Integer("from", &settings.from, 0, 1'000'000'000, "Index or commit_seq to begin at.");
  program.Switch("check", &settings.check, "Compare every outcome with its row.");
  program.Integer("pause-at", &settings.pause_at, 0, 1'000'000'000,
                  "Outcomes after which to wait for a line of input.");
  program.Integer("jumps", &settings.jumps, 1, 1'000'000, "Random indices to read from.");
  program.AddCommand("run", "Upload and read.");
  program.AddCommand("upload", "Upload.");
  program.AddCommand("read", "Read results by index.");
  program.AddCommand("events", "Read results in the order of commits.");
  program.AddCommand("jump", "Read results from random indices on.");
  if (const auto exit_code = program.Parse(argc, argv)) return *exit_code;
  if (program.command() == "run" || program.command() == "upload") {
    return UploadAnd(settings, program.command() == "run");
  }
  const absl::Time begun = absl::Now();
  Client client(settings);
  return End(program.command() == "read"     ? client.ReadResults(settings.job)
             : program.command() == "events" ? client.ReadEvents(settings.job)
                                             : client.Jump(settings.job),
             settings.job, begun, 0);
}

}  // namespace
}  // namespace imgfleet

int main(int argc, char** argv) { return imgfleet::Main(argc, argv); }
