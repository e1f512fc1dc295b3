#include "common/config/config.h"

#include <cmath>
#include <cstdio>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "common/config/help.h"
#include "common/config/layers.h"
#include "common/status.h"
#include "common/version.h"

extern char** environ;

namespace imgfleet::config {
namespace {

constexpr absl::string_view kPrefix = "IMGFLEET_";

struct Unit {
  absl::string_view suffix;
  uint64_t bytes;
};
// Longest suffix first, so that "KiB" is not taken for "B".
constexpr Unit kUnits[] = {{"KiB", 1ull << 10},
                           {"MiB", 1ull << 20},
                           {"GiB", 1ull << 30},
                           {"TiB", 1ull << 40},
                           {"KB", 1'000},
                           {"MB", 1'000'000},
                           {"GB", 1'000'000'000},
                           {"B", 1},
                           {"", 1}};

absl::Status ParseBytes(absl::string_view text, uint64_t* bytes) {
  for (const Unit& unit : kUnits) {
    if (!absl::EndsWithIgnoreCase(text, unit.suffix)) continue;
    const absl::string_view digits = text.substr(0, text.size() - unit.suffix.size());
    uint64_t count = 0;
    if (digits.find_first_not_of("0123456789") != absl::string_view::npos ||
        !absl::SimpleAtoi(digits, &count) || count > std::numeric_limits<uint64_t>::max() / unit.bytes) {
      break;
    }
    *bytes = count * unit.bytes;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is no size in bytes; write it like 65536, 64KiB or 10MB"));
}

std::string FormatBytes(uint64_t bytes) {
  for (int i = 3; i >= 0; --i) {
    if (bytes != 0 && bytes % kUnits[i].bytes == 0)
      return absl::StrCat(bytes / kUnits[i].bytes, kUnits[i].suffix);
  }
  return absl::StrCat(bytes);
}

// Variables that Kubernetes derives from a Service that is called imgfleet-something.
bool IsServiceLink(absl::string_view name) {
  return absl::EndsWith(name, "_SERVICE_HOST") || absl::StrContains(name, "_SERVICE_PORT") ||
         absl::EndsWith(name, "_PORT") || absl::StrContains(name, "_PORT_");
}

// Variables of this project's own Makefile and tools, which start programs too.
bool IsOfTheTools(absl::string_view name) { return name == "IMGFLEET_CACHE" || name == "IMGFLEET_RUN_DIR"; }

}  // namespace

std::string Option::Env() const {
  if (positional) return "";
  return absl::StrCat(kPrefix, absl::AsciiStrToUpper(absl::StrReplaceAll(name, {{"-", "_"}})));
}

Command::Command(std::string name, std::string summary)
    : name_(std::move(name)), summary_(std::move(summary)) {}

void Command::Add(Option option) {
  for (const Option& other : options_) IMGFLEET_CHECK(other.name != option.name);
  options_.push_back(std::move(option));
}

void Command::Text(absl::string_view name, absl::string_view placeholder, std::string* value,
                   absl::string_view help, ValueCheck check) {
  Option option{.name = std::string(name),
                .placeholder = std::string(placeholder),
                .type = "text",
                .help = std::string(help),
                .default_text = *value,
                .set = nullptr};
  option.set = [value, check](const std::vector<std::string>& given) {
    if (check) RETURN_IF_ERROR(check(given.front()));
    *value = given.front();
    return absl::OkStatus();
  };
  Add(std::move(option));
}

void Command::Texts(absl::string_view name, absl::string_view placeholder, std::vector<std::string>* values,
                    absl::string_view help, ValueCheck check) {
  Option option{.name = std::string(name),
                .placeholder = std::string(placeholder),
                .type = "text",
                .help = std::string(help),
                .default_text = absl::StrJoin(*values, ","),
                .repeatable = true,
                .set = nullptr};
  option.set = [values, check](const std::vector<std::string>& given) {
    for (const std::string& each : given) {
      if (check) RETURN_IF_ERROR(check(each));
    }
    *values = given;
    return absl::OkStatus();
  };
  Add(std::move(option));
}

void Command::Switch(absl::string_view name, bool* value, absl::string_view help) {
  Option option{.name = std::string(name),
                .placeholder = "",
                .type = "switch",
                .help = std::string(help),
                .default_text = *value ? "true" : "",
                .set = nullptr};
  option.set = [value](const std::vector<std::string>& given) {
    if (absl::SimpleAtob(given.front(), value)) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("\"", given.front(), "\" is neither true nor false"));
  };
  Add(std::move(option));
}

void Command::AddInteger(absl::string_view name, int64_t initial, int64_t min, int64_t max,
                         absl::string_view help, std::function<void(int64_t)> set) {
  Option option{.name = std::string(name),
                .placeholder = "N",
                .type = "integer",
                .help = std::string(help),
                .default_text = absl::StrCat(initial),
                .set = nullptr};
  option.set = [min, max, set](const std::vector<std::string>& given) {
    int64_t number = 0;
    if (!absl::SimpleAtoi(given.front(), &number) || number < min || number > max) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", given.front(), "\" is no whole number from ", min, " to ", max));
    }
    set(number);
    return absl::OkStatus();
  };
  Add(std::move(option));
}

void Command::Duration(absl::string_view name, absl::Duration* value, absl::Duration min, absl::Duration max,
                       absl::string_view help) {
  Option option{.name = std::string(name),
                .placeholder = "DURATION",
                .type = "duration",
                .help = std::string(help),
                .default_text = absl::FormatDuration(*value),
                .set = nullptr};
  option.set = [value, min, max](const std::vector<std::string>& given) {
    absl::Duration duration;
    if (!absl::ParseDuration(given.front(), &duration)) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", given.front(), "\" is no duration; write it like 15s, 500ms or 1h30m"));
    }
    if (duration < min || duration > max) {
      return absl::InvalidArgumentError(absl::StrCat(
          given.front(), " is not from ", absl::FormatDuration(min), " to ", absl::FormatDuration(max)));
    }
    *value = duration;
    return absl::OkStatus();
  };
  Add(std::move(option));
}

void Command::Bytes(absl::string_view name, uint64_t* value, uint64_t min, uint64_t max,
                    absl::string_view help) {
  Option option{.name = std::string(name),
                .placeholder = "BYTES",
                .type = "bytes",
                .help = std::string(help),
                .default_text = FormatBytes(*value),
                .set = nullptr};
  option.set = [value, min, max](const std::vector<std::string>& given) {
    uint64_t bytes = 0;
    RETURN_IF_ERROR(ParseBytes(given.front(), &bytes));
    if (bytes < min || bytes > max) {
      return absl::InvalidArgumentError(
          absl::StrCat(given.front(), " is not from ", FormatBytes(min), " to ", FormatBytes(max)));
    }
    *value = bytes;
    return absl::OkStatus();
  };
  Add(std::move(option));
}

void Command::Address(absl::string_view name, HostPort* value, absl::string_view help, bool may_be_empty) {
  Option option{.name = std::string(name),
                .placeholder = "HOST:PORT",
                .type = "address",
                .help = std::string(help),
                .default_text = value->ToString(),
                .set = nullptr};
  option.set = [value, may_be_empty](const std::vector<std::string>& given) {
    if (given.front().empty() && may_be_empty) {
      *value = HostPort();
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(*value, ParseHostPort(given.front()));
    return absl::OkStatus();
  };
  Add(std::move(option));
}

void Command::Addresses(absl::string_view name, std::vector<HostPort>* values, absl::string_view help) {
  Option option{.name = std::string(name),
                .placeholder = "HOST:PORT",
                .type = "address",
                .help = std::string(help),
                .default_text = absl::StrJoin(
                    *values, ",",
                    [](std::string* out, const HostPort& value) { absl::StrAppend(out, value.ToString()); }),
                .repeatable = true,
                .set = nullptr};
  option.set = [values](const std::vector<std::string>& given) {
    std::vector<HostPort> read;
    for (const std::string& text : given) {
      ASSIGN_OR_RETURN(HostPort value, ParseHostPort(text));
      read.push_back(std::move(value));
    }
    *values = std::move(read);
    return absl::OkStatus();
  };
  Add(std::move(option));
}

void Command::AddChoice(absl::string_view name, std::vector<std::string> words, std::string initial,
                        absl::string_view help, std::function<void(size_t)> set) {
  Option option{.name = std::string(name),
                .placeholder = absl::StrJoin(words, "|"),
                .type = "choice",
                .help = std::string(help),
                .default_text = std::move(initial),
                .set = nullptr};
  option.set = [words, set](const std::vector<std::string>& given) {
    for (size_t i = 0; i < words.size(); ++i) {
      if (words[i] == given.front()) {
        set(i);
        return absl::OkStatus();
      }
    }
    return absl::InvalidArgumentError(
        absl::StrCat("\"", given.front(), "\" is none of ", absl::StrJoin(words, ", ")));
  };
  Add(std::move(option));
}

void Command::Positional(absl::string_view name, std::string* value, absl::string_view help, bool required) {
  Option option{.name = std::string(name),
                .placeholder = absl::AsciiStrToUpper(name),
                .type = "text",
                .help = std::string(help),
                .default_text = *value,
                .positional = true,
                .required = required,
                .set = nullptr};
  option.set = [value](const std::vector<std::string>& given) {
    *value = given.front();
    return absl::OkStatus();
  };
  Add(std::move(option));
}

Program::Program(std::string name, std::string summary) : Command(std::move(name), std::move(summary)) {
  // Looking for cycles of locks is for tests: at each lock taken it costs more than the lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  Text("config", "FILE", &config_file_,
       "A TOML file of options: name = value, with the names of the flags without dashes.");
}

void Program::AddDaemon(Daemon* daemon) {
  Address("admin-listen", &daemon->admin_listen,
          "Where /healthz, /readyz and /metrics are served; empty turns them off.", /*may_be_empty=*/true);
  Choice("log-level", &daemon->log_level,
         {{"debug", log::Level::kDebug},
          {"info", log::Level::kInfo},
          {"warning", log::Level::kWarning},
          {"error", log::Level::kError}},
         "What is logged to stderr.");
}

Command& Program::AddCommand(std::string name, std::string summary) {
  commands_.push_back(std::make_unique<Command>(std::move(name), std::move(summary)));
  return *commands_.back();
}

namespace {

// Everything that decides the value of an option, strongest first.
struct Sources {
  const CommandLine& line;
  const Program::Environment& environment;
  std::string file_path;
  std::map<std::string, std::vector<std::string>> file;
};

absl::Status SetFrom(const Option& option, std::vector<std::string> values, absl::string_view source) {
  absl::Status status;
  if (!option.repeatable && values.size() != 1) {
    status = absl::InvalidArgumentError(absl::StrCat("takes one value, not ", values.size()));
  } else {
    status = option.set(values);
  }
  return Annotate(status, source);
}

absl::Status Fill(const Option& option, const Sources& sources) {
  if (const auto flag = sources.line.values.find(option.name); flag != sources.line.values.end()) {
    return SetFrom(option, flag->second,
                   option.positional ? option.placeholder : absl::StrCat("--", option.name));
  }
  if (option.positional) {
    if (!option.required) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(option.placeholder, " is missing: ", option.help));
  }
  if (const auto variable = sources.environment.find(option.Env()); variable != sources.environment.end()) {
    std::vector<std::string> values = {variable->second};
    if (option.repeatable) values = absl::StrSplit(variable->second, ',', absl::SkipEmpty());
    return SetFrom(option, std::move(values), option.Env());
  }
  if (const auto key = sources.file.find(option.name); key != sources.file.end()) {
    return SetFrom(option, key->second, absl::StrCat(sources.file_path, ": ", option.name));
  }
  return absl::OkStatus();
}

absl::Status FillAll(const Command& command, const Sources& sources) {
  for (const Option& option : command.options()) RETURN_IF_ERROR(Fill(option, sources));
  return absl::OkStatus();
}

absl::Status CheckAll(const Command& command) {
  for (const auto& check : command.checks()) RETURN_IF_ERROR(check());
  return absl::OkStatus();
}

void WarnOfStrangers(const Program& program, const Program::Environment& environment,
                     std::vector<std::string>* warnings) {
  const auto known = [&](absl::string_view variable) {
    for (const Option& option : program.options()) {
      if (option.Env() == variable) return true;
    }
    for (const auto& command : program.commands()) {
      for (const Option& option : command->options()) {
        if (option.Env() == variable) return true;
      }
    }
    return false;
  };
  for (const auto& [variable, value] : environment) {
    if (!absl::StartsWith(variable, kPrefix) || IsServiceLink(variable) || IsOfTheTools(variable) ||
        known(variable)) {
      continue;
    }
    warnings->push_back(absl::StrCat(program.name(), ": warning: ", variable,
                                     " in the environment names no option of this program and is ignored"));
  }
}

}  // namespace

std::optional<Program::Exit> Program::Parse(const std::vector<std::string>& arguments,
                                            const Environment& environment,
                                            std::vector<std::string>* warnings) {
  const auto refuse = [this](const absl::Status& status) {
    return Exit{2, absl::StrCat(name(), chosen_.empty() ? "" : " ", chosen_, ": ", status.message(), "\n")};
  };
  const auto line = ReadCommandLine(*this, arguments);
  if (!line.ok()) return refuse(line.status());
  chosen_ = line->command;
  const Command* command = nullptr;
  for (const auto& each : commands_) {
    if (each->name() == chosen_) command = each.get();
  }
  if (line->help) return Exit{0, HelpText(*this, command)};
  if (line->version) return Exit{0, absl::StrCat(name(), " ", kVersion, "\n")};
  if (line->print_flags) return Exit{0, FlagsJson(*this)};
  if (command == nullptr && !commands_.empty()) {
    return refuse(absl::InvalidArgumentError(absl::StrCat("a command is missing; see ", name(), " --help")));
  }

  WarnOfStrangers(*this, environment, warnings);
  Sources sources{*line, environment, "", {}};
  // --config comes first of all: it says where the file is.
  if (const absl::Status status = Fill(options().front(), sources); !status.ok()) return refuse(status);
  if (!config_file_.empty()) {
    auto file = ReadFile(*this, chosen_, config_file_);
    if (!file.ok()) return refuse(file.status());
    sources.file_path = config_file_;
    sources.file = *std::move(file);
    sources.file.erase("config");
  }
  if (const absl::Status status = FillAll(*this, sources); !status.ok()) return refuse(status);
  if (command != nullptr) {
    if (const absl::Status status = FillAll(*command, sources); !status.ok()) return refuse(status);
  }
  if (const absl::Status status = CheckAll(*this); !status.ok()) return refuse(status);
  if (command != nullptr) {
    if (const absl::Status status = CheckAll(*command); !status.ok()) return refuse(status);
  }
  return std::nullopt;
}

std::optional<int> Program::Parse(int argc, const char* const* argv) {
  Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::pair<std::string, std::string> pair = absl::StrSplit(*entry, absl::MaxSplits('=', 1));
    environment.insert(pair);
  }
  std::vector<std::string> warnings;
  const auto exit = Parse(std::vector<std::string>(argv + 1, argv + argc), environment, &warnings);
  for (const std::string& warning : warnings) std::fprintf(stderr, "%s\n", warning.c_str());
  if (!exit.has_value()) return std::nullopt;
  std::fputs(exit->text.c_str(), exit->code == 0 ? stdout : stderr);
  return exit->code;
}

}  // namespace imgfleet::config
