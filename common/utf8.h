// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. Decoding is Boost's.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"

namespace imgfleet {

// Bytes at the start of `text` that are whole, valid characters; text.size() where all are. Thread-safe.
size_t ValidUtf8Prefix(absl::string_view text);

inline bool IsUtf8(absl::string_view text) { return ValidUtf8Prefix(text) == text.size(); }

// As ValidUtf8Prefix, but a last character that is only cut short counts as valid: for text that goes on.
bool IsUtf8SoFar(absl::string_view text);

}  // namespace imgfleet
