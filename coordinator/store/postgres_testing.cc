#include "coordinator/store/postgres_testing.h"

#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/log.h"
#include "coordinator/store/postgres.h"

namespace imgfleet::store {
namespace {

constexpr char kPrograms[] = "/usr/lib/postgresql/15/bin/";
constexpr uid_t kNobody = 65534;

// Its output goes to `log`. Dies with the thread that starts it.
pid_t Launch(std::vector<std::string> command, bool drop_root, const std::string& log) {
  std::vector<char*> arguments;
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  IMGFLEET_CHECK(child >= 0);
  if (child != 0) return child;
  if (chdir("/") != 0 || freopen(log.c_str(), "a", stdout) == nullptr || dup2(1, 2) < 0) _exit(126);
  if (drop_root && (setgroups(0, nullptr) != 0 || setgid(kNobody) != 0 || setuid(kNobody) != 0)) _exit(125);
  prctl(PR_SET_PDEATHSIG, SIGQUIT);
  if (getppid() != parent) _exit(124);
  execv(arguments[0], arguments.data());
  _exit(127);
}

void Await(pid_t child, const std::string& log) {
  int status = 0;
  IMGFLEET_CHECK(waitpid(child, &status, 0) == child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  std::ifstream said(log);
  for (std::string line; std::getline(said, line);) log::Error("%s", line);
  IMGFLEET_CHECK(false && "initdb failed: is Debian's postgresql-15 installed?");
}

}  // namespace

PostgresServer::PostgresServer(const Options& options) : root_(geteuid() == 0), folder_("/tmp/pg.XXXXXX") {
  const std::string data = absl::StrCat(folder_.path(), "/data"), log = absl::StrCat(folder_.path(), "/log");
  chmod(folder_.path().c_str(), 0755);
  if (root_) IMGFLEET_CHECK(chown(folder_.path().c_str(), kNobody, kNobody) == 0);
  Await(Launch({absl::StrCat(kPrograms, "initdb"), "-D", data, "-U", "tester", "-A", "trust", "--no-sync",
                "-E", "UTF8", "--locale=C.UTF-8"},
               root_, log),
        log);
  std::ofstream settings(absl::StrCat(data, "/postgresql.conf"), std::ios::app);
  settings << "\nlisten_addresses = ''\nunix_socket_directories = '" << folder_.path()
           << "'\nmax_connections = 200\nlog_min_messages = fatal\nfsync = " << (options.fsync ? "on" : "off")
           << "\n"
           << options.settings << "\n";
  settings.close();
  Start();
}

PostgresServer::~PostgresServer() { Crash(); }

PostgresServer& PostgresServer::Shared() {
  static PostgresServer server({});
  return server;
}

std::string PostgresServer::Conninfo(const std::string& more) const {
  return absl::StrCat("postgresql:///postgres?host=", folder_.path(), "&user=tester", more);
}

std::string PostgresServer::NewSchema() {
  const std::string name = absl::StrCat("s", ++schemas_);
  Exec(absl::StrCat("CREATE SCHEMA ", name));
  return Conninfo(absl::StrCat("&options=-csearch_path%3D", name));
}

std::string PostgresServer::Exec(const std::string& sql) {
  auto connection = pg::Connection::Open(Conninfo());
  IMGFLEET_CHECK(connection.ok());
  const absl::StatusOr<std::string> answer = (*connection)->QueryText(sql);
  if (absl::IsNotFound(answer.status())) return "";
  if (!answer.ok()) log::Error("%s", answer.status().ToString());
  IMGFLEET_CHECK(answer.ok());
  return *answer;
}

void PostgresServer::Start() {
  server_ = Launch({absl::StrCat(kPrograms, "postgres"), "-D", absl::StrCat(folder_.path(), "/data")}, root_,
                   absl::StrCat(folder_.path(), "/log"));
  for (int i = 0; i < 3000; ++i) {
    if (pg::Connection::Open(Conninfo()).ok()) return;
    IMGFLEET_CHECK(waitpid(server_, nullptr, WNOHANG) == 0);
    absl::SleepFor(absl::Milliseconds(10));
  }
  IMGFLEET_CHECK(false && "PostgreSQL does not start");
}

void PostgresServer::Crash() {
  if (server_ == 0) return;
  kill(server_, SIGQUIT);
  waitpid(server_, nullptr, 0);
  server_ = 0;
}

}  // namespace imgfleet::store
