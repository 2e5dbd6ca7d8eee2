#include "tools/asyncproc/pool/command_template.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/command.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc::cli {
namespace {

using testing::HasSubstr;

std::string Fill(absl::string_view text, const std::vector<std::string>& values,
                 int64_t number = 1, int slot = 1) {
  const auto parsed = CommandTemplate::Parse(text, values.size());
  EXPECT_THAT(parsed, IsOk()) << text;
  return parsed.ok() ? parsed->Fill(values, number, slot) : "";
}

// Values that are special to a shell.
std::vector<std::string> HostileValues() {
  return {"$(echo BAD)",
          "`echo BAD`",
          "; echo BAD",
          "'; echo BAD; '",
          "\"; echo BAD; \"",
          "a\necho BAD",
          "-n",
          "*",
          "~root",
          "$HOME",
          "a  b",
          "\\",
          "'",
          "\"",
          "",
          "${HOME}",
          "if",
          "2",
          "!!",
          "{a,b}",
          "#x",
          "a\tb",
          "\xff\xfe",
          "&& echo BAD"};
}

TEST(CommandTemplateTest, PutsTheValueWhereItsPlaceIs) {
  EXPECT_EQ(Fill("gzip -k {} -v", {"my file"}), "gzip -k 'my file' -v");
  EXPECT_EQ(Fill("echo {}{}", {"a"}), "echo aa");
  EXPECT_EQ(Fill("echo {#} {%}", {"a"}, 12, 3), "echo 12 3");
}

TEST(CommandTemplateTest, SaysThatItRefusesTheValueAtTheEnd) {
  EXPECT_THAT(
      CommandTemplate::Parse("exit 1 #", 1).status().message(),
      testing::StrEq("COMMAND has no {}, so that the value would be put at its "
                     "end, but a shell could run it there as a command in a "
                     "comment"));
  EXPECT_THAT(CommandTemplate::Parse("exit 1 # {}", 1).status().message(),
              HasSubstr("{} is refused"));
  EXPECT_THAT(CommandTemplate::Parse("x #", 1, "@").status().message(),
              HasSubstr("COMMAND has no @"));
}

TEST(CommandTemplateTest, KnowsThePartsOfAPath) {
  EXPECT_EQ(Fill("{} {.} {/} {//} {/.}", {"d/e.f/g.tar.gz"}),
            "d/e.f/g.tar.gz d/e.f/g.tar g.tar.gz d/e.f g.tar");
  EXPECT_EQ(Fill("x {.} {/} {//}", {"d.e/f"}), "x d.e/f f d.e");
  EXPECT_EQ(Fill("x {//}", {"/f"}), "x /");
  EXPECT_EQ(Fill("x {//}", {"f"}), "x .");
}

TEST(CommandTemplateTest, TakesSeveralValuesByNumber) {
  EXPECT_EQ(Fill("x {2} {1.} {1/}", {"a/b.c", "d"}), "x d a/b b.c");
  EXPECT_EQ(Fill("x {}", {"a b", "c"}), "x 'a b' c");
  EXPECT_EQ(Fill("x '{}'", {"a b", "c"}), "x '''a b c'''");
}

TEST(CommandTemplateTest, AddsThePlaceThatThereIsNone) {
  EXPECT_EQ(Fill("gzip", {"a b"}), "gzip 'a b'");
  EXPECT_EQ(Fill("awk '{print $1}'", {"f"}), "awk '{print $1}' f");
}

TEST(CommandTemplateTest, TakesValuesForCommandsWhenItIsEmpty) {
  EXPECT_EQ(Fill("", {"echo a | wc -c"}), "echo a | wc -c");
}

TEST(CommandTemplateTest, KeepsBracesThatAreNoPlace) {
  EXPECT_EQ(Fill("echo {a} {0} {1x} { \\{} ${x} {}", {"v"}),
            "echo {a} {0} {1x} { \\{} ${x} v");
}

TEST(CommandTemplateTest, RefusesAValueThatThereIsNot) {
  const auto parsed = CommandTemplate::Parse("echo {3}", 2);

  EXPECT_THAT(parsed, HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(parsed.status().message(), HasSubstr("{3}"));
}

TEST(CommandTemplateTest, KeepsHostileValuesWholeInAnyQuotes) {
  // Each command prints its value as one argument, between angle brackets.
  for (const std::string text :
       {"printf '<%s>' {}", "printf '<%s>' \"{}\"", "printf '<%s>' '{}'",
        "printf '<%s>' \"$(printf %s: {})\" | sed '$s/:>$/>/'",
        "x=$(printf '<%s>' \"{}\"); printf %s \"$x\"", "(printf '<%s>' {})",
        "printf '<%s>' \"$( (printf %s: \"{}\") )\" | sed '$s/:>$/>/'",
        "echo 'a\"b' \"c'd\" >/dev/null # it's\nprintf '<%s>' {}",
        "printf '<%s>' \"\\\"{}\" | sed '1s/<\"/</'",
        "test $((1 + 2)) = 3 && printf '<%s>' \"${x}\"{}",
        "case a in a) printf '<%s>' {};; esac"}) {
    for (const std::string& value : HostileValues()) {
      // A command substitution removes the newlines at the end.
      const std::string sent = absl::StrCat(value, "|");
      EXPECT_EQ(OutputOf(Command::Shell(Fill(text, {sent}))),
                absl::StrCat("<", sent, ">"))
          << text << " with " << value;
    }
  }
}

TEST(CommandTemplateTest, KeepsAValueFromChangingItsNeighbours) {
  EXPECT_EQ(Fill("echo $x{}", {"y"}), "echo $x'y'");
  EXPECT_EQ(Fill("echo {}>f", {"2"}), "echo '2'>f");
  EXPECT_EQ(Fill("{} x", {"if"}), "'if' x");
}

TEST(CommandTemplateTest, RefusesPlacesThatNoQuotesKeepSafe) {
  for (const std::string text :
       {"echo `cat {}`", "echo ${x:-{}}", "echo $(( {} + 1 ))", "true # {}",
        "cat <<EOF\n{}\nEOF", "echo \"$(case x in x) echo {};; esac)\"",
        "echo $'a\\'{}'", "echo $[{}]", "echo ${x:-\"}\"} {}",
        "echo $((1 + (2)) {}"}) {
    EXPECT_THAT(CommandTemplate::Parse(text, 1),
                HasCode(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

}  // namespace
}  // namespace asyncproc::cli
