// asyncproc --cgroup. The tests need a cgroup in which they may make another,
// which a sandbox does not have.

#include <signal.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "asyncproc/process.h"
#include "tests/cli_testing.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::IsEmpty;
using ::testing::StartsWith;

// Starts a process that neither its environment nor its session tells apart,
// and writes its pid.
constexpr char kEscape[] =
    "env -i setsid sleep 1000 >/dev/null 2>&1 & echo $!; ";

// The name of the cgroup of a process, without those above it.
std::string CgroupOf(pid_t pid) {
  const std::string path = OutputOf(
      Command::Shell(absl::StrCat("sed -n s/^0:://p /proc/", pid, "/cgroup")));
  return std::string(absl::StripSuffix(path.substr(path.rfind('/') + 1), "\n"));
}

// The cgroups of other processes come and go meanwhile.
std::string FoldersOf(const std::string& cgroup) {
  return OutputOf(Command::Shell(absl::StrCat("find /sys/fs/cgroup -name ",
                                              cgroup, " 2>/dev/null || true")));
}

class CliCgroupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const ToolResult result = RunTool({"run", "--cgroup", "true"});
    if (result.code != 0) GTEST_SKIP() << result.err;
  }
};

TEST_F(CliCgroupTest, LeavesNothingWhenItIsKilled) {
  const std::string script = absl::StrCat(kEscape, "wait");
  for (const Command& command :
       {Tool({"run", "--cgroup", "--", "sh", "-c", script}),
        Tool({"pool", "--cgroup", "--line-buffer", script + "; : {}",
              ":::", "1"})}) {
    const auto tool = MustSpawn(command);
    const auto line = tool->out().ReadLine(kNeverReached);
    ASSERT_THAT(line, IsOk());
    pid_t escaped = 0;
    ASSERT_TRUE(absl::SimpleAtoi(*line, &escaped));
    const std::string group = CgroupOf(escaped);
    EXPECT_THAT(group, StartsWith("asyncproc-"));
    EXPECT_EQ(CgroupOf(tool->pid()), group);

    ASSERT_THAT(tool->Signal(SIGKILL), IsOk());

    EXPECT_THAT(tool->WaitFor(kNeverReached), IsOk());
    EXPECT_TRUE(AwaitProcessEnd(escaped));
    for (const absl::Time end = absl::Now() + kNeverReached;
         !FoldersOf(group).empty() && absl::Now() < end;
         absl::SleepFor(absl::Milliseconds(10))) {
    }
    EXPECT_THAT(FoldersOf(group), IsEmpty());
  }
}

TEST_F(CliCgroupTest, IsRemovedAndADaemonThatIsLeftBehindLivesOn) {
  const ToolResult result =
      RunTool({"run", "--cgroup", "--", "sh", "-c",
               absl::StrCat(kEscape, "sed -n 's=^0::.*/==p' /proc/$$/cgroup")});

  EXPECT_EQ(result.code, 0);
  const std::pair<std::string, std::string> said =
      absl::StrSplit(absl::StripSuffix(result.out, "\n"), '\n');
  pid_t daemon = 0;
  ASSERT_TRUE(absl::SimpleAtoi(said.first, &daemon));
  EXPECT_THAT(said.second, StartsWith("asyncproc-"));
  EXPECT_THAT(FoldersOf(said.second), IsEmpty());
  EXPECT_TRUE(ProcessLives(daemon));
  EXPECT_EQ(CgroupOf(daemon), CgroupOf(getpid()));
  kill(daemon, SIGKILL);
  EXPECT_TRUE(AwaitProcessEnd(daemon));
}

}  // namespace
}  // namespace asyncproc
