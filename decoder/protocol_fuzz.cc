// Fuzzes what either side reads of the other. Whatever the bytes: what is read is within its bounds, and says the same
// when it is written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "decoder/protocol.h"

namespace imgfleet::decoder {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void Check(const std::string& bytes) {
  if (const auto head = ParseRequestHead(bytes)) Require(Encode(*head) == bytes);
  if (const auto text = AnswerTextBytes(bytes)) Require(*text <= kMaxTextBytes);
  const auto answer = ParseAnswer(bytes);
  if (!answer.has_value()) return;
  for (const char c : answer->text + answer->facts.blurhash) Require(c >= ' ' && c <= '~');
  const auto again = ParseAnswer(Encode(*answer));
  Require(again.has_value() && again->status == answer->status && again->last == answer->last &&
          again->text == answer->text && again->facts.blurhash == answer->facts.blurhash &&
          again->facts.phash == answer->facts.phash && again->facts.average == answer->facts.average &&
          again->facts.dominant == answer->facts.dominant);
}

}  // namespace
}  // namespace imgfleet::decoder

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  imgfleet::decoder::Check(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
