#include "common/config/layers.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace imgfleet::config {
namespace {

using Declared = std::vector<std::pair<const Option*, CLI::Option*>>;

// Values are taken as text and judged by us, so that all three sources are judged alike.
void Declare(const Command& command, CLI::App& app, Declared& declared) {
  app.set_help_flag();
  for (const Option& option : command.options()) {
    const std::string name = absl::StrCat(option.positional ? "" : "--", option.name);
    CLI::Option* made = option.type == "switch" ? app.add_flag(name) : app.add_option(name)->expected(1);
    made->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    declared.emplace_back(&option, made);
  }
}

// CLI11 takes the argument after `--name=` for its value; `--name ""` says what is meant. It also wants its
// arguments in reverse.
std::vector<std::string> ForCli11(const std::vector<std::string>& arguments) {
  std::vector<std::string> result;
  bool flags = true;
  for (const std::string& argument : arguments) {
    if (argument == "--") flags = false;
    if (flags && absl::StartsWith(argument, "--") && argument.find('=') == argument.size() - 1) {
      result.push_back(argument.substr(0, argument.size() - 1));
      result.emplace_back();
    } else {
      result.push_back(argument);
    }
  }
  std::reverse(result.begin(), result.end());
  return result;
}

const Option* Find(const Command& command, absl::string_view name) {
  for (const Option& option : command.options()) {
    if (!option.positional && option.name == name) return &option;
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<CommandLine> ReadCommandLine(const Program& program,
                                            const std::vector<std::string>& arguments) {
  CLI::App app;
  app.fallthrough();
  Declared declared;
  Declare(program, app, declared);
  CLI::Option* help = app.add_flag("--help,-h");
  CLI::Option* version = app.add_flag("--version");
  CLI::Option* print_flags = app.add_flag("--print-flags");
  std::vector<CLI::App*> commands;
  for (const auto& command : program.commands()) {
    commands.push_back(app.add_subcommand(command->name()));
    Declare(*command, *commands.back(), declared);
  }
  if (!commands.empty()) app.require_subcommand(0, 1);
  try {
    app.parse(ForCli11(arguments));
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  CommandLine result;
  result.help = help->count() > 0;
  result.version = version->count() > 0;
  result.print_flags = print_flags->count() > 0;
  for (const CLI::App* command : app.get_subcommands()) result.command = command->get_name();
  for (const auto& [option, given] : declared) {
    if (given->count() > 0) result.values[option->name] = given->results();
  }
  return result;
}

absl::StatusOr<std::map<std::string, std::vector<std::string>>> ReadFile(const Program& program,
                                                                         absl::string_view command,
                                                                         const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return absl::NotFoundError(absl::StrCat("--config ", path, ": cannot be read: ", std::strerror(errno)));
  }
  std::vector<CLI::ConfigItem> items;
  try {
    items = CLI::ConfigTOML().from_config(file);
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", error.what()));
  }
  std::map<std::string, std::vector<std::string>> result;
  for (const CLI::ConfigItem& item : items) {
    if (item.name == "++" || item.name == "--") continue;  // CLI11's marks for a section's begin and end.
    const std::string section = item.parents.empty() ? "" : item.parents.front();
    bool known = false;
    bool wanted = false;
    if (section.empty()) known = wanted = Find(program, item.name) != nullptr;
    for (const auto& each : program.commands()) {
      if (!section.empty() && section != each->name()) continue;
      if (Find(*each, item.name) == nullptr) continue;
      known = true;
      if (each->name() == command) wanted = true;
    }
    if (!known || item.parents.size() > 1) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": ", item.fullname(), " is no option of ",
                                                     program.name(), "; see ", program.name(), " --help"));
    }
    // A command's own section says more than the top of the file.
    if (wanted && (!section.empty() || result.count(item.name) == 0)) result[item.name] = item.inputs;
  }
  return result;
}

}  // namespace imgfleet::config
