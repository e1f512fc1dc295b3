// The bytes of a list, as they are: the coordinator reads what they mean.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace imgfleet::cli {

class ListSource {
 public:
  // A file, or "-" for standard input. The message of a failure names the list and says what to do. A list at a
  // URL has no bytes here: the coordinator reads it by its name.
  static absl::StatusOr<std::unique_ptr<ListSource>> Open(absl::string_view list);
  ~ListSource();

  // The next bytes, at most 256 KiB; empty at the end. CANCELLED once stopped.
  absl::StatusOr<std::string> Read();

  // Makes Read return, now and from now on. From any thread.
  void Stop();

  // What messages call it, and by whose ending the coordinator tells the format: the path, the URL, or "stdin".
  const std::string& name() const { return name_; }

 private:
  ListSource(int fd, std::string name);

  const int fd_;
  const std::string name_;
  const int stop_;  // eventfd
};

}  // namespace imgfleet::cli
