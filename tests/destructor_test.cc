// The fate of a child after its Process is destroyed.

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/proc/proc_fs.h"
#include "asyncproc/process.h"
#include "asyncproc/recorder.h"
#include "asyncproc/transcript.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/library_threads.h"
#include "tests/own_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using internal::MonotonicNow;

const absl::Duration kSoon = absl::Seconds(5) * kSlowness;

// DTR-04: a Process is held by a pointer, and only the pointer moves; DTR-07.
static_assert(!std::is_move_constructible_v<Process>);
static_assert(!std::is_move_assignable_v<Process>);
static_assert(!std::is_copy_constructible_v<Process>);
static_assert(std::is_nothrow_destructible_v<Process>);

// The shell prints the pid of a child that ignores SIGTERM. Then that child
// prints "ready".
Command ShellWithStubbornChild() {
  Command command =
      Command::Shell("sh -c 'echo $$; exec \"$STUBBORN\"' & exec sleep 1000");
  command.env.Set("STUBBORN", Helper("ignore_sigterm"));
  return command;
}

// DTR-01
TEST(DestructorTest, KillsAtOnceByDefault) {
  for (const Command& command :
       {Command({"sleep", "1000"}), Command({Helper("ignore_everything")})}) {
    auto process = MustSpawn(command);
    const pid_t pid = process->pid();
    const absl::Time start = MonotonicNow();

    process = nullptr;

    EXPECT_FALSE(internal::ReadProcessStat(pid).has_value());
    EXPECT_LT(MonotonicNow() - start, kSoon);
  }
}

TEST(DestructorTest, KillsAStoppedChild) {
  auto process = MustSpawn(Command({Helper("stop_self")}));
  while (process->state() != ProcessState::kStopped) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  const pid_t pid = process->pid();

  process = nullptr;

  EXPECT_FALSE(internal::ReadProcessStat(pid).has_value());
}

// DTR-01
TEST(DestructorTest, TerminatesIfAsked) {
  TemporaryDirectory directory;
  Command command = Command::Shell(
      "trap 'echo TERM > end; exit' TERM; echo ready; while :; do sleep .01; "
      "done");
  command.working_directory = directory.path();
  command.on_destroy =
      OnDestroy::Terminate(Escalation::Standard(kNeverReached));
  command.in = Stdio::Null();
  auto process = MustSpawn(command);
  AwaitLine(*process, "ready");
  const pid_t pid = process->pid();

  process = nullptr;

  EXPECT_FALSE(internal::ReadProcessStat(pid).has_value());
  EXPECT_EQ(directory.Read("end"), "TERM\n");
}

// DTR-01
TEST(DestructorTest, KillsTheChildThatTerminateLeaves) {
  Command command({Helper("ignore_sigterm")});
  Escalation gentle;
  gentle.steps = {EscalationStep::Signal(SIGTERM, kShort)};
  command.on_destroy = OnDestroy::Terminate(gentle);
  auto process = MustSpawn(command);
  AwaitLine(*process, "ready");
  const pid_t pid = process->pid();
  const absl::Time start = MonotonicNow();

  process = nullptr;

  EXPECT_FALSE(internal::ReadProcessStat(pid).has_value());
  EXPECT_GE(MonotonicNow() - start, kShort);
  EXPECT_LT(MonotonicNow() - start, kSoon);
}

TEST(DestructorTest, KillsTheSurvivorsOfTheWholeScope) {
  Command command = ShellWithStubbornChild();
  Escalation gentle;
  gentle.steps = {EscalationStep::Signal(SIGTERM, kShort)};
  gentle.scope = TerminationScope::kTree;
  command.on_destroy = OnDestroy::Terminate(gentle);
  auto process = MustSpawn(command);
  auto grandchild = process->out().ReadLine(kNeverReached);
  ASSERT_THAT(grandchild, IsOk());
  AwaitLine(*process, "ready");

  process = nullptr;

  EXPECT_FALSE(ProcessLives(std::stoi(*grandchild)));
}

TEST(DestructorTest, EndsTheGroupOfAChildThatHasEnded) {
  Command command = Command::Shell("sleep 1000 & echo $!");
  command.process_group = ProcessGroup::New();
  command.drain_grace = kShort;
  command.on_destroy = OnDestroy::Terminate(
      Escalation::Standard(kShort, TerminationScope::kGroup));
  auto process = MustSpawn(command);
  auto grandchild = process->out().ReadLine(kNeverReached);
  ASSERT_THAT(grandchild, IsOk());
  ASSERT_THAT(process->Wait(), IsOk());
  ASSERT_TRUE(ProcessLives(std::stoi(*grandchild)));

  process = nullptr;

  EXPECT_FALSE(ProcessLives(std::stoi(*grandchild)));
}

// DTR-01, PID-07
TEST(DestructorTest, DetachesIfAsked) {
  Command command = Command::Shell(absl::StrCat("read line; ", Helper("flood"),
                                                " 1000000; ", Helper("flood"),
                                                " 1000000 2; exec sleep 1000"));
  command.on_destroy = OnDestroy::Detach();
  command.output_buffer = OutputBound::BlockChild(100);
  auto process = MustSpawn(command);
  const pid_t pid = process->pid();

  process = nullptr;  // Closes stdin; reads and discards the output.

  for (;;) {
    auto stat = internal::ReadProcessStat(pid);
    ASSERT_TRUE(stat.has_value());
    if (stat->command == "sleep") break;
    absl::SleepFor(absl::Milliseconds(1));
  }
  kill(pid, SIGKILL);
  while (internal::ReadProcessStat(pid).has_value()) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  AwaitNoLibraryThread();
}

TEST(DestructorTest, LetsADetachedChildHaveAllThatWasWritten) {
  TemporaryDirectory directory;
  Command command({"sh", "-c", "cat > copy; mv copy done"});
  command.working_directory = directory.path();
  command.on_destroy = OnDestroy::Detach();
  auto process = MustSpawn(command);
  const pid_t pid = process->pid();
  const std::string data(1 << 20, 'x');
  EXPECT_THAT(process->Write(data), IsOk());

  process = nullptr;

  while (internal::ReadProcessStat(pid).has_value()) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(directory.Read("done"), data);
  AwaitNoLibraryThread();
}

// The number of open descriptors of this program.
ptrdiff_t Descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                       std::filesystem::directory_iterator());
}

// Prints "first". At the end of its stdin, prints more than a pipe holds, and
// ends.
Command PrintsMuchLater() {
  Command command =
      Command::Shell("echo first; read x; yes | head -c 1000000; exit 3");
  command.on_destroy = OnDestroy::Detach();
  return command;
}

// An idle cursor at a bound blocks a child that writes more than the bound.
TEST(DestructorTest, DropsTheOutputOfADetachedChildWithAnIdleCursor) {
  TemporaryDirectory directory;
  const ptrdiff_t descriptors = Descriptors();
  Command command = Command::Shell("yes | head -c 1000000; echo ok > done");
  command.working_directory = directory.path();
  command.on_destroy = OnDestroy::Detach();
  command.output_buffer = OutputBound::BlockChild(1000);
  auto process = MustSpawn(command);
  const pid_t pid = process->pid();
  OutputCursor idle = process->out().NewCursor();
  ASSERT_THAT(process->out().ReadExactly(1000, kNeverReached), IsOk());

  process = nullptr;

  if (!AwaitProcessEnd(pid)) {
    kill(pid, SIGKILL);
    FAIL() << "the child is held up";
  }
  EXPECT_EQ(directory.Read("done"), "ok\n");
  AwaitNoLibraryThread();
  EXPECT_EQ(Descriptors(), descriptors);
  EXPECT_THAT(idle.ReadExactly(1000, kNeverReached), IsOk());
  EXPECT_TRUE(idle.AtEof());
}

TEST(DestructorTest, LeavesNoLaterOutputOfADetachedChildToACursor) {
  auto process = MustSpawn(PrintsMuchLater());
  OutputCursor cursor = process->out().NewCursor();
  AwaitLine(*process, "first");

  process = nullptr;

  AwaitNoLibraryThread();
  EXPECT_EQ(cursor.Read().substr(0, 9), "first\n");  // All of it is long.
  EXPECT_TRUE(cursor.AtEof());
}

TEST(DestructorTest, EndsTheWaitOfACursorOfADetachedChild) {
  Command command = Command::Shell("read x; exec sleep 1000");
  command.on_destroy = OnDestroy::Detach();
  auto process = MustSpawn(command);
  const pid_t pid = process->pid();
  OutputCursor cursor = process->out().NewCursor();
  std::atomic<pid_t> waiting{0};
  std::thread reader([&] {
    waiting = gettid();
    EXPECT_THAT(cursor.ReadLine(kNeverReached),
                HasCode(absl::StatusCode::kOutOfRange));
  });
  AwaitSleep(waiting);

  process = nullptr;

  reader.join();
  kill(pid, SIGKILL);
  AwaitNoLibraryThread();
}

TEST(DestructorTest, HoldsADetachedChildUpForNoTap) {
  Command command = PrintsMuchLater();
  command.output_buffer = OutputBound::BlockChild(1000);
  auto process = MustSpawn(command);
  const pid_t pid = process->pid();
  absl::Notification may_return;
  std::string seen;
  auto tap = process->out().AddTap([&](absl::string_view chunk) {
    seen.append(chunk.data(), chunk.size());
    may_return.WaitForNotification();
  });
  ASSERT_THAT(tap, IsOk());
  AwaitLine(*process, "first");

  process = nullptr;

  EXPECT_TRUE(AwaitProcessEnd(pid));
  may_return.Notify();
  tap->Finish();
  EXPECT_EQ(seen.substr(0, 9), "first\n");
  AwaitNoLibraryThread();
}

TEST(DestructorTest, DetachesWhileOutputIsReadInPlace) {
  auto process = MustSpawn(PrintsMuchLater());
  OutputCursor cursor = process->out().NewCursor();
  AwaitLine(*process, "first");
  std::string seen;

  EXPECT_THAT(cursor.ReadInPlace(
                  [&](absl::string_view bytes) {
                    process = nullptr;
                    AwaitNoLibraryThread();
                    seen.append(bytes.data(), bytes.size());
                  },
                  kNeverReached),
              IsOk());

  EXPECT_EQ(seen, "first\n");
  EXPECT_TRUE(cursor.AtEof());
}

TEST(DestructorTest, RecordsTheExitOfADetachedChildAndNoLaterOutput) {
  const std::shared_ptr<Recorder> recorder = Recorder::InMemory();
  Command command = PrintsMuchLater();
  command.observer = recorder;
  auto process = MustSpawn(command);
  AwaitLine(*process, "first");

  process = nullptr;

  AwaitNoLibraryThread();
  std::string output;
  std::optional<ExitStatus> status;
  for (const TranscriptEvent& event : recorder->transcript().events) {
    if (event.kind == TranscriptEvent::Kind::kOut) output += event.data;
    if (event.kind == TranscriptEvent::Kind::kExit) status = event.status;
  }
  EXPECT_EQ(output.substr(0, 9), "first\n");
  EXPECT_EQ(status, ExitStatus::Exited(3));
}

TEST(DestructorTest, DetachesFromATerminalWhoseOutputIsClosed) {
  TemporaryDirectory directory;
  Command command = Command::Shell("read x; seq 1 100000; echo ok > done");
  command.working_directory = directory.path();
  command.on_destroy = OnDestroy::Detach();
  command.pty = Pty();
  auto process = MustSpawn(command);
  const pid_t pid = process->pid();
  process->out().Close();

  process = nullptr;

  EXPECT_TRUE(AwaitProcessEnd(pid));
  EXPECT_EQ(directory.Read("done"), "ok\n");
  AwaitNoLibraryThread();
}

// Readers at a bound, with and without output on its way.
TEST(DestructorTest, DetachesAtAnyTimeOfAReader) {
  for (int round = 0; round < 100 / kSlowness; ++round) {
    Command command = Command::Shell("yes | head -c 300000");
    command.on_destroy = OnDestroy::Detach();
    if (round % 2 == 0) command.output_buffer = OutputBound::BlockChild(1000);
    auto process = MustSpawn(command);
    OutputCursor cursor = process->out().NewCursor();
    auto tap = process->out().AddTap([](absl::string_view) {});
    ASSERT_THAT(tap, IsOk());
    std::thread reader([&] {
      absl::Status status;
      do {
        status = cursor.ReadInPlace([](absl::string_view) {}, kNeverReached);
      } while (status.ok());
      EXPECT_THAT(status, HasCode(absl::StatusCode::kOutOfRange));
    });
    if (round % 4 < 2) {
      EXPECT_THAT(process->out().ReadSome(kNeverReached), IsOk());
    }

    process = nullptr;

    reader.join();
    tap->Finish();
  }
  AwaitNoLibraryThread();
}

// DTR-03
TEST(DestructorTest, DoesNotWaitForFurtherOutput) {
  const absl::Time start = MonotonicNow();
  MustSpawn(Command({"yes"})) = nullptr;
  for (int i = 0; i < 20; ++i) {
    auto floods = MustSpawn(Command({Helper("flood_forever")}));
    ASSERT_THAT(floods->out().ReadSome(kNeverReached), IsOk());
  }
  auto deaf = MustSpawn(Command({"sleep", "1000"}));
  EXPECT_THAT(deaf->Write(std::string(64 << 20, 'x')), IsOk());
  deaf = nullptr;
  EXPECT_LT(MonotonicNow() - start, kSoon * 2);
}

TEST(DestructorTest, LeavesTheArrivedOutputToACursor) {
  auto process = MustSpawn(Command::Shell("seq 1000; echo end; sleep 1000"));
  OutputCursor cursor = process->out().NewCursor();
  ASSERT_THAT(process->out().ReadUntil("end\n", kNeverReached), IsOk());

  process = nullptr;

  for (int i = 1; i <= 1000; ++i) {
    ASSERT_THAT(cursor.TryReadLine(), IsOkAndHolds(absl::StrCat(i)));
  }
  EXPECT_THAT(cursor.TryReadLine(), IsOkAndHolds("end"));
  EXPECT_THAT(cursor.TryReadLine(), HasCode(absl::StatusCode::kOutOfRange));
}

// DTR-04
TEST(DestructorTest, RunsForAProcessThatIsReplaced) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  const pid_t first = process->pid();

  process = MustSpawn(Command({"cat"}));

  EXPECT_FALSE(internal::ReadProcessStat(first).has_value());
  EXPECT_TRUE(process->IsAlive());
}

std::string PidFile() { return testing::TempDir() + "/asyncproc-static-pid"; }

std::unique_ptr<Process>* StaticProcess() {
  static std::unique_ptr<Process> process;
  return &process;
}

void StartStatic() {
  *StaticProcess() = MustSpawn(Command({"sleep", "1000"}));
  std::ofstream(PidFile()) << (*StaticProcess())->pid() << std::endl;
}

void ExpectStaticEnded() {
  pid_t pid = 0;
  std::ifstream(PidFile()) >> pid;
  ASSERT_GT(pid, 0);
  EXPECT_FALSE(ProcessLives(pid));
  unlink(PidFile().c_str());
}

// DTR-05
TEST(DestructorTest, RunsForAStaticProcessAtExit) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        StartStatic();
        exit(3);
      },
      testing::ExitedWithCode(3), "");
  ExpectStaticEnded();
}

// DTR-05
TEST(DestructorTest, RunsForAStaticProcessWhenAnotherThreadExits) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        StartStatic();
        std::thread([] { exit(3); }).join();
      },
      testing::ExitedWithCode(3), "");
  ExpectStaticEnded();
}

// DTR-05
TEST(DestructorTest, RunsForAThreadLocalProcess) {
  pid_t pid = 0;
  std::thread([&pid] {
    static thread_local std::unique_ptr<Process> process;
    process = MustSpawn(Command({"sleep", "1000"}));
    pid = process->pid();
  }).join();

  EXPECT_FALSE(internal::ReadProcessStat(pid).has_value());
}

// DTR-05: no destructor runs; the kernel sends the parent-death signal.
TEST(DestructorTest, IsNotNeededForAnAbort) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        Command command({"sleep", "1000"});
        command.die_with_parent = true;
        *StaticProcess() = MustSpawn(command);
        std::ofstream(PidFile()) << (*StaticProcess())->pid() << std::endl;
        quick_exit(4);
      },
      testing::ExitedWithCode(4), "");
  pid_t pid = 0;
  std::ifstream(PidFile()) >> pid;
  ASSERT_GT(pid, 0);
  EXPECT_TRUE(AwaitProcessEnd(pid));
  unlink(PidFile().c_str());
}

// DTR-06
TEST(DestructorTest, RunsRightAfterTheStart) {
  for (int round = 0; round < 1000 / kSlowness; ++round) {
    MustSpawn(Command({"cat"})) = nullptr;
    EXPECT_THAT(Process::Spawn(Command({"/no/such/file"})),
                HasCode(absl::StatusCode::kNotFound));
  }
}

// DTR-06
TEST(DestructorTest, DetachesRightAfterTheStart) {
  Command command({"true"});
  command.on_destroy = OnDestroy::Detach();
  for (int round = 0; round < 300 / kSlowness; ++round) MustSpawn(command);
  siginfo_t info;
  while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  AwaitNoLibraryThread();
}

// DTR-07
TEST(DestructorTest, RunsWhenAnExceptionPasses) {
  pid_t pid = 0;
  try {
    auto process = MustSpawn(Command({"cat"}));
    pid = process->pid();
    throw std::runtime_error("passes");
  } catch (const std::runtime_error&) {
  }

  EXPECT_FALSE(internal::ReadProcessStat(pid).has_value());
}

// DTR-08
TEST(DestructorTest, EndsAllThreadsThatTheProcessHad) {
  std::vector<std::unique_ptr<Process>> processes;
  std::vector<TapHandle> taps;
  for (int i = 0; i < 100; ++i) {
    Command command = i % 4 == 0 ? Command::Shell("echo e >&2; exec sleep 1000")
                                 : Command({"cat"});
    command.die_with_parent = i % 5 == 0;
    processes.push_back(MustSpawn(command));
    if (i % 7 != 0) continue;
    auto tap = processes.back()->out().AddTap([](absl::string_view) {});
    ASSERT_THAT(tap, IsOk());
    taps.push_back(*std::move(tap));
  }
  // The threads set their own names: a reader for each child, a second reader
  // for each of 25 that write to stderr, and one thread for each of 20 parents
  // and each of 15 taps.
  while (LibraryThreads().size() < 160) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(LibraryThreads().size(), 160);

  processes.clear();
  taps.clear();

  AwaitNoLibraryThread();
}

TEST(DestructorTest, FollowsThePolicySetAfterTheStart) {
  auto process = MustSpawn(Command::Shell("echo ready >&2; exec sleep 1000"));
  EXPECT_THAT(process->err().ReadLine(kNeverReached), IsOkAndHolds("ready"));
  const pid_t pid = process->pid();
  ASSERT_THAT(process->set_on_destroy(OnDestroy::Detach()), IsOk());
  process = nullptr;

  EXPECT_EQ(kill(pid, 0), 0);
  kill(pid, SIGKILL);
  AwaitProcessEnd(pid);
}

TEST(DestructorTest, RefusesAnInvalidPolicy) {
  Command command({"cat"});
  command.die_with_parent = true;
  auto process = MustSpawn(command);

  EXPECT_THAT(process->set_on_destroy(OnDestroy::Detach()),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(process->set_on_destroy(OnDestroy::Terminate(Escalation())),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(process->set_on_destroy(
                  OnDestroy::Terminate(Escalation::Standard(absl::Seconds(1)))),
              IsOk());
}

}  // namespace
}  // namespace asyncproc
