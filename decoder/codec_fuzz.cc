// Fuzzes decoding as the decoder process does it: the first byte chooses the format, the second the orientation. Our own
// code is instrumented; the libraries are the system's and are not, so coverage does not guide the fuzzer into them, and
// of their mistakes only those that ASan's allocator sees are found. What contains them is the sandbox.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "decoder/server.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace imgfleet::decoder;
  if (size < 2) return 0;
  RequestHead head;
  head.format = static_cast<Format>(1 + data[0] % static_cast<uint8_t>(kLastFormat));
  head.orientation = 1 + data[1] % 8;
  head.file_bytes = size - 2;
  DecodeLimits limits;
  limits.pixels = 1 << 20;
  limits.bytes = 64 << 20;
  const Answer answer =
      AnswerTo(head, absl::string_view(reinterpret_cast<const char*>(data) + 2, size - 2), limits);
  const bool decoded = answer.status == AnswerStatus::kOk;
  if (decoded != answer.text.empty() || decoded != (answer.facts.blurhash.size() == 28)) std::abort();
  if (!ParseAnswer(Encode(answer)).has_value()) std::abort();
  return 0;
}
