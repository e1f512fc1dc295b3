#include "common/config/config.h"

#include <cstdlib>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "boost/json.hpp"
#include "gtest/gtest.h"

namespace imgfleet::config {
namespace {

// One option of every type, as a program would have them.
struct Fixture {
  std::string name = "box";
  std::vector<std::string> roots;
  bool anonymous = false;
  int threads = 4;
  absl::Duration period = absl::Seconds(15);
  uint64_t limit = 64 << 20;
  HostPort listen{"127.0.0.1", 7070};
  Daemon daemon{{"127.0.0.1", 9091}};
  Program program{"imgfleet-test", "Tests options."};
  std::vector<std::string> warnings;

  Fixture() {
    program.Text("name", "NAME", &name, "What it is called.");
    program.Texts("list-root", "DIR", &roots, "A folder.", [](const std::string& root) {
      return root == "bad" ? absl::InvalidArgumentError("\"bad\" is no folder") : absl::OkStatus();
    });
    program.Switch("allow-anonymous", &anonymous, "Lets everybody in.");
    program.Integer("threads", &threads, 1, 64, "How many threads.");
    program.Duration("lease-period", &period, absl::Seconds(1), absl::Hours(1), "How long.");
    program.Bytes("limit", &limit, 1, 1 << 30, "How much.");
    program.Address("listen", &listen, "Where.");
    program.AddDaemon(&daemon);
  }

  std::optional<Program::Exit> Parse(std::vector<std::string> arguments,
                                     Program::Environment environment = {}) {
    return program.Parse(arguments, environment, &warnings);
  }
};

std::string WriteFile(const std::string& text) {
  const std::string path = absl::StrCat(std::getenv("TEST_TMPDIR"), "/options.toml");
  std::ofstream(path) << text;
  return path;
}

TEST(Program, DefaultsHoldWhereNothingIsSaid) {
  Fixture f;
  EXPECT_FALSE(f.Parse({}).has_value());
  EXPECT_EQ(f.name, "box");
  EXPECT_EQ(f.threads, 4);
  EXPECT_EQ(f.daemon.admin_listen.ToString(), "127.0.0.1:9091");
}

TEST(Program, EveryTypeFromFlags) {
  Fixture f;
  const auto exit = f.Parse({"--name=a b", "--list-root", "x", "--list-root=y,z", "--allow-anonymous",
                             "--threads=8", "--lease-period=500s", "--limit=10MB", "--listen=[::1]:1",
                             "--log-level=debug", "--admin-listen="});
  ASSERT_FALSE(exit.has_value()) << exit->text;
  EXPECT_EQ(f.name, "a b");
  EXPECT_EQ(f.roots, (std::vector<std::string>{"x", "y,z"}));
  EXPECT_TRUE(f.anonymous);
  EXPECT_EQ(f.threads, 8);
  EXPECT_EQ(f.period, absl::Seconds(500));
  EXPECT_EQ(f.limit, 10'000'000u);
  EXPECT_EQ(f.listen.host, "::1");
  EXPECT_EQ(f.daemon.log_level, log::Level::kDebug);
  EXPECT_TRUE(f.daemon.admin_listen.empty());
}

TEST(Program, AnEmptyValueDoesNotSwallowTheNextFlag) {
  Fixture f;
  EXPECT_FALSE(f.Parse({"--admin-listen=", "--threads=8"}).has_value());
  EXPECT_EQ(f.threads, 8);
  Fixture g;
  EXPECT_FALSE(g.Parse({"--admin-listen", "", "--threads=8"}).has_value());
  EXPECT_TRUE(g.daemon.admin_listen.empty());
}

TEST(Program, EveryTypeFromTheEnvironment) {
  Fixture f;
  const auto exit = f.Parse({}, {{"IMGFLEET_NAME", "e"},
                                 {"IMGFLEET_LIST_ROOT", "x,y"},
                                 {"IMGFLEET_ALLOW_ANONYMOUS", "yes"},
                                 {"IMGFLEET_THREADS", "2"},
                                 {"IMGFLEET_LEASE_PERIOD", "2s"},
                                 {"IMGFLEET_LIMIT", "1KiB"},
                                 {"IMGFLEET_LISTEN", "h:1"},
                                 {"IMGFLEET_ADMIN_LISTEN", ""}});
  ASSERT_FALSE(exit.has_value()) << exit->text;
  EXPECT_EQ(f.roots, (std::vector<std::string>{"x", "y"}));
  EXPECT_TRUE(f.anonymous);
  EXPECT_EQ(f.threads, 2);
  EXPECT_EQ(f.limit, 1024u);
  EXPECT_TRUE(f.daemon.admin_listen.empty());
}

TEST(Program, FlagsGoBeforeEnvironmentBeforeFile) {
  const std::string path = WriteFile(
      "# Options of a test.\nname = \"from file\"\nthreads = 3\nlist-root = [\"f1\", \"f2\"]\n"
      "lease-period = \"3s\"\nallow-anonymous = true\n");
  Fixture f;
  const auto exit =
      f.Parse({"--list-root=flag"},
              {{"IMGFLEET_CONFIG", path}, {"IMGFLEET_THREADS", "2"}, {"IMGFLEET_LIST_ROOT", "e1,e2"}});
  ASSERT_FALSE(exit.has_value()) << exit->text;
  EXPECT_EQ(f.roots, (std::vector<std::string>{"flag"}));
  EXPECT_EQ(f.threads, 2);
  EXPECT_EQ(f.name, "from file");
  EXPECT_EQ(f.period, absl::Seconds(3));
  EXPECT_TRUE(f.anonymous);
  Fixture g;
  ASSERT_FALSE(g.Parse({"--config", path}).has_value());
  EXPECT_EQ(g.roots, (std::vector<std::string>{"f1", "f2"}));
}

TEST(Program, MistakesEndWithOneLineThatNamesTheirSource) {
  const std::string file = WriteFile("threads = 0\n");
  const std::string typo = absl::StrCat(std::getenv("TEST_TMPDIR"), "/typo.toml");
  std::ofstream(typo) << "thread = 1\n";
  struct Case {
    std::vector<std::string> arguments;
    Program::Environment environment;
    std::vector<std::string> says;
  };
  const std::vector<Case> cases = {
      {{"--threads=0"}, {}, {"--threads", "\"0\"", "1 to 64"}},
      {{"--threads=x"}, {}, {"--threads"}},
      {{"--threads="}, {}, {"--threads"}},
      {{"--threads"}, {}, {"--threads"}},
      {{"--threads=1", "--threads=2"}, {}, {"--threads", "one value"}},
      {{"--nonsense"}, {}, {"--nonsense"}},
      {{"stray"}, {}, {"stray"}},
      {{"--lease-period=5"}, {}, {"--lease-period", "15s"}},
      {{"--lease-period=2h"}, {}, {"--lease-period", "1h"}},
      {{"--limit=10XB"}, {}, {"--limit", "64KiB"}},
      {{"--limit=99999999999999999999"}, {}, {"--limit"}},
      {{"--limit=-1"}, {}, {"--limit"}},
      {{"--listen=8080"}, {}, {"--listen", "[::1]:8080"}},
      {{"--listen="}, {}, {"--listen"}},
      {{"--log-level=loud"}, {}, {"--log-level", "debug, info"}},
      {{"--list-root=bad"}, {}, {"--list-root", "no folder"}},
      {{}, {{"IMGFLEET_THREADS", "many"}}, {"IMGFLEET_THREADS"}},
      {{}, {{"IMGFLEET_ALLOW_ANONYMOUS", "perhaps"}}, {"IMGFLEET_ALLOW_ANONYMOUS", "neither"}},
      {{"--config", file}, {}, {file, "threads"}},
      {{"--config", typo}, {}, {typo, "thread", "no option"}},
      {{"--config=/nowhere"}, {}, {"/nowhere", "No such file"}},
  };
  for (const Case& c : cases) {
    Fixture f;
    const auto exit = f.Parse(c.arguments, c.environment);
    ASSERT_TRUE(exit.has_value()) << c.says.front();
    EXPECT_EQ(exit->code, 2);
    EXPECT_TRUE(absl::StartsWith(exit->text, "imgfleet-test: ")) << exit->text;
    EXPECT_EQ(exit->text.find('\n'), exit->text.size() - 1) << exit->text;
    for (const std::string& word : c.says) EXPECT_TRUE(absl::StrContains(exit->text, word)) << exit->text;
  }
}

TEST(Program, StrangersInTheEnvironmentWarnButServiceLinksAndToolsDoNot) {
  Fixture f;
  EXPECT_FALSE(f.Parse({}, {{"IMGFLEET_TREADS", "2"},
                            {"IMGFLEET_COORDINATOR_SERVICE_HOST", "10.0.0.1"},
                            {"IMGFLEET_COORDINATOR_PORT_7070_TCP", "tcp://10.0.0.1:7070"},
                            {"IMGFLEET_CACHE", "/var/cache/imgfleet"},
                            {"PATH", "/bin"}})
                   .has_value());
  ASSERT_EQ(f.warnings.size(), 1u);
  EXPECT_TRUE(absl::StrContains(f.warnings[0], "IMGFLEET_TREADS"));
}

TEST(Program, ChecksSeeAllValues) {
  Fixture f;
  f.program.Check([&] {
    return f.anonymous || f.listen.IsLoopback()
               ? absl::OkStatus()
               : absl::InvalidArgumentError("--listen beyond loopback needs --allow-anonymous");
  });
  EXPECT_EQ(f.Parse({"--listen=0.0.0.0:1"})->code, 2);
  EXPECT_FALSE(f.Parse({"--listen=0.0.0.0:1", "--allow-anonymous"}).has_value());
}

TEST(Program, HelpVersionAndFlagsEndWithZero) {
  Fixture f;
  const auto help = f.Parse({"--help"});
  ASSERT_TRUE(help.has_value());
  EXPECT_EQ(help->code, 0);
  for (const char* expected : {"--listen HOST:PORT", "default 127.0.0.1:7070", "IMGFLEET_LISTEN", "--version",
                               "debug|info|warning|error", "default 64MiB", "may be repeated"}) {
    EXPECT_TRUE(absl::StrContains(help->text, expected)) << expected << " not in\n" << help->text;
  }
  EXPECT_TRUE(absl::StartsWith(f.Parse({"--version"})->text, "imgfleet-test "));

  const auto flags = boost::json::parse(f.Parse({"--print-flags"})->text);
  bool found = false;
  for (const auto& flag : flags.at("flags").as_array()) {
    if (flag.at("name").as_string() != "list-root") continue;
    found = true;
    EXPECT_EQ(flag.at("env").as_string(), "IMGFLEET_LIST_ROOT");
    EXPECT_TRUE(flag.at("repeatable").as_bool());
  }
  EXPECT_TRUE(found);
}

// A program with commands, as the imgfleet command is.
struct Tool {
  std::string server, list, format = "ndjson";
  int attempts = 3;
  Program program{"imgfleet", "Fetches."};
  std::vector<std::string> warnings;

  Tool() {
    program.Text("server", "HOST:PORT", &server, "A coordinator.");
    Command& info = program.AddCommand("info", "Measures images.");
    info.Positional("list", &list, "A file of URLs.");
    info.Text("format", "FORMAT", &format, "How outcomes are written.");
    info.Integer("attempts", &attempts, 1, 10, "Tries.");
    program.AddCommand("jobs", "Lists jobs.");
  }
  std::optional<Program::Exit> Parse(std::vector<std::string> arguments,
                                     Program::Environment environment = {}) {
    return program.Parse(arguments, environment, &warnings);
  }
};

TEST(Commands, OptionsOfProgramAndCommandStandAnywhere) {
  Tool t;
  const auto exit = t.Parse({"info", "--attempts=2", "list.tsv", "--server=h:1", "--format", "csv"});
  ASSERT_FALSE(exit.has_value()) << exit->text;
  EXPECT_EQ(t.program.command(), "info");
  EXPECT_EQ(t.list, "list.tsv");
  EXPECT_EQ(t.server, "h:1");
  EXPECT_EQ(t.format, "csv");
  Tool dash;
  ASSERT_FALSE(dash.Parse({"info", "-"}).has_value());
  EXPECT_EQ(dash.list, "-");
  Tool ended;
  ASSERT_FALSE(ended.Parse({"info", "--", "--odd"}).has_value());
  EXPECT_EQ(ended.list, "--odd");
}

TEST(Commands, MistakesAreNamed) {
  Tool t;
  EXPECT_TRUE(absl::StrContains(t.Parse({})->text, "a command is missing"));
  EXPECT_TRUE(absl::StrContains(t.Parse({"info"})->text, "imgfleet info: LIST is missing"));
  EXPECT_EQ(t.Parse({"info", "a", "b"})->code, 2);
  EXPECT_EQ(t.Parse({"nonsense"})->code, 2);
  EXPECT_EQ(t.Parse({"jobs", "--attempts=1"})->code, 2);
}

TEST(Commands, HelpOfEach) {
  Tool t;
  const std::string all = t.Parse({"--help"})->text;
  EXPECT_TRUE(absl::StrContains(all, "Measures images.")) << all;
  const std::string info = t.Parse({"info", "--help"})->text;
  EXPECT_TRUE(absl::StrContains(info, "Usage: imgfleet info LIST")) << info;
  EXPECT_TRUE(absl::StrContains(info, "--attempts N")) << info;
}

TEST(Commands, FileSectionsAndEnvironment) {
  const std::string path = WriteFile("server = \"s:1\"\nformat = \"json\"\n[info]\nattempts = 7\n");
  Tool t;
  const auto exit = t.Parse({"--config", path, "info", "x"}, {{"IMGFLEET_FORMAT", "csv"}});
  ASSERT_FALSE(exit.has_value()) << exit->text;
  EXPECT_EQ(t.attempts, 7);
  EXPECT_EQ(t.server, "s:1");
  EXPECT_EQ(t.format, "csv");
  Tool jobs;
  EXPECT_FALSE(jobs.Parse({"--config", path, "jobs"}).has_value());
}

}  // namespace
}  // namespace imgfleet::config
