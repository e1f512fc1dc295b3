#include "worker/task/decoders.h"

#include <algorithm>
#include <thread>

#include "decoder/client.h"
#include "worker/fetch/reading.h"

namespace imgfleet::task {
namespace {

// The program, libcurl's and TLS's buffers, items that wait and outcomes that are on their way.
constexpr uint64_t kBesideBodies = 64 << 20;

}  // namespace

uint64_t BytesOfFetching(const fetch::Options& options) {
  return options.byte_budget + options.concurrency * fetch::kFreeBytes + kBesideBodies;
}

uint32_t DecodersThatFit(const fetch::Options& options, uint64_t memory) {
  const uint64_t wanted = options.threads > 0 ? options.threads : std::thread::hardware_concurrency();
  const uint64_t own = BytesOfFetching(options);
  const uint64_t room = memory > own ? (memory - own) / decoder::kProcessBytes : 0;
  return static_cast<uint32_t>(std::max<uint64_t>(1, std::min(wanted, room)));
}

}  // namespace imgfleet::task
