#include "asyncproc/internal/io/output_buffer.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/proc/proc_fs.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/own_host.h"
#include "tests/scarce_memory.h"
#include "tests/testing.h"

namespace asyncproc::internal {
namespace {

using testing::HasSubstr;

constexpr absl::StatusCode kNotYet = absl::StatusCode::kDeadlineExceeded;
constexpr absl::StatusCode kEnd = absl::StatusCode::kOutOfRange;
constexpr absl::StatusCode kTooLong = absl::StatusCode::kResourceExhausted;

// A buffer and its first reader.
class Buffered {
 public:
  explicit Buffered(OutputBound bound = OutputBound::Unbounded())
      : buffer(bound), reader(buffer.AddCursor(/*at_oldest=*/true)) {}

  absl::StatusOr<std::string> Line(
      absl::Time deadline = absl::InfinitePast(),
      OutputBuffer::LongLine long_line = OutputBuffer::LongLine::kRefuse) {
    std::string line;
    absl::Status status = buffer.ReadLine(reader, &line, deadline, long_line);
    if (!status.ok()) return status;
    return line;
  }
  absl::StatusOr<std::string> ToEnd() {
    return buffer.ReadToEnd(reader, absl::InfinitePast());
  }
  absl::StatusOr<std::string> Until(absl::string_view delimiter) {
    return buffer.ReadUntil(reader, delimiter, absl::InfinitePast());
  }
  absl::StatusOr<std::string> Exactly(size_t size) {
    return buffer.ReadExactly(reader, size, absl::InfinitePast());
  }
  absl::StatusOr<std::string> Some() {
    return buffer.ReadSome(reader, absl::InfinitePast());
  }
  absl::Status InPlace(absl::FunctionRef<void(absl::string_view)> use) {
    return buffer.ReadInPlace(reader, absl::InfinitePast(), use);
  }
  std::string All() { return buffer.Read(reader); }
  uint64_t Dropped() { return buffer.dropped(reader); }

  OutputBuffer buffer;
  OutputBuffer::CursorRef reader;
};

// ---- Lines

// RDL-04
TEST(OutputBufferTest, GivesOneLineACallHoweverManyArriveAtOnce) {
  Buffered b;
  b.buffer.Append("1\n2\n3\n");

  EXPECT_THAT(b.Line(), IsOkAndHolds("1"));
  EXPECT_THAT(b.Line(), IsOkAndHolds("2"));
  EXPECT_THAT(b.Line(), IsOkAndHolds("3"));
  EXPECT_THAT(b.Line(), HasCode(kNotYet));
}

// RDL-01
TEST(OutputBufferTest, KeepsALineUntilItIsComplete) {
  Buffered b;

  b.buffer.Append("a");
  EXPECT_THAT(b.Line(), HasCode(kNotYet));
  EXPECT_FALSE(b.buffer.HasLine(b.reader));
  b.buffer.Append("b");
  EXPECT_THAT(b.Line(), HasCode(kNotYet));
  b.buffer.Append("c\nd");

  EXPECT_TRUE(b.buffer.HasLine(b.reader));
  EXPECT_THAT(b.Line(), IsOkAndHolds("abc"));
  EXPECT_THAT(b.Line(), HasCode(kNotYet));
}

// RDL-02
TEST(OutputBufferTest, TellsNothingYetFromAnEmptyLineAndFromTheEnd) {
  Buffered b;

  EXPECT_THAT(b.Line(), HasCode(kNotYet));
  EXPECT_FALSE(b.buffer.AtEnd(b.reader));
  b.buffer.Append("\n\nx\n");
  b.buffer.Finish();

  EXPECT_THAT(b.Line(), IsOkAndHolds(""));
  EXPECT_THAT(b.Line(), IsOkAndHolds(""));
  EXPECT_FALSE(b.buffer.AtEnd(b.reader));
  EXPECT_THAT(b.Line(), IsOkAndHolds("x"));
  EXPECT_TRUE(b.buffer.AtEnd(b.reader));
  EXPECT_THAT(b.Line(), HasCode(kEnd));
  EXPECT_FALSE(b.buffer.HasLine(b.reader));
}

// RDL-03
TEST(OutputBufferTest, GivesTheLastLineAtTheEndThoughNothingEndsIt) {
  Buffered b;
  b.buffer.Append("a\nb");

  EXPECT_THAT(b.Line(), IsOkAndHolds("a"));
  EXPECT_THAT(b.Line(), HasCode(kNotYet));
  b.buffer.Finish();

  EXPECT_TRUE(b.buffer.HasLine(b.reader));
  EXPECT_THAT(b.Line(), IsOkAndHolds("b"));
  EXPECT_THAT(b.Line(), HasCode(kEnd));
}

// RDL-05
TEST(OutputBufferTest, TakesCrLfAsOneEndAlsoWhenItsHalvesArriveApart) {
  Buffered b;

  b.buffer.Append("line5\r\nline6\r");
  EXPECT_THAT(b.Line(), IsOkAndHolds("line5"));
  EXPECT_THAT(b.Line(), HasCode(kNotYet));
  b.buffer.Append("\nline7");
  b.buffer.Finish();

  EXPECT_THAT(b.Line(), IsOkAndHolds("line6"));
  EXPECT_THAT(b.Line(), IsOkAndHolds("line7"));
}

// RDL-05
TEST(OutputBufferTest, KeepsCarriageReturnsThatEndNoLine) {
  Buffered b;
  b.buffer.Append("10%\r20%\r\r\n\r\nlast\r");
  b.buffer.Finish();

  EXPECT_THAT(b.Line(), IsOkAndHolds("10%\r20%\r"));
  EXPECT_THAT(b.Line(), IsOkAndHolds(""));
  EXPECT_THAT(b.Line(), IsOkAndHolds("last\r"));
}

TEST(OutputBufferTest, KeepsNulBytes) {
  Buffered b;
  const std::string line("\0a\0", 3);

  b.buffer.Append(line + "\n" + line);
  b.buffer.Finish();

  EXPECT_EQ(b.buffer.Peek(b.reader), line + "\n" + line);
  EXPECT_THAT(b.Line(), IsOkAndHolds(line));
  EXPECT_THAT(b.Until(std::string(1, '\0')), IsOkAndHolds(""));
  EXPECT_EQ(b.All(), std::string("a\0", 2));
}

double CpuSeconds() {
  timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) +
         static_cast<double>(used.tv_nsec) / 1e9;
}

// RDL-06
TEST(OutputBufferTest, FindsALongLineInLinearTimeHoweverOftenItIsAskedFor) {
  constexpr int kChunks = 10 * 1024;
  Buffered b;
  const std::string chunk(1024, 'x');
  const double start = CpuSeconds();
  int lines = 0;

  for (int i = 0; i < kChunks; ++i) {
    b.buffer.Append(chunk);
    if (b.buffer.HasLine(b.reader)) ++lines;
    if (b.Line().ok()) ++lines;
  }
  b.buffer.Append("\n");
  const auto line = b.Line();

  EXPECT_LT(CpuSeconds() - start, 1.0 * kSlowness);
  EXPECT_EQ(lines, 0);
  ASSERT_THAT(line, IsOk());
  EXPECT_EQ(line->size(), chunk.size() * kChunks);
}

// RDL-06
TEST(OutputBufferTest, SearchesALineOnceThatIsAskedForAgainAndAgain) {
  Buffered b;
  b.buffer.Append(std::string(10 * 1024 * 1024, 'x') + "\n");
  const double start = CpuSeconds();
  int found = 0;

  for (int i = 0; i < 20000; ++i) {
    if (b.buffer.HasLine(b.reader)) ++found;
  }

  EXPECT_LT(CpuSeconds() - start, 1.0 * kSlowness);
  EXPECT_EQ(found, 20000);
}

// ---- Delimiters and sizes

TEST(OutputBufferTest, FindsADelimiterThatArrivesInPieces) {
  Buffered b;
  for (const char* piece : {"x-", "-", "-", ">y-->z"}) {
    EXPECT_THAT(b.Until("-->"), HasCode(kNotYet));
    b.buffer.Append(piece);
  }

  EXPECT_THAT(b.Until("-->"), IsOkAndHolds("x-"));
  EXPECT_THAT(b.Until("-->"), IsOkAndHolds("y"));
  EXPECT_EQ(b.All(), "z");
}

TEST(OutputBufferTest, SearchesAnewForEachDelimiter) {
  Buffered b;
  b.buffer.Append("a;b\nc;d\n");

  EXPECT_THAT(b.Until("no"), HasCode(kNotYet));
  EXPECT_THAT(b.Until(";"), IsOkAndHolds("a"));
  EXPECT_THAT(b.Line(), IsOkAndHolds("b"));
  EXPECT_THAT(b.Until("\n"), IsOkAndHolds("c;d"));
}

TEST(OutputBufferTest, TakesNothingWhenTheDelimiterDoesNotCome) {
  Buffered b;
  b.buffer.Append("abc");
  b.buffer.Finish();

  EXPECT_THAT(b.Until(";"), HasCode(kEnd));
  EXPECT_EQ(b.All(), "abc");
}

TEST(OutputBufferTest, RefusesToReadUntilNothing) {
  Buffered b;

  EXPECT_THAT(b.Until(""), HasCode(absl::StatusCode::kInvalidArgument));
}

TEST(OutputBufferTest, GivesExactlyTheGivenNumberOfBytesOrNone) {
  Buffered b;

  EXPECT_THAT(b.Exactly(0), IsOkAndHolds(""));
  b.buffer.Append("abc");
  EXPECT_THAT(b.Exactly(4), HasCode(kNotYet));
  b.buffer.Append("def");
  EXPECT_THAT(b.Exactly(4), IsOkAndHolds("abcd"));
  b.buffer.Finish();

  EXPECT_THAT(b.Exactly(3), HasCode(kEnd));
  EXPECT_THAT(b.Exactly(2), IsOkAndHolds("ef"));
}

TEST(OutputBufferTest, ReadsToTheEndOrTakesNothing) {
  Buffered b;
  b.buffer.Append("a\r\nb");

  EXPECT_THAT(b.ToEnd(), HasCode(kNotYet));
  EXPECT_THAT(b.Line(), IsOkAndHolds("a"));
  b.buffer.Append("c");
  EXPECT_THAT(b.ToEnd(), HasCode(kNotYet));
  b.buffer.Finish();

  EXPECT_THAT(b.ToEnd(), IsOkAndHolds("bc"));
  EXPECT_THAT(b.ToEnd(), IsOkAndHolds(""));
}

TEST(OutputBufferTest, RefusesToReadToAnEndThatIsAFailure) {
  Buffered b;
  b.buffer.Append("abc");
  b.buffer.Finish(absl::DataLossError("broken"));

  EXPECT_THAT(b.ToEnd(), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_EQ(b.All(), "abc");
  EXPECT_THAT(b.ToEnd(), HasCode(absl::StatusCode::kDataLoss));
}

// RDL-08
TEST(OutputBufferTest, GivesAPartOfALineToRead) {
  Buffered b;
  b.buffer.Append("one\ntw");

  EXPECT_THAT(b.Line(), IsOkAndHolds("one"));
  EXPECT_THAT(b.Line(), HasCode(kNotYet));
  EXPECT_EQ(b.All(), "tw");
  b.buffer.Append("o\n");

  EXPECT_THAT(b.Line(), IsOkAndHolds("o"));
}

TEST(OutputBufferTest, PeeksWithoutTaking) {
  Buffered b;
  b.buffer.Append("abc");

  EXPECT_EQ(b.buffer.Peek(b.reader), "abc");
  EXPECT_EQ(b.All(), "abc");
  EXPECT_EQ(b.buffer.Peek(b.reader), "");
}

// ---- Cursors

TEST(OutputBufferTest, GivesEachCursorEverythingFromWhereItStarted) {
  Buffered b;
  b.buffer.Append("old\n");
  const auto oldest = b.buffer.AddCursor(/*at_oldest=*/true);
  const auto newest = b.buffer.AddCursor(/*at_oldest=*/false);
  b.buffer.Append("new\n");

  EXPECT_EQ(b.All(), "old\nnew\n");
  EXPECT_EQ(b.buffer.Read(newest), "new\n");
  EXPECT_EQ(b.buffer.Read(oldest), "old\nnew\n");
}

TEST(OutputBufferTest, FreesBytesThatEveryCursorHasTaken) {
  Buffered b;
  const auto other = b.buffer.AddCursor(/*at_oldest=*/true);
  b.buffer.Append("abcdef");

  b.All();
  EXPECT_EQ(b.buffer.stats().buffered, 6);
  EXPECT_THAT(b.buffer.ReadExactly(other, 4, absl::InfinitePast()), IsOk());
  EXPECT_EQ(b.buffer.stats().buffered, 2);
  b.buffer.RemoveCursor(other);

  EXPECT_EQ(b.buffer.stats().buffered, 0);
  EXPECT_EQ(b.buffer.stats().bytes, 6);
  EXPECT_EQ(b.buffer.stats().high_water, 6);
}

// A slow reader keeps the head in place, so the buffer has more than the tail.
TEST(OutputBufferTest, GivesTheGivenNumberOfBytesAfterTheHead) {
  Buffered b(OutputBound::HeadAndTail(10));
  const auto slow = b.buffer.AddCursor(/*at_oldest=*/true);
  b.buffer.Append("01234");
  ASSERT_THAT(b.Exactly(5), IsOkAndHolds("01234"));
  ASSERT_THAT(b.buffer.ReadExactly(slow, 4, absl::InfinitePast()), IsOk());
  b.buffer.Append("56789abc");

  EXPECT_THAT(b.Exactly(9), HasCode(kTooLong));
  EXPECT_THAT(b.Exactly(8), IsOkAndHolds("56789abc"));
}

TEST(OutputBufferTest, GivesSomeBytesUpToASizeAndUpToAGap) {
  Buffered b(OutputBound::HeadAndTail(4));
  b.buffer.Append("0123456789");
  const auto some = [&b](size_t most) {
    return b.buffer.ReadSome(b.reader, absl::InfinitePast(), most);
  };

  EXPECT_THAT(some(1), IsOkAndHolds("0"));
  EXPECT_THAT(some(2), IsOkAndHolds("1"));
  EXPECT_THAT(some(1), IsOkAndHolds("8"));
  EXPECT_THAT(some(2), IsOkAndHolds("9"));
  EXPECT_THAT(some(2), HasCode(kNotYet));
  EXPECT_EQ(b.Dropped(), 6u);
}

// ---- In place

TEST(ReadInPlaceTest, GivesAllBytesThatHaveArrivedAndTakesThemFirst) {
  Buffered b;
  b.buffer.Append("abc");
  b.buffer.Append("def");

  std::string given, left;
  EXPECT_THAT(b.InPlace([&](absl::string_view bytes) {
    given = std::string(bytes);
    left = b.All();
  }),
              IsOk());

  EXPECT_EQ(given, "abcdef");
  EXPECT_EQ(left, "");
  EXPECT_EQ(b.buffer.stats().buffered, 0);
}

TEST(ReadInPlaceTest, LeavesTheBytesInPlaceWhileMoreArriveAndAreTaken) {
  for (const OutputBound bound :
       {OutputBound::Unbounded(), OutputBound::DropOldest(100'000),
        OutputBound::HeadAndTail(100'000), OutputBound::BlockChild(100'000)}) {
    Buffered b(bound);
    b.buffer.Append("pinned");
    std::string after;

    EXPECT_THAT(b.InPlace([&](absl::string_view bytes) {
      for (char c = 'a'; c < 'z'; ++c) {
        b.buffer.Append(std::string(90'000, c));
        if (c % 3 == 0) after = b.All();
        ASSERT_EQ(bytes, "pinned");
      }
    }),
                IsOk());

    b.buffer.Append("last");
    EXPECT_TRUE(absl::EndsWith(b.All(), "last"));
    EXPECT_TRUE(absl::EndsWith(after, "x"));
  }
}

TEST(ReadInPlaceTest, GivesTheBytesOfEachCursor) {
  Buffered b;
  const auto other = b.buffer.AddCursor(/*at_oldest=*/true);
  b.buffer.Append("ab\ncd");
  ASSERT_THAT(b.Line(), IsOkAndHolds("ab"));

  EXPECT_THAT(b.InPlace([&](absl::string_view bytes) {
    EXPECT_EQ(bytes, "cd");
    EXPECT_THAT(b.buffer.ReadInPlace(
                    other, absl::InfinitePast(),
                    [](absl::string_view all) { EXPECT_EQ(all, "ab\ncd"); }),
                IsOk());
  }),
              IsOk());
}

TEST(ReadInPlaceTest, LetsTheNextBytesUseTheMemory) {
  Buffered b;
  const char* places[2];
  for (const char*& place : places) {
    b.buffer.Append("abc");
    EXPECT_THAT(
        b.InPlace([&](absl::string_view bytes) { place = bytes.data(); }),
        IsOk());
  }

  EXPECT_EQ(places[0], places[1]);
}

TEST(ReadInPlaceTest, StopsAtAGap) {
  Buffered b(OutputBound::HeadAndTail(4));
  b.buffer.Append("0123456789");
  std::string given;
  const auto use = [&given](absl::string_view bytes) {
    absl::StrAppend(&given, bytes, ",");
  };

  EXPECT_THAT(b.InPlace(use), IsOk());
  EXPECT_THAT(b.InPlace(use), IsOk());

  EXPECT_THAT(b.InPlace(use), HasCode(kNotYet));
  EXPECT_EQ(given, "01,89,");
}

// The second reader is slower, and both use bytes while more arrive.
TEST(ReadInPlaceTest, GivesTwoThreadsAllBytesOfAThird) {
  static constexpr size_t kSize = 20'000'000;
  Buffered b;
  const auto other = b.buffer.AddCursor(/*at_oldest=*/true);
  std::thread producer([&b] {
    for (size_t size = 0; size < kSize;) {
      const OutputBuffer::Room room = b.buffer.BeginRead(0);
      const size_t piece = std::min(room.size, kSize - size);
      for (size_t i = 0; i < piece; ++i) {
        room.data[i] = static_cast<char>((size + i) % 251);
      }
      size += piece;
      b.buffer.EndRead(piece);
    }
    b.buffer.Finish();
  });
  const auto read = [&b](OutputBuffer::CursorRef cursor, int looks) {
    size_t size = 0;
    bool right = true;
    absl::Status status;
    while (status.ok()) {
      status = b.buffer.ReadInPlace(
          cursor, absl::InfiniteFuture(), [&](absl::string_view bytes) {
            for (int look = 0; look < looks; ++look) {
              for (size_t i = 0; i < bytes.size(); ++i) {
                right &= bytes[i] == static_cast<char>((size + i) % 251);
              }
            }
            size += bytes.size();
          });
    }
    EXPECT_THAT(status, HasCode(kEnd));
    EXPECT_TRUE(right);
    EXPECT_EQ(size, kSize);
  };
  std::thread slow(read, other, 3);
  read(b.reader, 1);
  slow.join();
  producer.join();
}

TEST(ReadInPlaceTest, PassesAnExceptionAndGoesOn) {
  Buffered b;
  b.buffer.Append("abc");

  EXPECT_THROW((void)b.InPlace([](absl::string_view) { throw 42; }), int);

  b.buffer.Append("def");
  EXPECT_THAT(b.Some(), IsOkAndHolds("def"));
  b.buffer.Finish();
  EXPECT_THAT(b.InPlace([](absl::string_view) { FAIL(); }), HasCode(kEnd));
}

// ---- Many bytes, and waits

TEST(OutputBufferTest, KeepsNothingThatHasNoReader) {
  Buffered b;
  b.buffer.RemoveCursor(b.reader);

  b.buffer.Append("abc");

  EXPECT_EQ(b.buffer.stats().buffered, 0);
  EXPECT_EQ(b.buffer.LastLines("stdout"), "; last of stdout: 'abc'");
}

TEST(OutputBufferTest, HandsOverManyBytesAndGoesOn) {
  Buffered b;
  std::string expected;
  std::string taken;
  for (int i = 0; i < 10; ++i) {
    const std::string piece(300000, static_cast<char>('a' + i));
    b.buffer.Append(piece);
    expected += piece;
    if (i % 3 == 0) taken += b.All();
  }
  taken += b.All();

  EXPECT_EQ(taken, expected);
  EXPECT_EQ(b.buffer.stats().buffered, 0);
  b.buffer.Append("a line\n");
  EXPECT_THAT(b.Line(), IsOkAndHolds("a line"));
}

// RDL-14
TEST(OutputBufferTest, WakesTheReaderThatWaitsForALine) {
  Buffered b;
  std::thread producer([&b] {
    b.buffer.Append("ab");
    b.buffer.Append("c\n");
  });

  EXPECT_THAT(b.Line(DeadlineAfter(kNeverReached)), IsOkAndHolds("abc"));
  producer.join();
}

TEST(OutputBufferTest, WakesTheReaderAtTheEnd) {
  Buffered b;
  std::thread producer([&b] { b.buffer.Finish(); });

  EXPECT_THAT(b.buffer.ReadSome(b.reader, absl::InfiniteFuture()),
              HasCode(kEnd));
  producer.join();
}

TEST(OutputBufferTest, WakesTheReaderOfACanceledCursor) {
  Buffered b;
  std::thread canceler([&b] { b.buffer.CancelCursor(b.reader); });

  EXPECT_THAT(b.buffer.ReadSome(b.reader, absl::InfiniteFuture()),
              HasCode(absl::StatusCode::kCancelled));
  canceler.join();
  b.buffer.Append("more");
  EXPECT_THAT(b.Line(), HasCode(absl::StatusCode::kCancelled));
}

TEST(OutputBufferTest, ReportsWhyTheOutputEnded) {
  Buffered b;
  b.buffer.Append("abc");
  b.buffer.Finish(absl::DataLossError("the first"));
  b.buffer.Finish(absl::AbortedError("the second"));
  b.buffer.Append("ignored");

  EXPECT_THAT(b.Line(), IsOkAndHolds("abc"));
  EXPECT_THAT(b.Line(), HasCode(absl::StatusCode::kDataLoss));
}

// ---- DropOldest

TEST(DropOldestTest, KeepsTheNewestBytesAndCountsTheOthers) {
  Buffered b(OutputBound::DropOldest(4));
  b.buffer.Append("ab");
  b.buffer.Append("cdefg");

  EXPECT_EQ(b.buffer.stats().bytes, 7);
  EXPECT_EQ(b.buffer.stats().dropped, 3);
  EXPECT_EQ(b.buffer.stats().high_water, 4);
  EXPECT_EQ(b.All(), "defg");
  EXPECT_EQ(b.Dropped(), 3);
  b.buffer.Append("hi");
  EXPECT_EQ(b.All(), "hi");
  EXPECT_EQ(b.Dropped(), 3);
}

TEST(DropOldestTest, CountsTheLostBytesOfAReaderBeforeItReads) {
  Buffered b(OutputBound::DropOldest(4));
  b.buffer.Append("ab");
  const auto late = b.buffer.AddCursor(/*at_oldest=*/false);
  b.buffer.Append("cdefg");

  EXPECT_EQ(b.Dropped(), 3);
  EXPECT_EQ(b.buffer.dropped(late), 1);
}

TEST(DropOldestTest, CountsTheLostBytesOfAReaderOfManyBytes) {
  constexpr size_t kKept = 100000;
  Buffered b(OutputBound::DropOldest(kKept));
  b.buffer.Append(std::string(kKept + 123, 'x'));

  EXPECT_EQ(b.All().size(), kKept);

  EXPECT_EQ(b.Dropped(), 123);
}

TEST(DropOldestTest, DropsNothingThatWasTakenInTime) {
  Buffered b(OutputBound::DropOldest(4));
  std::string taken;
  for (const char* piece : {"abc", "defg", "h", "ijk"}) {
    b.buffer.Append(piece);
    taken += b.All();
  }

  EXPECT_EQ(taken, "abcdefghijk");
  EXPECT_EQ(b.buffer.stats().dropped, 0);
}

TEST(DropOldestTest, GivesTheRestOfALineWhoseStartWasDropped) {
  Buffered b(OutputBound::DropOldest(5));
  b.buffer.Append("a long line\nx\n");

  EXPECT_THAT(b.Line(), IsOkAndHolds("ne"));
  EXPECT_THAT(b.Line(), IsOkAndHolds("x"));
}

TEST(DropOldestTest, FindsADelimiterAfterBytesDroppedDuringTheSearch) {
  Buffered b(OutputBound::DropOldest(5));
  b.buffer.Append("abcd");
  EXPECT_THAT(b.Until("--"), HasCode(kNotYet));
  b.buffer.Append("efgh-");
  EXPECT_THAT(b.Until("--"), HasCode(kNotYet));
  b.buffer.Append("-i");

  EXPECT_THAT(b.Until("--"), IsOkAndHolds("gh"));
  EXPECT_EQ(b.All(), "i");
  EXPECT_EQ(b.Dropped(), 6);
}

TEST(DropOldestTest, ReadsToTheEndTheBytesThatAreKept) {
  Buffered b(OutputBound::DropOldest(4));
  b.buffer.Append("abcdefg");
  EXPECT_THAT(b.ToEnd(), HasCode(kNotYet));
  b.buffer.Append("h");
  b.buffer.Finish();

  EXPECT_THAT(b.ToEnd(), IsOkAndHolds("efgh"));
  EXPECT_EQ(b.Dropped(), 4);
}

TEST(DropOldestTest, RefusesToWaitForMoreThanItKeeps) {
  Buffered b(OutputBound::DropOldest(4));

  EXPECT_THAT(b.Exactly(5), HasCode(kTooLong));
  EXPECT_THAT(b.Exactly(4), HasCode(kNotYet));
}

// ---- HeadAndTail

TEST(HeadAndTailTest, KeepsTheHeadAndTheTail) {
  Buffered b(OutputBound::HeadAndTail(6));
  for (char c = 'a'; c <= 'z'; ++c) b.buffer.Append(std::string(1, c));
  b.buffer.Finish();

  EXPECT_EQ(b.buffer.stats().dropped, 20);
  EXPECT_EQ(b.buffer.stats().buffered, 6);
  EXPECT_EQ(b.buffer.stats().high_water, 6);
  EXPECT_EQ(b.buffer.Peek(b.reader), "abcxyz");
  EXPECT_EQ(b.Dropped(), 20);
  EXPECT_EQ(b.All(), "abcxyz");
  EXPECT_EQ(b.Dropped(), 20);
  EXPECT_TRUE(b.buffer.AtEnd(b.reader));
}

TEST(HeadAndTailTest, KeepsEverythingThatFits) {
  Buffered b(OutputBound::HeadAndTail(6));
  b.buffer.Append("abcdef");

  EXPECT_EQ(b.buffer.stats().dropped, 0);
  EXPECT_EQ(b.All(), "abcdef");
}

TEST(HeadAndTailTest, EndsALineAtTheGap) {
  Buffered b(OutputBound::HeadAndTail(16));
  b.buffer.Append("one\nhead in the middle, tail\ntwo\n");

  EXPECT_THAT(b.Line(), IsOkAndHolds("one"));
  EXPECT_TRUE(b.buffer.HasLine(b.reader));
  EXPECT_THAT(b.Line(), IsOkAndHolds("head"));
  EXPECT_THAT(b.Line(), IsOkAndHolds("ail"));
  EXPECT_THAT(b.Line(), IsOkAndHolds("two"));
  EXPECT_THAT(b.Line(), HasCode(kNotYet));
}

TEST(HeadAndTailTest, ReadsToTheEndAcrossTheGap) {
  Buffered b(OutputBound::HeadAndTail(8));
  b.buffer.Append("abcd.........wxyz");
  b.buffer.Finish();

  EXPECT_THAT(b.ToEnd(), IsOkAndHolds("abcdwxyz"));
  EXPECT_EQ(b.Dropped(), 9);
}

TEST(HeadAndTailTest, ReadsNoTextAcrossTheGapUpToADelimiter) {
  Buffered b(OutputBound::HeadAndTail(8));
  b.buffer.Append("abcd.........wx;z");

  EXPECT_THAT(b.Until(";"), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(b.Until(";"), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(b.Some(), IsOkAndHolds("abcd"));
  EXPECT_THAT(b.Until(";"), IsOkAndHolds("wx"));
  EXPECT_EQ(b.Dropped(), 9);
  EXPECT_EQ(b.All(), "z");
}

TEST(HeadAndTailTest, DoesNotTakeTheEdgesOfTheGapForADelimiter) {
  Buffered b(OutputBound::HeadAndTail(8));
  b.buffer.Append("abc-.........-xyz");

  EXPECT_THAT(b.Until("--"), HasCode(kNotYet));
  EXPECT_EQ(b.All(), "abc--xyz");
}

TEST(HeadAndTailTest, ReadsTheGivenNumberOfBytesOnOneSideOfTheGap) {
  Buffered b(OutputBound::HeadAndTail(8));
  b.buffer.Append("abcd.........wxyz");

  EXPECT_THAT(b.Exactly(3), IsOkAndHolds("abc"));
  EXPECT_THAT(b.Exactly(2), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(b.Exactly(1), IsOkAndHolds("d"));
  EXPECT_THAT(b.Exactly(3), IsOkAndHolds("wxy"));
  EXPECT_EQ(b.Dropped(), 9);
  EXPECT_THAT(b.Exactly(2), HasCode(kNotYet));
  EXPECT_THAT(b.Exactly(1), IsOkAndHolds("z"));
}

TEST(HeadAndTailTest, TakesNothingAtTheGapWhereNothingIsAskedFor) {
  Buffered b(OutputBound::HeadAndTail(8));
  b.buffer.AddCursor(/*at_oldest=*/true);  // Keeps the head.
  b.buffer.Append("abcd.........wxyz");

  EXPECT_THAT(b.Exactly(4), IsOkAndHolds("abcd"));
  EXPECT_THAT(b.Exactly(0), IsOkAndHolds(""));
  EXPECT_THAT(b.Exactly(4), IsOkAndHolds("wxyz"));
  EXPECT_EQ(b.Dropped(), 9);
}

TEST(HeadAndTailTest, RefusesToWaitForMoreThanTheTailWhenTheHeadWasTaken) {
  Buffered b(OutputBound::HeadAndTail(8));
  b.buffer.Append("abc");

  EXPECT_THAT(b.Exactly(3), IsOkAndHolds("abc"));
  EXPECT_THAT(b.Exactly(5), HasCode(kNotYet));  // The head lacks a byte.
  EXPECT_THAT(b.Exactly(6), HasCode(absl::StatusCode::kResourceExhausted));
  b.buffer.Append("defgh");
  EXPECT_THAT(b.Exactly(1), IsOkAndHolds("d"));
  EXPECT_THAT(b.Exactly(5), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(b.Exactly(4), IsOkAndHolds("efgh"));
}

TEST(HeadAndTailTest, KeepsATailWhenTheHeadWasTaken) {
  Buffered b(OutputBound::HeadAndTail(8));
  b.buffer.Append("abcdef");
  EXPECT_EQ(b.All(), "abcdef");

  b.buffer.Append("ghijklmn");

  EXPECT_EQ(b.All(), "klmn");
  EXPECT_EQ(b.Dropped(), 4);
}

TEST(HeadAndTailTest, GoesOnDroppingAfterAHeadThatStays) {
  Buffered b(OutputBound::HeadAndTail(8));
  const auto other = b.buffer.AddCursor(/*at_oldest=*/true);
  for (int i = 0; i < 100; ++i) b.buffer.Append("0123456789");

  EXPECT_EQ(b.All(), "01236789");
  b.buffer.Append("abcdef");
  EXPECT_EQ(b.All(), "cdef");
  EXPECT_EQ(b.buffer.Read(other), "0123cdef");
  EXPECT_EQ(b.Dropped(), 994);
  EXPECT_EQ(b.buffer.dropped(other), 998);
}

// ---- From a pipe, and BlockChild

class BoundTest : public testing::Test {
 protected:
  void Arrives(absl::string_view bytes) {
    absl::StrAppend(&in_the_pipe_, bytes);
  }

  // Appends bytes once, as a reader thread does. Returns their number.
  static size_t Fill(OutputBuffer& buffer, absl::string_view bytes,
                     size_t pending) {
    const OutputBuffer::Room room = buffer.BeginRead(pending);
    if (room.data == nullptr) return 0;
    const size_t size = std::min(room.size, bytes.size());
    std::copy_n(bytes.data(), size, room.data);
    buffer.EndRead(size);
    return size;
  }

  // Appends bytes while there are bytes and room, as a reader thread does.
  // Returns their number.
  size_t Drive(OutputBuffer& buffer) {
    buffer.SetWake([this] { ++wakes_; });
    size_t total = 0;
    while (!in_the_pipe_.empty() && buffer.HasRoom()) {
      const size_t taken = Fill(buffer, in_the_pipe_, /*pending=*/0);
      in_the_pipe_.erase(0, taken);
      total += taken;
    }
    return total;
  }

  bool WokeReader() { return wakes_.exchange(0) > 0; }

  std::string in_the_pipe_;
  std::atomic<int> wakes_{0};
};

TEST_F(BoundTest, KeepsTheBytesThatAFillAddsWhileOthersAreTaken) {
  Buffered b;
  b.buffer.Append("abc");

  const OutputBuffer::Room room = b.buffer.BeginRead(/*pending=*/0);
  ASSERT_NE(room.data, nullptr);
  EXPECT_EQ(b.All(), "abc");
  std::copy_n("defg", 4, room.data);
  b.buffer.EndRead(4);

  EXPECT_EQ(b.All(), "defg");
  EXPECT_EQ(b.buffer.stats().bytes, 7);
}

TEST_F(BoundTest, HasNoRoomOnceItIsFinished) {
  Buffered b;
  b.buffer.Finish();

  EXPECT_EQ(b.buffer.BeginRead(/*pending=*/0).data, nullptr);
}

// BIG-06
TEST_F(BoundTest, StopsAtTheBoundAndGoesOnWhenHalfOfItIsTaken) {
  Buffered b(OutputBound::BlockChild(10));
  Arrives("0123456789abcdef");

  EXPECT_EQ(Drive(b.buffer), 10);
  EXPECT_FALSE(b.buffer.HasRoom());
  EXPECT_THAT(b.Exactly(4), IsOkAndHolds("0123"));
  EXPECT_FALSE(b.buffer.HasRoom());
  EXPECT_FALSE(WokeReader());
  EXPECT_THAT(b.Exactly(1), IsOkAndHolds("4"));

  EXPECT_TRUE(b.buffer.HasRoom());
  EXPECT_TRUE(WokeReader());
  EXPECT_EQ(Drive(b.buffer), 5);
  EXPECT_EQ(b.All(), "56789abcde");
  EXPECT_EQ(b.buffer.stats().high_water, 10);
  EXPECT_EQ(b.buffer.stats().dropped, 0);
}

// The number of unread bytes at which a reader counts as behind.
constexpr size_t kBacklog = 1024 * 1024;

// Fills `b` until it holds a backlog. Returns the result of the last EndRead.
bool FillBacklog(Buffered& b) {
  bool behind = false;
  while (b.buffer.Available(b.reader) < kBacklog) {
    behind = b.buffer.EndRead(b.buffer.BeginRead(/*pending=*/0).size);
  }
  return behind;
}

TEST_F(BoundTest, SeesAReaderThatTakesBytesAndIsBehind) {
  Buffered b;
  EXPECT_FALSE(FillBacklog(b));  // The reader has taken no bytes.

  EXPECT_THAT(b.Exactly(1), IsOk());
  EXPECT_TRUE(FillBacklog(b) || b.buffer.EndRead(b.buffer.BeginRead(0).size));
  EXPECT_FALSE(b.buffer.EndRead(b.buffer.BeginRead(0).size));
}

TEST_F(BoundTest, WakesTheProducerWhenAReaderHasCaughtUp) {
  Buffered b;
  Drive(b.buffer);
  FillBacklog(b);

  b.buffer.WaitForReader();
  EXPECT_FALSE(b.buffer.HasRoom());
  EXPECT_THAT(b.Exactly(kBacklog / 4), IsOk());
  EXPECT_FALSE(b.buffer.HasRoom());
  EXPECT_THAT(b.Exactly(b.buffer.Available(b.reader) - kBacklog / 2), IsOk());

  EXPECT_TRUE(b.buffer.HasRoom());
  EXPECT_TRUE(WokeReader());
}

TEST_F(BoundTest, StopsWaitingForAReaderButNotForTheBound) {
  Buffered unbounded;
  FillBacklog(unbounded);
  unbounded.buffer.WaitForReader();
  unbounded.buffer.StopWaitingForReader();
  EXPECT_TRUE(unbounded.buffer.HasRoom());

  Buffered bounded(OutputBound::BlockChild(kBacklog));
  FillBacklog(bounded);
  bounded.buffer.WaitForReader();
  bounded.buffer.StopWaitingForReader();
  EXPECT_FALSE(bounded.buffer.HasRoom());
}

TEST_F(BoundTest, DoesNotWaitForAReaderThatHasCaughtUpMeanwhile) {
  Buffered b;
  b.buffer.Append("few bytes");

  b.buffer.WaitForReader();

  EXPECT_TRUE(b.buffer.HasRoom());
}

TEST_F(BoundTest, TakesPendingBytesBeyondTheBound) {
  Buffered b(OutputBound::BlockChild(4));
  Arrives("0123456789");
  EXPECT_EQ(Drive(b.buffer), 4);

  EXPECT_EQ(Fill(b.buffer, in_the_pipe_, /*pending=*/6), 6);

  EXPECT_EQ(b.All(), "0123456789");
}

TEST_F(BoundTest, ReportsThatALineIsLongerThanTheBound) {
  Buffered b(OutputBound::BlockChild(4));
  Arrives("0123456789\n");
  Drive(b.buffer);

  EXPECT_THAT(b.Line(), HasCode(kTooLong));
  EXPECT_THAT(b.Until(";"), HasCode(kTooLong));
  EXPECT_THAT(b.Exactly(5), HasCode(kTooLong));
  EXPECT_EQ(b.All(), "0123");
  Drive(b.buffer);
  EXPECT_THAT(b.Line(), HasCode(kTooLong));
  EXPECT_EQ(b.All(), "4567");
  Drive(b.buffer);
  EXPECT_THAT(b.Line(), IsOkAndHolds("89"));
}

TEST_F(BoundTest, SplitsALineThatIsLongerThanTheBoundWhereThatIsAskedFor) {
  Buffered b(OutputBound::BlockChild(4));
  Arrives("0123456789\nx\n");
  const auto piece = [&b] {
    return b.Line(absl::InfinitePast(), OutputBuffer::LongLine::kSplit);
  };

  Drive(b.buffer);
  EXPECT_THAT(piece(), IsOkAndHolds("0123"));
  Drive(b.buffer);
  EXPECT_THAT(piece(), IsOkAndHolds("4567"));
  Drive(b.buffer);
  EXPECT_THAT(piece(), IsOkAndHolds("89"));
  Drive(b.buffer);
  EXPECT_THAT(piece(), IsOkAndHolds("x"));
  EXPECT_THAT(piece(), HasCode(kNotYet));
}

TEST_F(BoundTest, MakesRoomForAReaderThatNeedsMoreThanIsThere) {
  Buffered b(OutputBound::BlockChild(10));
  Arrives("1\n3456789abc\n");
  Drive(b.buffer);
  EXPECT_THAT(b.Line(), IsOkAndHolds("1"));
  EXPECT_FALSE(b.buffer.HasRoom());  // More than half of the bytes are unread.

  EXPECT_THAT(b.Line(), HasCode(kNotYet));

  EXPECT_TRUE(b.buffer.HasRoom());
  EXPECT_TRUE(WokeReader());
  Drive(b.buffer);
  EXPECT_THAT(b.Line(), HasCode(kTooLong));
}

TEST_F(BoundTest, MakesRoomForAReaderThatOnlyAsksWhetherThereIsALine) {
  Buffered b(OutputBound::BlockChild(10));
  Arrives("1\n3456789abc\n");
  Drive(b.buffer);
  EXPECT_THAT(b.Line(), IsOkAndHolds("1"));
  ASSERT_FALSE(b.buffer.HasRoom());

  EXPECT_FALSE(b.buffer.HasLine(b.reader));

  EXPECT_TRUE(b.buffer.HasRoom());
  EXPECT_TRUE(WokeReader());
}

TEST_F(BoundTest, MakesRoomForAReaderThatOnlyPeeks) {
  Buffered b(OutputBound::BlockChild(10));
  Arrives("1\n3456789> ");
  Drive(b.buffer);
  EXPECT_THAT(b.Line(), IsOkAndHolds("1"));
  ASSERT_FALSE(b.buffer.HasRoom());

  EXPECT_EQ(b.buffer.Peek(b.reader), "3456789>");
  Drive(b.buffer);

  EXPECT_EQ(b.buffer.Peek(b.reader), "3456789> ");
}

TEST_F(BoundTest, KeepsTheBoundForASlowReaderWhileAFastOneWaits) {
  Buffered b(OutputBound::BlockChild(10));
  const auto fast = b.buffer.AddCursor(/*at_oldest=*/true);
  Arrives("0123456789abcdef");
  Drive(b.buffer);
  EXPECT_EQ(b.buffer.Read(fast), "0123456789");

  for (int i = 0; i < 6; ++i) {
    EXPECT_THAT(b.buffer.ReadSome(fast, absl::InfinitePast()),
                HasCode(kNotYet));
    Drive(b.buffer);
  }

  EXPECT_EQ(b.buffer.stats().buffered, 10);
}

// The buffer makes room for a waiting reader before half of it is free.
TEST_F(BoundTest, MakesRoomForAReaderThatWaitsAsSoonAsASlowerOneTakesAny) {
  Buffered b(OutputBound::BlockChild(10));
  const auto fast = b.buffer.AddCursor(/*at_oldest=*/true);
  Arrives("0123456789ab");
  Drive(b.buffer);
  EXPECT_EQ(b.buffer.Read(fast), "0123456789");
  absl::StatusOr<std::string> more;
  std::atomic<pid_t> waiter{0};
  std::thread waiting([&] {
    waiter = gettid();
    more = b.buffer.ReadSome(fast, DeadlineAfter(kNeverReached));
  });
  AwaitSleep(waiter);

  EXPECT_THAT(b.Exactly(2), IsOkAndHolds("01"));

  EXPECT_TRUE(b.buffer.HasRoom());
  EXPECT_TRUE(WokeReader());
  Drive(b.buffer);
  waiting.join();
  EXPECT_THAT(more, IsOkAndHolds("ab"));
}

TEST_F(BoundTest, WakesTheReaderWhenAStreamIsRefused) {
  Buffered b;
  b.buffer.SetWake([this] { ++wakes_; });
  EXPECT_FALSE(b.buffer.IsRefused());

  b.buffer.Refuse();

  EXPECT_TRUE(b.buffer.IsRefused());
  EXPECT_TRUE(WokeReader());
}

TEST_F(BoundTest, MakesRoomWhenTheLastReaderIsRemoved) {
  Buffered b(OutputBound::BlockChild(4));
  Arrives("0123456789");
  Drive(b.buffer);

  b.buffer.RemoveCursor(b.reader);

  EXPECT_TRUE(b.buffer.HasRoom());
  EXPECT_TRUE(WokeReader());
  EXPECT_EQ(Drive(b.buffer), 6);
}

// ---- The last lines, for messages.

TEST(OutputBufferTest, KeepsTheLastKibibyteForMessages) {
  Buffered b;
  b.buffer.Append(std::string(5000, 'x'));
  for (int i = 0; i < 1000; ++i) b.buffer.Append("ab");
  b.All();

  const std::string last = b.buffer.LastLines("stdout");

  EXPECT_EQ(last.size(), std::string("; last of stdout: ''").size() + 1024);
  EXPECT_TRUE(absl::EndsWith(last, "abab'"));
}

TEST(OutputBufferTest, ShowsLittleOfALineOfBinaryData) {
  Buffered b;
  b.buffer.Append(absl::StrCat("text\n", std::string(5000, '\0'), "\x01"));

  const std::string last = b.buffer.LastLines("stdout");

  EXPECT_LT(last.size(), 400);
  EXPECT_THAT(last, HasSubstr("'...\\x00\\x00"));
  EXPECT_TRUE(absl::EndsWith(last, "\\x00\\x01'"));
}

TEST(OutputBufferTest, TakesNoByteAfterItsEnd) {
  Buffered b;
  b.buffer.Append("before");
  const OutputBuffer::Room room = b.buffer.BeginRead(/*pending=*/0);
  memcpy(room.data, "after", 5);

  b.buffer.Finish();
  b.buffer.EndRead(5);
  b.buffer.Append("later");

  EXPECT_THAT(b.ToEnd(), IsOkAndHolds("before"));
  EXPECT_EQ(b.buffer.stats().bytes, 6);
  EXPECT_EQ(b.buffer.LastLines("stdout"), "; last of stdout: 'before'");
}

// ---- Without memory

constexpr size_t kMuch = 8 * 1024 * 1024;

// REQUIRES: runs in a host of its own.
void ExpectFailedForWantOfMemory(Buffered& output) {
  EXPECT_TRUE(output.buffer.IsFinished());
  // There is no memory for a copy.
  output.buffer.TakeMemory(output.reader);
  EXPECT_THAT(output.Some(), HasCode(absl::StatusCode::kResourceExhausted));
}

TEST(OutputBufferTest, EndsWithAnErrorWhenThereIsNoMemoryToKeepMore) {
  if (kSlowness > 1) GTEST_SKIP() << "a sanitizer needs memory for itself";
  EXPECT_HOLDS_IN_OWN_HOST([] {
    const std::string piece(kMuch, 'x');
    Buffered output;
    LeaveMemory(kMuch + kMuch / 2);

    output.buffer.Append(piece);
    EXPECT_FALSE(output.buffer.IsFinished());
    output.buffer.Append(piece);

    ExpectFailedForWantOfMemory(output);
  });
}

TEST(HeadAndTailTest, EndsWithAnErrorWhenThereIsNoMemoryForTheTail) {
  if (kSlowness > 1) GTEST_SKIP() << "a sanitizer needs memory for itself";
  EXPECT_HOLDS_IN_OWN_HOST([] {
    const std::string piece(kMuch, 'x');
    Buffered output(OutputBound::HeadAndTail(2 * kMuch));
    // For the bytes that the buffer holds, and not for a second copy of the
    // tail.
    LeaveMemory(3 * kMuch);

    output.buffer.Append(piece);
    output.buffer.Append(piece);
    EXPECT_FALSE(output.buffer.IsFinished());
    output.buffer.Append("x");

    ExpectFailedForWantOfMemory(output);
  });
}

}  // namespace
}  // namespace asyncproc::internal
