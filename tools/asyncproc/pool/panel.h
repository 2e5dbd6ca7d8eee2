#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_PANEL_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_PANEL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace asyncproc::cli {

// What the panel of a pool shows.
struct PanelModel {
  // One that runs: a line.
  struct Job {
    int slot = 1;
    absl::Duration elapsed;
    std::string label;
    std::string last_line;  // Of its output, as the child wrote it.
    bool ending = false;    // It is being ended.
  };

  std::vector<Job> running;
  int64_t done = 0;    // Of which
  int64_t failed = 0;  // these.
  std::optional<int64_t> total;
  int64_t known = 0;  // As far as is known, when the total is not.
  absl::Duration elapsed;
  std::string note;  // Instead of the time left.
};

// The screen that it is for.
struct PanelScreen {
  int columns = 80;
  int rows = 24;
  bool utf8 = true;
  bool colours = true;
};

// A line for each that runs, as many as there is room for, and one for all:
//
//   1 0:12 gzip -k access.log     42% ===>     access.log: 42% done
//   2 0:03 gzip -k error.log
//   [======>               ] 34/100, 2 failed, 3.4/s, 0:19 left
//
// No line is wider than the screen less one, nor are there more than it has
// rows less one.
std::vector<std::string> RenderPanel(const PanelModel& model,
                                     const PanelScreen& screen);

// "0:07", "12:03", "1:02:03", "2d 3:04:05".
std::string FormatElapsed(absl::Duration duration);

// The last "42%" or "42.5 %" in a line, from 0 to 100.
std::optional<double> FindPercentage(absl::string_view line);

// Draws lines at the end of what is on the screen, again and again in the same
// place. The cursor is left at the start of the last line: what the terminal
// echoes there is drawn over.
//
//   PanelPainter painter;
//   write(painter.Draw(lines, 80));
//   write(painter.Erase(80) + "other output\n" + painter.Draw(lines, 80));
//
// A value. Thread safety: none.
class PanelPainter {
 public:
  // What to write to the terminal, which is `columns` wide now: lines that were
  // drawn when it was wider take several by then.
  std::string Draw(std::vector<std::string> lines, int columns);
  // Nothing when nothing is drawn.
  std::string Erase(int columns);
  // Something else has been written: begin below.
  void Forget() { drawn_.clear(); }

  bool drawn() const { return !drawn_.empty(); }

 private:
  // To the start of the first line.
  std::string Return(int columns) const;

  std::vector<std::string> drawn_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_PANEL_H_
