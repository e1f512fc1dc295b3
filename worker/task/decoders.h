// How many decoders a worker runs: as many as it has threads, where its memory has room for them.
#pragma once

#include <cstdint>

#include "worker/fetch/options.h"

namespace imgfleet::task {

// Bytes that the worker itself takes at most: the first part of each body in flight, its byte budget, and what is no body.
uint64_t BytesOfFetching(const fetch::Options& options);

// At least one: where memory is as short as that, the decoder is what the system kills, and costs one item.
uint32_t DecodersThatFit(const fetch::Options& options, uint64_t memory);

}  // namespace imgfleet::task
