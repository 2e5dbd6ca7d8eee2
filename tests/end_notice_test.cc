// The ways in which a Process notifies a host without a blocking wait: the
// descriptor of its output, and the callback at its end. Also the wait for the
// first of several children.

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/output_bound.h"
#include "asyncproc/output_stream.h"
#include "asyncproc/process.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Whether `fd` becomes readable within `timeout`, as a host's loop sees it.
bool IsReadable(int fd, absl::Duration timeout = absl::ZeroDuration()) {
  pollfd watch = {fd, POLLIN, 0};
  return poll(&watch, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) >
         0;
}

int MustGetFd(OutputCursor& cursor) {
  absl::StatusOr<int> fd = cursor.ReadyFd();
  EXPECT_THAT(fd, IsOk());
  return fd.value_or(-1);
}

// Writes to the stdin of a child that echoes.
void Say(Process& process, absl::string_view text) {
  ASSERT_THAT(process.Write(text), IsOk());
}

TEST(ReadyFdTest, IsReadableWhileThereIsOutputToRead) {
  auto cat = MustSpawn(Command({"cat"}));
  const int fd = MustGetFd(cat->out());
  EXPECT_FALSE(IsReadable(fd));

  Say(*cat, "hello\n");

  EXPECT_TRUE(IsReadable(fd, kNeverReached));
  EXPECT_TRUE(IsReadable(fd));
  EXPECT_EQ(cat->Read(), "hello\n");
  EXPECT_FALSE(IsReadable(fd));
  EXPECT_EQ(MustGetFd(cat->out()), fd);
}

TEST(ReadyFdTest, ShowsOutputThatCameBeforeItWasAskedFor) {
  auto cat = MustSpawn(Command({"cat"}));
  Say(*cat, "hello\n");
  ASSERT_THAT(cat->out().AwaitSome(kNeverReached), IsOk());

  EXPECT_TRUE(IsReadable(MustGetFd(cat->out())));
}

TEST(ReadyFdTest, StaysReadableUntilTheLastWholeLineIsTaken) {
  auto cat = MustSpawn(Command({"cat"}));
  const int fd = MustGetFd(cat->out());
  Say(*cat, "one\ntwo\nth");
  EXPECT_THAT(cat->out().NewCursor().ReadExactly(10, kNeverReached),
              IsOkAndHolds("one\ntwo\nth"));

  EXPECT_TRUE(IsReadable(fd));
  EXPECT_THAT(cat->out().TryReadLine(), IsOkAndHolds("one"));
  EXPECT_TRUE(IsReadable(fd));
  EXPECT_THAT(cat->out().TryReadLine(), IsOkAndHolds("two"));
  EXPECT_TRUE(IsReadable(fd));

  // Half a line does not make a host spin, and is not lost.
  EXPECT_THAT(cat->out().TryReadLine(),
              HasCode(absl::StatusCode::kUnavailable));
  EXPECT_FALSE(IsReadable(fd));
  Say(*cat, "ree\n");
  EXPECT_TRUE(IsReadable(fd, kNeverReached));
  EXPECT_THAT(cat->out().ReadLine(kNeverReached), IsOkAndHolds("three"));
  EXPECT_FALSE(IsReadable(fd));
}

TEST(ReadyFdTest, IsNotReadableAfterALookThatFoundHalfALine) {
  auto cat = MustSpawn(Command({"cat"}));
  const int fd = MustGetFd(cat->out());
  Say(*cat, "half");
  EXPECT_TRUE(IsReadable(fd, kNeverReached));

  EXPECT_FALSE(cat->out().HasLine());

  EXPECT_FALSE(IsReadable(fd));
  EXPECT_EQ(cat->Read(), "half");
}

TEST(ReadyFdTest, StaysReadableAtTheEnd) {
  auto child = MustSpawn(Command::Shell("echo last"));
  const int out = MustGetFd(child->out());
  const int err = MustGetFd(child->err());
  EXPECT_TRUE(IsReadable(err, kNeverReached));
  EXPECT_TRUE(child->err().AtEof());

  std::string said;
  while (!child->out().AtEof()) {
    ASSERT_TRUE(IsReadable(out, kNeverReached));
    said += child->Read();
  }

  EXPECT_EQ(said, "last\n");
  EXPECT_TRUE(IsReadable(out));
}

TEST(ReadyFdTest, IsReadableForAStreamThatIsNoPipe) {
  Command command({"true"});
  command.out = Stdio::Null();
  auto child = MustSpawn(command);

  EXPECT_TRUE(IsReadable(MustGetFd(child->out()), kNeverReached));
  EXPECT_TRUE(child->out().AtEof());
}

TEST(ReadyFdTest, IsOfEachCursorItsOwn) {
  auto cat = MustSpawn(Command({"cat"}));
  OutputCursor cursor = cat->out().NewCursor();
  const int first = MustGetFd(cat->out());
  const int second = MustGetFd(cursor);
  EXPECT_NE(first, second);
  Say(*cat, "hello\n");
  ASSERT_THAT(cat->out().ReadLine(kNeverReached), IsOkAndHolds("hello"));

  EXPECT_FALSE(IsReadable(first));
  EXPECT_TRUE(IsReadable(second));

  OutputCursor moved = std::move(cursor);
  EXPECT_EQ(MustGetFd(moved), second);
  EXPECT_EQ(moved.Read(), "hello\n");
  EXPECT_FALSE(IsReadable(second));
}

// A host that reads only when the descriptor is readable gets the whole stream,
// even if it is larger than the bound.
TEST(ReadyFdTest, LetsAHostReadMoreThanTheBound) {
  Command command = Command::Shell("seq 100000");
  command.output_buffer = OutputBound::BlockChild(1000);
  auto child = MustSpawn(command);
  const int fd = MustGetFd(child->out());

  int lines = 0;
  std::string last;
  while (!child->out().AtEof()) {
    ASSERT_TRUE(IsReadable(fd, kNeverReached));
    for (auto line = child->out().TryReadLine(); line.ok();
         line = child->out().TryReadLine()) {
      ++lines;
      last = *line;
    }
  }

  EXPECT_EQ(lines, 100000);
  EXPECT_EQ(last, "100000");
}

class NoEventFds : public internal::Os {
  int EventFd() override {
    errno = EMFILE;
    return -1;
  }
};

TEST(ReadyFdTest, IsRefusedWhereNoDescriptorIsLeft) {
  auto cat = MustSpawn(Command({"cat"}));
  {
    NoEventFds os;
    const internal::ScopedOs scoped(&os);
    EXPECT_THAT(cat->out().ReadyFd(),
                HasCode(absl::StatusCode::kResourceExhausted));
  }

  Say(*cat, "hello\n");
  EXPECT_TRUE(IsReadable(MustGetFd(cat->out()), kNeverReached));
}

TEST(ReadyFdTest, IsClosedByDestructorsInAForkedCopy) {
  auto cat = MustSpawn(Command({"cat"}));
  auto cursor = std::make_unique<OutputCursor>(cat->err().NewCursor());
  const int of_stream = MustGetFd(cat->out());
  const int of_cursor = MustGetFd(*cursor);

  const pid_t copy = fork();
  if (copy == 0) {
    alarm(30);
    cursor = nullptr;
    cat = nullptr;
    _exit(dup(of_stream) < 0 && dup(of_cursor) < 0 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(copy, &status, 0), copy);

  EXPECT_EQ(status, 0);
  Say(*cat, "hello\n");
  EXPECT_TRUE(IsReadable(of_stream, kNeverReached));
  EXPECT_FALSE(IsReadable(of_cursor));
}

// ---- OnEnd.

// The arguments of a callback.
struct Notice {
  std::function<void(const absl::StatusOr<ExitStatus>&)> callback() {
    return [this](const absl::StatusOr<ExitStatus>& status) {
      result = status;
      thread = std::this_thread::get_id();
      ++calls;
      if (!called.HasBeenNotified()) called.Notify();
    };
  }
  bool Await() { return called.WaitForNotificationWithTimeout(kNeverReached); }
  absl::Notification called;
  std::optional<absl::StatusOr<ExitStatus>> result;
  std::thread::id thread;
  std::atomic<int> calls{0};
};

TEST(OnEndTest, CallsOnAThreadOfItsOwnWithTheResultOfWait) {
  auto child = MustSpawn(Command::Shell("read line; echo said; exit 3"));
  Notice notice;
  ASSERT_THAT(child->OnEnd(notice.callback()), IsOk());
  EXPECT_EQ(notice.calls, 0);

  Say(*child, "go\n");

  ASSERT_TRUE(notice.Await());
  EXPECT_THAT(*notice.result, IsOkAndHolds(ExitStatus::Exited(3)));
  EXPECT_NE(notice.thread, std::this_thread::get_id());
  // All output has arrived, as after Wait.
  EXPECT_EQ(child->Read(), "said\n");
  child = nullptr;
  EXPECT_EQ(notice.calls, 1);
}

TEST(OnEndTest, CallsForAChildThatHasEndedAlready) {
  auto child = MustSpawn(Command({"true"}));
  ASSERT_THAT(child->WaitFor(kNeverReached), IsOk());
  Notice first, second;

  ASSERT_THAT(child->OnEnd(first.callback()), IsOk());
  ASSERT_THAT(child->OnEnd(second.callback()), IsOk());

  EXPECT_TRUE(first.Await());
  EXPECT_TRUE(second.Await());
}

TEST(OnEndTest, MayCallAnythingAlsoTheDestructor) {
  for (int round = 0; round < 50; ++round) {
    auto child = MustSpawn(Command({"true"}));
    // The callback owns the Process from now on.
    Process* const process = child.release();
    absl::Notification done;
    ASSERT_THAT(process->OnEnd([&](const absl::StatusOr<ExitStatus>&) {
      EXPECT_FALSE(process->IsAlive());
      EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
      process->Read();
      delete process;
      done.Notify();
    }),
                IsOk());
    ASSERT_TRUE(done.WaitForNotificationWithTimeout(kNeverReached));
  }
}

TEST(OnEndTest, MayAskForAnotherCall) {
  auto child = MustSpawn(Command({"true"}));
  Notice second;
  ASSERT_THAT(child->OnEnd([&](const absl::StatusOr<ExitStatus>&) {
    EXPECT_THAT(child->OnEnd(second.callback()), IsOk());
  }),
              IsOk());

  EXPECT_TRUE(second.Await());
}

TEST(OnEndTest, TakesNoFurtherCallbackWhileTheDestructorWaits) {
  auto child = MustSpawn(Command({"true"}));
  absl::Notification begun;
  ASSERT_THAT(child->OnEnd([&begun, process = child.get()](
                               const absl::StatusOr<ExitStatus>&) {
    begun.Notify();
    absl::Status status;
    while (status.ok()) {
      absl::SleepFor(absl::Milliseconds(1));
      status = process->OnEnd([](const absl::StatusOr<ExitStatus>&) {});
    }
    EXPECT_THAT(status, HasCode(absl::StatusCode::kFailedPrecondition));
    EXPECT_THAT(status.message(), HasSubstr("it is being destroyed"));
  }),
              IsOk());
  ASSERT_TRUE(begun.WaitForNotificationWithTimeout(kNeverReached));

  child = nullptr;
}

TEST(OnEndTest, IsNotCalledOnceTheDestructorHasBegunToEndTheChild) {
  auto child = MustSpawn(Command({"cat"}));
  Notice notice;
  ASSERT_THAT(child->OnEnd(notice.callback()), IsOk());

  child = nullptr;

  EXPECT_EQ(notice.calls, 0);
}

TEST(OnEndTest, IsWaitedForByTheDestructor) {
  auto child = MustSpawn(Command({"true"}));
  absl::Notification begun, ends;
  const std::atomic<pid_t> destroyer{gettid()};
  std::atomic<bool> done{false};
  ASSERT_THAT(child->OnEnd([&](const absl::StatusOr<ExitStatus>&) {
    begun.Notify();
    ends.WaitForNotification();
    AwaitSleep(destroyer);
    done = true;
  }),
              IsOk());
  ASSERT_TRUE(begun.WaitForNotificationWithTimeout(kNeverReached));

  ends.Notify();
  child = nullptr;

  EXPECT_TRUE(done);
}

TEST(OnEndTest, ReportsWhoseStatusWasTaken) {
  auto child = MustSpawn(Command({"cat"}));
  Notice notice;
  ASSERT_THAT(child->OnEnd(notice.callback()), IsOk());

  // The host kills and reaps the child itself.
  kill(child->pid(), SIGKILL);
  waitpid(child->pid(), nullptr, 0);

  ASSERT_TRUE(notice.Await());
  // The library may have reaped the child first.
  EXPECT_TRUE(notice.result->ok() || absl::IsDataLoss(notice.result->status()))
      << notice.result->status();
}

class NoThreads : public internal::Os {
  int ThreadCreate(pthread_t*, const pthread_attr_t*, void* (*)(void*),
                   void*) override {
    return EAGAIN;
  }
};

TEST(OnEndTest, IsRefusedWithoutAThreadOrACallback) {
  auto child = MustSpawn(Command({"cat"}));
  {
    NoThreads os;
    const internal::ScopedOs scoped(&os);
    EXPECT_THAT(child->OnEnd([](const absl::StatusOr<ExitStatus>&) {}),
                HasCode(absl::StatusCode::kResourceExhausted));
  }

  EXPECT_THAT(child->OnEnd(nullptr),
              HasCode(absl::StatusCode::kInvalidArgument));
}

// ---- WaitAny.

std::vector<std::unique_ptr<Process>> Cats(int count) {
  std::vector<std::unique_ptr<Process>> cats;
  for (int i = 0; i < count; ++i) cats.push_back(MustSpawn(Command({"cat"})));
  return cats;
}

TEST(WaitAnyTest, ReturnsTheOneThatHasEnded) {
  auto cats = Cats(3);
  ASSERT_THAT(cats[1]->CloseStdin(), IsOk());

  EXPECT_THAT(WaitAny(cats, kNeverReached), IsOkAndHolds(1u));
  EXPECT_THAT(cats[1]->Wait(WNOHANG), IsOkAndHolds(ExitStatus::Exited(0)));

  cats[1] = nullptr;
  EXPECT_THAT(WaitAny(cats, absl::ZeroDuration()),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  ASSERT_THAT(cats[2]->CloseStdin(), IsOk());
  EXPECT_THAT(WaitAny(cats, kNeverReached), IsOkAndHolds(2u));
}

TEST(WaitAnyTest, ReturnsTheFirstOfSeveral) {
  auto cats = Cats(3);
  for (const auto& cat : cats) {
    ASSERT_THAT(cat->CloseStdin(), IsOk());
    ASSERT_THAT(cat->WaitFor(kNeverReached), IsOk());
  }

  EXPECT_THAT(WaitAny(cats, absl::ZeroDuration()), IsOkAndHolds(0u));
  EXPECT_THAT(
      WaitAny({cats[2].get(), cats[1].get(), cats[2].get()}, kNeverReached),
      IsOkAndHolds(0u));
}

TEST(WaitAnyTest, IsWokenByAnEndAmongMany) {
  auto cats = Cats(20);
  std::thread other([&] {
    for (int i = 19; i >= 0; --i) {
      EXPECT_THAT(cats[static_cast<size_t>(i)]->CloseStdin(), IsOk());
    }
  });

  std::vector<Process*> left;
  for (const auto& cat : cats) left.push_back(cat.get());
  for (size_t i = 0; i < cats.size(); ++i) {
    absl::StatusOr<size_t> ended = WaitAny(left, kNeverReached);
    ASSERT_THAT(ended, IsOk());
    left[*ended] = nullptr;
  }

  other.join();
  EXPECT_THAT(left, testing::Each(nullptr));
}

TEST(WaitAnyTest, WaitsForTheOutputToSettleAsWaitDoes) {
  Command command({Helper("hold_pipe")});
  command.drain_grace = absl::Milliseconds(20);
  auto holder = MustSpawn(command);

  absl::StatusOr<size_t> ended = WaitAny({holder.get()}, kNeverReached);

  EXPECT_THAT(ended, IsOkAndHolds(0u));
  EXPECT_EQ(holder->state(), ProcessState::kAbandoned);
  absl::StatusOr<std::string> grandchild = holder->out().TryReadLine();
  ASSERT_THAT(grandchild, IsOk());
  kill(std::stoi(*grandchild), SIGKILL);
  EXPECT_THAT(holder->out().ReadLine(kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
}

TEST(WaitAnyTest, NamesThoseThatRunWhenTimeIsUp) {
  auto cats = Cats(5);

  const absl::StatusOr<size_t> ended = WaitAny(cats, kShort);

  EXPECT_THAT(ended, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(std::string(ended.status().message()),
              AllOf(HasSubstr(absl::StrCat("cat (pid ", cats[0]->pid(), ")")),
                    HasSubstr(absl::StrCat("cat (pid ", cats[2]->pid(), ")")),
                    HasSubstr(" and 2 more"),
                    Not(HasSubstr(absl::StrCat(cats[3]->pid())))));
}

TEST(WaitAnyTest, EndsWithTheTimeOfItsThread) {
  auto cats = Cats(2);

  EXPECT_THAT(WithTimeout(kShort, [&] { return WaitAny(cats, kNeverReached); }),
              HasCode(absl::StatusCode::kDeadlineExceeded));
}

TEST(WaitAnyTest, IsCanceledByAnotherThread) {
  auto cats = Cats(2);
  CancellationToken token;
  std::thread other([&] { token.Cancel(); });
  {
    CancellationScope scope(token);
    const absl::StatusOr<size_t> ended = WaitAny(cats, kNeverReached);
    EXPECT_THAT(ended, HasCode(absl::StatusCode::kCancelled));
    EXPECT_THAT(std::string(ended.status().message()),
                HasSubstr("when the wait was canceled: cat"));
  }
  other.join();
}

TEST(WaitAnyTest, NeedsAProcess) {
  EXPECT_THAT(WaitAny(std::vector<Process*>(), kNeverReached),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(WaitAny(std::vector<std::unique_ptr<Process>>(3), kNeverReached),
              HasCode(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace asyncproc
