#include "tools/asyncproc/pool/screen_text.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc::cli {
namespace {

TEST(ScreenTextTest, LeavesOutControlSequences) {
  EXPECT_EQ(Printable("a\033[1;31mred\033[0m b", true), "ared b");
  EXPECT_EQ(Printable("\033]0;title\ax\033]8;;url\033\\link", true), "xlink");
  EXPECT_EQ(Printable("\033(Bx\033=y\033", true), "xy");
  EXPECT_EQ(Printable("a\tb\nc\x07\x7f\xc2\x9b", true), "a b c   ");
  EXPECT_EQ(Printable("\033[", true), "");
  EXPECT_EQ(Printable("\033]never ended", true), "");
}

TEST(ScreenTextTest, LeavesOutDirectionMarks) {
  EXPECT_EQ(Printable("a\u202Eb\u200Fc\uFEFF", true), "abc");
}

TEST(ScreenTextTest, ShowsBytesThatAreNoText) {
  EXPECT_EQ(Printable("\xff\xc3(\xe2\x82", true),
            "?"
            "?(?"
            "?");
  EXPECT_EQ(Printable("\xc0\x80\xed\xa0\x80", true),
            "?"
            "?"
            "?"
            "?"
            "?");
  EXPECT_EQ(Printable("stra\u00DFe", false), "stra?e");
}

TEST(ScreenTextTest, KnowsHowWideCharactersAre) {
  EXPECT_EQ(ColumnsOf("abc"), 3);
  EXPECT_EQ(ColumnsOf("\u00E9\u4E2D\u6587\uD55C"), 7);
  EXPECT_EQ(ColumnsOf("e\u0301"), 1);
  EXPECT_EQ(ColumnsOf("\U0001F600"), 2);
  EXPECT_EQ(ColumnsOf("\u2588\u2591"), 2);
  EXPECT_EQ(ColumnsOf(""), 0);
}

TEST(ScreenTextTest, CutsWhereItHasTo) {
  EXPECT_EQ(CutToColumns("abcdef", 6, true), "abcdef");
  EXPECT_EQ(CutToColumns("abcdef", 5, true), "abcd\u2026");
  EXPECT_EQ(CutToColumns("abcdef", 5, false), "abcd>");
  EXPECT_EQ(CutToColumns("abcdef", 1, false), ">");
  EXPECT_EQ(CutToColumns("abcdef", 0, true), "");
  // A wide character that does not fit is left out.
  EXPECT_EQ(CutToColumns("\u4E2D\u6587\u5B57", 4, true), "\u4E2D\u2026");
  EXPECT_EQ(CutToColumns("\u4E2D\u6587\u5B57", 5, true), "\u4E2D\u6587\u2026");
  // A combining character stays with the last character.
  EXPECT_EQ(CutToColumns("ae\u0301", 2, true), "ae\u0301");
}

TEST(ScreenTextTest, FillsUpToAWidth) {
  EXPECT_EQ(FitToColumns("ab", 4, true), "ab  ");
  EXPECT_EQ(ColumnsOf(FitToColumns("\u4E2D\u6587\u5B57", 4, true)), 4);
}

}  // namespace
}  // namespace asyncproc::cli
