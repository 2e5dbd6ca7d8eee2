#include "tools/asyncproc/pool/panel.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"
#include "tools/asyncproc/pool/screen_text.h"

namespace asyncproc::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Optional;
using testing::SizeIs;
using testing::StartsWith;

PanelScreen Plain(int columns = 60, int rows = 24) {
  return {columns, rows, /*utf8=*/false, /*colours=*/false};
}

PanelModel::Job Job(int slot, std::string label, std::string last_line = "") {
  return {slot, absl::Seconds(12), std::move(label), std::move(last_line),
          false};
}

// A terminal that knows only the painter's control sequences: cursor up and
// down, erase the line, erase below.
class FakeTerminal {
 public:
  explicit FakeTerminal(int columns) : columns_(columns) {}

  void Write(absl::string_view text) {
    while (!text.empty()) {
      int up = 0;
      if (text.substr(0, 2) == "\033[") {
        size_t at = 2;
        if (text[at] == '?') {  // Turns wrapping on or off.
          wraps_ = text.substr(at, 3) == "?7h";
          text.remove_prefix(at + 3);
          continue;
        }
        while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
          up = up * 10 + text[at++] - '0';
        }
        if (text[at] == 'A') row_ -= std::max(up, 1);
        if (text[at] == 'B') ++row_;
        if (text[at] == 'K') Line().resize(column_, ' ');
        if (text[at] == 'J') {
          Line().resize(column_, ' ');
          lines_.resize(row_ + 1);
        }
        EXPECT_GE(row_, 0);
        EXPECT_TRUE(absl::StrContains("ABKJ", text[at])) << text.substr(1);
        text.remove_prefix(at + 1);
        continue;
      }
      Put(text[0]);
      text.remove_prefix(1);
    }
  }

  // Becomes narrower, as terminals do that wrap long lines: the lines stay
  // complete, and the cursor stays with its line.
  void Narrow(int columns) {
    std::vector<std::string> wrapped;
    int row = 0;
    for (size_t i = 0; i < lines_.size(); ++i) {
      if (static_cast<int>(i) == row_) row = wrapped.size();
      std::string line = lines_[i];
      do {
        wrapped.push_back(line.substr(0, columns));
        line.erase(0, columns);
      } while (!line.empty());
    }
    lines_ = wrapped;
    row_ = row;
    columns_ = columns;
  }

  const std::vector<std::string>& lines() const { return lines_; }
  int column() const { return column_; }

 private:
  std::string& Line() {
    if (row_ >= static_cast<int>(lines_.size())) lines_.resize(row_ + 1);
    return lines_[row_];
  }
  void Put(char c) {
    if (c == '\r') {
      column_ = 0;
    } else if (c == '\n') {
      ++row_;
      column_ = 0;
      Line();
    } else {
      if (column_ == columns_) {
        EXPECT_FALSE(wraps_) << "a line that is too long";
        return;
      }
      std::string& line = Line();
      if (static_cast<int>(line.size()) <= column_) line.resize(column_ + 1);
      line[column_++] = c;
    }
  }

  int columns_;
  std::vector<std::string> lines_ = {""};
  int row_ = 0;
  int column_ = 0;
  bool wraps_ = true;
};

TEST(PanelTest, HasALineForEachThatRunsAndOneForAll) {
  PanelModel model;
  model.running = {Job(1, "gzip a"), Job(2, "gzip b", "b: 42% done")};
  model.done = 34;
  model.failed = 2;
  model.total = 100;
  model.elapsed = absl::Seconds(10);

  EXPECT_THAT(
      RenderPanel(model, Plain()),
      ElementsAre(
          "1    0:12 gzip a                                           ",
          "2    0:12 gzip b               42% ###.....  b: 42% done",
          "[#######..............] 34/100, 2 failed, 3.4/s, 0:19 left"));
}

TEST(PanelTest, ReportsHowManyWithoutATotal) {
  PanelModel model;
  model.done = 3;
  model.known = 5;
  model.elapsed = absl::Minutes(3);

  EXPECT_THAT(RenderPanel(model, Plain()), ElementsAre("3/5+, 1.0/min"));
}

TEST(PanelTest, ShowsANoticeInsteadOfTheTimeLeft) {
  PanelModel model;
  model.total = 5;
  model.done = 1;
  model.note = "interrupted";
  model.running = {Job(1, "sleep 5")};
  model.running[0].ending = true;

  const auto lines = RenderPanel(model, Plain());

  EXPECT_THAT(lines[0], HasSubstr(" ending"));
  EXPECT_THAT(lines[1], HasSubstr("1/5, interrupted"));
}

TEST(PanelTest, FitsIntoAnyScreen) {
  PanelModel model;
  const std::string wide = "\u4E2D\u6587 and a lot more that says 50% \033[31m";
  for (int i = 1; i <= 30; ++i) {
    model.running.push_back(Job(i, wide, i % 2 == 0 ? wide : ""));
  }
  model.total = 1000;
  model.done = 500;
  model.elapsed = absl::Hours(100);
  for (int columns : {1, 2, 9, 10, 11, 15, 20, 21, 33, 40, 80, 81, 200}) {
    for (int rows : {1, 2, 3, 5, 24, 100}) {
      for (bool utf8 : {false, true}) {
        const PanelScreen screen = {columns, rows, utf8, /*colours=*/true};
        const auto lines = RenderPanel(model, screen);
        EXPECT_LE(lines.size(), rows - 1) << rows;
        for (const std::string& line : lines) {
          EXPECT_LT(ColumnsOf(Printable(line, true)), columns) << line;
        }
      }
    }
  }
}

TEST(PanelTest, TellsOfThoseThatThereIsNoRoomFor) {
  PanelModel model;
  for (int i = 1; i <= 10; ++i) model.running.push_back(Job(i, "x"));

  const auto lines = RenderPanel(model, Plain(60, 6));

  ASSERT_THAT(lines, SizeIs(5));
  EXPECT_THAT(lines[2], StartsWith(" 3 "));
  EXPECT_EQ(lines[3], "and 7 more");
}

TEST(PanelTest, UsesColoursOnlyWhereTheyAreWanted) {
  PanelModel model;
  model.running = {Job(1, "x", "50%")};
  model.total = 2;
  PanelScreen screen = Plain();

  for (const auto& line : RenderPanel(model, screen)) {
    EXPECT_EQ(line.find('\033'), std::string::npos);
  }
  screen.colours = true;
  EXPECT_THAT(RenderPanel(model, screen)[0], HasSubstr("\033["));
}

TEST(PanelTest, FormatsTimesForPeople) {
  EXPECT_EQ(FormatElapsed(absl::ZeroDuration()), "0:00");
  EXPECT_EQ(FormatElapsed(absl::Milliseconds(7900)), "0:07");
  EXPECT_EQ(FormatElapsed(absl::Minutes(12) + absl::Seconds(3)), "12:03");
  EXPECT_EQ(FormatElapsed(absl::Seconds(3723)), "1:02:03");
  EXPECT_EQ(FormatElapsed(absl::Hours(51)), "2d 3:00:00");
  EXPECT_EQ(FormatElapsed(absl::Seconds(-5)), "0:00");
}

TEST(PanelTest, FindsTheProgressThatALineTells) {
  EXPECT_THAT(FindPercentage("42%"), Optional(42));
  EXPECT_THAT(FindPercentage("a 10% of 42.5 % b"), Optional(42.5));
  EXPECT_THAT(FindPercentage("7% of 300%"), Optional(7));
  EXPECT_EQ(FindPercentage("%d of 100"), std::nullopt);
  EXPECT_EQ(FindPercentage(""), std::nullopt);
  EXPECT_EQ(FindPercentage("%"), std::nullopt);
}

TEST(PanelPainterTest, DrawsInTheSamePlace) {
  FakeTerminal terminal(20);
  PanelPainter painter;
  terminal.Write("before\r\n");

  terminal.Write(painter.Draw({"one", "two", "three"}, 20));
  EXPECT_THAT(terminal.lines(), ElementsAre("before", "one", "two", "three"));
  EXPECT_EQ(terminal.column(), 0);
  terminal.Write("^C");  // An echo.
  terminal.Write(painter.Draw({"1", "2"}, 20));
  EXPECT_THAT(terminal.lines(), ElementsAre("before", "1", "2"));
  terminal.Write(painter.Draw({"a", "b", "c", "d"}, 20));
  EXPECT_THAT(terminal.lines(), ElementsAre("before", "a", "b", "c", "d"));
}

TEST(PanelPainterTest, LeavesNothingWhenItErases) {
  FakeTerminal terminal(20);
  PanelPainter painter;
  EXPECT_EQ(painter.Erase(20), "");
  terminal.Write("before\r\n");
  terminal.Write(painter.Draw({"one", "two"}, 20));

  terminal.Write(painter.Erase(20));
  terminal.Write("after\r\n");

  EXPECT_THAT(terminal.lines(), ElementsAre("before", "after", ""));
  EXPECT_EQ(painter.Erase(20), "");
}

TEST(PanelPainterTest, CoversWrappedLinesWhenTheScreenGetsNarrower) {
  FakeTerminal terminal(20);
  PanelPainter painter;
  terminal.Write("before\r\n");
  terminal.Write(
      painter.Draw({"0123456789012345678", "x", "0123456789012345678"}, 20));
  terminal.Narrow(8);
  ASSERT_THAT(terminal.lines(), SizeIs(8));

  terminal.Write(painter.Draw({"one", "two"}, 8));

  EXPECT_THAT(terminal.lines(), ElementsAre("before", "one", "two"));
}

TEST(PanelPainterTest, CoversWrappedLinesBeforeItSeesTheNewWidth) {
  FakeTerminal terminal(20);
  PanelPainter painter;
  terminal.Write("before\r\n");
  const std::vector<std::string> lines = {"0123456789012345678", "x",
                                          "0123456789012345678"};
  terminal.Write(painter.Draw(lines, 20));
  terminal.Narrow(8);

  terminal.Write(painter.Draw(lines, 20));
  terminal.Write(painter.Draw(lines, 20));
  terminal.Write(painter.Draw({"one", "two"}, 8));

  EXPECT_THAT(terminal.lines(), ElementsAre("before", "one", "two"));
}

TEST(PanelPainterTest, BeginsBelowForgottenLines) {
  FakeTerminal terminal(20);
  PanelPainter painter;
  terminal.Write(painter.Draw({"one"}, 20));
  terminal.Write("\r\nshell\r\n");

  painter.Forget();
  terminal.Write(painter.Draw({"two"}, 20));

  EXPECT_THAT(terminal.lines(), ElementsAre("one", "shell", "two"));
}

}  // namespace
}  // namespace asyncproc::cli
