// Any thread may call any method of a Process.

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/barrier.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/process.h"
#include "asyncproc/run.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/own_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

template <typename Body>
void InThreads(int count, Body body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back([i, &body] { body(i); });
  for (std::thread& thread : threads) thread.join();
}

// THR-01
TEST(ThreadsTest, EachOutputBelongsToItsProcess) {
  InThreads(4, [](int thread) {
    for (int i = 0; i < 500 / kSlowness; ++i) {
      const std::string greeting = absl::StrCat("Hello ", i, " ", thread);
      auto process = MustSpawn(Command({"echo", greeting}));
      EXPECT_THAT(process->WaitFor(kNeverReached),
                  IsOkAndHolds(ExitStatus::Exited(0)));
      EXPECT_EQ(process->Read(), greeting + "\n");
      EXPECT_EQ(process->ReadErr(), "");
    }
  });
}

// THR-01
TEST(ThreadsTest, HoldManyConversationsAtOnce) {
  constexpr int kConversations = 50;
  absl::Barrier* const all_started = new absl::Barrier(kConversations);
  InThreads(kConversations, [all_started](int thread) {
    auto process = MustSpawn(Command({"cat"}));
    if (all_started->Block()) delete all_started;
    for (int i = 0; i < 20; ++i) {
      const std::string line = absl::StrCat(thread, " says ", i);
      EXPECT_THAT(process->Write(line + "\n"), IsOk());
      EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds(line));
    }
    EXPECT_THAT(process->CloseStdin(), IsOk());
    EXPECT_THAT(process->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
  });
}

// THR-02
TEST(ThreadsTest, AllWaitingThreadsGetTheStatus) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  std::thread killer([&] {
    EXPECT_THAT(process->WaitFor(kShort),
                HasCode(absl::StatusCode::kDeadlineExceeded));
    EXPECT_THAT(process->Signal(SIGKILL), IsOk());
  });

  InThreads(8, [&process](int) {
    for (int again = 0; again < 3; ++again) {
      EXPECT_THAT(process->WaitFor(kNeverReached),
                  IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
    }
  });

  killer.join();
}

// THR-04
TEST(ThreadsTest, ShareAProcess) {
  constexpr int kLines = 2000;
  auto process = MustSpawn(Command({"cat"}));
  std::atomic<int> read{0};
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    for (int i = 0; i < kLines; ++i) {
      EXPECT_THAT(process->Write(absl::StrCat("line ", i, "\n")), IsOk());
    }
    EXPECT_THAT(process->Flush(kNeverReached), IsOk());
  });
  for (int reader = 0; reader < 2; ++reader) {
    threads.emplace_back([&] {
      while (process->out().ReadLine(kNeverReached).ok()) ++read;
    });
  }
  threads.emplace_back([&] {
    OutputCursor cursor = process->out().NewCursor();
    while (cursor.ReadSome(kNeverReached).ok()) {
    }
  });
  threads.emplace_back([&] {
    EXPECT_THAT(process->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
  });
  threads.emplace_back([&] {
    while (process->IsAlive()) {
      process->state();
      process->Wait(WNOHANG).IgnoreError();
      process->Signal(SIGCONT).IgnoreError();
      process->out().stats();
      process->ReadErr();
    }
  });
  threads.emplace_back([&] {
    while (read < kLines) absl::SleepFor(absl::Milliseconds(1));
    EXPECT_THAT(process->Terminate(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
  });
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(read, kLines);
}

// THR-05, THR-07: the command must have an environment of its own; see
// Environment.
TEST(ThreadsTest, StartChildrenWhileOthersAllocateAndChangeTheEnvironment) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    std::atomic<bool> stop{false};
    std::vector<std::thread> busy;
    for (int i = 0; i < 3; ++i) {
      busy.emplace_back([&stop, i] {
        while (!stop) std::string(static_cast<size_t>(100 + i), 'x');
      });
    }
    busy.emplace_back([&stop] {
      for (int i = 0; !stop; ++i) {
        setenv(absl::StrCat("ASYNCPROC_TEST_", i % 100).c_str(), "x", 1);
        unsetenv(absl::StrCat("ASYNCPROC_TEST_", (i + 50) % 100).c_str());
      }
    });
    Command command({"env"});
    command.env.Clear().Set("PATH", "/usr/bin:/bin");
    for (int round = 0; round < 300 / kSlowness; ++round) {
      EXPECT_EQ(OutputOf(command), "PATH=/usr/bin:/bin\n");
    }
    stop = true;
    for (std::thread& thread : busy) thread.join();
  });
}

// THR-06
TEST(ThreadsTest, HandAProcessOn) {
  std::unique_ptr<Process> process;
  std::thread([&] { process = MustSpawn(Command({"cat"})); }).join();
  std::thread([&] {
    EXPECT_THAT(process->Write("hello\n"), IsOk());
    AwaitLine(*process, "hello");
  }).join();
  std::thread([&] { process = nullptr; }).join();
}

// The stack of the calling thread, multiplied for sanitizers.
TEST(ThreadsTest, NeedAStackOf64KiB) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  const size_t size = 64 * 1024 * static_cast<size_t>(kSlowness);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, size), 0);
  const auto body = [](void*) -> void* {
    Command command = Command::Shell("cat; exec sleep 1000");
    command.working_directory = "/tmp";
    command.process_group = ProcessGroup::New();
    command.output_buffer = OutputBound::Unbounded();
    auto process = MustSpawn(command);
    EXPECT_THAT(process->Write("line\n"), IsOk());
    EXPECT_THAT(process->CloseStdin(), IsOk());
    EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("line"));
    EXPECT_THAT(process->WaitFor(absl::Milliseconds(20)),
                HasCode(absl::StatusCode::kDeadlineExceeded));
    EXPECT_THAT(Process::Spawn(Command({"no-such-program"})),
                HasCode(absl::StatusCode::kNotFound));
    const auto end = process->Terminate(kNeverReached, TerminationScope::kTree);
    EXPECT_THAT(end, IsOk());
    RunOptions options;
    options.check = true;
    EXPECT_THAT(asyncproc::Run(Command({"false"}), options),
                HasCode(absl::StatusCode::kAborted));
    return nullptr;
  };
  pthread_t thread;
  ASSERT_EQ(pthread_create(&thread, &attributes, body, nullptr), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST(ThreadsDeathTest, EndTheProgramWithTheExceptionOfATap) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        auto process = MustSpawn(Command({"echo", "x"}));
        auto tap = process->out().AddTap([](absl::string_view) {
          throw std::runtime_error("thrown by the tap");
        });
        if (tap.ok()) tap->Finish();
      },
      "thrown by the tap");
}

}  // namespace
}  // namespace asyncproc
