#include "common/log.h"

#include <cstdlib>
#include <memory>
#include <string>

#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace imgfleet::log {
namespace {

spdlog::level::level_enum ToSpdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
    case Level::kNothing:
      return spdlog::level::critical;
  }
  return spdlog::level::err;
}

// Before Init everything from warnings on is shown, which is what tests want.
spdlog::logger& Logger() {
  static spdlog::logger* logger = [] {
    auto* made = new spdlog::logger("imgfleet", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%fZ %-7l %v", spdlog::pattern_time_type::utc);
    made->set_level(spdlog::level::warn);
    made->flush_on(spdlog::level::debug);
    return made;
  }();
  return *logger;
}

}  // namespace

void Init(absl::string_view role, Level level) {
  Logger().set_pattern(absl::StrFormat("%%Y-%%m-%%dT%%H:%%M:%%S.%%fZ %%-7l %s: %%v", role),
                       spdlog::pattern_time_type::utc);
  Logger().set_level(ToSpdlog(level));
}

bool Enabled(Level level) { return Logger().should_log(ToSpdlog(level)); }

void Write(Level level, absl::string_view message) {
  // As an argument, so that braces in the message mean nothing.
  Logger().log(ToSpdlog(level), "{}", std::string(message));
}

void CheckFailed(const char* file, int line, const char* condition) {
  Logger().critical("{}:{}: check failed: {}", file, line, condition);
  std::abort();
}

}  // namespace imgfleet::log
