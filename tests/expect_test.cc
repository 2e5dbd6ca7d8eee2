#include "asyncproc/expect.h"

#include <time.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/output_bound.h"
#include "asyncproc/output_stream.h"
#include "asyncproc/process.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/own_host.h"
#include "tests/scarce_memory.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// A child whose output is the text that the test writes to it.
class ExpectTest : public testing::Test {
 protected:
  void Say(absl::string_view text) { ASSERT_THAT(cat_->Write(text), IsOk()); }
  void End() {
    ASSERT_THAT(cat_->CloseStdin(), IsOk());
    ASSERT_THAT(cat_->WaitFor(kNeverReached), IsOk());
  }
  // Waits until all text up to and including `last` has arrived.
  void AwaitArrival(absl::string_view last) {
    while (!absl::EndsWith(cat_->out().Peek(), last)) {
      ASSERT_TRUE(cat_->IsAlive());
    }
  }

  const std::unique_ptr<Process> cat_ = MustSpawn(Command({"cat"}));
  Expect expect_{cat_.get()};
};

TEST_F(ExpectTest, ReturnsTheTextBeforeTheMatchAndKeepsTheRest) {
  Say("one two three four");

  auto two = expect_.Await(Pattern::Literal("two"), kNeverReached);
  auto four = expect_.Await(Pattern::Regex("f(o)(u)(z)?r"), kNeverReached);

  ASSERT_THAT(two, IsOk());
  EXPECT_EQ(two->before, "one ");
  EXPECT_EQ(two->match, "two");
  ASSERT_THAT(four, IsOk());
  EXPECT_EQ(four->before, " three ");
  EXPECT_EQ(four->match, "four");
  EXPECT_THAT(four->groups, ElementsAre("o", "u", ""));
}

// EXP-01
TEST_F(ExpectTest, TakesTheMatchThatBeginsFirstThenThePatternListedFirst) {
  std::string numbers;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&numbers, i, ", ");
  Say(numbers);
  AwaitArrival("99, ");

  const auto index = [&](std::vector<Pattern> patterns) {
    auto found = expect_.Await(patterns, kNeverReached);
    EXPECT_THAT(found, IsOk());
    return found->index;
  };
  EXPECT_EQ(index({Pattern::Literal("3, 4"), Pattern::Literal("2, 3, 4")}), 1);
  EXPECT_EQ(index({Pattern::Literal("5,"), Pattern::Literal("5, 6")}), 0);
  EXPECT_EQ(index({Pattern::Literal("7, 8"), Pattern::Literal("7, 8, 9"),
                   Pattern::Literal("7, 8")}),
            0);
  EXPECT_EQ(index({Pattern::Regex("2[0-9]"), Pattern::Regex("1[5-9]")}), 1);
}

// EXP-03
TEST_F(ExpectTest, TakesNothingWhenTheTimeIsUp) {
  Say("BEGIN\n");
  for (int i = 0; i < 100; ++i) Say("line\n");

  EXPECT_THAT(expect_.Await(Pattern::Literal("xyzzy"), kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  Say("xyzzy");

  auto found = expect_.Await(Pattern::Literal("xyzzy"), kNeverReached);
  ASSERT_THAT(found, IsOk());
  EXPECT_THAT(found->before, testing::StartsWith("BEGIN"));
}

TEST_F(ExpectTest, FailsWithThePatternsTheTextAndTheChild) {
  Say("a\tb\x01");
  AwaitArrival("\x01");

  auto late =
      expect_.Await({Pattern::Literal("li\n"), Pattern::Regex("re+")}, kShort);

  EXPECT_THAT(late, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(late.status().message(),
              AllOf(HasSubstr("\"li\\n\", /re+/"), HasSubstr("a\\tb\\x01"),
                    HasSubstr("cat (pid "),
                    HasSubstr("it waits for input on its stdin")));
}

TEST_F(ExpectTest, ShowsUtf8InItsErrors) {
  Say("Schl\xc3\xbcssel: \"a\"");
  AwaitArrival("\"a\"");

  EXPECT_THAT(
      expect_
          .Await(Pattern::Literal("gr\xc3\xbc\xc3\x9f"), absl::ZeroDuration())
          .status()
          .message(),
      AllOf(HasSubstr("no match of \"gr\xc3\xbc\xc3\x9f\""),
            HasSubstr("\"Schl\xc3\xbcssel: \"a\"\"")));
}

// EXP-04
TEST_F(ExpectTest, ReportsTheEndAtOnceAsAnErrorUnlessItIsExpected) {
  Say("last words");
  End();

  auto failed = expect_.Await(Pattern::Literal("_Z_"), kNeverReached);
  EXPECT_THAT(failed, HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(
      failed.status().message(),
      AllOf(HasSubstr("last words"), HasSubstr("exited with status 0")));
  EXPECT_EQ(expect_.buffer(), "last words");

  auto end = expect_.Await(
      {Pattern::Timeout(), Pattern::Literal("_Z_"), Pattern::Eof()},
      kNeverReached);
  ASSERT_THAT(end, IsOk());
  EXPECT_EQ(end->index, 2);
  EXPECT_EQ(end->before, "last words");
  EXPECT_EQ(expect_.buffer(), "");
}

// EXP-04
TEST_F(ExpectTest, ReturnsTheTimeoutAsAnOutcomeWhenItIsExpected) {
  Say("so far");
  AwaitArrival("so far");

  auto late =
      expect_.Await({Pattern::Literal("_Z_"), Pattern::Timeout()}, kShort);

  ASSERT_THAT(late, IsOk());
  EXPECT_EQ(late->index, 1);
  EXPECT_EQ(late->before, "so far");
  EXPECT_EQ(expect_.buffer(), "so far");
}

// EXP-05
TEST_F(ExpectTest, FindsAMatchThatArrivesByteByByte) {
  for (const Pattern& pattern :
       {Pattern::Literal("cde"), Pattern::Regex("c.e")}) {
    for (char c : std::string("abcdef")) {
      Say(std::string(1, c));
      AwaitArrival(std::string(1, c));
      if (c < 'e') {
        EXPECT_THAT(expect_.Await(pattern, absl::ZeroDuration()),
                    HasCode(absl::StatusCode::kDeadlineExceeded));
      }
    }

    auto found = expect_.Await(pattern, kNeverReached);

    ASSERT_THAT(found, IsOk());
    EXPECT_EQ(found->before, "ab");
    EXPECT_THAT(expect_.Await(Pattern::Literal("f"), kNeverReached), IsOk());
  }
}

// EXP-06
TEST_F(ExpectTest, SearchesNoFurtherThanTheWindow) {
  Say("foobarbazbop\n");
  AwaitArrival("\n");
  expect_.set_window(6);
  auto found = expect_.Await({Pattern::Literal("bar"), Pattern::Literal("bop")},
                             kNeverReached);
  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->index, 1);

  Say("BEGIN" + std::string(1000, '.') + "\n");
  AwaitArrival("\n");
  expect_.set_window(10);
  EXPECT_THAT(expect_.Await(Pattern::Regex("BEGIN"), kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  expect_.set_window(40000);
  EXPECT_THAT(expect_.Await(Pattern::Regex("BEGIN"), kNeverReached), IsOk());
}

// EXP-07
TEST_F(ExpectTest, DistinguishesLiteralsFromRegexes) {
  Say("hello.?world");

  auto found = expect_.Await(Pattern::Literal(".?"), kNeverReached);

  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->before, "hello");
}

// EXP-07
TEST_F(ExpectTest, RefusesInvalidPatterns) {
  EXPECT_THAT(expect_.Await(Pattern::Regex("("), kNeverReached),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(expect_.Await(Pattern::Literal(""), kNeverReached),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(expect_.Await(std::vector<Pattern>{}, kNeverReached),
              HasCode(absl::StatusCode::kInvalidArgument));
}

TEST_F(ExpectTest, AnchorsAtTheTextThatIsLeftAndWithMAtLines) {
  Say("one\ntwo\n");
  AwaitArrival("two\n");

  EXPECT_THAT(expect_.Await(Pattern::Regex("^two"), kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  auto line = expect_.Await(Pattern::Regex("(?m)^two$"), kNeverReached);
  ASSERT_THAT(line, IsOk());
  EXPECT_EQ(line->before, "one\n");
  EXPECT_THAT(expect_.Await(Pattern::Regex("^\n$"), kNeverReached), IsOk());
}

TEST_F(ExpectTest, MatchesArrivedTextThatMayStillGrow) {
  Say("12");
  AwaitArrival("12");
  auto number = expect_.Await(Pattern::Regex("[0-9]+"), kNeverReached);
  Say("3\n");
  auto rest = expect_.Await(Pattern::Regex("[0-9]+\n"), kNeverReached);

  EXPECT_EQ(number->match, "12");
  EXPECT_EQ(rest->match, "3\n");
}

TEST_F(ExpectTest, FindsAMatchThatIsLongerThanTheLookback) {
  expect_.set_lookback(1000);
  Say("BEGIN");
  for (int i = 0; i < 100; ++i) {
    Say(std::string(1000, '.'));
    EXPECT_THAT(expect_.Await(Pattern::Literal("_Z_"), absl::ZeroDuration()),
                HasCode(absl::StatusCode::kDeadlineExceeded));
  }
  Say("END");

  auto found =
      expect_.Await(Pattern::Regex("BEGIN(?s:(.*))END"), kNeverReached);

  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->groups[0].size(), 100000);
}

TEST_F(ExpectTest, FindsARegexWhoseNecessaryTextIsSplitOrComesFirstElsewhere) {
  expect_.set_lookback(10);
  const Pattern pattern = Pattern::Regex("key: ([0-9]+)\n.*key: 7\n");
  // The text that the regex requires, but no match.
  Say("key: none" + std::string(100, '.'));
  EXPECT_THAT(expect_.Await(pattern, kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  for (absl::string_view part :
       {"ke", "y: 4", "2\n....................", "k", "ey: 7", "\n"}) {
    Say(part);
    AwaitArrival(part);
    if (part != "\n") {
      EXPECT_THAT(expect_.Await(pattern, absl::ZeroDuration()),
                  HasCode(absl::StatusCode::kDeadlineExceeded));
    }
  }

  auto found = expect_.Await(pattern, kNeverReached);

  ASSERT_THAT(found, IsOk());
  EXPECT_THAT(found->groups, ElementsAre("42"));
}

absl::Duration ProcessorTime() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return absl::DurationFromTimespec(time);
}

// EXP-08
TEST(ExpectTimeTest, IsLinearInOutputThatDoesNotMatch) {
  auto process = MustSpawn(Command::Shell(
      "head -c 50000000 /dev/zero | tr '\\0' x; echo; seq 100000; echo END"));
  Expect expect(process.get());
  const absl::Duration before = ProcessorTime();

  auto found = expect.Await(
      {Pattern::Regex("inquisition"), Pattern::Regex("in(qui)?[rst]ition\\d"),
       Pattern::Literal("END")},
      kNeverReached);

  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->index, 2);
  EXPECT_GT(found->before.size(), 50000000);
  // A quadratic algorithm would take minutes.
  EXPECT_LT(ProcessorTime() - before, absl::Seconds(10) * kSlowness);
}

// There is always output to read, so no read ever fails.
TEST(ExpectFloodTest, EndsWithItsOwnTimeTheThreadsTimeAndACancellation) {
  Command command({"yes"});
  command.output_buffer = OutputBound::BlockChild(1 << 20);
  auto process = MustSpawn(command);
  for (const Pattern& pattern :
       {Pattern::Literal("never"), Pattern::Regex("n[e]ver")}) {
    Expect expect(process.get());
    // The default limit is smaller than the flood during the test.
    expect.set_limit(size_t{4} << 30);
    const absl::Time start = absl::Now();

    EXPECT_THAT(expect.Await(pattern, kShort),
                HasCode(absl::StatusCode::kDeadlineExceeded));
    expect.TakeBuffer();
    EXPECT_THAT(
        WithTimeout(kShort,
                    [&] { return expect.Await(pattern, kNeverReached); }),
        HasCode(absl::StatusCode::kDeadlineExceeded));
    expect.TakeBuffer();
    CancellationToken token;
    token.Cancel();
    CancellationScope scope(token);
    EXPECT_THAT(expect.Await(pattern, kNeverReached),
                HasCode(absl::StatusCode::kCancelled));

    EXPECT_LT(absl::Now() - start, absl::Seconds(2) * kSlowness);
  }
}

TEST(ExpectFloodTest, FindsAMatchThatIsThereAlthoughTheTimeIsUp) {
  auto process = MustSpawn(Command({"echo", "there"}));
  ASSERT_THAT(process->Wait(), IsOk());
  Expect expect(process.get());
  CancellationToken token;
  token.Cancel();
  CancellationScope scope(token);

  EXPECT_THAT(expect.Await(Pattern::Literal("there"), kNeverReached), IsOk());
}

TEST_F(ExpectTest, KeepsTheEndOfTheTextOnRequest) {
  auto process = MustSpawn(Command({"printf", "flood flood login: "}));
  ASSERT_THAT(process->Wait(), IsOk());
  Expect expect(process.get());
  ASSERT_THAT(expect.Await(Pattern::Literal("none"), kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));

  EXPECT_EQ(expect.TakeBuffer(7), "flood flood ");
  EXPECT_EQ(expect.TakeBuffer(8), "");

  EXPECT_THAT(expect.Await(Pattern::Literal("login: "), kNeverReached), IsOk());
}

TEST(ExpectFloodTest, KeepsNoMoreThanTheLimitAndFailsBeyondIt) {
  auto process = MustSpawn(Command::Shell("yes | head -c 3000000; echo END"));
  Expect expect(process.get());
  expect.set_limit(1000000);

  auto found = expect.Await(Pattern::Literal("END"), kNeverReached);

  EXPECT_THAT(found, HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(std::string(found.status().message()),
              AllOf(HasSubstr("1000000"), HasSubstr("\"END\"")));
  EXPECT_EQ(expect.buffer().size(), 1000000u);
  // Nothing was lost: TakeBuffer makes room for the rest.
  std::string before = expect.TakeBuffer();
  while (!(found = expect.Await(Pattern::Literal("END"), kNeverReached)).ok()) {
    ASSERT_THAT(found, HasCode(absl::StatusCode::kResourceExhausted));
    before += expect.TakeBuffer();
  }
  EXPECT_EQ(before.size() + found->before.size(), 3000000u);
}

TEST(ExpectFloodTest, FindsAMatchThatEndsAtTheLimit) {
  auto process = MustSpawn(Command({"printf", "1234567END12"}));
  Expect expect(process.get());
  expect.set_limit(10);

  EXPECT_THAT(expect.Await(Pattern::Literal("END"), kNeverReached), IsOk());
  EXPECT_THAT(expect.Await(Pattern::Literal("12"), kNeverReached), IsOk());
}

TEST(ExpectMemoryTest, LosesNothingThatThereIsNoMemoryFor) {
  if (kSlowness > 1) GTEST_SKIP() << "a sanitizer needs memory for itself";
  EXPECT_HOLDS_IN_OWN_HOST([] {
    constexpr size_t kMuch = 32 * 1024 * 1024;
    auto process = MustSpawn(
        Command::Shell(absl::StrCat("head -c ", kMuch, " /dev/zero; cat")));
    while (process->out().stats().bytes < kMuch) {
      ASSERT_TRUE(process->IsAlive());
    }
    Expect expect(process.get());
    auto other = std::make_unique<std::string>(4 * kMuch, '.');
    // Enough memory for a part of the output only.
    LeaveMemory(kMuch / 2);

    auto found = expect.Await({Pattern::Literal("x")}, kNeverReached);

    EXPECT_THAT(found, HasCode(absl::StatusCode::kResourceExhausted));
    EXPECT_THAT(std::string(found.status().message()),
                HasSubstr("no memory to keep"));
    EXPECT_LT(expect.buffer().size(), kMuch);
    other.reset();  // Makes room again.
    found = expect.Await({Pattern::Literal("x")}, absl::ZeroDuration());
    EXPECT_THAT(found, HasCode(absl::StatusCode::kDeadlineExceeded));
    EXPECT_EQ(expect.buffer().size(), kMuch);
  });
}

// A child that has written `text`, of which `bound` has dropped a part.
std::unique_ptr<Process> Said(const std::string& text, OutputBound bound) {
  Command command({"cat"});
  command.output_buffer = bound;
  auto process = MustSpawn(command);
  EXPECT_THAT(process->Write(text), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());
  EXPECT_THAT(process->WaitFor(kNeverReached), IsOk());
  return process;
}

// Of which HeadAndTail(10) keeps "abcEN" and "Dwxyz".
std::string TextWithGap() {
  return absl::StrCat("abcEN", std::string(5000, 'b'), "Dwxyz");
}

TEST(ExpectGapTest, FindsNoMatchAcrossDroppedBytes) {
  auto process = Said(TextWithGap(), OutputBound::HeadAndTail(10));
  Expect expect(process.get());

  const auto found =
      expect.Await({Pattern::Literal("END"), Pattern::Regex("EN.?D"),
                    Pattern::Regex("(?s)b.*E.*w")},
                   kNeverReached);

  EXPECT_THAT(found, HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(found.status().message(),
              HasSubstr("; 5000 bytes were dropped (Command::output_buffer); "
                        "10 unmatched bytes: \"abcEN\" ... \"Dwxyz\""));
}

TEST(ExpectGapTest, FindsNoMatchOfBytesDroppedAfterEarlierCalls) {
  Command command({"cat"});
  command.output_buffer = OutputBound::DropOldest(5);
  auto process = MustSpawn(command);
  Expect expect(process.get());
  ASSERT_THAT(process->Write("EN"), IsOk());
  ASSERT_THAT(expect.Await(Pattern::Literal("EN"), kNeverReached), IsOk());
  ASSERT_THAT(process->Write("EN"), IsOk());
  while (process->out().Peek() != "EN") ASSERT_TRUE(process->IsAlive());
  ASSERT_THAT(expect.Await(Pattern::Literal("END"), absl::ZeroDuration()),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  ASSERT_THAT(process->Write(TextWithGap()), IsOk());
  ASSERT_THAT(process->CloseStdin(), IsOk());
  ASSERT_THAT(process->WaitFor(kNeverReached), IsOk());

  EXPECT_THAT(expect.Await(Pattern::Literal("END"), kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_EQ(expect.buffer(), "ENDwxyz");
}

TEST(ExpectGapTest, FindsTheMatchThatBeginsFirstOnEitherSide) {
  auto process = Said(TextWithGap(), OutputBound::HeadAndTail(10));
  Expect expect(process.get());
  // Reads all of the text.
  ASSERT_THAT(expect.Await(Pattern::Literal("END"), kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));

  const std::vector<Pattern> patterns = {Pattern::Regex("w(x)"),
                                         Pattern::Regex("c(E)")};
  const auto first = expect.Await(patterns, kNeverReached);
  const auto second = expect.Await(patterns, kNeverReached);

  ASSERT_THAT(first, IsOk());
  EXPECT_EQ(first->match, "cE");
  EXPECT_EQ(first->before, "ab");
  EXPECT_EQ(first->dropped, 0);
  EXPECT_THAT(first->groups, ElementsAre("E"));
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(second->match, "wx");
  EXPECT_EQ(second->before, "ND");
  EXPECT_EQ(second->dropped, 5000);
  EXPECT_THAT(second->groups, ElementsAre("x"));
  EXPECT_EQ(expect.buffer(), "yz");
}

TEST(ExpectGapTest, AnchorsAtDroppedBytesAsAtTheEndsOfTheText) {
  auto process = Said(TextWithGap(), OutputBound::HeadAndTail(10));
  Expect expect(process.get());

  const auto before = expect.Await(Pattern::Regex("N$"), kNeverReached);
  const auto after = expect.Await(Pattern::Regex("^D"), kNeverReached);

  ASSERT_THAT(before, IsOk());
  EXPECT_EQ(before->before, "abcE");
  ASSERT_THAT(after, IsOk());
  EXPECT_EQ(after->before, "");
}

TEST(ExpectGapTest, CountsTheDroppedBytesOfTheTextWithoutAMatch) {
  auto process = Said(TextWithGap(), OutputBound::HeadAndTail(10));
  Expect expect(process.get());

  const auto end = expect.Await(Pattern::Eof(), kNeverReached);

  ASSERT_THAT(end, IsOk());
  EXPECT_EQ(end->before, "abcENDwxyz");
  EXPECT_EQ(end->dropped, 5000);
}

TEST(ExpectGapTest, SearchesTheWindowOfAllTextOnBothSides) {
  auto process = Said(TextWithGap(), OutputBound::HeadAndTail(10));
  Expect expect(process.get());
  // Reads all of the text.
  ASSERT_THAT(expect.Await(Pattern::Literal("END"), kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));

  expect.set_window(5);
  EXPECT_THAT(expect.Await(Pattern::Literal("N"), kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
  expect.set_window(6);
  EXPECT_THAT(expect.Await(Pattern::Literal("N"), kNeverReached), IsOk());
}

TEST_F(ExpectTest, MatchesBytesThatAreNotUtf8) {
  Say("name: caf\xe9!\n");

  auto name = expect_.Await(Pattern::Regex("name: (.*)\n"), kNeverReached);

  ASSERT_THAT(name, IsOk());
  EXPECT_THAT(name->groups, ElementsAre("caf\xe9!"));
}

TEST_F(ExpectTest, MatchesCharactersOfUtf8OnRequest) {
  Say("caf\xc3\xa9!");
  AwaitArrival("!");

  auto byte = expect_.Await(Pattern::Regex("f.!"), absl::ZeroDuration());
  auto character = expect_.Await(Pattern::Regex("f(.)!", RegexEncoding::kUtf8),
                                 kNeverReached);

  EXPECT_THAT(byte, HasCode(absl::StatusCode::kDeadlineExceeded));
  ASSERT_THAT(character, IsOk());
  EXPECT_THAT(character->groups, ElementsAre("\xc3\xa9"));
}

TEST(PatternTest, PrintsItself) {
  EXPECT_EQ(Pattern::Literal("a\n").ToString(), "\"a\\n\"");
  EXPECT_EQ(Pattern::Regex("a+").ToString(), "/a+/");
  EXPECT_EQ(Pattern::Regex("\x1b\\[").ToString(), "/\\x1b\\[/");
  EXPECT_EQ(Pattern::Eof().ToString(), "EOF");
  EXPECT_EQ(Pattern::Timeout().ToString(), "TIMEOUT");
}

}  // namespace
}  // namespace asyncproc
