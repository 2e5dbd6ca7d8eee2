// Waits for a condition that often becomes true within microseconds.

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/wait/wait.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

// The calls of sched_yield by this thread, and a function for each call to run.
static thread_local int yields = 0;
static thread_local std::function<void()> on_look;

extern "C" int sched_yield() noexcept {
  ++yields;
  if (on_look != nullptr) on_look();
  return static_cast<int>(syscall(SYS_sched_yield));
}

namespace asyncproc::internal {
namespace {

class BriefWaitTest : public testing::Test {
 protected:
  // Waits as after a request.
  absl::Status Await(absl::Time deadline) {
    BriefWait::NoteRequest();
    return AwaitUnasked(deadline);
  }
  absl::Status AwaitUnasked(absl::Time deadline) {
    MutexLock lock(mu_);
    return wait_.Await(mu_, absl::Condition(&ready_), deadline);
  }
  void SetReady(bool ready) {
    MutexLock lock(mu_);
    ready_ = ready;
  }

  absl::Mutex mu_;
  bool ready_ = false;
  BriefWait wait_;
};

TEST_F(BriefWaitTest, SeesAConditionThatHoldsAlready) {
  SetReady(true);

  EXPECT_THAT(Await(absl::InfinitePast()), IsOk());
}

TEST_F(BriefWaitTest, SeesEachChangeThatAnotherThreadMakes) {
  std::atomic<bool> wanted{true};
  std::thread other([&] {
    for (int i = 0; i < 2000; ++i) {
      while (!wanted) std::this_thread::yield();
      wanted = false;
      SetReady(true);
    }
  });
  for (int i = 0; i < 2000; ++i) {
    ASSERT_THAT(Await(absl::InfiniteFuture()), IsOk());
    SetReady(false);
    wanted = true;
  }
  other.join();
}

TEST_F(BriefWaitTest, EndsAtItsDeadlineHoweverOftenItHasFailed) {
  for (int i = 0; i < 20; ++i) {
    const absl::Time deadline = MonotonicNow() + absl::Microseconds(100);
    EXPECT_THAT(Await(deadline), HasCode(absl::StatusCode::kDeadlineExceeded));
    EXPECT_GE(MonotonicNow(), deadline);
  }
}

TEST_F(BriefWaitTest, IsCanceledAsAnyWait) {
  auto cancellation = std::make_shared<Cancellation>();
  cancellation->Cancel();
  const WaitScope scope(cancellation);

  EXPECT_THAT(Await(absl::InfiniteFuture()),
              HasCode(absl::StatusCode::kCancelled));
}

// The processor can sleep while a thread waits long: after n failures, the next
// 2^n - 1 waits sleep at once.
TEST_F(BriefWaitTest, LooksFirstInFewOfTheWaitsThatLastLong) {
  int looks = 0;
  for (int i = 0; i < 200; ++i) {
    yields = 0;
    EXPECT_THAT(Await(MonotonicNow() + absl::Microseconds(100)),
                HasCode(absl::StatusCode::kDeadlineExceeded));
    if (yields > 0) ++looks;
  }

  EXPECT_EQ(looks, 7);  // Waits 1, 3, 7, 15, 31, 63, 127.
}

// A loop that reads the output of a child leaves the processor to the child.
TEST_F(BriefWaitTest, SleepsAtOnceWithoutARequest) {
  BriefWait::NoteRequest();
  const absl::Time past = MonotonicNow() + kShort;
  while (MonotonicNow() < past) std::this_thread::yield();
  yields = 0;

  EXPECT_THAT(AwaitUnasked(MonotonicNow() + absl::Milliseconds(1)),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  EXPECT_EQ(yields, 0);
}

// A child is slow while it starts, and then answers at once.
TEST_F(BriefWaitTest, LooksFirstAgainAfterAConditionHeldInTime) {
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(Await(MonotonicNow() + absl::Microseconds(100)),
                HasCode(absl::StatusCode::kDeadlineExceeded));
  }
  on_look = [this] { SetReady(true); };
  EXPECT_THAT(Await(MonotonicNow() + kNeverReached), IsOk());  // Looks first.
  SetReady(false);

  yields = 0;
  EXPECT_THAT(Await(MonotonicNow() + kNeverReached), IsOk());

  EXPECT_EQ(yields, 1);
  on_look = nullptr;
}

}  // namespace
}  // namespace asyncproc::internal
