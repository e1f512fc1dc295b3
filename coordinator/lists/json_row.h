// Rows of JSON lists. The JSON is read by Boost.JSON's push parser: it is checked in full (RFC 8259,
// UTF-8), no tree is built, and a number can be had as it was written, so that an id of thirty digits stays
// one.
#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace imgfleet::lists {

// Not thread-safe.
class JsonRowReader {
 public:
  JsonRowReader(std::string url_member, std::string id_member);
  ~JsonRowReader();

  // Reads one line, or one element of an array: an object with the url member, or a string that is the URL. Where a member stands twice,
  // the last one counts. The views hold until the next call. False where it is anything else; `what`
  // then says why.
  bool ReadRow(absl::string_view record, absl::string_view& id, absl::string_view& url, std::string& what);

 private:
  class Parser;
  const std::unique_ptr<Parser> parser_;
};

}  // namespace imgfleet::lists
