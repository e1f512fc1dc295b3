// Logging to stderr: one line an event, for operators.
//
//   2026-03-01T12:00:00.123456Z INFO  coordinator: listening address=0.0.0.0:7070
//
// Thread-safe. Never pass a secret, a header value of a request, or a URL's user and password.
#pragma once

#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace imgfleet::log {

// kNothing only for Init: not even errors are written, but what ends the program is. For tests that provoke errors by
// the thousand.
enum class Level { kDebug, kInfo, kWarning, kError, kNothing };

// Called once at the start of main: lines below `level` are dropped, and `role` stands in each line.
void Init(absl::string_view role, Level level);

bool Enabled(Level level);
void Write(Level level, absl::string_view message);

template <typename... Args>
void Debug(const absl::FormatSpec<Args...>& format, const Args&... args) {
  if (Enabled(Level::kDebug)) Write(Level::kDebug, absl::StrFormat(format, args...));
}
template <typename... Args>
void Info(const absl::FormatSpec<Args...>& format, const Args&... args) {
  if (Enabled(Level::kInfo)) Write(Level::kInfo, absl::StrFormat(format, args...));
}
template <typename... Args>
void Warning(const absl::FormatSpec<Args...>& format, const Args&... args) {
  if (Enabled(Level::kWarning)) Write(Level::kWarning, absl::StrFormat(format, args...));
}
template <typename... Args>
void Error(const absl::FormatSpec<Args...>& format, const Args&... args) {
  if (Enabled(Level::kError)) Write(Level::kError, absl::StrFormat(format, args...));
}

}  // namespace imgfleet::log

// For what can only be a mistake in this program: says where, and aborts. Stays on in optimised builds.
#define IMGFLEET_CHECK(condition)                                                   \
  do {                                                                              \
    if (!(condition)) ::imgfleet::log::CheckFailed(__FILE__, __LINE__, #condition); \
  } while (false)

namespace imgfleet::log {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);
}  // namespace imgfleet::log
