#include "tools/asyncproc/job_control.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tools/asyncproc/orphans.h"
#include "tools/asyncproc/pool/command_template.h"
#include "tools/asyncproc/pool/job_source.h"
#include "tools/asyncproc/pool/pool.h"

namespace asyncproc::cli {
namespace {

sigset_t Signals(int a, int b) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, a);
  sigaddset(&set, b);
  return set;
}

// Runs `body` in a child that has a process group of its own, with SIGTSTP and
// SIGCONT blocked, and continues the child each time that it stops. Returns the
// number of stops.
int StopsOf(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    // The kernel ignores SIGTSTP where no parent in the session could continue
    // the group.
    setpgid(0, 0);
    const sigset_t set = Signals(SIGTSTP, SIGCONT);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    body();
    _exit(0);
  }
  int stops = 0;
  int status = 0;
  while (waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status)) {
    ++stops;
    kill(child, SIGCONT);
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  return stops;
}

TEST(StopSelfTest, StopsThoughAnotherThreadReadsTheSignals) {
  EXPECT_EQ(StopsOf([] {
              // The reader runs before the thread that stops goes on.
              cpu_set_t one;
              CPU_ZERO(&one);
              CPU_SET(sched_getcpu(), &one);
              sched_setaffinity(0, sizeof(one), &one);
              const sigset_t set = Signals(SIGTSTP, SIGTSTP);
              const int signals = signalfd(-1, &set, SFD_CLOEXEC);
              std::thread([signals] {
                signalfd_siginfo info;
                while (read(signals, &info, sizeof(info)) > 0) {
                }
              }).detach();
              const sigset_t resume = Signals(SIGCONT, SIGCONT);
              for (int i = 0; i < 1000; ++i) {
                StopSelf();
                // No SIGCONT is pending at the next stop. Without a stop, none
                // comes.
                const timespec patience = {10, 0};
                if (sigtimedwait(&resume, nullptr, &patience) < 0) _exit(1);
              }
            }),
            1000);
}

TEST(StopSelfTest, DoesNothingWhenTheContinueHasCome) {
  EXPECT_EQ(StopsOf([] {
              kill(getpid(), SIGCONT);
              StopSelf();
            }),
            0);
}

// The jobs of a pool whose main thread takes its signals at its start.
void RunPool(std::initializer_list<int> signals) {
  Orphans orphans;
  PoolOptions options;
  options.command = *CommandTemplate::Parse("true", 1);
  Pool pool(std::move(options), PoolFiles(), &orphans);
  pool.SetSource(std::make_unique<ProductSource>(
      std::vector<LinkedLists>{{{"the value of the one job"}}}));
  for (const int signal : signals) pool.Signal(signal);
  if (pool.Run() != 0) _exit(1);
}

TEST(PoolTest, Stops) {
  EXPECT_EQ(StopsOf([] { RunPool({SIGTSTP}); }), 1);
}

TEST(PoolTest, DoesNotStopWhenTheContinueHasCome) {
  EXPECT_EQ(StopsOf([] { RunPool({SIGTSTP, SIGCONT}); }), 0);
}

}  // namespace
}  // namespace asyncproc::cli
