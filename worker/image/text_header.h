// The text that some formats begin with, character by character.
#pragma once

#include <cstdint>
#include <string>

#include "worker/image/source.h"

namespace imgfleet::image {

class TextHeader {
 public:
  // No header is longer than this; a longer one is refused, which bounds the work.
  static constexpr uint64_t kMaxBytes = 64 << 10;
  // Longest word or line given back whole; of a longer one the rest is passed over.
  static constexpr size_t kMaxText = 256;

  // Begins at `at`. What is missing is asked for in the name of `format`.
  TextHeader(Source& source, Format format, uint64_t at) : source_(source), format_(format), at_(at) {}

  // Each of these returns false where the text at hand ends first; then stopped() is the answer.
  bool Next(char* c);
  // Up to the next line feed, which is eaten and, with a carriage return before it, left out.
  bool Line(std::string* line);
  // The next word: white space before it and comments ("#" up to the line's end) are passed over, the one character
  // behind it is eaten, and of a comment there the rest as well. Empty: no text stands here, but a zero byte.
  bool Word(std::string* word);

  const ProbeResult& stopped() const { return stopped_; }
  // The next character's place in the file.
  uint64_t at() const { return at_; }

  static bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
  // `word` as a number of digits only, from 1 to 2^31 - 1; 0 where it is none.
  static uint32_t Number(absl::string_view word);

 private:
  bool SkipComment();

  Source& source_;
  const Format format_;
  uint64_t at_;
  ProbeResult stopped_;
};

}  // namespace imgfleet::image
