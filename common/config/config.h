// Options of a program: declared once, each bound to a field of the program's own struct, and filled from
// command-line flags, else IMGFLEET_* environment variables, else the file that --config names, else the
// value the field already has, which is its default and is shown as such by --help.
//
//   struct Options {
//     config::HostPort listen{"127.0.0.1", 7070};
//     absl::Duration lease_period = absl::Seconds(15);
//     std::vector<std::string> list_roots;
//     config::Daemon daemon{{"127.0.0.1", 9091}};
//   } options;
//   config::Program program("imgfleet-coordinator", "Cuts lists into shards and leases them to workers.");
//   program.Address("listen", &options.listen, "Where gRPC is served.");
//   program.Duration("lease-period", &options.lease_period, absl::Seconds(1), absl::Hours(1), "...");
//   program.Texts("list-root", "DIR", &options.list_roots, "A folder list files may lie in.");
//   program.AddDaemon(&options.daemon);
//   program.Check([&] { return ...; });  // What no single option can tell.
//   if (auto exit_code = program.Parse(argc, argv)) return *exit_code;
//
// Names: the flag --list-root is IMGFLEET_LIST_ROOT in the environment and `list-root` in the file. A
// repeatable option is one flag per value, a comma-separated variable, and an array in the file; the
// strongest source that names an option wins whole, lists are not joined. The file is TOML as far as CLI11
// reads it (`key = value`, `key = ["a", "b"]`, `# comment`); a [section] holds a command's own options.
//
// An unknown flag, an unknown key in the file, and a value that does not fit are errors: one line that
// names the flag, the variable, or file and key, and exit code 2. An unknown IMGFLEET_ variable is a warning
// only, since several programs may share one environment; those that Kubernetes sets for a Service of that
// name (*_SERVICE_HOST, *_PORT_7070_TCP, ...) are passed over in silence.
//
// Every program has --help, --version, --config FILE, and --print-flags, which is not in the help: JSON of
// all options, for tests that compare manifests with programs.
//
// Not thread-safe; a declaration that contradicts another (a name twice, ...) aborts.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/config/host_port.h"
#include "common/log.h"

namespace imgfleet::config {

// One declared option. Seen by config.cc and its neighbours only.
struct Option {
  std::string name;         // Without dashes.
  std::string placeholder;  // "HOST:PORT", as --help shows it; empty for switches.
  std::string type;         // text, switch, integer, duration, bytes, address, choice: for --print-flags.
  std::string help;
  std::string default_text;
  bool repeatable = false;
  bool positional = false;
  bool required = false;
  // Takes over the values of the source that won: exactly one unless repeatable. The status names neither
  // option nor source.
  std::function<absl::Status(const std::vector<std::string>&)> set;

  std::string Env() const;  // IMGFLEET_LIST_ROOT; empty for positionals.
};

// Judges one value beyond its type; the message says what is wrong and what to write instead.
using ValueCheck = std::function<absl::Status(const std::string&)>;

// What every long-running program has: AddDaemon declares them.
struct Daemon {
  HostPort admin_listen;  // Empty: no admin port.
  log::Level log_level = log::Level::kInfo;
};

// A set of options: a program's, or that of one of its commands. Each pointer must outlive the parsing.
class Command {
 public:
  Command(std::string name, std::string summary);
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  void Text(absl::string_view name, absl::string_view placeholder, std::string* value, absl::string_view help,
            ValueCheck check = nullptr);
  void Texts(absl::string_view name, absl::string_view placeholder, std::vector<std::string>* values,
             absl::string_view help, ValueCheck check = nullptr);
  // --name, or --name=false where the environment or the file says otherwise.
  void Switch(absl::string_view name, bool* value, absl::string_view help);
  // Any integer type; `min` to `max`, both included.
  template <typename Int>
  void Integer(absl::string_view name, Int* value, int64_t min, int64_t max, absl::string_view help) {
    AddInteger(name, *value, min, max, help, [value](int64_t given) { *value = static_cast<Int>(given); });
  }
  // "15s", "500ms", "1h30m", as absl::ParseDuration reads it.
  void Duration(absl::string_view name, absl::Duration* value, absl::Duration min, absl::Duration max,
                absl::string_view help);
  // "1500", "64KiB", "64MiB", "2GiB" (powers of 1024), "10MB" (powers of 1000).
  void Bytes(absl::string_view name, uint64_t* value, uint64_t min, uint64_t max, absl::string_view help);
  // HOST:PORT; an empty value turns it off where `may_be_empty`.
  void Address(absl::string_view name, HostPort* value, absl::string_view help, bool may_be_empty = false);
  // Several, at least one; the flag is repeated.
  void Addresses(absl::string_view name, std::vector<HostPort>* values, absl::string_view help);
  // One of the words.
  template <typename T>
  void Choice(absl::string_view name, T* value, std::vector<std::pair<std::string, T>> words,
              absl::string_view help) {
    std::vector<std::string> names;
    std::string chosen;
    for (const auto& [word, meaning] : words) {
      names.push_back(word);
      if (meaning == *value) chosen = word;
    }
    AddChoice(name, names, chosen, help, [value, words](size_t i) { *value = words[i].second; });
  }
  // The next argument that is no flag. `name` is shown in upper case.
  void Positional(absl::string_view name, std::string* value, absl::string_view help, bool required = true);

  // Called once everything is filled in, in order of declaration; for commands only if they were chosen. The
  // message is shown as it is: it names the options at fault.
  void Check(std::function<absl::Status()> check) { checks_.push_back(std::move(check)); }

  const std::string& name() const { return name_; }
  const std::string& summary() const { return summary_; }
  const std::vector<Option>& options() const { return options_; }
  const std::vector<std::function<absl::Status()>>& checks() const { return checks_; }

 private:
  void Add(Option option);
  void AddInteger(absl::string_view name, int64_t initial, int64_t min, int64_t max, absl::string_view help,
                  std::function<void(int64_t)> set);
  void AddChoice(absl::string_view name, std::vector<std::string> words, std::string initial,
                 absl::string_view help, std::function<void(size_t)> set);

  const std::string name_;
  const std::string summary_;
  std::vector<Option> options_;
  std::vector<std::function<absl::Status()>> checks_;
};

class Program : public Command {
 public:
  using Environment = std::map<std::string, std::string>;

  // How to end at once: after --help, --version, --print-flags (0, text for stdout), or bad usage (2, for
  // stderr).
  struct Exit {
    int code = 0;
    std::string text;
  };

  Program(std::string name, std::string summary);

  // --admin-listen and --log-level.
  void AddDaemon(Daemon* daemon);

  // A command, e.g. `imgfleet info`. One must be given once there is one. Options of the program itself may
  // stand before or after the command's name. Lives as long as the program.
  Command& AddCommand(std::string name, std::string summary);
  // The command that was given; empty where the program has none.
  const std::string& command() const { return chosen_; }

  // Reads the process's arguments and environment. An exit code: end with it, all has been printed.
  [[nodiscard]] std::optional<int> Parse(int argc, const char* const* argv);

  // The same without touching the process. `warnings` are for stderr.
  [[nodiscard]] std::optional<Exit> Parse(const std::vector<std::string>& arguments,
                                          const Environment& environment, std::vector<std::string>* warnings);

  const std::vector<std::unique_ptr<Command>>& commands() const { return commands_; }

 private:
  std::vector<std::unique_ptr<Command>> commands_;
  std::string chosen_;
  std::string config_file_;
};

}  // namespace imgfleet::config
