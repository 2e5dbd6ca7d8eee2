// Sessions that others wrote: from the test suites of the programs that
// asyncproc repl has presets for.

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "asyncproc/command.h"
#include "asyncproc/run.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/database_servers.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

struct Body {
  const char* name;  // Its extractor is tests/sessions/NAME.py.
  const char* preset;
  const char* program;
  // Its folder among those that tests/sessions/fetch gets; "": the sessions
  // come from installed files.
  const char* package;
  std::vector<std::string> arguments;  // Further ones, of the program.
  int statements;                      // At least.
  // The server that the program needs; null without one.
  std::unique_ptr<DatabaseServer> (*server)(std::string* why) = nullptr;
};

std::ostream& operator<<(std::ostream& out, const Body& body) {
  return out << body.name;
}

const Body kBodies[] = {
    {"busybox_bc", "bc", "bc", "busybox", {}, 900},
    {"busybox_bc", "dc", "dc", "busybox", {}, 180},
    {"busybox_shell", "bash", "bash", "busybox", {}, 400},
    {"busybox_shell", "sh", "sh", "busybox", {}, 400},
    {"fish_checks", "fish", "fish", "fish", {}, 100},
    {"node", "node", "node", "nodejs", {}, 100},
    {"ocaml", "ocaml", "ocaml", "ocaml", {}, 500},
    {"perl", "perl", "perl", "perl", {}, 80},
    {"python", "python3", "python3", "", {}, 500},
    {"psql", "psql", "psql", "postgresql-15", {}, 10000, StartPostgres},
    {"r", "r", "R", "r-base", {}, 8000},
    {"ruby", "ruby", "ruby", "ruby3.1", {"-W0"}, 700},
    {"sqlite", "sqlite3", "sqlite3", "sqlite3", {}, 3000},
    {"tcl", "tcl", "tclsh", "tcl8.6", {}, 8000},
    {"zsh_tests", "zsh", "zsh", "zsh", {}, 1000},
};

bool IsInstalled(const std::string& program) {
  return !OutputOf(Command::Shell("command -v " + program + " || true"))
              .empty();
}

// The folder with the tests of `package`; "" without one.
std::string SourcesOf(const std::string& package) {
  const char* sources = std::getenv("ASYNCPROC_SESSIONS");
  if (package.empty() || sources == nullptr) return "";
  const std::string path = absl::StrCat(sources, "/", package);
  return std::filesystem::exists(path) ? path : "";
}

class SessionsTest : public testing::TestWithParam<Body> {};

TEST_P(SessionsTest, GoThroughTheReplWithTheRepliesThatTheyExpect) {
  const Body& body = GetParam();
  if (!IsInstalled(body.program)) {
    GTEST_SKIP() << "there is no " << body.program;
  }
  const std::string sources = SourcesOf(body.package);
  if (sources.empty() && *body.package != '\0') {
    GTEST_SKIP() << "there are no tests of " << body.package
                 << ": run tests/sessions/fetch";
  }
  TemporaryDirectory sessions;
  Command extract({"python3", absl::StrCat("tests/sessions/", body.name, ".py"),
                   sources, sessions.path(), body.program});
  RunOptions patient;
  patient.timeout = 10 * kNeverReached;
  auto count = asyncproc::Run(extract, patient);
  ASSERT_THAT(count, IsOk());
  ASSERT_EQ(count->status.ShellCode(), 0) << std::string(count->err);
  ASSERT_GE(std::stoi(std::string(count->out)), body.statements);
  const std::string tool =
      std::filesystem::absolute("tools/asyncproc/asyncproc");

  std::unique_ptr<DatabaseServer> server;
  std::vector<std::string> arguments = body.arguments;
  if (body.server != nullptr) {
    std::string why;
    server = body.server(&why);
    if (server == nullptr) GTEST_SKIP() << why;
    arguments = server->Arguments();
  }
  // Those of one server may need the ones before.
  const std::set<std::filesystem::path> in_order(
      std::filesystem::directory_iterator(sessions.path()), {});

  for (const std::filesystem::path& session : in_order) {
    // A folder has files that sessions read.
    if (!std::filesystem::is_regular_file(session)) continue;
    // Statements may write files.
    TemporaryDirectory folder;
    Command check({tool, "repl", "--preset", body.preset, "--check", "--file",
                   session.string(), "--"});
    check.argv.insert(check.argv.end(), arguments.begin(), arguments.end());
    check.working_directory = folder.path();
    check.env.Set("HOME", folder.path());
    // As Python sets it for the extractor.
    check.env.Set("LC_CTYPE", "C.UTF-8");
    RunOptions options;
    options.timeout = kNeverReached;
    auto result = asyncproc::Run(check, options);

    ASSERT_THAT(result, IsOk()) << session;
    EXPECT_EQ(result->status.ShellCode(), 0)
        << session << "\n"
        << std::string(result->out) << std::string(result->err);
  }
}

INSTANTIATE_TEST_SUITE_P(All, SessionsTest, testing::ValuesIn(kBodies),
                         [](const auto& info) {
                           return absl::StrCat(info.param.name, "_",
                                               info.param.preset);
                         });

}  // namespace
}  // namespace asyncproc
