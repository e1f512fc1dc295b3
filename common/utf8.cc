#include "common/utf8.h"

#include <cstdint>
#include <cstring>

#include "boost/nowide/utf/utf.hpp"

namespace imgfleet {
namespace {

using Utf8 = boost::nowide::utf::utf_traits<char>;

// Nearly all text here is ASCII: eight bytes a step.
const char* SkipAscii(const char* at, const char* end) {
  while (end - at >= 8) {
    uint64_t word;
    std::memcpy(&word, at, sizeof(word));
    if ((word & 0x8080'8080'8080'8080u) != 0) break;
    at += 8;
  }
  while (at < end && static_cast<signed char>(*at) >= 0) ++at;
  return at;
}

// The first character that is not valid, or the end. `cut` tells whether it is one that only lacks bytes.
const char* FindInvalid(const char* at, const char* end, bool& cut) {
  cut = false;
  while ((at = SkipAscii(at, end)) < end) {
    const char* next = at;
    const auto code = Utf8::decode(next, end);
    if (code == boost::nowide::utf::illegal || code == boost::nowide::utf::incomplete) {
      cut = code == boost::nowide::utf::incomplete;
      return at;
    }
    at = next;
  }
  return end;
}

}  // namespace

size_t ValidUtf8Prefix(absl::string_view text) {
  bool cut;
  return FindInvalid(text.data(), text.data() + text.size(), cut) - text.data();
}

bool IsUtf8SoFar(absl::string_view text) {
  bool cut;
  return FindInvalid(text.data(), text.data() + text.size(), cut) == text.data() + text.size() || cut;
}

}  // namespace imgfleet
