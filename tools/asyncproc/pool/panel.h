#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_PANEL_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_PANEL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace asyncproc::cli {

// The content of the panel of a pool.
struct PanelModel {
  // A running job: one line.
  struct Job {
    int slot = 1;
    absl::Duration elapsed;
    std::string label;
    std::string last_line;  // Of its output, as the child wrote it.
    bool ending = false;    // The pool is ending it.
  };

  std::vector<Job> running;
  int64_t done = 0;    // Jobs that have ended,
  int64_t failed = 0;  // and those of them that failed.
  std::optional<int64_t> total;
  int64_t known = 0;  // The number known so far, if the total is unknown.
  absl::Duration elapsed;
  std::string note;  // Shown instead of the time left.
};

// The screen of the panel.
struct PanelScreen {
  int columns = 80;
  int rows = 24;
  bool utf8 = true;
  bool colours = true;
};

// A line for each running job, as many as fit, and one for the whole pool:
//
//   1 0:12 gzip -k access.log     42% ===>     access.log: 42% done
//   2 0:03 gzip -k error.log
//   [======>               ] 34/100, 2 failed, 3.4/s, 0:19 left
//
// Lines are narrower than the screen by one column, and fewer than its rows by
// one.
std::vector<std::string> RenderPanel(const PanelModel& model,
                                     const PanelScreen& screen);

// "0:07", "12:03", "1:02:03", "2d 3:04:05".
std::string FormatElapsed(absl::Duration duration);

// The last "42%" or "42.5 %" in a line, from 0 to 100.
std::optional<double> FindPercentage(absl::string_view line);

// Draws lines below the output on the screen, again and again in the same
// place. Leaves the cursor at the start of the last line, so that the next
// drawing covers echoed keys.
//
//   PanelPainter painter;
//   write(painter.Draw(lines, 80));
//   write(painter.Erase(80) + "other output\n" + painter.Draw(lines, 80));
//
// A value. Thread safety: none.
class PanelPainter {
 public:
  // The bytes that draw `lines` on the terminal, which is `columns` wide now.
  // Lines that were drawn on a wider terminal take several rows by now.
  std::string Draw(std::vector<std::string> lines, int columns);
  // Empty if nothing is drawn.
  std::string Erase(int columns);
  // Other output has been written: the next drawing begins below.
  void Forget() { drawn_.clear(); }

  bool drawn() const { return !drawn_.empty(); }

 private:
  // Moves the cursor to the start of the first line.
  std::string Return(int columns) const;

  std::vector<std::string> drawn_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_PANEL_H_
