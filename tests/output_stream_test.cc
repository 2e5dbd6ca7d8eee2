#include "asyncproc/output_stream.h"

#include <signal.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/proc/proc_fs.h"
#include "asyncproc/process.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr absl::StatusCode kEnd = absl::StatusCode::kOutOfRange;
constexpr absl::StatusCode kNotYet = absl::StatusCode::kDeadlineExceeded;
constexpr absl::StatusCode kTooLong = absl::StatusCode::kResourceExhausted;
constexpr absl::StatusCode kCanceled = absl::StatusCode::kCancelled;

// A tap that keeps the pieces it gets.
class Recorder {
 public:
  Tap tap() {
    return [this](absl::string_view piece) {
      internal::MutexLock lock(mu_);
      pieces_.push_back(std::string(piece));
    };
  }

  std::vector<std::string> pieces() {
    internal::MutexLock lock(mu_);
    return pieces_;
  }
  std::string All() {
    std::string all;
    for (const std::string& piece : pieces()) all += piece;
    return all;
  }

  // Waits until the tap has been called `count` times.
  void AwaitPieces(size_t count) {
    internal::MutexLock lock(mu_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return pieces_.size() >= count;
    };
    ASSERT_TRUE(mu_.AwaitWithTimeout(absl::Condition(&enough), kNeverReached));
  }

 private:
  absl::Mutex mu_;
  std::vector<std::string> pieces_ ABSL_GUARDED_BY(mu_);
};

// ---- Taps

// POL-16
TEST(TapTest, IsCalledWithEverythingInOrder) {
  auto process = MustSpawn(Command::Shell("read x; seq 100000"));
  Recorder recorder;
  auto tap = process->out().AddTap(recorder.tap());
  ASSERT_THAT(tap, IsOk());
  EXPECT_THAT(process->Write("\n"), IsOk());

  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
  tap->Finish();

  EXPECT_TRUE(recorder.All() == process->Read());
  EXPECT_EQ(recorder.All().size(), 588895);
}

TEST(TapTest, IsCalledWithEachLine) {
  auto process =
      MustSpawn(Command::Shell("read x; printf 'a\\n\\nb\\r\\n'; printf 'c'"));
  Recorder recorder;
  auto tap = process->out().AddTap(recorder.tap(), TapUnit::kLine);
  ASSERT_THAT(tap, IsOk());
  EXPECT_THAT(process->Write("\n"), IsOk());

  tap->Finish();

  EXPECT_THAT(recorder.pieces(), ElementsAre("a", "", "b", "c"));
}

TEST(TapTest, FinishesWithTheChildThoughAnotherProcessHoldsTheOutput) {
  for (const TapUnit unit : {TapUnit::kChunk, TapUnit::kLine}) {
    TemporaryDirectory directory;
    Command command = Command::Shell(
        "(while [ ! -e go ]; do sleep 0.01; done; echo late; exec sleep 1000) "
        "& echo $!; printf half");
    command.working_directory = directory.path();
    auto process = MustSpawn(command);
    std::string seen;
    absl::Notification may_return, saw_late;
    auto tap = process->out().AddTap(
        [&](absl::string_view piece) {
          may_return.WaitForNotification();
          absl::StrAppend(&seen, piece, "\n");
          if (absl::StrContains(seen, "late")) saw_late.Notify();
        },
        unit);
    ASSERT_THAT(tap, IsOk());
    ASSERT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
    ASSERT_EQ(process->state(), ProcessState::kAbandoned);
    const pid_t left = std::stoi(process->out().Peek());
    EXPECT_THAT(WithTimeout(kShort,
                            [&] {
                              EXPECT_FALSE(tap->Finish());
                              return absl::OkStatus();
                            }),
                HasCode(absl::StatusCode::kDeadlineExceeded));

    may_return.Notify();
    EXPECT_TRUE(tap->Finish());

    EXPECT_THAT(seen, StartsWith(absl::StrCat(left, "\n")));
    EXPECT_EQ(absl::StrContains(seen, "half"), unit == TapUnit::kChunk);
    // The tap goes on.
    directory.Write("go", "");
    EXPECT_TRUE(saw_late.WaitForNotificationWithTimeout(kNeverReached));
    EXPECT_TRUE(tap->Finish());
    kill(left, SIGKILL);
    EXPECT_THAT(seen, HasSubstr("half"));
  }
}

TEST(TapTest, SeesArrivedBytesOnlyOnRequest) {
  auto process = MustSpawn(Command({"cat"}));
  EXPECT_THAT(process->Write("old\n"), IsOk());
  auto watcher = process->out().NewCursor();
  EXPECT_THAT(watcher.ReadLine(kNeverReached), IsOkAndHolds("old"));

  Recorder history, news;
  auto history_tap =
      process->out().AddTap(history.tap(), TapUnit::kLine, From::kOldest);
  auto news_tap = process->out().AddTap(news.tap(), TapUnit::kLine, From::kNow);
  ASSERT_THAT(history_tap, IsOk());
  ASSERT_THAT(news_tap, IsOk());
  EXPECT_THAT(process->Write("new\n"), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());
  history_tap->Finish();
  news_tap->Finish();

  EXPECT_THAT(history.pieces(), ElementsAre("old", "new"));
  EXPECT_THAT(news.pieces(), ElementsAre("new"));
}

TEST(TapTest, IsCalledThoughTheChildHasEnded) {
  auto process = MustSpawn(Command({"echo", "late"}));
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
  Recorder recorder;

  auto tap = process->out().AddTap(recorder.tap());
  ASSERT_THAT(tap, IsOk());
  tap->Finish();

  EXPECT_EQ(recorder.All(), "late\n");
}

// POL-16
TEST(TapTest, IsNotCalledOnceItIsRemoved) {
  auto process = MustSpawn(Command({"cat"}));
  Recorder recorder;
  auto tap = process->out().AddTap(recorder.tap(), TapUnit::kLine);
  ASSERT_THAT(tap, IsOk());
  EXPECT_THAT(process->Write("1\n"), IsOk());
  recorder.AwaitPieces(1);

  tap->Remove();
  EXPECT_THAT(process->Write("2\n"), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());

  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_THAT(recorder.pieces(), ElementsAre("1"));
  EXPECT_EQ(process->Read(), "1\n2\n");
}

TEST(TapTest, IsRemovedWhileTheChildTalks) {
  Command command({"yes"});
  command.output_buffer = OutputBound::DropOldest(100000);
  auto process = MustSpawn(command);
  for (int i = 0; i < 20; ++i) {
    Recorder recorder;
    auto tap =
        process->out().AddTap(recorder.tap(), TapUnit::kChunk, From::kNow);
    ASSERT_THAT(tap, IsOk());
    recorder.AwaitPieces(1);

    tap->Remove();

    const size_t count = recorder.pieces().size();
    process->Read();
    EXPECT_EQ(recorder.pieces().size(), count);
  }
}

TEST(TapTest, MayRemoveItself) {
  auto process = MustSpawn(Command({"cat"}));
  auto handle = std::make_shared<TapHandle>();
  auto installed = std::make_shared<absl::Notification>();
  auto seen = std::make_shared<Recorder>();
  auto tap = process->out().AddTap(
      [=, record = seen->tap()](absl::string_view line) {
        installed->WaitForNotification();
        record(line);
        handle->Remove();
      },
      TapUnit::kLine);
  ASSERT_THAT(tap, IsOk());
  *handle = *std::move(tap);
  installed->Notify();

  EXPECT_THAT(process->Write("1\n2\n3\n"), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());

  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_THAT(process->out().ReadExactly(6, kNeverReached), IsOk());
  seen->AwaitPieces(1);
  // The cursor of the removed tap is gone, so no data is kept for it.
  while (process->out().stats().buffered > 0) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_THAT(seen->pieces(), ElementsAre("1"));
}

// BIG-07
TEST(TapTest, DelaysNoOtherReaderWhenItIsSlow) {
  auto process = MustSpawn(Command({"head", "-c", "10000000", "/dev/zero"}));
  absl::Notification go_on;
  size_t seen = 0;
  auto tap = process->out().AddTap([&](absl::string_view chunk) {
    go_on.WaitForNotification();
    seen += chunk.size();
  });
  ASSERT_THAT(tap, IsOk());

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_EQ(process->Read().size(), 10000000);

  go_on.Notify();
  tap->Finish();
  EXPECT_EQ(seen, 10000000);
}

TEST(TapTest, GetsALineThatTheBoundHasNoRoomForInPieces) {
  Command command =
      Command::Shell("head -c 10000 /dev/zero | tr '\\0' x; echo; echo last");
  command.output_buffer = OutputBound::BlockChild(1000);
  auto process = MustSpawn(command);
  Recorder recorder;
  auto tap = process->out().AddTap(recorder.tap(), TapUnit::kLine);
  ASSERT_THAT(tap, IsOk());

  std::string read;
  for (;;) {
    auto some = process->out().ReadSome(kNeverReached);
    if (!some.ok()) break;
    read += *some;
  }
  tap->Finish();

  EXPECT_EQ(read, std::string(10000, 'x') + "\nlast\n");
  EXPECT_TRUE(recorder.pieces().back() == "last");
  EXPECT_TRUE(recorder.All() == std::string(10000, 'x') + "last");
}

// BIG-06
TEST(TapTest, DoesNotLiftTheBoundForAnUnreadStream) {
  Command command({"yes"});
  command.output_buffer = OutputBound::BlockChild(1000);
  auto process = MustSpawn(command);
  size_t seen = 0;
  auto tap = process->out().AddTap(
      [&seen](absl::string_view chunk) { seen += chunk.size(); });
  ASSERT_THAT(tap, IsOk());

  auto watcher = process->out().NewCursor();
  EXPECT_THAT(watcher.ReadExactly(1000, kNeverReached), IsOk());
  EXPECT_THAT(watcher.ReadSome(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  EXPECT_EQ(process->out().stats().bytes, 1000);
  tap->Remove();
  EXPECT_EQ(seen, 1000);
}

TEST(TapTest, OutlivesItsProcess) {
  Recorder recorder;
  TapHandle handle;
  {
    auto process =
        MustSpawn(Command::Shell("echo last words; exec sleep 1000"));
    auto watcher = process->out().NewCursor();
    EXPECT_THAT(watcher.ReadLine(kNeverReached), IsOk());
    auto tap = process->out().AddTap(recorder.tap(), TapUnit::kLine);
    ASSERT_THAT(tap, IsOk());
    handle = *std::move(tap);
  }

  handle.Finish();

  EXPECT_THAT(recorder.pieces(), ElementsAre("last words"));
}

TEST(TapTest, IsRemovedByTheHandleThatIsAssignedTo) {
  auto process = MustSpawn(Command({"cat"}));
  Recorder first, second;
  auto tap = process->out().AddTap(first.tap(), TapUnit::kLine);
  auto other = process->out().AddTap(second.tap(), TapUnit::kLine);
  ASSERT_THAT(tap, IsOk());
  ASSERT_THAT(other, IsOk());

  *tap = *std::move(other);
  EXPECT_THAT(process->Write("x\n"), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());
  tap->Finish();

  EXPECT_THAT(first.pieces(), IsEmpty());
  EXPECT_THAT(second.pieces(), ElementsAre("x"));
}

// ---- Cursors

TEST(OutputCursorTest, OutlivesItsProcess) {
  std::optional<OutputCursor> cursor;
  {
    auto process = MustSpawn(Command({"printf", "one\\ntwo"}));
    cursor = process->out().NewCursor();
    EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
  }

  EXPECT_THAT(cursor->ReadLine(kNeverReached), IsOkAndHolds("one"));
  EXPECT_THAT(cursor->ReadLine(kNeverReached), IsOkAndHolds("two"));
  EXPECT_THAT(cursor->ReadLine(kNeverReached), HasCode(kEnd));
  EXPECT_TRUE(cursor->AtEof());
}

// DTR-03
TEST(OutputCursorTest, HasTheOutputOfAChildKilledByTheDestructor) {
  std::optional<OutputCursor> cursor;
  {
    auto process = MustSpawn(Command::Shell("echo said; exec sleep 1000"));
    auto watcher = process->out().NewCursor();
    cursor = process->out().NewCursor();
    EXPECT_THAT(watcher.ReadLine(kNeverReached), IsOk());
  }

  EXPECT_THAT(cursor->ReadLine(kNeverReached), IsOkAndHolds("said"));
  EXPECT_THAT(cursor->ReadLine(kNeverReached), HasCode(kEnd));
}

TEST(OutputCursorTest, EachTakesForItselfAlone) {
  auto process = MustSpawn(Command({"seq", "3"}));
  OutputCursor cursor = process->out().NewCursor();

  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("1"));
  EXPECT_THAT(cursor.ReadUntil("2\n", kNeverReached), IsOkAndHolds("1\n"));
  EXPECT_THAT(process->Wait(), IsOk());

  EXPECT_EQ(process->Read(), "2\n3\n");
  EXPECT_EQ(cursor.Read(), "3\n");
}

TEST(OutputCursorTest, KeepsItsPlaceWhenItIsMoved) {
  auto process = MustSpawn(Command({"seq", "3"}));
  EXPECT_THAT(process->Wait(), IsOk());
  OutputCursor cursor = process->out().NewCursor();
  EXPECT_THAT(cursor.TryReadLine(), IsOkAndHolds("1"));

  OutputCursor moved = std::move(cursor);
  EXPECT_THAT(moved.TryReadLine(), IsOkAndHolds("2"));
  cursor = std::move(moved);

  EXPECT_THAT(cursor.TryReadLine(), IsOkAndHolds("3"));
}

// ---- ReadToEnd

TEST(ReadToEndTest, ReturnsAllBytesInOneString) {
  auto process = MustSpawn(Command({"printf", "a\\r\\n\\nb"}));

  EXPECT_THAT(process->out().ReadToEnd(kNeverReached),
              IsOkAndHolds("a\r\n\nb"));
}

TEST(ReadToEndTest, ReturnsNoBytesAtTheEnd) {
  auto process = MustSpawn(Command({"true"}));

  EXPECT_THAT(process->out().ReadToEnd(kNeverReached), IsOkAndHolds(""));
  EXPECT_THAT(process->out().ReadToEnd(kNeverReached), IsOkAndHolds(""));
  EXPECT_TRUE(process->out().AtEof());
}

TEST(ReadToEndTest, ReturnsTheBytesThatOtherReadsLeft) {
  auto process = MustSpawn(Command({"seq", "1000000"}));
  OutputCursor cursor = process->out().NewCursor();

  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("1"));
  auto rest = process->out().ReadToEnd(kNeverReached);
  auto all = cursor.ReadToEnd(kNeverReached);

  ASSERT_THAT(rest, IsOk());
  ASSERT_THAT(all, IsOk());
  EXPECT_EQ(all->size(), 6888896);
  EXPECT_TRUE(*all == "1\n" + *rest);
}

TEST(ReadToEndTest, TakesNothingAtTheDeadline) {
  auto process = MustSpawn(Command::Shell("printf a; read x; printf b"));
  EXPECT_THAT(process->out().AwaitSome(kNeverReached), IsOk());

  EXPECT_THAT(process->out().ReadToEnd(kShort), HasCode(kNotYet));
  EXPECT_EQ(process->out().Peek(), "a");
  EXPECT_THAT(process->Write("\n"), IsOk());

  EXPECT_THAT(process->out().ReadToEnd(kNeverReached), IsOkAndHolds("ab"));
}

TEST(ReadToEndTest, TakesNothingWhenItIsCanceled) {
  auto process = MustSpawn(Command::Shell("printf a; read x; printf b"));
  EXPECT_THAT(process->out().AwaitSome(kNeverReached), IsOk());
  const CancellationToken token;

  std::thread reader([&] {
    CancellationScope scope(token);
    EXPECT_THAT(process->out().ReadToEnd(kNeverReached), HasCode(kCanceled));
  });
  token.Cancel();
  reader.join();
  EXPECT_THAT(process->Write("\n"), IsOk());

  EXPECT_THAT(process->out().ReadToEnd(kNeverReached), IsOkAndHolds("ab"));
}

TEST(ReadToEndTest, RefusesMoreThanTheBoundAllows) {
  Command command = Command::Shell("printf 0123456789; read x");
  command.output_buffer = OutputBound::BlockChild(4);
  auto process = MustSpawn(command);

  EXPECT_THAT(process->out().ReadToEnd(kNeverReached), HasCode(kTooLong));

  EXPECT_THAT(process->out().ReadExactly(4, kNeverReached),
              IsOkAndHolds("0123"));
  EXPECT_THAT(process->out().ReadToEnd(kNeverReached), HasCode(kTooLong));
  EXPECT_THAT(process->out().ReadExactly(4, kNeverReached),
              IsOkAndHolds("4567"));
  EXPECT_THAT(process->Write("\n"), IsOk());
  EXPECT_THAT(process->out().ReadToEnd(kNeverReached), IsOkAndHolds("89"));
}

// GRC-01
TEST(ReadToEndTest, WaitsForAProcessThatKeepsTheStreamOpen) {
  auto process = MustSpawn(Command::Shell("sleep 1000 2>&- & echo $!"));
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));

  EXPECT_THAT(process->out().ReadToEnd(kShort), HasCode(kNotYet));
  const std::string said = process->Read();
  kill(std::stoi(said), SIGKILL);

  EXPECT_THAT(process->out().ReadToEnd(kNeverReached), IsOkAndHolds(""));
}

// ---- ReadLine into a string

TEST(ReadLineTest, PutsEachLineIntoTheString) {
  auto process = MustSpawn(Command({"printf", "one\\n\\n1%%\\r2%%\\r\\nlast"}));
  std::string line = "before";
  std::vector<std::string> lines;

  while (process->out().ReadLine(&line, kNeverReached).ok()) {
    lines.push_back(line);
  }

  EXPECT_THAT(lines, ElementsAre("one", "", "1%\r2%", "last"));
  EXPECT_EQ(process->out().stats().lines, 4);
}

TEST(ReadLineTest, ReusesTheMemoryOfTheString) {
  auto process = MustSpawn(Command({"seq", "-f", "a long line %g", "1000"}));
  std::string line(100, 'x');
  const char* const memory = line.data();

  for (int i = 0; i < 1000; ++i) {
    ASSERT_THAT(process->out().ReadLine(&line, kNeverReached), IsOk());
    ASSERT_EQ(static_cast<const void*>(line.data()), memory);
  }

  EXPECT_EQ(line, "a long line 1000");
}

TEST(ReadLineTest, LeavesTheStringUnchangedAtAnError) {
  Command command = Command::Shell("read x; printf '0123456789'; read x");
  command.output_buffer = OutputBound::BlockChild(4);
  auto process = MustSpawn(command);
  std::string line = "before";

  EXPECT_THAT(process->out().ReadLine(&line, kShort), HasCode(kNotYet));
  EXPECT_EQ(line, "before");
  EXPECT_THAT(process->Write("\n"), IsOk());
  EXPECT_THAT(process->out().ReadLine(&line, kNeverReached), HasCode(kTooLong));
  EXPECT_EQ(line, "before");
  EXPECT_THAT(process->out().ReadExactly(4, kNeverReached), IsOk());
  EXPECT_THAT(process->out().ReadExactly(4, kNeverReached), IsOk());
  {
    const CancellationToken token;
    token.Cancel();
    CancellationScope scope(token);
    EXPECT_THAT(process->out().ReadLine(&line, kNeverReached),
                HasCode(kCanceled));
    EXPECT_EQ(line, "before");
  }
  EXPECT_THAT(process->Write("\n"), IsOk());
  EXPECT_THAT(process->out().ReadLine(&line, kNeverReached), IsOk());
  EXPECT_EQ(line, "89");
  EXPECT_THAT(process->out().ReadLine(&line, kNeverReached), HasCode(kEnd));
  EXPECT_EQ(line, "89");
}

// ---- Lines

// The lines of `range`, up to its end.
std::vector<std::string> All(LineRange& range) {
  return {range.begin(), range.end()};
}

TEST(LineRangeTest, GoesOverEachLineAndEndsWithTheStream) {
  auto process = MustSpawn(Command({"printf", "one\\n\\n1%%\\r2%%\\r\\nlast"}));
  std::vector<std::string> seen;

  LineRange lines = process->out().Lines(kNeverReached);
  for (absl::string_view line : lines) {
    EXPECT_THAT(lines.status(), IsOk());
    seen.push_back(std::string(line));
  }

  EXPECT_THAT(lines.status(), IsOk());
  EXPECT_THAT(seen, ElementsAre("one", "", "1%\r2%", "last"));
}

TEST(LineRangeTest, HasNoLineInAnEmptyStream) {
  auto process = MustSpawn(Command({"true"}));

  LineRange lines = process->out().Lines(kNeverReached);

  EXPECT_THAT(All(lines), IsEmpty());
  EXPECT_THAT(lines.status(), IsOk());
  EXPECT_THAT(All(lines), IsEmpty());
  EXPECT_THAT(lines.status(), IsOk());
}

TEST(LineRangeTest, WorksWithTheStandardAlgorithms) {
  auto process = MustSpawn(Command({"seq", "1000"}));

  LineRange lines = process->out().Lines(kNeverReached);

  EXPECT_TRUE(std::find(lines.begin(), lines.end(), "500") != lines.end());
  EXPECT_EQ(std::distance(lines.begin(), lines.end()), 500);
}

TEST(LineRangeTest, HasLinesOfAnyLength) {
  auto process = MustSpawn(Command::Shell(
      "head -c 10000000 /dev/zero | tr '\\0' x; echo; echo short"));
  std::vector<size_t> sizes;

  LineRange lines = process->out().Lines(kNeverReached);
  for (absl::string_view line : lines) sizes.push_back(line.size());

  EXPECT_THAT(sizes, ElementsAre(10000000, 5));
}

TEST(LineRangeTest, EndsAtTheDeadlineOfALineAndTakesNoPartOfIt) {
  auto process = MustSpawn(Command::Shell("printf 'a\\nb'; read x; echo c"));
  OutputCursor watcher = process->out().NewCursor();
  EXPECT_THAT(watcher.ReadExactly(3, kNeverReached), IsOk());

  LineRange lines = process->out().Lines(kShort);
  EXPECT_THAT(All(lines), ElementsAre("a"));
  EXPECT_THAT(lines.status(), HasCode(kNotYet));
  EXPECT_THAT(process->Write("\n"), IsOk());
  LineRange rest = process->out().Lines(kNeverReached);

  EXPECT_THAT(All(rest), ElementsAre("bc"));
  EXPECT_THAT(rest.status(), IsOk());
}

TEST(LineRangeTest, GoesOnWhenALoopStartsAfterTheDeadline) {
  auto process = MustSpawn(Command::Shell("read x; echo late"));

  LineRange lines = process->out().Lines(kShort);
  EXPECT_THAT(All(lines), IsEmpty());
  EXPECT_THAT(lines.status(), HasCode(kNotYet));
  EXPECT_THAT(process->Write("\n"), IsOk());
  EXPECT_THAT(process->out().AwaitSome(kNeverReached), IsOk());
  EXPECT_THAT(process->Wait(), IsOk());

  EXPECT_THAT(All(lines), ElementsAre("late"));
  EXPECT_THAT(lines.status(), IsOk());
}

TEST(LineRangeTest, EndsWhenItIsCanceled) {
  auto process = MustSpawn(Command::Shell("echo a; read x; echo b"));
  const CancellationToken token;

  std::thread reader([&] {
    CancellationScope scope(token);
    LineRange lines = process->out().Lines(kNeverReached);
    EXPECT_THAT(All(lines), ElementsAre("a"));
    EXPECT_THAT(lines.status(), HasCode(kCanceled));
  });
  while (process->out().stats().lines == 0) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  token.Cancel();
  reader.join();
  EXPECT_THAT(process->Write("\n"), IsOk());

  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("b"));
}

TEST(LineRangeTest, EndsAtTheDeadlineAroundTheLoop) {
  auto process = MustSpawn(Command({"cat"}));

  const absl::Status status = WithTimeout(kShort, [&] {
    LineRange lines = process->out().Lines(absl::InfiniteDuration());
    EXPECT_THAT(All(lines), IsEmpty());
    EXPECT_THAT(lines.status(), HasCode(kNotYet));
    return lines.status();
  });

  EXPECT_THAT(status, HasCode(kNotYet));
}

TEST(LineRangeTest, EndsAtALineThatIsLongerThanTheBound) {
  Command command = Command::Shell("printf 'a\\n0123456789'; read x");
  command.output_buffer = OutputBound::BlockChild(4);
  auto process = MustSpawn(command);

  LineRange lines = process->out().Lines(kNeverReached);

  EXPECT_THAT(All(lines), ElementsAre("a"));
  EXPECT_THAT(lines.status(), HasCode(kTooLong));
  EXPECT_THAT(process->out().ReadExactly(4, kNeverReached),
              IsOkAndHolds("0123"));
}

TEST(LineRangeTest, LeavesTheLinesBehindABreakToTheNextReader) {
  auto process = MustSpawn(Command({"seq", "5"}));
  LineRange lines = process->out().Lines(kNeverReached);
  for (absl::string_view line : lines) {
    if (line == "2") break;
  }

  EXPECT_THAT(lines.status(), IsOk());
  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("3"));
  EXPECT_THAT(All(lines), ElementsAre("4", "5"));
}

TEST(LineRangeTest, TakesNoLineFromAnotherCursor) {
  auto process = MustSpawn(Command({"seq", "3"}));
  OutputCursor cursor = process->out().NewCursor();

  LineRange lines = process->out().Lines(kNeverReached);
  LineRange same_lines = cursor.Lines(kNeverReached);

  EXPECT_THAT(All(lines), ElementsAre("1", "2", "3"));
  EXPECT_THAT(All(same_lines), ElementsAre("1", "2", "3"));
}

TEST(LineRangeTest, DividesTheLinesOfACursorBetweenTwoThreads) {
  constexpr int kLines = 100000;
  auto process = MustSpawn(Command({"seq", absl::StrCat(kLines)}));
  std::vector<std::string> seen[2];
  std::vector<std::thread> threads;

  for (std::vector<std::string>& mine : seen) {
    threads.emplace_back([&process, &mine] {
      LineRange lines = process->out().Lines(kNeverReached);
      mine = All(lines);
      EXPECT_THAT(lines.status(), IsOk());
    });
  }
  for (std::thread& thread : threads) thread.join();

  std::vector<int> numbers;
  for (const std::vector<std::string>& lines : seen) {
    for (const std::string& line : lines) numbers.push_back(std::stoi(line));
  }
  std::sort(numbers.begin(), numbers.end());
  ASSERT_EQ(numbers.size(), kLines);
  for (int i = 0; i < kLines; ++i) ASSERT_EQ(numbers[i], i + 1);
}

// ---- The stream

TEST(OutputStreamTest, ANegativeTimeoutIsNoTime) {
  const auto process = MustSpawn(Command({"cat"}));

  const auto line = process->out().ReadLine(-absl::InfiniteDuration());

  EXPECT_THAT(line, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(line.status().message(), HasSubstr("unread bytes after 0"));
}

TEST(OutputStreamTest, CountsItsBytesAndLines) {
  auto process = MustSpawn(Command({"seq", "1000"}));
  EXPECT_THAT(process->Wait(), IsOk());
  EXPECT_EQ(process->out().stats().buffered, 3893);

  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(process->out().TryReadLine(), IsOk());
  }

  const OutputStats stats = process->out().stats();
  EXPECT_EQ(stats.bytes, 3893);
  EXPECT_EQ(stats.lines, 10);
  EXPECT_EQ(stats.dropped, 0);
  EXPECT_EQ(stats.buffered, 3893 - 21);
  EXPECT_EQ(stats.high_water, 3893);
}

TEST(OutputStreamTest, CountsTheBytesThatABoundDropped) {
  for (OutputBound bound :
       {OutputBound::DropOldest(1000), OutputBound::HeadAndTail(1000)}) {
    Command command({"head", "-c", "1000000", "/dev/zero"});
    command.output_buffer = bound;
    auto process = MustSpawn(command);

    EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));

    EXPECT_EQ(process->out().stats().bytes, 1000000);
    EXPECT_EQ(process->out().stats().dropped, 999000);
    EXPECT_EQ(process->out().stats().high_water, 1000);
    EXPECT_EQ(process->out().dropped(), 999000);
    EXPECT_EQ(process->Read().size(), 1000);
    EXPECT_TRUE(process->out().AtEof());
  }
}

TEST(OutputStreamTest, KeepsTheHeadAndTheTail) {
  Command command({"seq", "100000"});
  command.output_buffer = OutputBound::HeadAndTail(20);
  auto process = MustSpawn(command);

  EXPECT_THAT(process->Wait(), IsOk());

  EXPECT_EQ(process->Read(), "1\n2\n3\n4\n5\n99\n100000\n");
}

TEST(OutputStreamTest, IsAtItsEndWhereThereIsNoPipe) {
  Command command({"echo", "x"});
  command.out = Stdio::Null();
  auto process = MustSpawn(command);

  EXPECT_TRUE(process->out().AtEof());
  EXPECT_EQ(process->Read(), "");
  EXPECT_THAT(process->out().ReadLine(kNeverReached), HasCode(kEnd));
  EXPECT_THAT(process->out().holders(), IsEmpty());
}

// RED-13
TEST(OutputStreamTest, IsABrokenPipeToTheChildOnceItIsClosed) {
  auto process = MustSpawn(Command({"yes"}));
  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("y"));

  process->out().Close();

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGPIPE)));
  EXPECT_EQ(process->Read().substr(0, 2), "y\n");
  EXPECT_TRUE(process->out().AtEof());
}

TEST(OutputStreamTest, IsClosedAlsoWhileABoundHoldsTheChildUp) {
  Command command({"yes"});
  command.output_buffer = OutputBound::BlockChild(10);
  auto process = MustSpawn(command);
  auto watcher = process->out().NewCursor();
  EXPECT_THAT(watcher.ReadExactly(10, kNeverReached), IsOk());

  process->out().Close();

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGPIPE)));
}

TEST(OutputStreamTest, EndsTheWaitOfAReaderWhenItIsClosed) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  std::thread closer([&process] { process->out().Close(); });

  EXPECT_THAT(process->out().ReadLine(absl::InfiniteDuration()), HasCode(kEnd));

  closer.join();
}

// GRC-01
TEST(OutputStreamTest, NamesTheProcessesThatHoldIt) {
  auto process = MustSpawn(Command::Shell("sleep 1000 2>&- & echo $!"));
  auto line = process->out().ReadLine(kNeverReached);
  ASSERT_THAT(line, IsOk());
  const pid_t grandchild = std::stoi(*line);
  EXPECT_THAT(process->Wait(), IsOk());

  const std::vector<PipeHolder> holders = process->out().holders();
  EXPECT_THAT(process->err().holders(), IsEmpty());
  kill(grandchild, SIGKILL);

  ASSERT_EQ(holders.size(), 1);
  EXPECT_EQ(holders[0].pid, grandchild);
  EXPECT_EQ(holders[0].command, "sleep");
  EXPECT_THAT(process->out().ReadSome(kNeverReached), HasCode(kEnd));
  EXPECT_THAT(process->out().holders(), IsEmpty());
}

// The output of a surviving grandchild still arrives.
TEST(OutputStreamTest, GoesOnWhenItWasGivenUp) {
  auto process = MustSpawn(Command::Shell(
      "(kill -STOP $(exec sh -c 'echo $PPID'); echo late) & echo $!"));
  auto line = process->out().ReadLine(kNeverReached);
  ASSERT_THAT(line, IsOk());
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_EQ(process->state(), ProcessState::kAbandoned);
  const pid_t survivor = std::stoi(*line);
  while (internal::ReadProcessStat(survivor)->state != 'T') {
    absl::SleepFor(absl::Milliseconds(1));
  }

  kill(survivor, SIGCONT);

  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("late"));
  EXPECT_THAT(process->out().ReadLine(kNeverReached), HasCode(kEnd));
}

TEST(OutputStreamTest, ShowsTheLastLinesForMessages) {
  auto process =
      MustSpawn(Command::Shell("seq 997; printf 'a\\r\\nb\\303\\274\\n'; "
                               "printf '\"a\"\\tb\\n\\n'; read x"));
  EXPECT_EQ(process->err().LastLines("stderr"), "");
  auto watcher = process->out().NewCursor();
  EXPECT_THAT(watcher.ReadUntil("b\n\n", kNeverReached), IsOk());

  EXPECT_EQ(process->out().LastLines("stdout"),
            "; last of stdout: '996', '997', 'a', 'b\xc3\xbc', '\"a\"\\tb'");

  // The last lines stay available after a reader has taken them.
  process->Read();
  EXPECT_THAT(process->out().LastLines("it"), HasSubstr("last of it: '996'"));
}

// BIG-06
TEST(OutputStreamTest, SyncWaitsForRoomWhereTheBoundIsReached) {
  Command command = Command::Shell("printf 0123456789; read x");
  command.output_buffer = OutputBound::BlockChild(4);
  auto process = MustSpawn(command);
  EXPECT_THAT(process->out().AwaitSome(kNeverReached), IsOk());

  EXPECT_THAT(process->out().Sync(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  std::thread reader([&] {
    EXPECT_THAT(process->out().ReadExactly(3, kNeverReached),
                IsOkAndHolds("012"));
    EXPECT_THAT(process->out().ReadExactly(3, kNeverReached),
                IsOkAndHolds("345"));
    EXPECT_THAT(process->out().ReadExactly(3, kNeverReached),
                IsOkAndHolds("678"));
  });

  EXPECT_THAT(process->out().Sync(kNeverReached), IsOk());
  reader.join();
  EXPECT_EQ(process->Read(), "9");
}

TEST(OutputStreamTest, ASyncIsServedThatBeginsWhileAnotherWaitsForRoom) {
  for (int i = 0; i < 20; ++i) {
    Command command = Command::Shell("head -c 60000 /dev/zero; read x");
    command.output_buffer = OutputBound::BlockChild(40000);
    auto process = MustSpawn(command);
    while (process->out().stats().bytes < 40000) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    EXPECT_THAT(process->out().Sync(kShort),
                HasCode(absl::StatusCode::kDeadlineExceeded));
    process->Read();

    ASSERT_THAT(process->out().Sync(kNeverReached), IsOk()) << i;
    EXPECT_EQ(process->out().stats().bytes, 60000u);
  }
}

TEST(OutputStreamTest, CloseReturnsWhenTheDescriptorIsClosed) {
  auto process = MustSpawn(Command::Shell("trap '' PIPE; read x; echo y"));

  process->out().Close();

  EXPECT_TRUE(process->out().AtEof());
  EXPECT_THAT(process->Write("\n"), IsOk());
  EXPECT_THAT(process->WaitFor(kNeverReached), IsOk());
  EXPECT_EQ(process->Read(), "");
}

}  // namespace
}  // namespace asyncproc
