// Finds the root element of an XML document and hands out its attributes: what SVG needs of XML, and no more.
// Prolog, comments, processing instructions and the document type are skipped; entities are never expanded.
// UTF-8 and UTF-16 in both byte orders, with or without a byte order mark; other characters than ASCII are
// not told apart.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "worker/image/source.h"

namespace imgfleet::image {

class XmlRoot {
 public:
  enum class State {
    kFound,    // An element or an attribute was read.
    kEnd,      // The root element's tag ends.
    kMissing,  // [missing_offset(), missing_offset() + missing_size()) is needed.
    kNotXml,   // See problem().
    kTooLong,  // No end within kMaxBytes.
  };
  static constexpr uint64_t kMaxBytes = 1 << 20;

  explicit XmlRoot(Source& source);

  // Goes to the root element. name() is its name, doctype() the document type's, if there was one.
  State FindRoot();
  // Reads the root element's next attribute into name() and value().
  State NextAttribute();

  absl::string_view name() const { return {name_.data.data(), name_.size}; }
  absl::string_view doctype() const { return {doctype_.data.data(), doctype_.size}; }
  absl::string_view value() const { return {value_.data.data(), value_.size}; }
  // False: the value was longer than what is kept of it, or holds an entity or a character beyond ASCII.
  bool value_is_whole() const { return !value_.cut && !value_odd_; }
  uint64_t missing_offset() const { return at_; }
  uint64_t missing_size() const { return unit_; }
  const char* problem() const { return problem_; }

 private:
  template <size_t kSize>
  struct Text {
    std::array<char, kSize> data;
    size_t size = 0;
    bool cut = false;
    void Add(char c) {
      if (size < kSize) {
        data[size++] = c;
      } else {
        cut = true;
      }
    }
    void Clear() {
      size = 0;
      cut = false;
    }
  };

  // The character at at_, kOther for those beyond ASCII, or kStop after which state_ says why.
  static constexpr int kOther = 0x80;
  static constexpr int kStop = -1;
  int Peek();
  // Peek, and step over it.
  int Take();
  int SkipSpace();
  // Reads up to the end of `ending`. False: see state_.
  bool SkipPast(absl::string_view ending);
  bool SkipQuoted(int quote);
  bool SkipDoctype();
  template <size_t kSize>
  bool ReadName(Text<kSize>& name);
  State NotXml(const char* problem) {
    problem_ = problem;
    return State::kNotXml;
  }

  Source& source_;
  uint64_t at_ = 0;
  uint64_t unit_ = 1;   // Bytes of a code unit.
  uint64_t ascii_ = 0;  // Which of them holds ASCII.
  State state_ = State::kMissing;
  const char* problem_ = "";
  Text<64> name_;
  Text<64> doctype_;
  Text<256> value_;
  bool value_odd_ = false;
};

}  // namespace imgfleet::image
