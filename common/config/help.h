// How a program's options are shown, to people and to programs.
#pragma once

#include <string>

#include "common/config/config.h"

namespace imgfleet::config {

// Of the program, or of `command` where that is not null.
std::string HelpText(const Program& program, const Command* command);

// What --print-flags shows: {"program", "version", "flags": [...], "commands": [{"name", "flags"}]}; a flag
// is {"name", "env", "type", "default", "repeatable", "required", "positional", "help"}.
std::string FlagsJson(const Program& program);

}  // namespace imgfleet::config
