#include "asyncproc/internal/text/required_text.h"

#include <random>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "re2/re2.h"

namespace asyncproc::internal {
namespace {

TEST(RequiredTextTest, IsTheLongestThatEveryMatchHas) {
  EXPECT_EQ(RequiredText("error: .*\\n"), "error: ");
  EXPECT_EQ(RequiredText("(?m)^(\\w+)@host\\$ $"), "@host$ ");
  EXPECT_EQ(RequiredText("[Pp]assword: ?"), "assword:");
  EXPECT_EQ(RequiredText("Proceed \\[y/N\\]\\? "), "Proceed [y/N]? ");
  EXPECT_EQ(RequiredText("a+bcd"), "bcd");
  EXPECT_EQ(RequiredText("abc+?d"), "abc");
  EXPECT_EQ(RequiredText("x(a|b[)]|\\))yz"), "yz");
  EXPECT_EQ(RequiredText("ab{2,3}cd{ef"), "cd{ef");
  EXPECT_EQ(RequiredText("[]x]ab[^]y]"), "ab");
  EXPECT_EQ(RequiredText("[[:alpha:]x]ab"), "ab");
  EXPECT_EQ(RequiredText("a\\tb\\r\\n?"), "a\tb\r");
  EXPECT_EQ(RequiredText("\\x{41}b\\x42cd\\pLe\\101f"), "cd");
}

TEST(RequiredTextTest, IsEmptyWhereNoneIsToBeSeen) {
  EXPECT_EQ(RequiredText(""), "");
  EXPECT_EQ(RequiredText("abc|def"), "");
  EXPECT_EQ(RequiredText("(?i)abc"), "");
  EXPECT_EQ(RequiredText("a*"), "");
  EXPECT_EQ(RequiredText("(abc)?"), "");
  EXPECT_EQ(RequiredText("\\Qa*\\E"), "");
  EXPECT_EQ(RequiredText("a(?m){0,1}"), "");
  EXPECT_EQ(RequiredText("\xC3\xA4*"), "");
}

// Combines these pieces into regexes, and tries texts that are likely to match.
TEST(RequiredTextTest, IsInEveryMatchOfTheRegex) {
  const char* const pieces[] = {
      "a",        "b",    "c",       "ab",      "\\n",        "\\.",   "\\$",
      "\\\\",     "*",    "?",       "+",       "{2}",        "{0,1}", "{",
      "|",        "(",    ")",       "(?:",     "(?i)",       "[ab]",  "[^a]",
      "\xc3\xa9", "[]b]", "[a\\]b]", ".",       "^",          "$",     "(?m)",
      "\\b",      "\\w",  "\\x61",   "\\x{62}", "\\141",      "\\z",   "(?s).",
      "(?P<n>a",  "\\pL", "}",       "]",       "[[:alpha:]]"};
  std::mt19937 random(1);
  const auto any = [&random](size_t below) { return random() % below; };
  int matches = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string regex;
    for (size_t i = any(8) + 1; i > 0; --i) {
      absl::StrAppend(&regex, pieces[any(std::size(pieces))]);
    }
    RE2::Options options(RE2::Quiet);
    if (round % 2 == 0) options.set_encoding(RE2::Options::EncodingLatin1);
    const RE2 re2(regex, options);
    if (!re2.ok()) continue;
    const std::string required = RequiredText(regex);
    if (required.empty()) continue;
    for (int i = 0; i < 4; ++i) {
      std::string text;
      for (size_t size = any(12); size > 0; --size) {
        text.push_back("abcAB\n.$\\{}]2,01\xc3\xa9"[any(18)]);
      }
      absl::string_view match;
      if (!re2.Match(text, 0, text.size(), RE2::UNANCHORED, &match, 1)) {
        continue;
      }
      ++matches;
      ASSERT_TRUE(absl::StrContains(match, required))
          << "/" << regex << "/ matches \"" << match << "\" without \""
          << required << "\"";
    }
  }
  EXPECT_GT(matches, 50);
}

}  // namespace
}  // namespace asyncproc::internal
