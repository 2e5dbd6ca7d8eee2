#include <string>

#include "absl/time/time.h"
#include "asyncproc/internal/text/control_sequences.h"
#include "asyncproc/internal/text/elapsed.h"
#include "asyncproc/internal/text/printable.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc::internal {
namespace {

TEST(FormatElapsedTest, KeepsTheMicrosecondsOfShortTimes) {
  EXPECT_EQ(FormatElapsed(absl::Nanoseconds(730'499)), "730us");
  EXPECT_EQ(FormatElapsed(absl::Microseconds(9'999)), "9.999ms");
  EXPECT_EQ(FormatElapsed(absl::Microseconds(50'021)), "50ms");
  // The time left when a call began, shortly after its deadline was computed.
  EXPECT_EQ(FormatElapsed(absl::Microseconds(49'999)), "50ms");
  EXPECT_EQ(FormatElapsed(absl::InfiniteDuration()), "inf");
}

TEST(PrintableTest, EscapesTerminalCommands) {
  EXPECT_EQ(Printable("a\x1b]0;title\a\r\n\t\x7f"),
            "a\\x1b]0;title\\x07\\r\\n\\t\\x7f");
  EXPECT_EQ(Printable(absl::string_view("nul\0", 4)), "nul\\x00");
  // U+009B is CSI; U+202E reverses the direction of the text after it.
  EXPECT_EQ(Printable("\xc2\x9b\x33\x31m \xe2\x80\xaegpj"),
            "\\xc2\\x9b31m \\xe2\\x80\\xaegpj");
}

TEST(PrintableTest, EscapesBytesThatAreNotUtf8AndKeepsThoseThatAre) {
  EXPECT_EQ(Printable("gr\xc3\xbc\xc3\x9f"
                      "e, caf\xe9, \xe2\x82\xac, "
                      "\xf0\x9f\x98\x80, \xe2\x82"),
            "gr\xc3\xbc\xc3\x9f"
            "e, caf\\xe9, \xe2\x82\xac, "
            "\xf0\x9f\x98\x80, \\xe2\\x82");
  EXPECT_EQ(Printable("C:\\ 'a' \"b\""), "C:\\ 'a' \"b\"");
}

TEST(PrintableTest, CutsBetweenCharacters) {
  EXPECT_EQ(Printable("abcdef", 3), "abc...");
  EXPECT_EQ(Printable("abc", 3), "abc");
  EXPECT_EQ(PrintableWord("a bcdef", 3), "'a b'...");
  EXPECT_EQ(Printable("ab\xc3\xbc"
                      "c",
                      3),
            "ab...");
}

TEST(PrintableWordTest, IsTheWordOfShellQuoteWhereThatIsSafe) {
  for (const char* word : {"plain", "two words", "don't", "", "gr\xc3\xbc"}) {
    EXPECT_EQ(PrintableWord(word), ShellWord(word));
  }
}

TEST(PrintableWordTest, GivesBashTheSameTextInPrintableCharacters) {
  std::string all;
  for (int c = 1; c < 256; ++c) all.push_back(static_cast<char>(c));
  const std::string word = PrintableWord(all);

  EXPECT_EQ(Printable(word), word);
  EXPECT_EQ(OutputOf(Command({"bash", "-c", "printf %s " + word})), all);
}

TEST(StripControlSequencesTest, KeepsTheVisibleText) {
  EXPECT_EQ(StripControlSequences(
                "http://localhost:\x1b[1m5173\x1b[22m/\x1b[0;38;5;9m!\x1b[m"),
            "http://localhost:5173/!");
  EXPECT_EQ(StripControlSequences("\x1b]0;title\a1\x1b]8;;http://a\x1b\\link"
                                  "\x1b]8;;\x1b\\2\x1bPq#0\x1b\\3"),
            "1link23");
  EXPECT_EQ(StripControlSequences("a\x1b(Bb\x1b=c\x1b[?2004hd\x1b[>4;2me"),
            "abcde");
  EXPECT_EQ(StripControlSequences("no sequence\r\n\a\b"),
            "no sequence\r\n\a\b");
}

TEST(StripControlSequencesTest, LeavesOutASequenceThatIsCutOff) {
  for (const char* cut :
       {"a\x1b", "a\x1b[", "a\x1b[1;3", "a\x1b]0;title", "a\x1b]0;title\x1b"}) {
    EXPECT_EQ(StripControlSequences(cut), "a") << cut;
  }
  EXPECT_EQ(StripControlSequences("a\x1b]0;title\nb"), "a\nb");
}

}  // namespace
}  // namespace asyncproc::internal
