// A hundred thousand children of all kinds, by eight threads at once. Run by
// hand:
//
//   bazel test //tests:soak_test --test_output=streamed
//
// With --test_env, ASYNCPROC_SOAK_CHILDREN and ASYNCPROC_SOAK_SECONDS limit the
// run, and ASYNCPROC_SOAK_SEED repeats the choices of an earlier run, which
// prints its seed.

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using internal::MonotonicNow;

constexpr int kThreads = 8;

int64_t FromEnvironment(const char* name, int64_t otherwise) {
  const char* const value = getenv(name);
  int64_t number = otherwise;
  if (value != nullptr && !absl::SimpleAtoi(value, &number)) {
    ADD_FAILURE() << name << " is no number: " << value;
  }
  return number;
}

size_t ResidentMebibytes() {
  size_t size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE)) >> 20;
}

size_t CountEntries(const char* directory) {
  size_t count = 0;
  DIR* const dir = opendir(directory);
  while (readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count;
}

// The work of one thread.
class Soaker {
 public:
  explicit Soaker(uint64_t seed) : random_(seed) {}

  // Runs one child, whose kind is chosen at random, from its start to its end.
  void LiveOnce() {
    using Life = void (Soaker::*)();
    static constexpr std::array<Life, 14> kLives = {
        &Soaker::Exit,        &Soaker::EndBySignal, &Soaker::Converse,
        &Soaker::Converse,    &Soaker::Flood,       &Soaker::FloodForever,
        &Soaker::ShrugOff,    &Soaker::IgnoreAll,   &Soaker::LeaveBehind,
        &Soaker::Stop,        &Soaker::NotBeFound,  &Soaker::EndAsAGroup,
        &Soaker::GetDetached, &Soaker::BeDestroyed};
    (this->*kLives[Below(kLives.size())])();
  }

 private:
  size_t Below(size_t n) {
    return std::uniform_int_distribution<size_t>(0, n - 1)(random_);
  }
  bool Maybe() { return Below(2) == 0; }

  // Varies the options that must not change the result.
  std::unique_ptr<Process> Start(std::vector<std::string> argv) {
    Command command(std::move(argv));
    command.die_with_parent = Below(8) == 0;
    if (Maybe()) command.process_group = ProcessGroup::New();
    if (Below(4) == 0) command.new_session = true;
    if (Below(4) == 0) command.err = Stdio::ToStdout();
    if (Below(4) == 0) command.pipe_size = 4096;
    command.drain_grace = absl::Milliseconds(5);
    return MustSpawn(command);
  }

  void ExpectEnd(Process& process, ExitStatus expected) {
    if (Below(4) == 0) {
      while (process.Wait(WNOHANG).status().code() ==
             absl::StatusCode::kUnavailable) {
        absl::SleepFor(absl::Microseconds(100));
      }
    }
    EXPECT_THAT(process.WaitFor(kNeverReached), IsOkAndHolds(expected))
        << process.command().DebugString();
    EXPECT_THAT(process.Signal(SIGTERM), HasCode(absl::StatusCode::kNotFound));
  }

  void Exit() {
    const int code = static_cast<int>(Below(256));
    ExpectEnd(*Start({Helper("exit_with"), absl::StrCat(code)}),
              ExitStatus::Exited(code));
  }

  void EndBySignal() {
    const int signal = Maybe() ? SIGKILL : SIGUSR1;
    ExpectEnd(*Start({Helper("exit_with"), "signal", absl::StrCat(signal)}),
              ExitStatus::Signaled(signal));
  }

  void Converse() {
    auto process = Start({Maybe() ? "cat" : Helper("echo_lines")});
    std::thread waiter;
    if (Below(8) == 0) {
      waiter = std::thread([&process] {
        EXPECT_THAT(process->WaitFor(kNeverReached),
                    IsOkAndHolds(ExitStatus::Exited(0)));
      });
    }
    for (size_t i = Below(5); i > 0; --i) {
      const std::string line(Below(i == 1 ? 300'000 : 1000), 'x');
      EXPECT_THAT(process->Write(line + "\n"), IsOk());
      EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds(line));
    }
    if (Maybe()) {
      EXPECT_THAT(process->CloseStdin(), IsOk());
    } else {
      EXPECT_THAT(process->Terminate(kNeverReached),
                  IsOkAndHolds(ExitStatus::Exited(0)));
    }
    ExpectEnd(*process, ExitStatus::Exited(0));
    EXPECT_TRUE(process->out().AtEof());
    if (waiter.joinable()) waiter.join();
  }

  void Flood() {
    const size_t size = Below(2'000'000);
    auto process = Start({Helper("flood"), absl::StrCat(size)});
    ExpectEnd(*process, ExitStatus::Exited(0));
    const std::string output = process->Read();
    EXPECT_EQ(output.size(), size);
    for (size_t i = 0; i < output.size(); i += 997) {
      if (output[i] == static_cast<char>(i % 251)) continue;
      ADD_FAILURE() << "byte " << i << " of " << size << " is wrong";
      break;
    }
  }

  void FloodForever() {
    auto process = Start({Helper("flood_forever")});
    EXPECT_THAT(process->out().ReadSome(kNeverReached), IsOk());
    if (Maybe()) {
      process->out().Close();
      ExpectEnd(*process, ExitStatus::Signaled(SIGPIPE));
    } else {
      EXPECT_THAT(process->Signal(SIGTERM), IsOk());
      ExpectEnd(*process, ExitStatus::Signaled(SIGTERM));
    }
  }

  void ShrugOff() {
    auto process = Start({Helper("ignore_sigterm")});
    AwaitLine(*process, "ready");
    EXPECT_THAT(process->Terminate(absl::Milliseconds(Below(3))),
                IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
  }

  void IgnoreAll() {
    auto process = Start({Helper("ignore_everything")});
    if (Maybe()) AwaitLine(*process, "ready");
    if (Maybe()) process->Write(std::string(200'000, 'x')).IgnoreError();
    std::thread other;
    if (Maybe()) {
      other = std::thread([&process] {
        EXPECT_THAT(process->Terminate(absl::ZeroDuration()),
                    IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
      });
    }
    EXPECT_THAT(process->Terminate(absl::ZeroDuration()),
                IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
    if (other.joinable()) other.join();
  }

  void LeaveBehind() {
    auto process = Start({Helper("hold_pipe")});
    ExpectEnd(*process, ExitStatus::Exited(0));
    auto line = process->out().TryReadLine();
    ASSERT_THAT(line, IsOk());
    EXPECT_FALSE(process->out().AtEof());
    kill(std::stoi(*line), SIGKILL);
    if (Maybe()) {
      EXPECT_THAT(process->out().ReadLine(kNeverReached),
                  HasCode(absl::StatusCode::kOutOfRange));
    }
  }

  void Stop() {
    auto process = Start({Helper("stop_self")});
    while (process->state() != ProcessState::kStopped) {
      absl::SleepFor(absl::Microseconds(100));
    }
    if (Maybe()) {
      EXPECT_THAT(process->Signal(SIGCONT), IsOk());
      ExpectEnd(*process, ExitStatus::Exited(0));
      EXPECT_EQ(process->Read(), "ready\nresumed\n");
    } else if (Maybe()) {
      Escalation escalation;
      escalation.steps = {EscalationStep::Signal(SIGTERM, kNeverReached)};
      EXPECT_THAT(process->Terminate(escalation), IsOk());
      ExpectEnd(*process, ExitStatus::Signaled(SIGTERM));
    }
  }

  void NotBeFound() {
    EXPECT_THAT(Process::Spawn(Command({"/no/such/file"})),
                HasCode(absl::StatusCode::kNotFound));
  }

  void EndAsAGroup() {
    Command command = Command::Shell("sleep 1000 & echo $!; sleep 1000");
    command.process_group = ProcessGroup::New();
    auto process = MustSpawn(command);
    auto line = process->out().ReadLine(kNeverReached);
    ASSERT_THAT(line, IsOk());
    Escalation escalation = Escalation::Standard(absl::ZeroDuration());
    escalation.scope =
        Maybe() ? TerminationScope::kGroup : TerminationScope::kTree;
    auto termination = process->Terminate(escalation);
    ASSERT_THAT(termination, IsOk());
    EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGKILL));
    EXPECT_THAT(termination->survivors, testing::IsEmpty());
    EXPECT_FALSE(ProcessLives(std::stoi(*line)));
  }

  void GetDetached() {
    Command command({Maybe() ? "true" : "cat"});
    command.on_destroy = OnDestroy::Detach();
    auto process = MustSpawn(command);
    if (Maybe()) process->Write("x\n").IgnoreError();
  }

  void BeDestroyed() {
    auto process = Start({Maybe() ? Helper("flood_forever") : "sleep", "1000"});
    const pid_t pid = process->pid();
    if (Maybe()) process->Write(std::string(100'000, 'x')).IgnoreError();
    process = nullptr;
    // If another process has the pid by now, it is not a child of this process.
    siginfo_t info;
    EXPECT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info,
                     WEXITED | WNOHANG | WNOWAIT),
              -1);
  }

  std::mt19937_64 random_;
};

// Waits until no thread for a detached child remains.
void AwaitDetached(size_t threads) {
  const absl::Time patience = MonotonicNow() + kNeverReached;
  while (CountEntries("/proc/self/task") > threads &&
         MonotonicNow() < patience) {
    absl::SleepFor(absl::Milliseconds(1));
  }
}

TEST(SoakTest, ManyChildrenOfEveryKind) {
  const int64_t children = FromEnvironment("ASYNCPROC_SOAK_CHILDREN", 100'000);
  const int64_t seconds = FromEnvironment("ASYNCPROC_SOAK_SECONDS", 3000);
  const int64_t seed = FromEnvironment(
      "ASYNCPROC_SOAK_SEED", static_cast<int64_t>(std::random_device()()));
  std::cout << "seed " << seed << std::endl;
  const size_t threads_before = CountEntries("/proc/self/task");
  const absl::Time start = MonotonicNow();
  const absl::Time end = start + absl::Seconds(seconds);
  std::atomic<int64_t> started{0};
  std::atomic<int> running{kThreads};

  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      Soaker soaker(static_cast<uint64_t>(seed * kThreads + i));
      while (MonotonicNow() < end && started++ < children &&
             !testing::Test::HasFailure()) {
        soaker.LiveOnce();
      }
      --running;
    });
  }
  size_t resident = 0;
  while (running > 0) {
    absl::SleepFor(absl::Milliseconds(200));
    const bool report = static_cast<int64_t>(
                            absl::ToInt64Milliseconds(MonotonicNow() - start)) /
                            200 % 50 ==
                        0;
    if (!report) continue;
    if (resident == 0) resident = ResidentMebibytes();
    std::cout << absl::FormatDuration(MonotonicNow() - start) << ": " << started
              << " children, " << ResidentMebibytes() << " MiB, "
              << CountEntries("/proc/self/task") << " threads, "
              << CountEntries("/proc/self/fd") << " descriptors" << std::endl;
  }
  for (std::thread& thread : threads) thread.join();
  AwaitDetached(threads_before);

  const absl::Duration elapsed = MonotonicNow() - start;
  std::cout << "in all: " << started << " children in "
            << absl::FormatDuration(elapsed) << ", "
            << static_cast<double>(started) / absl::ToDoubleSeconds(elapsed)
            << " per second, " << ResidentMebibytes() << " MiB" << std::endl;
  // The memory that allocators keep depends on the number of concurrent
  // threads.
  if (kSlowness == 1 && resident > 0) {
    EXPECT_LT(ResidentMebibytes(), resident + 100);
  }
}

}  // namespace
}  // namespace asyncproc
