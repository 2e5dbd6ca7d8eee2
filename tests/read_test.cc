// Reading a child's output, as lines and in other units.

#include <time.h>

#include <random>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

constexpr absl::StatusCode kNotYet = absl::StatusCode::kUnavailable;
constexpr absl::StatusCode kEnd = absl::StatusCode::kOutOfRange;

// Waits until `text` is the next output that arrives, without taking it.
class Watcher {
 public:
  explicit Watcher(OutputStream& stream) : cursor_(stream.NewCursor()) {}
  void Await(const std::string& text) {
    ASSERT_THAT(cursor_.ReadExactly(text.size(), kNeverReached),
                IsOkAndHolds(text));
  }
  void AwaitEnd() {
    ASSERT_THAT(cursor_.ReadSome(kNeverReached), HasCode(kEnd));
  }

 private:
  OutputCursor cursor_;
};

// RDL-01
TEST(ReadTest, KeepsPartOfALineUntilTheRestHasCome) {
  auto process =
      MustSpawn(Command::Shell("printf ab; read x; printf 'c\\nd'; read x"));
  Watcher watcher(process->out());

  watcher.Await("ab");
  EXPECT_THAT(process->out().TryReadLine(), HasCode(kNotYet));
  EXPECT_THAT(process->Write("\n"), IsOk());
  watcher.Await("c\nd");
  EXPECT_THAT(process->out().TryReadLine(), IsOkAndHolds("abc"));
  EXPECT_THAT(process->out().TryReadLine(), HasCode(kNotYet));
  EXPECT_THAT(process->Write("\n"), IsOk());
  watcher.AwaitEnd();

  EXPECT_THAT(process->out().TryReadLine(), IsOkAndHolds("d"));
  EXPECT_THAT(process->out().TryReadLine(), HasCode(kEnd));
}

// RDL-02
TEST(ReadTest, TellsNothingYetAnEmptyLineAndTheEndApart) {
  auto process =
      MustSpawn(Command::Shell("read x; printf '\\n\\nx\\n'; read x"));
  Watcher watcher(process->out());

  EXPECT_THAT(process->out().TryReadLine(), HasCode(kNotYet));
  EXPECT_THAT(process->Write("\n"), IsOk());
  watcher.Await("\n\nx\n");
  EXPECT_THAT(process->out().TryReadLine(), IsOkAndHolds(""));
  EXPECT_THAT(process->out().TryReadLine(), IsOkAndHolds(""));
  EXPECT_THAT(process->out().TryReadLine(), IsOkAndHolds("x"));
  EXPECT_THAT(process->out().TryReadLine(), HasCode(kNotYet));
  EXPECT_FALSE(process->out().AtEof());
  EXPECT_THAT(process->Write("\n"), IsOk());
  watcher.AwaitEnd();

  EXPECT_THAT(process->out().TryReadLine(), HasCode(kEnd));
  EXPECT_TRUE(process->out().AtEof());
}

// RDL-03
TEST(ReadTest, GivesTheLastLineThoughNothingEndsIt) {
  auto process = MustSpawn(Command({"printf", "a\\nb"}));

  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("a"));
  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("b"));
  EXPECT_THAT(process->out().ReadLine(kNeverReached), HasCode(kEnd));
}

// RDL-04
TEST(ReadTest, GivesOneLineACallHoweverTheyArrive) {
  auto process = MustSpawn(Command::Shell(
      "printf '1\\n2\\n3\\n'; for c in a b c; do printf $c; read x; done; "
      "echo"));
  Watcher watcher(process->out());

  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("1"));
  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("2"));
  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("3"));
  watcher.Await("1\n2\n3\n");
  for (const char* piece : {"a", "b", "c"}) {
    watcher.Await(piece);
    EXPECT_THAT(process->out().TryReadLine(), HasCode(kNotYet));
    EXPECT_THAT(process->Write("\n"), IsOk());
  }

  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("abc"));
}

// RDL-05
TEST(ReadTest, TakesCrLfAsOneEndAlsoWhenItsHalvesArriveApart) {
  auto process = MustSpawn(Command::Shell(
      "printf 'line5\\r\\nline6\\r'; read x; printf '\\nline7'"));
  auto raw = process->out().NewCursor();
  Watcher watcher(process->out());

  watcher.Await("line5\r\nline6\r");
  EXPECT_THAT(process->out().TryReadLine(), IsOkAndHolds("line5"));
  EXPECT_THAT(process->out().TryReadLine(), HasCode(kNotYet));
  EXPECT_THAT(process->Write("\n"), IsOk());

  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("line6"));
  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("line7"));
  EXPECT_THAT(raw.ReadUntil("\n", kNeverReached), IsOkAndHolds("line5\r"));
  EXPECT_THAT(raw.ReadUntil("\n", kNeverReached), IsOkAndHolds("line6\r"));
}

// RDL-06
TEST(ReadTest, GivesALineOfTenMebibytesInLinearTime) {
  auto process =
      MustSpawn(Command::Shell("head -c 10485760 /dev/zero | tr '\\0' x"));
  timespec start, end;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);

  absl::StatusOr<std::string> line = process->out().TryReadLine();
  while (line.status().code() == kNotYet) {
    absl::SleepFor(absl::Milliseconds(1));
    line = process->out().TryReadLine();
  }

  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
  ASSERT_THAT(line, IsOk());
  EXPECT_TRUE(*line == std::string(10485760, 'x'));
  EXPECT_LT(absl::DurationFromTimespec(end) - absl::DurationFromTimespec(start),
            absl::Seconds(1) * kSlowness);
}

// RDL-08
TEST(ReadTest, LosesAndRepeatsNothingHoweverItIsRead) {
  constexpr int kNumbers = 100000;
  auto process = MustSpawn(Command::Shell(absl::StrCat(
      "i=0; while [ $i -lt ", kNumbers, " ]; do echo $i; i=$((i+1)); done")));
  std::string expected;
  for (int i = 0; i < kNumbers; ++i) absl::StrAppend(&expected, i, "\n");
  std::mt19937 random(42);
  std::string taken;

  while (!process->out().AtEof()) {
    if (random() % 2 == 0) {
      taken += process->Read();
    } else if (auto line = process->out().TryReadLine(); line.ok()) {
      absl::StrAppend(&taken, *line, "\n");
    }
  }

  EXPECT_TRUE(taken == expected);
}

// RDL-10
TEST(ReadTest, HasEverythingOnceWaitHasReturned) {
  for (int i = 0; i < 1000 / kSlowness; ++i) {
    auto process = MustSpawn(Command({"head", "-c", "200000", "/dev/zero"}));

    ASSERT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));

    ASSERT_EQ(process->Read().size(), 200000);
    ASSERT_TRUE(process->out().AtEof());
    ASSERT_TRUE(process->err().AtEof());
  }
}

// RDL-11
TEST(ReadTest, DoesNotCareWhereACharacterIsSplit) {
  const std::string text = "▁▂▃▄▅▆▇█";
  auto process = MustSpawn(Command({"cat"}));
  std::string seen;
  auto tap = process->out().AddTap(
      [&seen](absl::string_view chunk) { absl::StrAppend(&seen, chunk); });
  ASSERT_THAT(tap, IsOk());
  Watcher watcher(process->out());

  for (char byte : text) {
    EXPECT_THAT(process->Write(std::string(1, byte)), IsOk());
    watcher.Await(std::string(1, byte));
  }
  EXPECT_THAT(process->CloseStdin(), IsOk());
  tap->Finish();

  EXPECT_EQ(seen, text);
  EXPECT_EQ(process->Read(), text);
}

// RDL-12
TEST(ReadTest, KeepsTheOrderOfEachStream) {
  auto process = MustSpawn(
      Command::Shell("for i in $(seq 1000); do echo o$i; echo e$i >&2; done"));
  std::string out, err;
  for (int i = 1; i <= 1000; ++i) {
    absl::StrAppend(&out, "o", i, "\n");
    absl::StrAppend(&err, "e", i, "\n");
  }

  Output taken;
  while (!process->out().AtEof() || !process->err().AtEof()) {
    const Output some = process->ReadBoth();
    taken.out += some.out;
    taken.err += some.err;
  }

  EXPECT_EQ(taken.out, out);
  EXPECT_EQ(taken.err, err);
}

// RDL-13
TEST(ReadTest, SeesTheEndOfAStreamWhileTheChildLives) {
  auto process = MustSpawn(Command::Shell("echo a; exec 1>&-; read x; exit 5"));

  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("a"));
  EXPECT_THAT(process->out().ReadLine(kNeverReached), HasCode(kEnd));

  EXPECT_TRUE(process->out().AtEof());
  EXPECT_FALSE(process->err().AtEof());
  EXPECT_THAT(process->Wait(WNOHANG), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_EQ(process->state(), ProcessState::kRunning);
  EXPECT_THAT(process->CloseStdin(), IsOk());
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(5)));
}

// RDL-14
TEST(ReadTest, GivesUpAtTheDeadlineAndLosesNothing) {
  auto process = MustSpawn(Command::Shell("printf 'x'; read y; echo yz"));
  const absl::Time start = absl::Now();

  EXPECT_THAT(process->out().ReadLine(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  EXPECT_GE(absl::Now() - start, kShort);
  EXPECT_LT(absl::Now() - start, absl::Seconds(5) * kSlowness);
  EXPECT_THAT(process->Write("\n"), IsOk());
  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("xyz"));
}

TEST(ReadTest, GivesUpAtOnceWhenThereIsNoTime) {
  auto process = MustSpawn(Command({"cat"}));

  for (absl::Duration timeout :
       {absl::ZeroDuration(), -absl::Seconds(1), -absl::InfiniteDuration()}) {
    EXPECT_THAT(process->out().ReadLine(timeout),
                HasCode(absl::StatusCode::kDeadlineExceeded));
    EXPECT_THAT(process->out().ReadSome(timeout),
                HasCode(absl::StatusCode::kDeadlineExceeded));
    EXPECT_THAT(process->out().ReadExactly(1, timeout),
                HasCode(absl::StatusCode::kDeadlineExceeded));
    EXPECT_THAT(process->out().ReadUntil("x", timeout),
                HasCode(absl::StatusCode::kDeadlineExceeded));
  }
}

TEST(ReadTest, LetsTheChildGoOnWhileBytesAreUsedInPlace) {
  auto process =
      MustSpawn(Command::Shell("echo first; read x; exec seq 1000000"));
  std::string all;
  int calls = 0;
  absl::Status status;
  do {
    status = process->out().ReadInPlace(
        [&](absl::string_view bytes) {
          const std::string before(bytes);
          // All other output arrives meanwhile.
          if (calls == 0) {
            EXPECT_THAT(process->Write("\n"), IsOk());
          }
          EXPECT_THAT(process->Wait(), IsOk());
          EXPECT_EQ(bytes, before);
          all += before;
          ++calls;
        },
        kNeverReached);
  } while (status.ok());

  EXPECT_THAT(status, HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(absl::StartsWith(all, "first\n1\n2\n"));
  EXPECT_EQ(all.size(), 6'888'902u);
  EXPECT_TRUE(absl::EndsWith(all, "\n999999\n1000000\n"));
}

TEST(ReadTest, MayLoseItsProcessWhileBytesAreUsedInPlace) {
  auto process = MustSpawn(Command({"cat"}));
  ASSERT_THAT(process->Write("a line\n"), IsOk());

  EXPECT_THAT(process->out().ReadInPlace(
                  [&](absl::string_view bytes) {
                    process = nullptr;
                    EXPECT_EQ(bytes, "a line\n");
                  },
                  kNeverReached),
              IsOk());
}

TEST(ReadTest, ReadsTheAnswersOfAConversation) {
  auto process = MustSpawn(Command({"bc", "-q"}));

  for (int i = 1; i <= 100; ++i) {
    EXPECT_THAT(process->Write(absl::StrCat(i, "^2\n")), IsOk());
    EXPECT_THAT(process->out().ReadLine(kNeverReached),
                IsOkAndHolds(absl::StrCat(i * i)));
  }
}

}  // namespace
}  // namespace asyncproc
