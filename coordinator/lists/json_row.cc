#include "coordinator/lists/json_row.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/json/basic_parser_impl.hpp"

namespace imgfleet::lists {
namespace {

using boost::json::error_code;

// What Boost.JSON's parser calls with each piece of a document. Keeps the two members wanted.
class Handler {
 public:
  static constexpr size_t max_object_size = SIZE_MAX;
  static constexpr size_t max_array_size = SIZE_MAX;
  static constexpr size_t max_key_size = SIZE_MAX;
  static constexpr size_t max_string_size = SIZE_MAX;

  Handler(std::string url_member, std::string id_member)
      : url_member_(std::move(url_member)), id_member_(std::move(id_member)) {}

  void Reset() {
    id_.clear();
    url_.clear();
    text_.clear();
    wanted_ = Wanted::kNothing;
    depth_ = 0;
    complaint_ = nullptr;
    is_object_ = has_url_ = false;
  }

  absl::string_view id() const { return id_; }
  absl::string_view url() const { return url_; }
  // Why the document is no row although it is JSON; null where it is one.
  const char* complaint() const {
    if (complaint_ != nullptr) return complaint_;
    return is_object_ && !has_url_ ? "the object has no member for the URL" : nullptr;
  }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) {
    if (depth_ == 0) is_object_ = true;
    return Open();
  }
  bool on_object_end(size_t, error_code&) { return Close(); }
  bool on_array_begin(error_code&) {
    if (depth_ == 0) Complain("the row is a JSON array, neither an object nor a string");
    return Open();
  }
  bool on_array_end(size_t, error_code&) { return Close(); }
  bool on_key_part(boost::json::string_view part, size_t, error_code&) { return Keep(part); }
  bool on_key(boost::json::string_view part, size_t, error_code&) {
    if (depth_ != 1) return true;
    Keep(part);
    wanted_ = text_ == url_member_ ? Wanted::kUrl : text_ == id_member_ ? Wanted::kId : Wanted::kNothing;
    text_.clear();
    return true;
  }
  bool on_string_part(boost::json::string_view part, size_t, error_code&) { return Keep(part); }
  bool on_string(boost::json::string_view part, size_t, error_code&) {
    Keep(part);
    if (depth_ == 0 || wanted_ == Wanted::kUrl) {
      std::swap(url_, text_);
      has_url_ = true;
    } else if (wanted_ == Wanted::kId) {
      std::swap(id_, text_);
    }
    return Done();
  }
  bool on_number_part(boost::json::string_view part, error_code&) { return Keep(part); }
  bool on_int64(int64_t, boost::json::string_view part, error_code&) { return Number(part); }
  bool on_uint64(uint64_t, boost::json::string_view part, error_code&) { return Number(part); }
  bool on_double(double, boost::json::string_view part, error_code&) { return Number(part); }
  bool on_bool(bool, error_code&) { return Other(); }
  bool on_null(error_code&) {
    // An id of null is no id.
    if (wanted_ == Wanted::kId) id_.clear();
    return wanted_ == Wanted::kId ? Done() : Other();
  }
  bool on_comment_part(boost::json::string_view, error_code&) { return true; }
  bool on_comment(boost::json::string_view, error_code&) { return true; }

 private:
  enum class Wanted : uint8_t { kNothing, kUrl, kId };

  void Complain(const char* what) {
    if (complaint_ == nullptr) complaint_ = what;
  }
  bool Keep(boost::json::string_view part) {
    if (depth_ <= 1) text_.append(part.data(), part.size());
    return true;
  }
  bool Done() {
    text_.clear();
    wanted_ = Wanted::kNothing;
    return true;
  }
  bool Open() {
    Other();
    ++depth_;
    return true;
  }
  bool Close() {
    --depth_;
    return Done();
  }
  bool Number(boost::json::string_view part) {
    Keep(part);
    if (wanted_ != Wanted::kId) return Other();
    std::swap(id_, text_);
    return Done();
  }
  // A value that is no URL and no id.
  bool Other() {
    if (wanted_ == Wanted::kUrl) Complain("the URL is no string");
    if (wanted_ == Wanted::kId) Complain("the id is neither a string nor a number");
    if (depth_ == 0 && !is_object_) Complain("the row is JSON, but neither an object nor a string");
    return Done();
  }

  const std::string url_member_;
  const std::string id_member_;
  std::string id_, url_;
  std::string text_;  // The key, string or number being read, at the depth of the row's members.
  Wanted wanted_ = Wanted::kNothing;
  int depth_ = 0;
  const char* complaint_ = nullptr;
  bool is_object_ = false;
  bool has_url_ = false;
};

}  // namespace

class JsonRowReader::Parser {
 public:
  Parser(std::string url_member, std::string id_member)
      : parser_(boost::json::parse_options(), std::move(url_member), std::move(id_member)) {}

  bool Parse(absl::string_view record, std::string& what) {
    parser_.reset();
    parser_.handler().Reset();
    error_code error;
    const size_t eaten = parser_.write_some(false, record.data(), record.size(), error);
    if (!error && eaten < record.size()) error = boost::json::error::extra_data;
    if (error) {
      what = absl::StrCat("no JSON (", error.message(), " at byte ", eaten + 1, " of the row)");
    } else if (handler().complaint() != nullptr) {
      what = handler().complaint();
    }
    return what.empty();
  }

  const Handler& handler() const { return parser_.handler(); }

 private:
  boost::json::basic_parser<Handler> parser_;
};

JsonRowReader::JsonRowReader(std::string url_member, std::string id_member)
    : parser_(std::make_unique<Parser>(std::move(url_member), std::move(id_member))) {}

JsonRowReader::~JsonRowReader() = default;

bool JsonRowReader::ReadRow(absl::string_view record, absl::string_view& id, absl::string_view& url,
                            std::string& what) {
  const bool good = parser_->Parse(record, what);
  id = parser_->handler().id();
  url = parser_->handler().url();
  return good;
}

}  // namespace imgfleet::lists
