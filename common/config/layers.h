// The three places options come from, each reduced to texts by option name. CLI11 is used in layers.cc only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/config.h"

namespace imgfleet::config {

struct CommandLine {
  bool help = false, version = false, print_flags = false;
  std::string command;
  // By option name; of the program and of the chosen command.
  std::map<std::string, std::vector<std::string>> values;
};

// INVALID_ARGUMENT where the arguments do not fit what is declared. Whether a command and the positionals
// that must be there were given is not judged here.
absl::StatusOr<CommandLine> ReadCommandLine(const Program& program,
                                            const std::vector<std::string>& arguments);

// Keys of the file that hold for the program and `command`; keys of other commands' sections are judged for
// their existence only.
absl::StatusOr<std::map<std::string, std::vector<std::string>>> ReadFile(const Program& program,
                                                                         absl::string_view command,
                                                                         const std::string& path);

}  // namespace imgfleet::config
