#include "worker/image/text_header.h"

#include "absl/strings/str_cat.h"

namespace imgfleet::image {

bool TextHeader::Next(char* c) {
  constexpr uint64_t kHint = 512;
  if (at_ >= kMaxBytes) {
    stopped_ = Corrupt(format_, absl::StrCat("a text header of more than ", kMaxBytes, " bytes"));
    return false;
  }
  if (!source_.Has(at_, 1)) {
    stopped_ = source_.Missing(format_, at_, 1, kHint);
    return false;
  }
  *c = static_cast<char>(source_.U8(at_++));
  return true;
}

bool TextHeader::Line(std::string* line) {
  line->clear();
  char c;
  while (Next(&c)) {
    if (c == '\n') {
      if (!line->empty() && line->back() == '\r') line->pop_back();
      return true;
    }
    if (line->size() < kMaxText) *line += c;
  }
  return false;
}

bool TextHeader::SkipComment() {
  char c;
  while (Next(&c)) {
    if (c == '\n' || c == '\r') return true;
  }
  return false;
}

bool TextHeader::Word(std::string* word) {
  word->clear();
  char c;
  while (Next(&c)) {
    if (c == '#') {
      if (!SkipComment()) return false;
    } else if (!IsSpace(c)) {
      if (c == '\0') return true;
      if (word->size() < kMaxText) *word += c;
      continue;
    }
    if (!word->empty()) return true;
  }
  return false;
}

uint32_t TextHeader::Number(absl::string_view word) {
  constexpr uint64_t kMost = (uint64_t{1} << 31) - 1;
  uint64_t number = 0;
  for (char c : word) {
    if (c < '0' || c > '9') return 0;
    number = 10 * number + static_cast<uint64_t>(c - '0');
    if (number > kMost) return 0;
  }
  return static_cast<uint32_t>(number);
}

}  // namespace imgfleet::image
