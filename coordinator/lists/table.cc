#include "coordinator/lists/table.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status.h"
#include "common/utf8.h"

namespace imgfleet::lists {
namespace {

// Of a header that is no header: as much of a column's name, and as many of them, as a person will read.
constexpr size_t kNameShown = 40;
constexpr size_t kNamesShown = 20;

std::string Shown(const std::vector<absl::string_view>& names) {
  const size_t count = std::min(names.size(), kNamesShown);
  const std::vector<absl::string_view> some(names.begin(), names.begin() + count);
  return absl::StrCat(absl::StrJoin(some, ", ",
                                    [](std::string* out, absl::string_view name) {
                                      const absl::string_view start = name.substr(0, kNameShown);
                                      absl::StrAppend(
                                          out, "\"",
                                          absl::Utf8SafeCEscape(start.substr(0, ValidUtf8Prefix(start))),
                                          name.size() > kNameShown ? "...\"" : "\"");
                                    }),
                      count < names.size() ? ", ..." : "");
}

// `text` begins with a quote. Appends what stands up to its closing one; returns the bytes eaten, quotes
// included.
size_t Unquote(absl::string_view text, std::string& out) {
  size_t at = 1;
  for (; at < text.size(); ++at) {
    if (text[at] == '"') {
      if (at + 1 == text.size() || text[at + 1] != '"') return at + 1;
      ++at;
    }
    out += text[at];
  }
  return at;
}

}  // namespace

absl::Status Table::ReadHeader(absl::string_view record, bool id_required) {
  std::string what;
  if (!Split(record, what)) return absl::InvalidArgumentError(absl::StrCat("the header has ", what));
  columns_ = fields_.size();
  RETURN_IF_ERROR(FindColumn(url_column_, true, url_at_));
  return FindColumn(id_column_, id_required, id_at_);
}

absl::Status Table::FindColumn(absl::string_view name, bool required, int& column) const {
  for (size_t i = 0; i < fields_.size(); ++i) {
    if (fields_[i] != name) continue;
    if (column >= 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("the header has the column \"", name, "\" twice; name the columns differently"));
    }
    column = static_cast<int>(i);
  }
  if (column >= 0 || !required) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the header has no column \"", name, "\" but ", Shown(fields_),
                   "; name the column that holds it, or give the list such a header"));
}

bool Table::ReadRow(absl::string_view record, absl::string_view& id, absl::string_view& url,
                    std::string& what) {
  const bool split = Split(record, what);
  if (static_cast<size_t>(url_at_) < fields_.size()) url = fields_[url_at_];
  if (id_at_ >= 0 && static_cast<size_t>(id_at_) < fields_.size()) id = fields_[id_at_];
  if (!split) return false;
  if (fields_.size() == columns_) return true;
  what = absl::StrCat(fields_.size(), fields_.size() == 1 ? " field" : " fields", " where the header has ",
                      columns_);
  return false;
}

bool Table::Split(absl::string_view record, std::string& what) {
  fields_.clear();
  if (kind_ == Kind::kTsv) {
    SplitAt('\t', record);
    return true;
  }
  if (record.find('"') == absl::string_view::npos) {
    SplitAt(',', record);
    return true;
  }
  return SplitQuoted(record, what);
}

void Table::SplitAt(char separator, absl::string_view record) {
  for (size_t at; (at = record.find(separator)) != absl::string_view::npos; record.remove_prefix(at + 1)) {
    fields_.push_back(record.substr(0, at));
  }
  fields_.push_back(record);
}

// RFC 4180. Goes on after an error, so that id and url are found as far as they can be.
bool Table::SplitQuoted(absl::string_view record, std::string& what) {
  bool good = true;
  unquoted_.clear();
  unquoted_.reserve(record.size());  // Views into it must not move.
  for (;;) {
    const bool quoted = !record.empty() && record.front() == '"';
    const size_t begin = unquoted_.size();
    if (quoted) record.remove_prefix(Unquote(record, unquoted_));
    const size_t rest = std::min(record.find(','), record.size());
    if (quoted && rest > 0 && good) {
      good = false;
      what = absl::StrCat("text after the closing quote of field ", fields_.size() + 1);
    }
    fields_.push_back(quoted ? absl::string_view(unquoted_).substr(begin) : record.substr(0, rest));
    if (rest == record.size()) return good;
    record.remove_prefix(rest + 1);
  }
}

}  // namespace imgfleet::lists
