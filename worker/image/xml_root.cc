#include "worker/image/xml_root.h"

namespace imgfleet::image {
namespace {
bool IsSpace(int c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool IsNameStart(int c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' || c == 0x80;
}
bool IsName(int c) { return IsNameStart(c) || (c >= '0' && c <= '9') || c == '-' || c == '.'; }
}  // namespace

XmlRoot::XmlRoot(Source& source) : source_(source) {
  if (!source.Has(0, 2)) return;
  const uint16_t start = source.Be16(0);
  if (start == 0xFEFF || start == 0x003C) {
    unit_ = 2;
    ascii_ = 1;
  } else if (start == 0xFFFE || start == 0x3C00) {
    unit_ = 2;
  }
  if (start == 0xFEFF || start == 0xFFFE) at_ = 2;
  if (start == 0xEFBB && source.Has(2, 1) && source.U8(2) == 0xBF) at_ = 3;
}

int XmlRoot::Peek() {
  if (at_ >= kMaxBytes) {
    state_ = State::kTooLong;
    return kStop;
  }
  if (!source_.Has(at_, unit_)) {
    state_ = State::kMissing;
    return kStop;
  }
  const uint8_t c = source_.U8(at_ + ascii_);
  if (unit_ == 2 && source_.U8(at_ + 1 - ascii_) != 0) return kOther;
  return c < 0x80 ? c : kOther;
}

int XmlRoot::Take() {
  const int c = Peek();
  if (c != kStop) at_ += unit_;
  return c;
}

int XmlRoot::SkipSpace() {
  int c;
  while (IsSpace(c = Peek())) at_ += unit_;
  return c;
}

bool XmlRoot::SkipPast(absl::string_view ending) {
  // The endings sought ("-->", "?>") repeat only their first character, so falling back needs no table.
  size_t matched = 0;
  for (;;) {
    const int c = Take();
    if (c == kStop) return false;
    if (c == ending[matched]) {
      if (++matched == ending.size()) return true;
    } else if (!(c == ending[0] && matched > 0 && ending[matched - 1] == c)) {
      matched = c == ending[0] ? 1 : 0;
    }
  }
}

bool XmlRoot::SkipQuoted(int quote) {
  for (;;) {
    const int c = Take();
    if (c == kStop) return false;
    if (c == quote) return true;
  }
}

template <size_t kSize>
bool XmlRoot::ReadName(Text<kSize>& name) {
  name.Clear();
  for (;;) {
    const int c = Peek();
    if (c == kStop) return false;
    if (!IsName(c)) return true;
    name.Add(c == kOther ? '?' : static_cast<char>(c));
    at_ += unit_;
  }
}

// Behind "<!DOCTYPE": name, identifiers in quotes, perhaps declarations in brackets.
bool XmlRoot::SkipDoctype() {
  if (SkipSpace() == kStop || !ReadName(doctype_)) return false;
  bool inside = false;
  for (;;) {
    const int c = Take();
    switch (c) {
      case kStop:
        return false;
      case '"':
      case '\'':
        if (!SkipQuoted(c)) return false;
        break;
      case '[':
        inside = true;
        break;
      case ']':
        inside = false;
        break;
      case '<': {
        const int next = Take();
        if (next == kStop) return false;
        if (next == '?' && !SkipPast("?>")) return false;
        if (next == '!') {
          const int third = Peek();
          if (third == kStop) return false;
          if (third == '-' && !SkipPast("-->")) return false;
        }
        break;
      }
      case '>':
        if (!inside) return true;
        break;
    }
  }
}

XmlRoot::State XmlRoot::FindRoot() {
  for (;;) {
    int c = SkipSpace();
    if (c == kStop) return state_;
    if (c != '<') return NotXml("text");
    at_ += unit_;
    c = Peek();
    if (c == kStop) return state_;
    if (c == '?') {
      if (!SkipPast("?>")) return state_;
    } else if (c == '!') {
      at_ += unit_;
      c = Take();
      if (c == kStop) return state_;
      if (c == '-') {
        c = Take();
        if (c == kStop) return state_;
        if (c != '-') return NotXml("text with a broken comment");
        if (!SkipPast("-->")) return state_;
      } else if ((c | 0x20) == 'd') {
        if (!ReadName(name_)) return state_;
        if (!SkipDoctype()) return state_;
      } else {
        return NotXml("text with markup that is no XML");
      }
    } else if (IsNameStart(c)) {
      return ReadName(name_) ? State::kFound : state_;
    } else {
      return NotXml("text");
    }
  }
}

XmlRoot::State XmlRoot::NextAttribute() {
  int c = SkipSpace();
  if (c == kStop) return state_;
  if (c == '>' || c == '/') return State::kEnd;
  if (!IsNameStart(c)) return NotXml("XML whose root element is malformed");
  if (!ReadName(name_)) return state_;
  c = SkipSpace();
  if (c == kStop) return state_;
  if (c != '=') return NotXml("XML whose root element has an attribute without a value");
  at_ += unit_;
  const int quote = SkipSpace();
  if (quote == kStop) return state_;
  if (quote != '"' && quote != '\'') return NotXml("XML whose root element has an attribute without quotes");
  at_ += unit_;
  value_.Clear();
  value_odd_ = false;
  for (;;) {
    c = Take();
    if (c == kStop) return state_;
    if (c == quote) return State::kFound;
    value_odd_ = value_odd_ || c == '&' || c == kOther;
    value_.Add(static_cast<char>(c));
  }
}

}  // namespace imgfleet::image
