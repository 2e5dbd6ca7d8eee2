// asyncproc pool on several hosts, some of them unreachable. Each test is a
// session of a user. "ssh" is a script here, which fails like ssh.

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "tests/cli_testing.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr int kOwnFailure = 125;

// Reaches every host whose name does not begin with "dead", and runs the last
// of its arguments there. Appends all arguments to the file "words".
constexpr char kSsh[] = R"sh(#!/bin/sh
cd "$(dirname "$0")"
for word; do last=$word; done
printf '%s\n' "$@" >>words
while [ "$1" != -- ]; do shift; done
host=$2
case $host in
  dead*) echo "ssh: connect to host $host port 22: No route to host" >&2
         exit 255;;
esac
echo "$host" >>used
HOST=$host exec sh -c "$last"
)sh";

class HostsTest : public ::testing::Test {
 protected:
  HostsTest() { directory_.Write("ssh", kSsh, 0755); }

  ToolResult Pool(const std::string& hosts, std::vector<std::string> words) {
    words.insert(
        words.begin(),
        {"pool", "--via", directory_.path() + "/ssh {host}", "--hosts", hosts});
    return RunTool(std::move(words));
  }

  const TemporaryDirectory directory_;
};

std::vector<std::string> Lines(absl::string_view text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

TEST_F(HostsTest, GivesTheJobsOfAHostThatIsDeadToOthers) {
  const ToolResult result =
      Pool("alive,dead", {"-j1", "-k", "echo {} on $HOST", ":::", "1", "2", "3",
                          "4", "5", "6", "7", "8"});

  EXPECT_EQ(result.code, 0) << result.err;
  const std::vector<std::string> lines = Lines(result.out);
  EXPECT_THAT(lines, SizeIs(8));
  EXPECT_THAT(lines, Each(EndsWith(" on alive")));
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("dead cannot be reached: ssh: connect to host"),
                    HasSubstr("asyncproc pool: not reached: dead\n")));
}

TEST_F(HostsTest, FailsWhenNoHostIsLeft) {
  const ToolResult result =
      Pool("dead1,dead2", {"-j2", "echo {}", ":::", "1", "2", "3"});

  EXPECT_EQ(result.code, kOwnFailure);
  EXPECT_THAT(result.err, HasSubstr("no host can be reached"));
}

TEST_F(HostsTest, RunsTheJobsOfHostsThatWereDeadWhenItResumes) {
  const std::string log = directory_.path() + "/log";
  for (const char* slots : {"-j1", "-j2", "-j4"}) {
    directory_.Write("log", "");
    EXPECT_EQ(Pool("dead1,dead2", {slots, "--joblog", log, "echo {}",
                                   ":::", "1", "2", "3", "4", "5"})
                  .code,
              kOwnFailure);

    const ToolResult result =
        Pool("alive", {"-k", "--resume", "--joblog", log, "echo {}", ":::", "1",
                       "2", "3", "4", "5"});

    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, "1\n2\n3\n4\n5\n") << slots;
  }
}

TEST_F(HostsTest, KnowsACommandThatEndsWith255ByItself) {
  const ToolResult result =
      Pool("a,b", {"-j1", "-k", "echo {}; exit 255", ":::", "1", "2"});

  EXPECT_EQ(result.code, 2);
  EXPECT_EQ(result.out, "1\n2\n");
  EXPECT_THAT(result.err, Not(HasSubstr("cannot be reached")));
}

TEST_F(HostsTest, TriesAgainOnAnotherHost) {
  const ToolResult result =
      Pool("a,b", {"-j1", "--retries", "2", "echo $HOST; : {}; test $HOST != a",
                   ":::", "1", "2", "3"});

  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "b\nb\nb\n");
}

TEST_F(HostsTest, LimitsTheTimeThatAConnectionTakes) {
  Pool("a", {"true", ":::", "1"});
  EXPECT_THAT(directory_.Read("words"), HasSubstr("ConnectTimeout=10\n"));

  directory_.Write("words", "");
  RunTool({"pool", "--via",
           directory_.path() + "/ssh -oConnectTimeout=3 {host}", "--hosts", "a",
           "true", ":::", "1"});
  EXPECT_THAT(directory_.Read("words"), Not(HasSubstr("ConnectTimeout=10")));
}

TEST_F(HostsTest, TakesQuotesInViaAsAShellDoes) {
  RunTool(
      {"pool", "--via",
       directory_.path() + "/ssh -F '/a b/cfg' -o \"X=\\\"y z\" q\\ r {host}",
       "--hosts", "a", "true", ":::", "1"});

  EXPECT_THAT(directory_.Read("words"),
              HasSubstr("-F\n/a b/cfg\n-o\nX=\"y z\nq r\n"));
  EXPECT_THAT(RunTool({"run", "--via", "ssh 'a", "true"}).err,
              HasSubstr("a quote is not closed"));
}

TEST_F(HostsTest, EndsALongLineBeforeTheLineOfAnotherHost) {
  // Host b writes its line while a is in the middle of a long one.
  const std::string script = absl::StrCat(
      "cd ", directory_.path(),
      "; half() { head -c 200000 /dev/zero | tr '\\0' x; }; case $HOST in "
      "a) half; touch begun; until [ -e over ]; do sleep 0.01; done; half;; "
      "b) until [ -e begun ]; do sleep 0.01; done; echo line; touch over;; "
      "esac");

  const ToolResult result = RunTool({"run", "--via", "env HOST={host}",
                                     "--hosts", "a,b", "sh", "-c", script});

  EXPECT_EQ(result.code, 0) << result.err;
  const std::vector<std::string> lines = Lines(result.out);
  // The line of b may come a little late.
  EXPECT_THAT(lines, SizeIs(testing::AnyOf(2, 3)));
  EXPECT_THAT(lines, testing::Contains("b: line").Times(1));
  size_t size = 0;
  for (const std::string& line : lines) {
    if (absl::StartsWith(line, "a: x")) size += line.size() - 3;
  }
  EXPECT_EQ(size, 400000);
}

TEST_F(HostsTest, SharesNoConnectionWhereThereIsNoPlaceForIt) {
  for (const char* home : {"", "/", "/no/such/home", "/proc"}) {
    directory_.Write("words", "");
    Command command =
        Tool({"run", "--via", directory_.path() + "/ssh host", "true"});
    command.env.Unset("XDG_RUNTIME_DIR");
    if (*home == '\0') {
      command.env.Unset("HOME");
    } else {
      command.env.Set("HOME", home);
    }

    EXPECT_EQ(ResultOf(command).code, 0) << home;
    EXPECT_THAT(directory_.Read("words"), Not(HasSubstr("ControlPath=~")))
        << home;
  }
}

}  // namespace
}  // namespace asyncproc
