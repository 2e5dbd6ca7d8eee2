#include "asyncproc/orphans.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/process.h"
#include "asyncproc/run.h"
#include "asyncproc/termination.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/forked_host.h"
#include "tests/library_threads.h"
#include "tests/own_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using internal::MonotonicNow;
using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;

// Starts a grandchild that runs `script` in a session of its own, prints the
// grandchild's pid after its `preparation`, and ends.
Command DoubleFork(const std::string& script,
                   const std::string& preparation = "") {
  Command command = Command::Shell(
      "setsid sh -c 'eval \"$PREPARATION\"; echo $$; exec 1>&- 2>&-; "
      "eval \"$SCRIPT\"' & exit 0");
  command.env.Set("SCRIPT", script);
  command.env.Set("PREPARATION", preparation);
  return command;
}

pid_t StartOrphan(const std::string& script,
                  const std::string& preparation = "") {
  auto process = MustSpawn(DoubleFork(script, preparation));
  auto line = process->out().ReadLine(kNeverReached);
  EXPECT_THAT(line, IsOk());
  EXPECT_THAT(process->WaitFor(kNeverReached), IsOk());
  return line.ok() ? std::stoi(*line) : -1;
}

bool HasChild() {
  siginfo_t info = {};
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

// Waits until this process has no children. Returns false after a minute.
bool AwaitNoChild() {
  const absl::Time deadline = MonotonicNow() + kNeverReached;
  while (HasChild()) {
    if (MonotonicNow() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

bool IsSubreaper() {
  int value = 0;
  return prctl(PR_GET_CHILD_SUBREAPER, &value) == 0 && value != 0;
}

TEST(OrphanAdoptionTest, LeavesNoZombieOfFortyDoubleForks) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    auto adoption = OrphanAdoption::Start();
    ASSERT_THAT(adoption, IsOk());
    for (int i = 0; i < 40; ++i) StartOrphan("exit 3");

    EXPECT_TRUE(AwaitNoChild());
    EXPECT_EQ((*adoption)->reaped(), 40);
  });
}

TEST(OrphanAdoptionTest, LeavesNoZombieInAHostThatIsASubreaperAlready) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    const pid_t of_host = StartOrphan("exit 7");
    auto adoption = OrphanAdoption::Start();
    ASSERT_THAT(adoption, IsOk());
    RunOptions options;
    options.timeout = kShort;
    for (int i = 0; i < 20; ++i) {
      EXPECT_THAT(asyncproc::Run(Command::Shell("sleep 1000 & exec sleep 1000"),
                                 options),
                  HasCode(absl::StatusCode::kDeadlineExceeded));
    }
    while ((*adoption)->reaped() < 20) absl::SleepFor(absl::Milliseconds(1));

    // The earlier child belongs to the host.
    int status = 0;
    EXPECT_EQ(waitpid(of_host, &status, 0), of_host);
    EXPECT_EQ(WEXITSTATUS(status), 7);
    EXPECT_FALSE(HasChild());
    adoption->reset();
    EXPECT_TRUE(IsSubreaper());
  });
}

// Runs as PID 1 of a new PID namespace. Returns its pid, the number of reaped
// orphans, and the result of Terminate.
std::string SeenByPidOne(bool own_proc) {
  return InForkedHost([own_proc]() -> std::string {
    if (unshare(CLONE_NEWPID | (own_proc ? CLONE_NEWNS : 0)) != 0) {
      return "refused";
    }
    return InForkedHost([own_proc]() -> std::string {
      if (own_proc &&
          (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
           mount("proc", "/proc", "proc", 0, nullptr) != 0)) {
        return "refused";
      }
      auto adoption = OrphanAdoption::Start();
      if (!adoption.ok()) return adoption.status().ToString();
      for (int i = 0; i < 40; ++i) StartOrphan("exit 3");
      if (!AwaitNoChild()) return "zombies";
      const size_t reaped = (*adoption)->reaped();
      StartOrphan("sleep 1000");
      const auto survivors = (*adoption)->Terminate();
      return absl::StrCat(getpid(), " ", reaped, " ",
                          absl::StatusCodeToString(survivors.status().code()));
    });
  });
}

TEST(OrphanAdoptionTest, LeavesNoZombieOfPidOne) {
  const std::string seen = SeenByPidOne(/*own_proc=*/true);
  if (seen == "refused") GTEST_SKIP() << "no PID namespace may be made here";

  EXPECT_EQ(seen, "1 40 OK");
}

// As after unshare -pf.
TEST(OrphanAdoptionTest, LeavesNoZombieOfPidOneWithTheProcOfOthers) {
  const std::string seen = SeenByPidOne(/*own_proc=*/false);
  if (seen == "refused") GTEST_SKIP() << "no PID namespace may be made here";

  EXPECT_EQ(seen, "1 40 RESOURCE_EXHAUSTED");
}

TEST(OrphanAdoptionTest, TakesNoStatusOfTheLibrarysChildren) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    auto before = MustSpawn(Command({"cat"}));
    auto adoption = OrphanAdoption::Start();
    ASSERT_THAT(adoption, IsOk());
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([] {
        for (int round = 0; round < 100; ++round) {
          Command command = DoubleFork("exit 0");
          if (round % 2 == 0) command = Command({"sh", "-c", "exit 3"});
          auto process = MustSpawn(command);
          EXPECT_THAT(process->WaitFor(kNeverReached),
                      IsOkAndHolds(ExitStatus::Exited(round % 2 == 0 ? 3 : 0)));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_THAT(before->Terminate(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
    EXPECT_TRUE(AwaitNoChild());
    EXPECT_EQ((*adoption)->reaped(), 200);
  });
}

// A plain fork makes a child that any wait can reap from its start.
class OsWithForkOnly : public internal::Os {
 public:
  pid_t Clone(int (*entry)(void*), void* stack_top, int flags, void* arg,
              int* pidfd) override {
    if ((flags & CLONE_VM) == 0) {
      return Os::Clone(entry, stack_top, flags, arg, pidfd);
    }
    errno = EINVAL;
    return -1;
  }
};

TEST(OrphanAdoptionTest, TakesNoStatusOfChildrenMadeByFork) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    OsWithForkOnly os;
    internal::ScopedOs scoped(&os);
    auto adoption = OrphanAdoption::Start();
    ASSERT_THAT(adoption, IsOk());
    for (int round = 0; round < 100; ++round) {
      const absl::Status failed =
          Process::Spawn(Command({"/no/such/file"})).status();
      EXPECT_THAT(failed, HasCode(absl::StatusCode::kNotFound));
      EXPECT_THAT(MustSpawn(Command({"false"}))->WaitFor(kNeverReached),
                  IsOkAndHolds(ExitStatus::Exited(1)));
    }
    EXPECT_EQ((*adoption)->reaped(), 0);
  });
}

// Another thread reaps each child just before the adoption does.
class OsThatLosesTheRace : public internal::Os {
 public:
  int Waitid(idtype_t type, id_t id, siginfo_t* info, int options,
             rusage* usage) override {
    const int result = Os::Waitid(type, id, info, options, usage);
    if (type != P_PID || options != (WEXITED | WNOHANG)) return result;
    errno = ECHILD;
    return -1;
  }
};

TEST(OrphanAdoptionTest, CountsNoChildThatAnotherThreadHasReaped) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    OsThatLosesTheRace os;
    internal::ScopedOs scoped(&os);
    auto adoption = OrphanAdoption::Start();
    ASSERT_THAT(adoption, IsOk());
    StartOrphan("exit 3");

    EXPECT_TRUE(AwaitNoChild());
    EXPECT_EQ((*adoption)->reaped(), 0);
  });
}

TEST(OrphanAdoptionTest, EndsThoseThatHaveLeftGroupAndSession) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    auto adoption = OrphanAdoption::Start();
    ASSERT_THAT(adoption, IsOk());
    const pid_t gentle = StartOrphan("exec sleep 1000");
    // This orphan leaves another orphan behind when it is killed.
    const pid_t stubborn =
        StartOrphan("while :; do sleep 1000; done", "trap '' TERM");
    auto bystander = MustSpawn(Command({"sleep", "1000"}));
    const auto living = (*adoption)->Living();
    EXPECT_THAT(living, IsOkAndHolds(testing::UnorderedElementsAre(
                            Field(&Survivor::pid, gentle),
                            Field(&Survivor::pid, stubborn))));

    Escalation only_term;
    only_term.steps = {EscalationStep::Signal(SIGTERM, absl::Seconds(1))};
    EXPECT_THAT((*adoption)->Terminate(only_term),
                IsOkAndHolds(ElementsAre(Field(&Survivor::pid, stubborn))));
    EXPECT_THAT((*adoption)->Terminate(), IsOkAndHolds(IsEmpty()));

    EXPECT_FALSE(ProcessLives(gentle));
    EXPECT_FALSE(ProcessLives(stubborn));
    EXPECT_TRUE(bystander->IsAlive());
    EXPECT_THAT(bystander->Terminate(kShort), IsOk());
    EXPECT_FALSE(HasChild());
  });
}

// An orphan may end, and leave its own child behind, while Terminate searches.
TEST(OrphanAdoptionTest, EndsTheOrphansOfOrphansThatEndDuringASearch) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    auto adoption = OrphanAdoption::Start();
    ASSERT_THAT(adoption, IsOk());
    Escalation kill;
    kill.steps = {EscalationStep::Signal(SIGKILL, kNeverReached)};
    for (int i = 0; i < 200; ++i) {
      StartOrphan("sleep 1000 & wait");

      EXPECT_THAT((*adoption)->Terminate(kill), IsOkAndHolds(IsEmpty()));

      ASSERT_FALSE(HasChild()) << i;
    }
  });
}

TEST(OrphanAdoptionTest, ReapsOrphansThatOutliveTheAdoption) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    auto adoption = OrphanAdoption::Start();
    ASSERT_THAT(adoption, IsOk());
    const pid_t orphan = StartOrphan("exec sleep 1000");

    adoption->reset();

    EXPECT_FALSE(IsSubreaper());
    EXPECT_TRUE(ProcessLives(orphan));
    EXPECT_EQ(kill(orphan, SIGKILL), 0);
    EXPECT_TRUE(AwaitNoChild());
    AwaitNoLibraryThread();
  });
}

TEST(OrphanAdoptionTest, LeavesTheChildrenOfAForkedCopyOfTheHostAlone) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    auto adoption = OrphanAdoption::Start();
    ASSERT_THAT(adoption, IsOk());
    int answer[2];
    ASSERT_EQ(pipe2(answer, O_CLOEXEC), 0);
    if (fork() == 0) {
      const pid_t child = fork();
      if (child == 0) _exit(7);
      siginfo_t info = {};
      waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
      adoption->reset();
      int status = 0;
      const bool found = waitpid(child, &status, 0) == child;
      _exit(write(answer[1], found ? "y" : "n", 1) == 1 ? 0 : 1);
    }
    close(answer[1]);
    char found = '?';
    EXPECT_EQ(read(answer[0], &found, 1), 1);
    EXPECT_EQ(found, 'y');
    close(answer[0]);
    // The adoption reaps the copy, which this library did not start.
    EXPECT_TRUE(AwaitNoChild());
  });
}

TEST(OrphanAdoptionTest, IsThereOnceAtMost) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    auto first = OrphanAdoption::Start();
    ASSERT_THAT(first, IsOk());
    EXPECT_TRUE(IsSubreaper());

    EXPECT_THAT(OrphanAdoption::Start(),
                HasCode(absl::StatusCode::kFailedPrecondition));
    EXPECT_THAT((*first)->Terminate(Escalation()),
                HasCode(absl::StatusCode::kInvalidArgument));
    first->reset();

    EXPECT_THAT(OrphanAdoption::Start(), IsOk());
    EXPECT_FALSE(IsSubreaper());
  });
}

class OsWithoutThreads : public internal::Os {
 public:
  int ThreadCreate(pthread_t*, const pthread_attr_t*, void* (*)(void*),
                   void*) override {
    return EAGAIN;
  }
};

TEST(OrphanAdoptionTest, ChangesNothingWhereNoThreadIsLeft) {
  OsWithoutThreads os;
  {
    internal::ScopedOs scoped(&os);
    EXPECT_THAT(OrphanAdoption::Start(),
                HasCode(absl::StatusCode::kResourceExhausted));
  }

  EXPECT_FALSE(IsSubreaper());
  EXPECT_THAT(OrphanAdoption::Start(), IsOk());
}

}  // namespace
}  // namespace asyncproc
