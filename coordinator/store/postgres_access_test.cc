// Who may connect, and what an operator is told who may not: TLS judged by a CA and a name, passwords, databases and roles
// that are not there, a server that is full. Each failure is one message that names the cause and shows no password.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "coordinator/store/ledger.h"
#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/postgres.h"
#include "coordinator/store/postgres_store.h"
#include "coordinator/store/postgres_testing.h"

namespace imgfleet::store {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

constexpr uid_t kNobody = 65534;  // Whom the server runs as where we are root.

// A file that only the server reads.
std::string Own(const std::string& path) {
  EXPECT_EQ(chmod(path.c_str(), 0600), 0);
  if (geteuid() == 0) {
    EXPECT_EQ(chown(path.c_str(), kNobody, kNobody), 0);
  }
  return path;
}

// A folder with a CA, another CA, and a certificate of the first for localhost.
class Certificates {
 public:
  Certificates() {
    chmod(folder_.path().c_str(), 0755);
    for (const char* ca : {"ca", "other"}) {
      Run(absl::StrCat("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=",
                       ca, " -keyout ", ca, ".key -out ", ca, ".pem"));
    }
    Run("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout server.key "
        "-out server.csr");
    Run("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out server.pem");
    Own(Path("server.key"));
    Own(Path("server.pem"));
  }
  std::string Path(const std::string& name) const { return absl::StrCat(folder_.path(), "/", name); }

 private:
  void Run(const std::string& arguments) {
    EXPECT_EQ(
        std::system(absl::StrCat("cd ", folder_.path(), " && openssl ", arguments, " >log 2>&1").c_str()), 0)
        << arguments;
  }
  const TemporaryFolder folder_{"/tmp/tls.XXXXXX"};
};

core::NewJob TheJob() {
  core::NewJob job;
  job.id = "job";
  job.create_time = absl::FromUnixSeconds(1000);
  return job;
}

absl::Status Opened(const std::string& conninfo) {
  return OpenPostgresStore(conninfo, Clock::System()).status();
}

TEST(PostgresAccessTest, TlsIsJudgedByTheCaAndTheName) {
  const Certificates certificates;
  PostgresServer server({false, absl::StrCat("listen_addresses = '127.0.0.1'\nssl = on\nssl_cert_file = '",
                                             certificates.Path("server.pem"), "'\nssl_key_file = '",
                                             certificates.Path("server.key"), "'")});
  const auto conninfo = [&](const std::string& host, const std::string& ca) {
    return absl::StrCat(
        "postgresql://tester:s3cret@", host,
        ":5432/postgres?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert=", certificates.Path(ca));
  };
  const std::string good = conninfo("localhost", "ca.pem");
  {
    auto store = OpenPostgresStore(good, Clock::System());
    ASSERT_TRUE(store.ok()) << store.status();
    Ledger ledger(*std::move(store), Clock::System(), {});
    ASSERT_TRUE(Submit(ledger, TheJob(), {MakeNewShard(0, 2)}).ok());
    EXPECT_THAT(*Acquire(ledger, "w", 2), SizeIs(1));
    EXPECT_TRUE(ledger.GetJob("job").ok());
    // All of its connections: one that writes, one that listens, one that reads.
    EXPECT_EQ(server.Exec("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE "
                          "application_name = 'imgfleet' AND client_addr IS NOT NULL"),
              "t");
  }
  const absl::Status stranger = Opened(conninfo("localhost", "other.pem"));
  EXPECT_TRUE(absl::IsPermissionDenied(stranger)) << stranger;
  EXPECT_THAT(std::string(stranger.message()), HasSubstr("certificate verify failed"));
  const absl::Status renamed = Opened(conninfo("elsewhere.example", "ca.pem"));
  EXPECT_TRUE(absl::IsPermissionDenied(renamed)) << renamed;
  EXPECT_THAT(std::string(renamed.message()), HasSubstr("does not match host name \"elsewhere.example\""));
  const absl::Status unknown = Opened(conninfo("localhost", "no-such.pem"));
  EXPECT_FALSE(unknown.ok());
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("no-such.pem"));
  for (const absl::Status& status : {stranger, renamed, unknown}) {
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("s3cret")));
  }
}

TEST(PostgresAccessTest, AServerWithoutTlsIsNotSpokenToWhereTlsIsWanted) {
  PostgresServer server({false, "listen_addresses = '127.0.0.1'"});
  const absl::Status plain = Opened("postgresql://tester@127.0.0.1:5432/postgres?sslmode=require");
  EXPECT_TRUE(absl::IsPermissionDenied(plain)) << plain;
  EXPECT_THAT(std::string(plain.message()), HasSubstr("server does not support SSL"));
}

TEST(PostgresAccessTest, SaysWhetherPasswordRoleOrDatabaseIsWrong) {
  const TemporaryFolder folder("/tmp/hba.XXXXXX");
  chmod(folder.path().c_str(), 0755);
  const std::string rules = absl::StrCat(folder.path(), "/pg_hba.conf");
  std::ofstream(rules) << "local all alice scram-sha-256\nlocal all mallory reject\nlocal all all trust\n";
  PostgresServer server({false, absl::StrCat("hba_file = '", Own(rules), "'")});
  server.Exec("CREATE ROLE alice LOGIN PASSWORD 'right one'");
  server.Exec("CREATE ROLE mallory LOGIN");
  server.Exec("GRANT CREATE ON SCHEMA public TO alice");
  const auto as = [&](const std::string& more) { return Opened(server.Conninfo(more)); };
  EXPECT_TRUE(as("&user=alice&password=right%20one").ok()) << as("&user=alice&password=right%20one");

  const absl::Status wrong = as("&user=alice&password=s3cret");
  EXPECT_TRUE(absl::IsPermissionDenied(wrong)) << wrong;
  EXPECT_THAT(std::string(wrong.message()), HasSubstr("password authentication failed for user \"alice\""));
  EXPECT_THAT(std::string(wrong.message()), Not(HasSubstr("s3cret")));
  const absl::Status none = as("&user=alice");
  EXPECT_TRUE(absl::IsPermissionDenied(none)) << none;
  EXPECT_THAT(std::string(none.message()), HasSubstr("no password supplied"));
  const absl::Status rejected = as("&user=mallory");
  EXPECT_TRUE(absl::IsPermissionDenied(rejected)) << rejected;
  const absl::Status nobody = as("&user=nemo");
  EXPECT_TRUE(absl::IsNotFound(nobody)) << nobody;
  EXPECT_THAT(std::string(nobody.message()), HasSubstr("role \"nemo\" does not exist"));
  const absl::Status nowhere = as("&dbname=nowhere");
  EXPECT_TRUE(absl::IsNotFound(nowhere)) << nowhere;
  EXPECT_THAT(std::string(nowhere.message()), HasSubstr("database \"nowhere\" does not exist"));
}

TEST(PostgresAccessTest, AFullServerIsSaidToBeFullAndCostsNoWork) {
  PostgresServer server({false, "max_connections = 8\nsuperuser_reserved_connections = 0"});
  auto store = OpenPostgresStore(server.NewSchema(), Clock::System());
  ASSERT_TRUE(store.ok()) << store.status();
  Ledger ledger(*std::move(store), Clock::System(), {});
  ASSERT_TRUE(Submit(ledger, TheJob(), {MakeNewShard(0, 2)}).ok());
  ASSERT_TRUE(ledger.GetJob("job").ok());
  std::vector<std::unique_ptr<pg::Connection>> others;
  absl::Status full;
  while (full.ok()) {
    auto other = pg::Connection::Open(server.Conninfo());
    full = other.status();
    if (other.ok()) others.push_back(*std::move(other));
  }
  EXPECT_TRUE(absl::IsUnavailable(full)) << full;
  EXPECT_THAT(std::string(full.message()), HasSubstr("too many clients already"));
  EXPECT_THAT(std::string(full.message()), HasSubstr("max_connections"));
  EXPECT_EQ(Opened(server.Conninfo()).code(), full.code());
  // What is connected goes on.
  const auto leased = Acquire(ledger, "w", 2);
  ASSERT_TRUE(leased.ok() && leased->size() == 1) << leased.status();
  EXPECT_TRUE(ledger.GetJob("job").ok());
  // What loses its connection comes back when there is room.
  ASSERT_TRUE(
      others.front()
          ->Exec("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = "
                 "'imgfleet' AND pid <> pg_backend_pid() AND query NOT LIKE 'LISTEN%' AND query LIKE "
                 "'%COMMIT%'")
          .ok());
  others.clear();
  core::CommitAnswer answer;
  do {
    answer = Commit(ledger, MakeChunk(leased->at(0).lease, {0, 1}));
  } while (answer.code == core::CommitCode::kRetry);
  EXPECT_EQ(answer.code, core::CommitCode::kCommitted);
  EXPECT_EQ(ledger.GetJob("job")->state, core::JobState::kCompleted);
}

// As when a coordinator stands still in the middle of a transaction: the server ends it, and lets others have its jobs.
TEST(PostgresAccessTest, ATransactionWhoseConnectionIsEndedInTheMiddleIsTriedAgain) {
  PostgresServer& server = PostgresServer::Shared();
  auto store = OpenPostgresStore(server.NewSchema(), Clock::System());
  ASSERT_TRUE(store.ok()) << store.status();
  core::JobRecord record;
  record.job.id = "job";
  const auto insert = [&](bool end) {
    return (*store)->Transact([&](Transaction& transaction) {
      const absl::Status inserted = transaction.InsertJob(record);
      if (!inserted.ok() || !end) return inserted;
      EXPECT_EQ(
          server.Exec(
              "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE state = 'idle in "
              "transaction'"),
          "1");
      return transaction.GetJob("job").status();
    });
  };
  const absl::Status ended = insert(true);
  EXPECT_TRUE(absl::IsAborted(ended)) << ended;
  EXPECT_FALSE((*store)->GetJob("job")->has_value());
  EXPECT_EQ(insert(false), absl::OkStatus());
  EXPECT_TRUE((*store)->GetJob("job")->has_value());
}

}  // namespace
}  // namespace imgfleet::store
