#include "tests/database_servers.h"

#include <glob.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
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

constexpr uid_t kNobody = 65534;

// The folder of PostgreSQL's server programs; empty if they are not installed.
std::string PostgresPrograms() {
  glob_t found;
  std::string folder;
  if (glob("/usr/lib/postgresql/*/bin/initdb", 0, nullptr, &found) == 0) {
    folder = std::filesystem::path(found.gl_pathv[0]).parent_path();
  }
  globfree(&found);
  return folder;
}

// The server refuses to run as root.
Command AsNobody(Command command) {
  // By a path, initdb finds the server beside itself.
  command.argv[0] = absl::StrCat(PostgresPrograms(), "/", command.argv[0]);
  command.working_directory = "/";
  if (geteuid() == 0) {
    command.user = kNobody;
    command.group = kNobody;
  }
  return command;
}

// Whether a process can become another user's: not in a sandbox.
bool CanBecomeNobody() {
  if (geteuid() != 0) return true;
  Command command({"true"});
  command.user = kNobody;
  command.group = kNobody;
  return Process::Spawn(command).ok();
}

// A folder whose path is short enough for a socket.
class ShortFolder {
 public:
  ShortFolder() { EXPECT_NE(mkdtemp(path_), nullptr) << path_; }
  ShortFolder(const ShortFolder&) = delete;
  ShortFolder& operator=(const ShortFolder&) = delete;
  ~ShortFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string path() const { return path_; }

 private:
  char path_[32] = "/tmp/asyncproc-server-XXXXXX";
};

// The socket and the data of a server.
class PostgresFolder {
 public:
  PostgresFolder() {
    if (geteuid() == 0) {
      EXPECT_EQ(chown(path().c_str(), kNobody, kNobody), 0) << path();
    }
    Command initdb = AsNobody(
        Command({"initdb", "-D", path() + "/data", "--no-sync", "--no-locale",
                 "-E", "UTF8", "-A", "trust", "-U", "tester"}));
    initdb.out = Stdio::Null();
    auto made = MustSpawn(initdb);
    EXPECT_THAT(made->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)))
        << made->ReadErr();
  }

  std::string path() const { return folder_.path(); }

 private:
  const ShortFolder folder_;
};

class Postgres : public DatabaseServer {
 public:
  explicit Postgres(std::string folder) : folder_(std::move(folder)) {
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

  ~Postgres() override {
    // SIGINT requests a fast shutdown.
    EXPECT_THAT(process_->Signal(SIGINT), IsOk());
    EXPECT_THAT(process_->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
  }

  std::vector<std::string> Arguments() const override {
    return {"-h", folder_, "-U", "tester", "-d", "postgres"};
  }
  ReplDialect Client() const override { return PsqlDialect(Arguments()); }

 private:
  const std::string folder_;
  std::unique_ptr<Process> process_;
};

class Redis : public DatabaseServer {
 public:
  Redis() {
    Command command({"redis-server", "--port", "0", "--unixsocket", socket(),
                     "--save", ""});
    // The server's program under the name that it has in redis-tools: the
    // package redis-server would start a server of the machine.
    command.executable = "redis-check-rdb";
    command.working_directory = folder_.path();
    process_ = Process::Spawn(command);
    if (!process_.ok()) return;
    EXPECT_THAT(
        WaitUntilReady(**process_,
                       ReadyCondition::Line("(?i)ready to accept connections"),
                       kNeverReached),
        IsOk());
  }

  absl::Status status() const { return process_.status(); }

  std::vector<std::string> Arguments() const override {
    return {"-s", socket()};
  }
  ReplDialect Client() const override { return RedisDialect(Arguments()); }

 private:
  std::string socket() const { return folder_.path() + "/socket"; }

  const ShortFolder folder_;
  absl::StatusOr<std::unique_ptr<Process>> process_;
};

}  // namespace

std::unique_ptr<DatabaseServer> StartPostgres(std::string* why) {
  if (access("/usr/bin/psql", X_OK) != 0) {
    *why = "there is no psql";
  } else if (PostgresPrograms().empty()) {
    *why = "there is no PostgreSQL";
  } else if (!CanBecomeNobody()) {
    *why = "root is alone here";
  } else {
    static const PostgresFolder folder;
    return std::make_unique<Postgres>(folder.path());
  }
  return nullptr;
}

std::unique_ptr<DatabaseServer> StartRedis(std::string* why) {
  auto redis = std::make_unique<Redis>();
  if (redis->status().ok()) return redis;
  EXPECT_TRUE(absl::IsNotFound(redis->status())) << redis->status();
  *why = redis->status().ToString();
  return nullptr;
}

}  // namespace asyncproc
