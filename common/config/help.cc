#include "common/config/help.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "boost/json.hpp"
#include "common/version.h"

namespace imgfleet::config {
namespace {

namespace json = boost::json;

constexpr size_t kWidth = 92;
constexpr absl::string_view kIndent = "      ";

std::string Wrapped(absl::string_view text) {
  std::string out(kIndent);
  size_t column = kIndent.size();
  for (const absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    if (column + 1 + word.size() > kWidth && column > kIndent.size()) {
      absl::StrAppend(&out, "\n", kIndent);
      column = kIndent.size();
    }
    if (column > kIndent.size()) absl::StrAppend(&out, " ");
    absl::StrAppend(&out, word);
    column += word.size() + 1;
  }
  return out + "\n";
}

std::string Section(absl::string_view title, const Command& command) {
  std::string out;
  for (const Option& option : command.options()) {
    if (option.positional) {
      absl::StrAppend(&out, "  ", option.placeholder, "\n", Wrapped(option.help));
      continue;
    }
    absl::StrAppend(&out, "  --", option.name, option.placeholder.empty() ? "" : " ", option.placeholder,
                    "\n");
    std::string notes;
    if (!option.default_text.empty()) absl::StrAppend(&notes, "default ", option.default_text, "; ");
    if (option.repeatable) absl::StrAppend(&notes, "may be repeated; ");
    absl::StrAppend(&out, Wrapped(absl::StrCat(option.help, " [", notes, option.Env(), "]")));
  }
  return out.empty() ? out : absl::StrCat("\n", title, ":\n", out);
}

json::array Flags(const Command& command) {
  json::array flags;
  for (const Option& option : command.options()) {
    flags.push_back({{"name", option.name},
                     {"env", option.Env()},
                     {"type", option.type},
                     {"default", option.default_text},
                     {"repeatable", option.repeatable},
                     {"required", option.required},
                     {"positional", option.positional},
                     {"help", option.help}});
  }
  return flags;
}

}  // namespace

std::string HelpText(const Program& program, const Command* command) {
  std::string usage = absl::StrCat("Usage: ", program.name());
  if (command != nullptr) {
    absl::StrAppend(&usage, " ", command->name());
  } else if (!program.commands().empty()) {
    absl::StrAppend(&usage, " COMMAND");
  }
  const Command& shown = command != nullptr ? *command : program;
  for (const Option& option : shown.options()) {
    if (option.positional) absl::StrAppend(&usage, " ", option.placeholder);
  }
  std::string out = absl::StrCat(shown.summary(), "\n\n", usage, " [OPTIONS]\n");
  if (command == nullptr && !program.commands().empty()) {
    absl::StrAppend(&out, "\nCommands (", program.name(), " COMMAND --help says more):\n");
    for (const auto& each : program.commands()) {
      absl::StrAppend(&out, "  ", each->name(), "\n", Wrapped(each->summary()));
    }
  }
  if (command != nullptr) absl::StrAppend(&out, Section("Options", *command));
  absl::StrAppend(&out, Section(command != nullptr ? "Options of every command" : "Options", program));
  absl::StrAppend(&out, "  --help\n", kIndent, "Show this and end.\n  --version\n", kIndent,
                  "Show the version and end.\n\n",
                  "Flags go before environment variables, and those before the file that --config names.\n");
  return out;
}

std::string FlagsJson(const Program& program) {
  json::object object{{"program", program.name()}, {"version", kVersion}, {"flags", Flags(program)}};
  json::array commands;
  for (const auto& command : program.commands()) {
    commands.push_back({{"name", command->name()}, {"flags", Flags(*command)}});
  }
  object["commands"] = std::move(commands);
  return json::serialize(object) + "\n";
}

}  // namespace imgfleet::config
