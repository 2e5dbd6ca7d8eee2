// Ending a group or a tree when /proc cannot be read, shows another PID
// namespace, or shows a living process as a zombie.

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/proc/listeners.h"
#include "asyncproc/internal/proc/proc_file.h"
#include "asyncproc/internal/proc/proc_fs.h"
#include "asyncproc/internal/proc/signal_action.h"
#include "asyncproc/process.h"
#include "asyncproc/process_poller.h"
#include "asyncproc/run.h"
#include "asyncproc/termination.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/forked_host.h"
#include "tests/own_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using internal::ScopedOs;
using testing::AllOf;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

// A host that cannot open any file of /proc.
class OsWithoutProc : public internal::Os {
 public:
  explicit OsWithoutProc(int error) : error_(error) {}

  int Open(const char* path, int flags, mode_t mode) override {
    if (!absl::StartsWith(path, "/proc")) return Os::Open(path, flags, mode);
    errno = error_;
    return -1;
  }

 private:
  const int error_;
};

Escalation Only(int signal, absl::Duration grace, TerminationScope scope) {
  Escalation escalation;
  escalation.steps = {EscalationStep::Signal(signal, grace)};
  escalation.scope = scope;
  return escalation;
}

pid_t ReadPid(Process& process) {
  auto line = process.out().ReadLine(kNeverReached);
  return line.ok() ? std::stoi(*line) : -1;
}

// A group of two processes: the child, and `second`, which first prints its
// pid.
std::unique_ptr<Process> MustSpawnGroup(absl::string_view second,
                                        pid_t* second_pid) {
  Command command =
      Command::Shell("sh -c 'echo $$; exec $SECOND' & exec sleep 1000");
  command.env.Set("SECOND", second);
  command.process_group = ProcessGroup::New();
  auto process = MustSpawn(command);
  *second_pid = ReadPid(*process);
  return process;
}

// Parameterized by the error of the search.
class NoProcTest : public testing::TestWithParam<int> {
 protected:
  OsWithoutProc os_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(, NoProcTest, testing::Values(EMFILE, ENOENT),
                         [](const auto& info) {
                           return info.param == EMFILE ? "NoDescriptor"
                                                       : "NotMounted";
                         });

TEST_P(NoProcTest, AGroupIsEndedByItsNumber) {
  pid_t second;
  auto process = MustSpawnGroup("sleep 1000", &second);
  absl::StatusOr<Termination> termination;
  {
    ScopedOs scoped(&os_);
    termination = process->Terminate(
        Only(SIGKILL, kNeverReached, TerminationScope::kGroup));
  }

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGKILL));
  EXPECT_THAT(termination->survivors, IsEmpty());
  EXPECT_TRUE(AwaitProcessEnd(second));
}

TEST_P(NoProcTest, AGroupThatMayHaveSurvivedIsAnError) {
  pid_t second;
  auto process = MustSpawnGroup(Helper("ignore_sigterm"), &second);
  AwaitLine(*process, "ready");
  absl::StatusOr<Termination> termination;
  {
    ScopedOs scoped(&os_);
    termination = process->Terminate(
        Only(SIGTERM, kNeverReached, TerminationScope::kGroup));
  }

  EXPECT_THAT(termination, HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(termination.status().message(),
              AllOf(HasSubstr("has ended: killed by SIGTERM"),
                    HasSubstr("could not be searched for, and may live"),
                    HasSubstr("/proc/self/status")));
  EXPECT_TRUE(ProcessLives(second));
  kill(second, SIGKILL);
}

TEST_P(NoProcTest, APollerTellsOfAGroupThatMayHaveSurvived) {
  BufferingProcessPoller<int> poller;
  Command command =
      Command::Shell("sh -c 'echo $$; exec $SECOND' & exec sleep 1000");
  command.env.Set("SECOND", Helper("ignore_sigterm"));
  command.process_group = ProcessGroup::New();
  ASSERT_THAT(poller.Run(1, command), IsOk());
  ASSERT_THAT(poller.PollUntilSays({1}, "ready\n", kNeverReached), IsOk());
  const pid_t second = std::stoi(poller.output(1).out);
  {
    ScopedOs scoped(&os_);
    ASSERT_THAT(poller.Terminate(
                    1, Only(SIGTERM, kNeverReached, TerminationScope::kGroup)),
                IsOk());
    EXPECT_THAT(poller.Poll(kNeverReached), IsOk());
  }

  const absl::StatusOr<Termination> termination = poller.termination(1);

  EXPECT_THAT(poller.result(1), IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));
  EXPECT_THAT(termination, HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(termination.status().message(),
              AllOf(HasSubstr("has ended: killed by SIGTERM"),
                    HasSubstr("could not be searched for, and may live")));
  EXPECT_TRUE(ProcessLives(second));
  kill(second, SIGKILL);
}

TEST_P(NoProcTest, ATreeThatMayHaveSurvivedIsAnErrorAndItsGroupIsEnded) {
  pid_t second;
  auto process = MustSpawnGroup("sleep 1000", &second);
  absl::StatusOr<Termination> termination;
  {
    ScopedOs scoped(&os_);
    termination = process->Terminate(
        Only(SIGKILL, kNeverReached, TerminationScope::kTree));
  }

  EXPECT_THAT(termination, HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_FALSE(process->IsAlive());
  EXPECT_TRUE(AwaitProcessEnd(second));
}

TEST_P(NoProcTest, ASignalReachesTheGroupAndReportsPossibleSurvivors) {
  pid_t second;
  auto process = MustSpawnGroup("sleep 1000", &second);
  absl::Status group, tree;
  {
    ScopedOs scoped(&os_);
    group = process->Signal(0, TerminationScope::kGroup);
    tree = process->Signal(SIGKILL, TerminationScope::kTree);
  }

  EXPECT_THAT(group, IsOk());
  EXPECT_THAT(tree, HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
  EXPECT_TRUE(AwaitProcessEnd(second));
}

TEST_P(NoProcTest, AChildAloneNeedsNoProc) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  ScopedOs scoped(&os_);

  EXPECT_THAT(process->Terminate(
                  Only(SIGTERM, kNeverReached, TerminationScope::kChild)),
              IsOk());
  auto leads_no_group = MustSpawn(Command({"sleep", "1000"}));
  EXPECT_THAT(leads_no_group->Terminate(
                  Only(SIGTERM, kNeverReached, TerminationScope::kGroup)),
              IsOk());
}

TEST_P(NoProcTest, TheTimeoutOfRunReportsPossibleSurvivors) {
  ScopedOs scoped(&os_);
  RunOptions options;
  options.timeout = kShort;

  const auto result = asyncproc::Run(Command({"sleep", "1000"}), options);

  EXPECT_THAT(result, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(result.status().message(),
              HasSubstr("could not be searched for"));
}

TEST(RunTest, NamesTheDescendantsThatOutliveItsTimeout) {
  RunOptions options;
  options.timeout = absl::Milliseconds(200);
  options.escalation = Only(SIGTERM, kShort, TerminationScope::kTree);
  Command command =
      Command::Shell("sh -c 'echo $$; exec \"$STUBBORN\"' & exec sleep 1000");
  command.env.Set("STUBBORN", Helper("ignore_sigterm"));

  const auto result = asyncproc::Run(command, options);

  const auto failure = GetRunFailure(result.status());
  ASSERT_TRUE(failure.has_value()) << result.status();
  const pid_t stubborn = std::stoi(std::string(failure->result.out));
  EXPECT_THAT(
      result.status().message(),
      HasSubstr(absl::StrCat("ignore_sigterm (pid ", stubborn, ") lives on")));
  kill(stubborn, SIGKILL);
}

// Without a fake Os: the host has no descriptor left.
TEST(NoDescriptorTest, AGroupIsEndedByItsNumber) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    pid_t second;
    auto process = MustSpawnGroup("sleep 1000", &second);
    rlimit limit;
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 300;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    std::vector<internal::UniqueFd> all;
    for (int fd; (fd = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0;) {
      all.emplace_back(fd);
    }

    const auto termination = process->Terminate(
        Only(SIGKILL, kNeverReached, TerminationScope::kGroup));

    all.clear();
    EXPECT_THAT(termination, IsOk());
    EXPECT_TRUE(AwaitProcessEnd(second));
  });
}

// ---- A /proc that shows another PID namespace.

TEST(IsOwnProcTest, TakesOneNumberThatIsItsOwn) {
  EXPECT_TRUE(internal::IsOwnProc("Name:\tx\nNSpid:\t7\nNSsid:\t1\n", "7", 7));
  // A process of an outer namespace: its number there, and its own number.
  EXPECT_FALSE(internal::IsOwnProc("Name:\tx\nNSpid:\t7\t7\n", "7", 7));
  EXPECT_FALSE(internal::IsOwnProc("Name:\tx\nNSpid:\t900\t7\n", "900", 7));
  // The file does not exist there.
  EXPECT_FALSE(internal::IsOwnProc("", "", 7));
}

TEST(IsOwnProcTest, TakesTheLinkWhereTheKernelListsNoNumbers) {
  EXPECT_TRUE(internal::IsOwnProc("Name:\tx\nPid:\t7\n", "7", 7));
  EXPECT_FALSE(internal::IsOwnProc("Name:\tx\nPid:\t900\n", "900", 7));
}

// Runs `body` as PID 1 of a new PID namespace with the /proc of the old one.
// Returns "refused" if the user may not create a namespace.
std::string InForeignProc(const std::function<std::string()>& body) {
  return InForkedHost([&]() -> std::string {
    if (unshare(CLONE_NEWPID) != 0 &&
        unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) {
      return "refused";
    }
    return InForkedHost(body);
  });
}

TEST(ForeignProcTest, NoStrangerIsSignaled) {
  const std::string seen = InForeignProc([]() -> std::string {
    std::vector<std::unique_ptr<Process>> siblings;
    for (int i = 0; i < 10; ++i) {
      siblings.push_back(MustSpawn(Command({"sleep", "1000"})));
    }

    const auto termination = siblings[0]->Terminate(
        Only(SIGTERM, kNeverReached, TerminationScope::kTree));

    int alive = 0;
    for (const auto& sibling : siblings) alive += sibling->IsAlive() ? 1 : 0;
    return absl::StrCat(absl::StatusCodeToString(termination.status().code()),
                        " ", alive, " ",
                        internal::ReadProcessStat(getpid()).has_value(), " ",
                        siblings[1]->out().holders().size());
  });
  if (seen == "refused") GTEST_SKIP() << "no PID namespace may be made here";

  EXPECT_EQ(seen, "RESOURCE_EXHAUSTED 9 0 0");
}

// ---- A process whose main thread has ended.

TEST(ExitedMainThreadTest, GroupAndTreeAreEndedAll) {
  for (const TerminationScope scope :
       {TerminationScope::kGroup, TerminationScope::kTree}) {
    Command command = Command::Shell(
        "sh -c 'echo $$; exec \"$THREADS\" sleep 1000' & exec sleep 1000");
    command.env.Set("THREADS", Helper("exit_main_thread"));
    command.process_group = ProcessGroup::New();
    auto process = MustSpawn(command);
    const pid_t threads = ReadPid(*process);
    const pid_t below = ReadPid(*process);
    AwaitLine(*process, "ready");
    const auto stat = internal::ReadProcessStat(threads);
    ASSERT_TRUE(stat.has_value());
    ASSERT_EQ(stat->state, 'Z');
    EXPECT_FALSE(stat->HasEnded());

    const auto termination =
        process->Terminate(Only(SIGKILL, kNeverReached, scope));

    ASSERT_THAT(termination, IsOk());
    EXPECT_THAT(termination->survivors, IsEmpty());
    EXPECT_FALSE(ProcessLives(threads));
    EXPECT_FALSE(ProcessLives(below));
    kill(threads, SIGKILL);
    kill(below, SIGKILL);
  }
}

TEST(ExitedMainThreadTest, HoldsTheOutputStill) {
  Command command =
      Command::Shell("sh -c 'echo $$; exec \"$THREADS\"' & exec sleep 1000");
  command.env.Set("THREADS", Helper("exit_main_thread"));
  auto process = MustSpawn(command);
  const pid_t threads = ReadPid(*process);
  AwaitLine(*process, "ready");

  EXPECT_THAT(process->out().holders(),
              Contains(Field(&PipeHolder::pid, threads)));

  kill(threads, SIGKILL);
}

TEST(ExitedMainThreadTest, IsStoppedWhenItsOtherThreadsAre) {
  auto process = MustSpawn(Command({Helper("exit_main_thread")}));
  AwaitLine(*process, "ready");
  EXPECT_FALSE(
      internal::HasStopped(*internal::ReadProcessStat(process->pid())));

  EXPECT_THAT(process->Signal(SIGSTOP), IsOk());

  while (!internal::HasStopped(*internal::ReadProcessStat(process->pid()))) {
    absl::SleepFor(absl::Milliseconds(1));
  }
}

// ---- A stopped child.

TEST(InterruptTest, ReachesAStoppedChild) {
  for (const bool on_terminal : {false, true}) {
    Command command = Command::Shell("echo ready; exec sleep 1000");
    if (on_terminal) command.pty.emplace();
    auto process = MustSpawn(command);
    AwaitLine(*process, "ready");
    ASSERT_THAT(process->Signal(SIGSTOP), IsOk());
    while (process->state() != ProcessState::kStopped) {
      absl::SleepFor(absl::Milliseconds(1));
    }

    EXPECT_THAT(process->Interrupt(TerminationScope::kChild), IsOk());

    EXPECT_THAT(process->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Signaled(SIGINT)));
  }
}

// WaitUntilReady's search for the process that listens races with the end of
// the child.
TEST(SocketOwnerTest, SeesThatAnEndedChildHasNoSockets) {
  const internal::UniqueFd listener(socket(AF_UNIX, SOCK_STREAM, 0));
  const std::string name = absl::StrCat("@asyncproc-proc-test-", getpid());
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path, name.size());
  address.sun_path[0] = '\0';
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) +
                                        name.size())),
            0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  auto process = MustSpawn(Command({"true"}));
  ASSERT_THAT(process->Wait(), IsOk());

  const internal::SocketOwner owner = internal::FindSocketOwner(
      internal::ListenersAtPath(name), process->pid());

  EXPECT_EQ(owner.kind, internal::SocketOwner::Kind::kOther);
  EXPECT_EQ(owner.pid, getpid());
}

TEST(InterruptTest, ReachesAStoppedDescendant) {
  Command command =
      Command::Shell("trap '' INT; sleep 1000 & echo $!; wait $!; exit 3");
  auto process = MustSpawn(command);
  const pid_t below = ReadPid(*process);
  ASSERT_EQ(kill(below, SIGSTOP), 0);
  while (internal::ReadProcessStat(below)->state != 'T') {
    absl::SleepFor(absl::Milliseconds(1));
  }

  EXPECT_THAT(process->Interrupt(TerminationScope::kTree), IsOk());

  // A shell that is not interactive starts background commands with SIGINT
  // ignored.
  while (internal::ReadProcessStat(below)->state == 'T') {
    absl::SleepFor(absl::Milliseconds(1));
  }
  kill(below, SIGKILL);
  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(3)));
}

TEST(SignalActionTest, IsThatOfTheProcess) {
  auto sh = MustSpawn(Command::Shell(
      "trap '' INT; trap 'exit 3' TERM; trap : USR1; kill -STOP $$; wait"));
  while (sh->state() != ProcessState::kStopped) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_THAT(sh->Signal(SIGTERM), IsOk());
  const auto action = [&](int signal) {
    return internal::ReadSignalAction(sh->pid(), signal);
  };

  EXPECT_EQ(action(SIGINT), internal::SignalAction::kIgnored);
  EXPECT_EQ(action(SIGTERM), internal::SignalAction::kPending);
  EXPECT_EQ(action(SIGUSR1), internal::SignalAction::kCaught);
  EXPECT_EQ(action(SIGUSR2), internal::SignalAction::kDefault);
  EXPECT_EQ(action(0), internal::SignalAction::kUnknown);
  EXPECT_EQ(action(1000), internal::SignalAction::kUnknown);

  EXPECT_THAT(sh->Signal(SIGCONT), IsOk());
  EXPECT_THAT(sh->WaitFor(kNeverReached), IsOkAndHolds(ExitStatus::Exited(3)));
  EXPECT_EQ(action(SIGUSR1), internal::SignalAction::kUnknown);
}

TEST(SignalActionTest, IsToBlockWhileAHandlerRuns) {
  // Without PERL_SIGNALS=unsafe, perl runs its code after the handler.
  Command command({"perl", "-e",
                   "$SIG{INT} = sub { syswrite STDOUT, \"in\\n\"; <STDIN> }; "
                   "syswrite STDOUT, \"ready\\n\"; 1 while 1"});
  command.env.Set("PERL_SIGNALS", "unsafe");
  auto perl = MustSpawn(std::move(command));
  ASSERT_THAT(perl->out().ReadLine(kNeverReached), IsOkAndHolds("ready"));
  EXPECT_EQ(internal::ReadSignalAction(perl->pid(), SIGINT),
            internal::SignalAction::kCaught);

  EXPECT_THAT(perl->Signal(SIGINT), IsOk());

  ASSERT_THAT(perl->out().ReadLine(kNeverReached), IsOkAndHolds("in"));
  EXPECT_EQ(internal::ReadSignalAction(perl->pid(), SIGINT),
            internal::SignalAction::kBlocked);
}

}  // namespace
}  // namespace asyncproc
