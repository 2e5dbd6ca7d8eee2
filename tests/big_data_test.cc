// Large amounts of data, in both directions at once.

#include <fstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

constexpr size_t kMebibyte = 1024 * 1024;

// Writes all input, closes stdin, and waits.
void Communicate(Process& process, absl::string_view input) {
  ASSERT_THAT(process.Write(input), IsOk());
  ASSERT_THAT(process.CloseStdin(), IsOk());
  ASSERT_THAT(process.WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
}

// The resident memory of this program.
size_t MemoryInUse() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(": \t"), absl::SkipEmpty());
    size_t kibibytes;
    if (words.size() > 1 && words[0] == "VmRSS" &&
        absl::SimpleAtoi(words[1], &kibibytes)) {
      return kibibytes * 1024;
    }
  }
  return 0;
}

// BIG-01
TEST(BigDataTest, FlowsBothWaysThroughAFilter) {
  auto process = MustSpawn(Command({"tr", "a-z", "A-Z"}));
  const absl::Time start = absl::Now();

  Communicate(*process, std::string(10 * kMebibyte, 'x'));

  EXPECT_TRUE(process->Read() == std::string(10 * kMebibyte, 'X'));
  EXPECT_LT(absl::Now() - start, absl::Seconds(5) * kSlowness);
}

// BIG-02
TEST(BigDataTest, FlowsFromAChildThatFloodsStderrBeforeItReadsOn) {
  auto process = MustSpawn(Command::Shell(
      "head -c 47 >/dev/null; head -c 4194304 /dev/zero >&2; cat"));
  const absl::Time start = absl::Now();
  std::string input;
  for (int i = 0; input.size() < 4 * kMebibyte; ++i) {
    absl::StrAppend(&input, i, " ");
  }

  Communicate(*process, input);

  EXPECT_TRUE(process->Read() == input.substr(47));
  EXPECT_EQ(process->ReadErr().size(), 4 * kMebibyte);
  EXPECT_LT(absl::Now() - start, absl::Seconds(5) * kSlowness);
}

// BIG-03
TEST(BigDataTest, ArrivesLineForLine) {
  auto process = MustSpawn(Command({"wc", "-l"}));
  std::string lines;
  for (int i = 0; i < 1048576; ++i) lines += "hello\n";

  Communicate(*process, lines);

  EXPECT_EQ(process->Read(), "1048576\n");
}

// BIG-05
TEST(BigDataTest, NeverBlocksAChildWithoutAReader) {
  auto process =
      MustSpawn(Command::Shell("head -c 67108864 /dev/zero; echo done >&2"));

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));

  EXPECT_EQ(process->Read().size(), 64 * kMebibyte);
  EXPECT_EQ(process->ReadErr(), "done\n");
}

// BIG-06
TEST(BigDataTest, HoldsTheChildUpWhereThatIsAskedFor) {
  const size_t total = 100000000 / kSlowness;
  Command command = Command::Shell(absl::StrCat("yes | head -c ", total));
  command.output_buffer = OutputBound::BlockChild(kMebibyte);
  const size_t memory = MemoryInUse();
  auto process = MustSpawn(command);

  EXPECT_THAT(process->WaitFor(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(process->out().NewCursor().ReadExactly(kMebibyte, kNeverReached),
              IsOk());
  EXPECT_THAT(process->WaitFor(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  EXPECT_EQ(process->out().stats().buffered, kMebibyte);
  if (kSlowness == 1) {
    EXPECT_LT(MemoryInUse() - memory, 10 * kMebibyte);
  }
  size_t read = 0;
  for (;;) {
    auto some = process->out().ReadSome(kNeverReached);
    if (!some.ok()) break;
    read += some->size();
  }
  EXPECT_EQ(read, total);
  // The bytes that were in the pipe when the child ended exceed the bound.
  EXPECT_LE(process->out().stats().high_water, 2 * kMebibyte);
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
}

// BIG-06
TEST(BigDataTest, IsReadWholeWhenAChildThatIsHeldUpIsEnded) {
  Command command = Command::Shell("printf 0123456789; kill -9 $$");
  command.output_buffer = OutputBound::BlockChild(4);
  auto process = MustSpawn(command);

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(9)));

  EXPECT_EQ(process->Read(), "0123456789");
  EXPECT_TRUE(process->out().AtEof());
}

// BIG-08
TEST(BigDataTest, FlowsFast) {
  constexpr size_t kTotal = 256 * kMebibyte;
  auto process =
      MustSpawn(Command({"head", "-c", std::to_string(kTotal), "/dev/zero"}));
  const absl::Time start = absl::Now();

  size_t read = 0;
  for (;;) {
    auto some = process->out().ReadSome(kNeverReached);
    if (!some.ok()) break;
    read += some->size();
  }

  EXPECT_EQ(read, kTotal);
  // A wide limit: the speed is measured by a benchmark.
  EXPECT_LT(absl::Now() - start, absl::Seconds(5) * kSlowness);
}

}  // namespace
}  // namespace asyncproc
