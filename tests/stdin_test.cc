// The data for a child's stdin.

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/process.h"
#include "asyncproc/run.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::HasSubstr;

constexpr size_t kMebibyte = 1024 * 1024;

// Bytes that show any loss or change of order.
std::string Pattern(size_t size) {
  std::string pattern;
  pattern.reserve(size + 16);
  for (int i = 0; pattern.size() < size; ++i) absl::StrAppend(&pattern, i, " ");
  pattern.resize(size);
  return pattern;
}

// A line of this thread's status in /proc.
std::string StatusLine(absl::string_view key) {
  std::ifstream status("/proc/thread-self/status");
  for (std::string line; std::getline(status, line);) {
    absl::string_view value = line;
    if (absl::ConsumePrefix(&value, key)) return std::string(value);
  }
  return "";
}

std::string SignalState() {
  std::string state;
  for (const char* key : {"SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"}) {
    absl::StrAppend(&state, key, StatusLine(key), "\n");
  }
  return state;
}

void AwaitStopped(Process& process) {
  for (;;) {
    const ProcessState state = process.state();
    if (state == ProcessState::kStopped) return;
    ASSERT_EQ(state, ProcessState::kRunning);
    absl::SleepFor(absl::Milliseconds(1));
  }
}

// WRT-02
TEST(StdinTest, NeverBlocksTheWriter) {
  Command command = Command::Shell("kill -STOP $$; exec cat");
  auto process = MustSpawn(command);
  AwaitStopped(*process);
  const std::string data = Pattern(64 * kMebibyte);
  const absl::Time start = absl::Now();

  EXPECT_THAT(process->Write(data), IsOk());
  EXPECT_THAT(process->Write("."), IsOk());

  EXPECT_LT(absl::Now() - start, absl::Seconds(10) * kSlowness);
  EXPECT_THAT(process->Signal(SIGCONT), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());
  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_TRUE(process->Read() == data + ".");
}

// WRT-03
TEST(StdinTest, IsClosedAfterTheWrittenBytes) {
  auto process = MustSpawn(Command::Shell("kill -STOP $$; exec wc -c"));
  AwaitStopped(*process);

  EXPECT_THAT(process->Write(std::string(kMebibyte, 'x')), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());
  EXPECT_EQ(process->state(), ProcessState::kStopped);
  EXPECT_THAT(process->Signal(SIGCONT), IsOk());

  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_EQ(process->Read(), "1048576\n");
}

TEST(StdinTest, TakesMuchAtThePaceOfTheChild) {
  auto process = MustSpawn(Command({"cksum"}));
  std::string chunk(kMebibyte, 'x');
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(process->WriteAndFlush(chunk, kNeverReached), IsOk());
    chunk.assign(kMebibyte, static_cast<char>('a' + i));
  }
  EXPECT_THAT(process->CloseStdin(), IsOk());
  EXPECT_THAT(process->WriteAndFlush("x", kNeverReached),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));

  auto expected = CheckOutput(
      Command::Shell("for c in x a b c d e f g h i j k l m n o p q r s; do"
                     " head -c 1048576 /dev/zero | tr '\\0' $c; done | cksum"));
  EXPECT_THAT(expected, IsOkAndHolds(process->Read()));
}

// WRT-04
TEST(StdinTest, TakesNothingOnceItHasBeenClosed) {
  auto process = MustSpawn(Command({"cat"}));

  EXPECT_THAT(process->CloseStdin(), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());

  EXPECT_THAT(process->Write("x"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(process->Flush(kNeverReached), IsOk());
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_THAT(process->Write("x"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(process->CloseStdin(), IsOk());
  EXPECT_EQ(process->Read(), "");
}

// WRT-05
TEST(StdinTest, LeavesTheSignalsOfTheHostAloneWhenTheChildDies) {
  struct sigaction action;
  ASSERT_EQ(sigaction(SIGPIPE, nullptr, &action), 0);
  ASSERT_EQ(action.sa_handler, SIG_DFL);
  const std::string before = SignalState();

  for (int i = 0; i < 20; ++i) {
    auto process = MustSpawn(Command({"true"}));
    // More than a pipe holds: a part is written to a broken pipe.
    process->Write(std::string(kMebibyte, 'x')).IgnoreError();
    EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
    EXPECT_THAT(process->Write("x"),
                HasCode(absl::StatusCode::kFailedPrecondition));
  }

  ASSERT_EQ(sigaction(SIGPIPE, nullptr, &action), 0);
  EXPECT_EQ(action.sa_handler, SIG_DFL);
  EXPECT_EQ(SignalState(), before);
}

// WRT-06
TEST(StdinTest, ReportsHowMuchTheChildDidNotTake) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  EXPECT_THAT(process->Write(std::string(kMebibyte, 'x')), IsOk());
  EXPECT_THAT(process->Flush(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  EXPECT_THAT(process->Signal(SIGKILL), IsOk());
  const absl::Status flushed = process->Flush(kNeverReached);

  EXPECT_THAT(flushed, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(std::string(flushed.message()),
              HasSubstr("bytes were not delivered"));
  EXPECT_THAT(std::string(flushed.message()), HasSubstr(strerror(EPIPE)));
  EXPECT_THAT(process->Write("x"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(process->CloseStdin(),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST(StdinTest, NamesTheCommandThatDoesNotRead) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  EXPECT_THAT(process->Write(std::string(kMebibyte, 'x')), IsOk());

  const absl::Status flushed = process->WriteAndFlush("y", kShort);

  EXPECT_THAT(std::string(flushed.message()), HasSubstr("sleep 1000"));
  EXPECT_THAT(std::string(flushed.message()), HasSubstr("bytes wait"));
}

// WRT-07
TEST(StdinTest, MayBeClosedByAChildThatGoesOn) {
  auto process = MustSpawn(
      Command::Shell("exec 0<&-; echo closed; kill -STOP $$; echo ok; exit 3"));
  AwaitLine(*process, "closed");
  AwaitStopped(*process);

  EXPECT_THAT(process->Write(std::string(10 * kMebibyte, 'x')),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(process->Signal(SIGCONT), IsOk());

  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(3)));
  EXPECT_EQ(process->Read(), "ok\n");
}

// WRT-07
TEST(StdinTest, MayBeClosedByAChildWhileMuchOfItWaits) {
  auto process =
      MustSpawn(Command::Shell("kill -STOP $$; exec 0<&-; echo ok; exit 3"));
  AwaitStopped(*process);
  EXPECT_THAT(process->Write(std::string(10 * kMebibyte, 'x')), IsOk());

  EXPECT_THAT(process->Signal(SIGCONT), IsOk());

  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(3)));
  EXPECT_EQ(process->Read(), "ok\n");
}

// WRT-08
TEST(StdinTest, ArrivesWholeThroughPipesOfAnySize) {
  const std::string data = Pattern(kMebibyte);
  for (size_t pipe_size : {0, 4096, 1048576}) {
    Command command({"cat"});
    command.pipe_size = pipe_size;
    auto process = MustSpawn(command);

    EXPECT_THAT(process->Write(data), IsOk());
    EXPECT_THAT(process->CloseStdin(), IsOk());

    EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
    EXPECT_TRUE(process->Read() == data) << pipe_size;
  }
}

TEST(StdinTest, ArrivesInTheOrderOfManySmallWrites) {
  Command command({"cat"});
  command.pipe_size = 4096;
  auto process = MustSpawn(command);
  std::string expected;

  for (int i = 0; i < 20000; ++i) {
    const std::string piece = absl::StrCat(i, "\n");
    ASSERT_THAT(process->Write(piece), IsOk());
    expected += piece;
  }
  EXPECT_THAT(process->CloseStdin(), IsOk());

  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_TRUE(process->Read() == expected);
}

// WRT-09
TEST(StdinTest, IsAtItsEndAtOnceWhenNothingIsWritten) {
  auto process = MustSpawn(Command({"wc", "-c"}));

  EXPECT_THAT(process->CloseStdin(), IsOk());

  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_EQ(process->Read(), "0\n");
}

// WRT-09
TEST(StdinTest, StaysOpenWhenNoBytesAreWritten) {
  auto process = MustSpawn(Command({"wc", "-c"}));

  EXPECT_THAT(process->Write(""), IsOk());
  EXPECT_THAT(process->WaitFor(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(process->Write("x"), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());

  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_EQ(process->Read(), "1\n");
}

// WRT-10
TEST(StdinTest, DoesNotDelayWaitByQueuedBytes) {
  auto process = MustSpawn(Command({"echo", "foo"}));
  std::thread writer([&process] {
    const std::string data(100000, 'x');
    while (process->Write(data).ok()) std::this_thread::yield();
  });

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));

  writer.join();
  EXPECT_EQ(process->Read(), "foo\n");
}

// WRT-12
TEST(StdinTest, TakesAnyByte) {
  std::string data;
  for (int i = 0; i < 3 * 256; ++i) data += static_cast<char>(i * 7);
  auto process = MustSpawn(Command({"cat"}));

  EXPECT_THAT(process->Write(data), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());

  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_EQ(process->Read(), data);
}

TEST(StdinTest, RefusesBytesThatExceedTheLimit) {
  Command command = Command::Shell("kill -STOP $$; exec wc -c");
  command.input_limit = 100000;
  auto process = MustSpawn(command);
  AwaitStopped(*process);
  EXPECT_THAT(process->Write(std::string(100000, 'x')), IsOk());

  EXPECT_THAT(process->Write(std::string(100000, 'y')),
              HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(process->Signal(SIGCONT), IsOk());
  EXPECT_THAT(process->Flush(kNeverReached), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());

  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_EQ(process->Read(), "100000\n");
}

TEST(StdinTest, MayBeWrittenToByManyThreads) {
  auto process = MustSpawn(Command({"wc", "-lc"}));
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&process] {
      for (int j = 0; j < 1000; ++j) {
        EXPECT_THAT(process->Write(std::string(99, 'x') + "\n"), IsOk());
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_THAT(process->CloseStdin(), IsOk());

  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_THAT(process->Read(), testing::ContainsRegex(" *4000 +400000"));
}

TEST(StdinTest, IsRefusedWhereItIsNoPipe) {
  Command command({"true"});
  command.in = Stdio::Null();
  auto process = MustSpawn(command);

  const absl::Status written = process->Write("x");

  EXPECT_THAT(written, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(std::string(written.message()), HasSubstr("/dev/null"));
  EXPECT_THAT(process->CloseStdin(),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(process->Flush(kShort),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace asyncproc
