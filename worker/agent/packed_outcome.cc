#include "worker/agent/packed_outcome.h"

#include "google/protobuf/io/coded_stream.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::agent {

PackedOutcome PackTo(const v1::Outcome& outcome, std::string* buffer) {
  using google::protobuf::io::CodedOutputStream;
  constexpr uint32_t kLengthDelimited = 2;
  constexpr uint32_t kTag = v1::OutcomeChunk::kOutcomesFieldNumber << 3 | kLengthDelimited;
  const auto size = static_cast<uint32_t>(outcome.ByteSizeLong());
  const size_t begin = buffer->size();
  const size_t packed = CodedOutputStream::VarintSize32(kTag) + CodedOutputStream::VarintSize32(size) + size;
  buffer->resize(begin + packed);
  auto* at = reinterpret_cast<uint8_t*>(buffer->data()) + begin;
  at = CodedOutputStream::WriteVarint32ToArray(kTag, at);
  at = CodedOutputStream::WriteVarint32ToArray(size, at);
  outcome.SerializeWithCachedSizesToArray(at);
  return {absl::string_view(buffer->data() + begin, packed), outcome.has_error(), outcome.error().reason(),
          outcome.fetch().fetched_bytes(), absl::ZeroDuration()};
}

}  // namespace imgfleet::agent
