// The wrapper of libpq against a real server: values come back as they went in, a failure is told once and as
// what it is, a password by nobody.
#include "coordinator/store/postgres.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "coordinator/store/postgres_testing.h"

namespace imgfleet::store::pg {
namespace {

using testing::HasSubstr;
using testing::Not;

class PostgresTest : public testing::Test {
 protected:
  std::unique_ptr<Connection> Connect() {
    auto connection = Connection::Open(conninfo_);
    EXPECT_TRUE(connection.ok()) << connection.status();
    return *std::move(connection);
  }

  PostgresServer& server_ = PostgresServer::Shared();
  const std::string conninfo_ = server_.NewSchema();
  const std::unique_ptr<Connection> connection_ = Connect();
};

TEST_F(PostgresTest, ValuesComeBackAsTheyWentIn) {
  ASSERT_TRUE(
      connection_->Exec("CREATE TABLE t (a bigint, b text, c bytea, d boolean, e int, f smallint)").ok());
  Statement insert(*connection_, "INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6)");
  const std::string bytes("\0\xff\x80 x", 5);
  const int64_t low = std::numeric_limits<int64_t>::min();
  EXPECT_EQ(insert.Run(low, "ü", Bytes{bytes}, true, -5, -7)->Changed(), 1);
  EXPECT_EQ(insert.Run(std::optional<int64_t>(), "", Bytes{{}}, false, 1 << 30, 7)->Changed(), 1);
  Statement select(*connection_, "SELECT a, b, c, d, e, f FROM t ORDER BY f");
  auto rows = select.Run();
  ASSERT_TRUE(rows.ok() && rows->Next());
  EXPECT_EQ(rows->Int(0), low);
  EXPECT_EQ(rows->Text(1), "ü");
  EXPECT_EQ(rows->Text(2), bytes);
  EXPECT_EQ(rows->Int(3), 1);
  EXPECT_EQ(rows->Int(4), -5);
  EXPECT_EQ(rows->Int(5), -7);
  ASSERT_TRUE(rows->Next());
  EXPECT_TRUE(rows->Null(0));
  EXPECT_FALSE(rows->Null(1));
  EXPECT_FALSE(rows->Null(2));
  EXPECT_EQ(rows->Text(2), "");
  EXPECT_EQ(rows->Int(3), 0);
  EXPECT_EQ(rows->Int(4), 1 << 30);
  EXPECT_FALSE(rows->Next());
  Statement arrays(*connection_, "SELECT x, y FROM unnest($1::text[], $2::bigint[]) AS u(x, y)");
  auto pairs = arrays.Run(std::vector<std::string>{"one", ""}, std::vector<int64_t>{-1, 2});
  ASSERT_TRUE(pairs.ok() && pairs->count() == 2) << pairs.status();
  EXPECT_TRUE(pairs->Next() && pairs->Text(0) == "one" && pairs->Int(1) == -1);
  EXPECT_EQ(arrays.Run(std::vector<std::string>(), std::vector<int64_t>())->count(), 0);
}

TEST_F(PostgresTest, WhatIsQueuedIsDoneInOrderAndFailsAsOne) {
  ASSERT_TRUE(connection_->Exec("CREATE TABLE t (id int PRIMARY KEY)").ok());
  Statement begin(*connection_, "BEGIN"), rollback(*connection_, "ROLLBACK"), commit(*connection_, "COMMIT");
  Statement insert(*connection_, "INSERT INTO t VALUES ($1)", 1);
  Statement move(*connection_, "UPDATE t SET id = $2 WHERE id = $1", 1);
  Statement count(*connection_, "SELECT count(*) FROM t");
  ASSERT_TRUE(begin.Queue().ok());
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(insert.Queue(i).ok());
  auto counted = count.Run();
  ASSERT_TRUE(counted.ok() && counted->Next()) << counted.status();
  EXPECT_EQ(counted->Int(0), 3000);
  ASSERT_TRUE(commit.Run().ok());

  ASSERT_TRUE(begin.Queue().ok());
  ASSERT_TRUE(insert.Queue(5000).ok());
  ASSERT_TRUE(insert.Queue(5).ok());
  // First run here, behind what fails.
  Statement late(*connection_, "SELECT 1");
  EXPECT_TRUE(absl::IsAlreadyExists(late.Run().status()));
  ASSERT_TRUE(rollback.Run().ok());
  EXPECT_TRUE(late.Run().ok());
  ASSERT_TRUE(move.Queue(77'000, 1).ok());
  EXPECT_TRUE(absl::IsNotFound(connection_->Drain()));
  EXPECT_TRUE(connection_->Drain().ok()) << "a failure is told once";
  counted = count.Run();
  ASSERT_TRUE(counted.ok() && counted->Next()) << counted.status();
  EXPECT_EQ(counted->Int(0), 3000);
}

TEST_F(PostgresTest, LargeValuesDoNotStopThePipeline) {
  ASSERT_TRUE(connection_->Exec("CREATE TABLE t (v bytea)").ok());
  Statement insert(*connection_, "INSERT INTO t VALUES ($1) RETURNING v");
  const std::string value(300'000, 'x');
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(insert.Queue(Bytes{value}).ok());
  EXPECT_TRUE(connection_->Drain().ok());
}

TEST_F(PostgresTest, ErrorsSayWhatTheyAre) {
  EXPECT_TRUE(absl::IsInternal(connection_->Exec("SELECT 1 FROM nothing")));
  EXPECT_EQ(*connection_->QueryText("SELECT 42"), "42") << "and the connection goes on";
  EXPECT_TRUE(absl::IsNotFound(connection_->QueryText("SELECT 1 WHERE false").status()));
  ASSERT_TRUE(connection_->Exec("SET statement_timeout = 1").ok());
  EXPECT_TRUE(absl::IsAborted(connection_->Exec("SELECT pg_sleep(10)")));
  EXPECT_FALSE(connection_->lost());
  ASSERT_TRUE(connection_->Exec("SET statement_timeout = 0").ok());

  const auto other = Connect();
  ASSERT_TRUE(
      other->Exec(absl::StrCat("SELECT pg_terminate_backend(", connection_->backend(), ", 5000)")).ok());
  Statement one(*connection_, "SELECT 1");
  EXPECT_TRUE(absl::IsUnavailable(one.Run().status()));
  EXPECT_TRUE(connection_->lost());
  EXPECT_TRUE(absl::IsUnavailable(one.Run().status()));
  EXPECT_TRUE(absl::IsUnavailable(connection_->Exec("SELECT 1")));
}

TEST_F(PostgresTest, NoticesOfOthersArrive) {
  const auto other = Connect();
  ASSERT_TRUE(connection_->Exec("LISTEN here").ok());
  ASSERT_TRUE(other->Exec("SELECT pg_notify('here', 'what')").ok());
  ASSERT_TRUE(connection_->Exec("SELECT 1").ok());
  const auto notices = connection_->TakeNotices();
  ASSERT_TRUE(notices.ok() && notices->size() == 1) << notices.status();
  EXPECT_EQ(notices->at(0).payload, "what");
  EXPECT_EQ(notices->at(0).sender, other->backend());
}

TEST_F(PostgresTest, RefusedConnectionsSayWhyAndNoPassword) {
  EXPECT_TRUE(absl::IsUnavailable(Connection::Open("postgresql://u:s3cret@127.0.0.1:1/x").status()));
  EXPECT_TRUE(absl::IsNotFound(Connection::Open(server_.Conninfo("&dbname=nowhere")).status()))
      << Connection::Open(server_.Conninfo("&dbname=nowhere")).status();
  for (const char* wrong :
       {"postgresql://u:s3cret%zz@h/x", "postgresql://u:s3cret@[::1/x", "password=s3cret host", "s3cret"}) {
    const absl::Status status = Connection::Open(wrong).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("s3cret")));
    EXPECT_THAT(Shown(wrong), Not(HasSubstr("s3cret")));
  }
  EXPECT_EQ(Shown("postgresql://u:s3cret@h:5433/x?sslmode=require&sslpassword=s3cret"),
            "postgresql://u@h:5433/x");
  EXPECT_EQ(Shown("host=h user=u password='s3 cret' dbname=x"), "postgresql://u@h/x");
}

}  // namespace
}  // namespace imgfleet::store::pg
