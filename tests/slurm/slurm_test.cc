// Command::Via and asyncproc run --via through srun, in a cluster whose only
// node is this machine. Not a part of bazel test //...: see bootstrap.

#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "asyncproc/run.h"
#include "tests/cli_testing.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::HasSubstr;

// munged, slurmctld and slurmd, for the lifetime of this object.
class OneNodeSlurm {
 public:
  OneNodeSlurm();
  ~OneNodeSlurm();

  // `command`, with the configuration of this cluster.
  Command Here(Command command) const {
    command.env.Set("SLURM_CONF", absl::StrCat(folder_, "/slurm.conf"));
    return command;
  }

 private:
  void WriteFile(absl::string_view name, absl::string_view content) const;
  void Start(const std::vector<std::string>& argv);

  std::string folder_ = "/tmp/asyncproc-XXXXXX";  // Short, for a socket.
  std::vector<std::unique_ptr<Process>> daemons_;
};

OneNodeSlurm::OneNodeSlurm() {
  CHECK(mkdtemp(folder_.data()) != nullptr) << folder_;
  CHECK_EQ(chmod(folder_.c_str(), 0755), 0);
  std::filesystem::create_directory(folder_ + "/munge");
  CHECK_EQ(chmod((folder_ + "/munge").c_str(), 0700), 0);
  for (const char* name : {"state", "spool"}) {
    std::filesystem::create_directory(absl::StrCat(folder_, "/", name));
  }
  WriteFile("munge/key", std::string(1024, 'k'));
  CHECK_EQ(chmod((folder_ + "/munge/key").c_str(), 0400), 0);
  const std::string socket = folder_ + "/munge.socket";
  Start({"munged", "--foreground", "--force", "--key-file",
         folder_ + "/munge/key", "--socket", socket, "--pid-file",
         folder_ + "/munge/pid", "--log-file", folder_ + "/munge/log",
         "--seed-file", folder_ + "/munge/seed"});

  char host[256] = {};
  CHECK_EQ(gethostname(host, sizeof(host) - 1), 0);
  const passwd* const user = getpwuid(geteuid());
  CHECK(user != nullptr);
  WriteFile("slurm.conf",
            absl::StrCat(
                "ClusterName=asyncproc\nSlurmctldHost=", host, "(127.0.0.1)\n",
                "SlurmctldPort=26817\nSlurmdPort=26818\nAuthType=auth/munge\n",
                "AuthInfo=socket=", socket, "\nSlurmUser=", user->pw_name,
                "\nSlurmdUser=", user->pw_name, "\nStateSaveLocation=", folder_,
                "/state\nSlurmdSpoolDir=", folder_, "/spool\nSlurmctldPidFile=",
                folder_, "/ctld.pid\nSlurmdPidFile=", folder_, "/slurmd.pid\n",
                "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\n",
                "JobAcctGatherType=jobacct_gather/none\nMpiDefault=none\n",
                "SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\n",
                "ReturnToService=2\nNodeName=", host,
                " NodeAddr=127.0.0.1 State=UNKNOWN\n",
                "PartitionName=all Nodes=ALL Default=YES State=UP\n"));
  Start({"slurmctld", "-D"});
  Start({"slurmd", "-D"});
  const absl::Time deadline = absl::Now() + kNeverReached;
  while (true) {
    const auto state = asyncproc::Run(Here({"sinfo", "-h", "-o", "%T"}));
    CHECK_OK(state.status());
    if (absl::StrContains(state->out.view(), "idle")) return;
    CHECK(absl::Now() < deadline)
        << state->err << daemons_[1]->ReadErr() << daemons_[2]->ReadErr();
    absl::SleepFor(absl::Milliseconds(100));
  }
}

OneNodeSlurm::~OneNodeSlurm() {
  for (auto daemon = daemons_.rbegin(); daemon != daemons_.rend(); ++daemon) {
    Escalation escalation = Escalation::Standard(absl::Seconds(5));
    escalation.scope = TerminationScope::kTree;
    EXPECT_THAT((*daemon)->Terminate(escalation), IsOk());
  }
  daemons_.clear();
  std::filesystem::remove_all(folder_);
}

void OneNodeSlurm::WriteFile(absl::string_view name,
                             absl::string_view content) const {
  const auto written = asyncproc::Run(
      {"sh", "-c", "cat >\"$1\"", "sh", absl::StrCat(folder_, "/", name)}, [&] {
        RunOptions options;
        options.input = std::string(content);
        options.check = true;
        return options;
      }());
  CHECK_OK(written.status());
}

void OneNodeSlurm::Start(const std::vector<std::string>& argv) {
  Command command(argv);
  command.in = Stdio::Null();
  command.env.Set("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
  daemons_.push_back(MustSpawn(Here(command)));
}

class SlurmTest : public testing::Test {
 protected:
  Command ByTool(std::vector<std::string> options,
                 const std::vector<std::string>& command) const {
    options.insert(options.begin(), {"run", "--via", "srun -n1"});
    options.insert(options.end(), command.begin(), command.end());
    return slurm_.Here(Tool(options));
  }

  OneNodeSlurm slurm_;
};

pid_t ReadPid(Process& process) {
  int pid = 0;
  EXPECT_TRUE(absl::SimpleAtoi(
      process.out().ReadLine(kNeverReached).value_or(""), &pid));
  return pid;
}

TEST_F(SlurmTest, PassesArgumentsAndTheExitStatus) {
  const Command command({"sh", "-c", "printf '[%s]' \"$@\"; exit 7", "sh",
                         "it's", "a b", "", "*", "$HOME"});

  const auto result = asyncproc::Run(slurm_.Here(command.Via({"srun", "-n1"})));

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->status, ExitStatus::Exited(7)) << result->err;
  EXPECT_EQ(result->out, "[it's][a b][][*][$HOME]");
  EXPECT_EQ(ResultOf(ByTool({}, command.argv)).code, 7);
}

TEST_F(SlurmTest, PassesSignalsOnToTheTask) {
  const auto tool =
      MustSpawn(ByTool({}, {"sh", "-c",
                            "trap 'echo got it; exit 3' USR1; echo ready; "
                            "while :; do sleep 0.1; done"}));
  AwaitLine(*tool, "ready");

  EXPECT_THAT(tool->Signal(SIGUSR1), IsOk());

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(3)));
  EXPECT_EQ(tool->Read(), "got it\n");
}

TEST_F(SlurmTest, EndsTheTaskWhenTimeIsUp) {
  const auto tool = MustSpawn(
      ByTool({"--timeout", "3s"}, {"sh", "-c", "sleep 1000 & echo $!; wait"}));
  const pid_t pid = ReadPid(*tool);

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(124)));

  EXPECT_TRUE(AwaitProcessEnd(pid));
}

TEST_F(SlurmTest, EndsTheTaskWhenTheToolIsTerminatedOrKilled) {
  for (int signal : {SIGTERM, SIGKILL}) {
    const auto tool =
        MustSpawn(ByTool({}, {"sh", "-c", "sleep 1000 & echo $!; wait"}));
    const pid_t pid = ReadPid(*tool);

    EXPECT_THAT(tool->Signal(signal), IsOk());

    EXPECT_THAT(tool->WaitFor(kNeverReached), IsOk());
    EXPECT_TRUE(AwaitProcessEnd(pid)) << signal;
  }
}

}  // namespace
}  // namespace asyncproc
