// psql, with a server of the test's own where one is installed, and without a
// server.

#include <glob.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asyncproc/child_observer.h"
#include "asyncproc/process.h"
#include "asyncproc/readiness.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::HasSubstr;

constexpr uid_t kNobody = 65534;

bool HavePsql() { return access("/usr/bin/psql", X_OK) == 0; }

// The folder of the server's programs; empty if the server is not installed.
std::string ServerPrograms() {
  glob_t found;
  std::string folder;
  if (glob("/usr/lib/postgresql/*/bin/initdb", 0, nullptr, &found) == 0) {
    folder = std::filesystem::path(found.gl_pathv[0]).parent_path();
  }
  globfree(&found);
  return folder;
}

// A private server: its socket is in a folder of its own, with a path that is
// short enough for a socket.
class Server {
 public:
  Server() {
    char path[] = "/tmp/asyncproc-psql-XXXXXX";
    if (mkdtemp(path) == nullptr) return;
    folder_ = path;
    if (geteuid() == 0 && chown(path, kNobody, kNobody) != 0) return;
    Command initdb = AsNobody(
        Command({"initdb", "-D", folder_ + "/data", "--no-sync", "--no-locale",
                 "-E", "UTF8", "-A", "trust", "-U", "tester"}));
    initdb.out = Stdio::Null();
    auto made = Process::Spawn(initdb);
    if (!made.ok()) return;
    EXPECT_THAT((*made)->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)))
        << (*made)->ReadErr();
    Command postgres =
        AsNobody(Command({"postgres", "-D", folder_ + "/data", "-k", folder_,
                          "-F", "-c", "listen_addresses="}));
    process_ = MustSpawn(postgres);
    EXPECT_THAT(
        WaitUntilReady(*process_,
                       ReadyCondition::Line("ready to accept connections",
                                            ChildStream::kErr),
                       kNeverReached),
        IsOk());
  }

  ~Server() {
    if (process_ != nullptr) {
      // SIGINT requests a fast shutdown.
      EXPECT_THAT(process_->Signal(SIGINT), IsOk());
      EXPECT_THAT(process_->WaitFor(kNeverReached),
                  IsOkAndHolds(ExitStatus::Exited(0)));
    }
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  ReplDialect Psql() const {
    return PsqlDialect({"-h", folder_, "-U", "tester", "-d", "postgres"});
  }

 private:
  // The server refuses to run as root.
  static Command AsNobody(Command command) {
    command.executable = absl::StrCat(ServerPrograms(), "/", command.argv[0]);
    command.working_directory = "/";
    if (geteuid() == 0) {
      command.user = kNobody;
      command.group = kNobody;
    }
    return command;
  }

  std::string folder_;
  std::unique_ptr<Process> process_;
};

// Whether a process can become another user's: not in a sandbox.
bool CanBecomeNobody() {
  if (geteuid() != 0) return true;
  Command command({"true"});
  command.user = kNobody;
  command.group = kNobody;
  return Process::Spawn(command).ok();
}

class PsqlTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!HavePsql()) GTEST_SKIP() << "there is no psql";
    if (ServerPrograms().empty()) GTEST_SKIP() << "there is no PostgreSQL";
    if (!CanBecomeNobody()) GTEST_SKIP() << "root is alone here";
    server_.emplace();
    auto psql = Repl::Start(server_->Psql());
    ASSERT_THAT(psql, IsOk());
    psql_ = *std::move(psql);
  }
  void TearDown() override {
    if (psql_ == nullptr) return;
    EXPECT_THAT(psql_->Close(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
  }

  Reply Eval(absl::string_view statement) {
    auto reply = psql_->Eval(statement, kNeverReached);
    EXPECT_THAT(reply, IsOk()) << statement;
    return reply.value_or(Reply());
  }

  std::optional<Server> server_;
  std::unique_ptr<Repl> psql_;
};

// A server takes a second to start, so one test covers a whole session.
TEST_F(PsqlTest, AnswersStatementsAndKeepsTables) {
  const Reply sum = Eval("select 20+22");
  EXPECT_EQ(sum.out, "42\n");
  EXPECT_EQ(sum.status, 0);
  EXPECT_EQ(Eval("").out, "");

  // Characters that a terminal treats as commands.
  EXPECT_EQ(Eval("select 'a\tb\x04\x03'").out, "a\tb\x04\x03\n");

  Eval(
      "create table t(x int, y text);\ninsert into t values (1, 'a'), (2, '')");
  EXPECT_EQ(Eval("select * from t order by x;").out, "1|a\n2|\n");
  EXPECT_EQ(Eval("select 1;\nselect 2").out, "1\n2\n");
  EXPECT_EQ(Eval("\\echo hi").out, "hi\n");
  EXPECT_THAT(Eval("\\dt").out, HasSubstr("public|t|table|tester"));

  const Reply failed = Eval("select nope");
  EXPECT_THAT(failed.out, HasSubstr("column \"nope\" does not exist"));
  EXPECT_EQ(failed.status, 1);
  EXPECT_EQ(Eval("\\echo fine").status, 0);
  EXPECT_EQ(Eval("select 1").status, 0);

  EXPECT_EQ(Eval("select 1 -- done;").out, "1\n");
  EXPECT_EQ(Eval("select 2 /* done; */").out, "2\n");
  const Reply commented = Eval("select nope; -- done");
  EXPECT_EQ(commented.status, 1) << commented.out;

  // Text that looks like an end does not end a reply, and a prompt in a value
  // is text.
  EXPECT_EQ(
      Eval("select ';', e'\\'(', $$ ' $$, /* /* ' */ ( */ 'postgres=# '").out,
      ";|'(| ' |postgres=# \n");
  // More than a page of a pager.
  EXPECT_THAT(Eval("select * from generate_series(1, 1000)").out,
              testing::EndsWith("\n999\n1000\n"));
}

TEST_F(PsqlTest, GoesOnAfterAStatementThatTookTooLongOrIsNotComplete) {
  EXPECT_THAT(psql_->Eval("select pg_sleep(1000)", kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(Eval("select 1").out, "1\n");

  for (const char* incomplete :
       {"select 'abc", "select \"a", "select $$ '", "/* /* */ select 1"}) {
    EXPECT_THAT(psql_->Eval(incomplete, kNeverReached),
                HasCode(absl::StatusCode::kInvalidArgument))
        << incomplete;
    EXPECT_EQ(Eval("select 2").out, "2\n");
  }
}

TEST_F(PsqlTest, ReportsTheEndOfTheServer) {
  server_.reset();

  const auto reply = psql_->Eval("select 1", kNeverReached);
  psql_ = nullptr;

  EXPECT_THAT(reply, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(reply.status().message(),
              HasSubstr("server closed the connection"));
}

TEST(PsqlWithoutServerTest, FailsToStartWithItsLastWords) {
  if (!HavePsql()) GTEST_SKIP() << "there is no psql";
  TemporaryDirectory directory;

  auto psql = Repl::Start(PsqlDialect({"-h", "/no/such/folder"}));

  EXPECT_THAT(psql, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(psql.status().message(),
              HasSubstr("/no/such/folder/.s.PGSQL.5432"));
}

}  // namespace
}  // namespace asyncproc
