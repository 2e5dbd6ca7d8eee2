#include "tools/asyncproc/pool/panel.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tools/asyncproc/pool/screen_text.h"

namespace asyncproc::cli {
namespace {

constexpr int kJobBar = 8;

// `text` in a colour, which takes no columns.
std::string Coloured(absl::string_view text, absl::string_view code,
                     const PanelScreen& screen) {
  if (!screen.colours || text.empty()) return std::string(text);
  return absl::StrCat("\033[", code, "m", text, "\033[0m");
}

std::string Repeat(absl::string_view text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) absl::StrAppend(&result, text);
  return result;
}

// `columns` wide.
std::string Bar(double part, int columns, const PanelScreen& screen) {
  const int full = std::clamp<int>(std::floor(part * columns), 0, columns);
  return absl::StrCat(
      Coloured(Repeat(screen.utf8 ? "\u2588" : "#", full), "32", screen),
      Coloured(Repeat(screen.utf8 ? "\u2591" : ".", columns - full), "2",
               screen));
}

std::string JobLine(const PanelModel::Job& job, int slot_columns,
                    const PanelScreen& screen) {
  const int columns = screen.columns - 1;
  const std::string head = absl::StrFormat("%*d %7s ", slot_columns, job.slot,
                                           FormatElapsed(job.elapsed));
  const int left = columns - static_cast<int>(head.size());
  if (left < 10) return CutToColumns(head, columns, screen.utf8);
  const std::string label = Printable(job.label, screen.utf8);
  const std::string said = Printable(job.last_line, screen.utf8);
  const std::optional<double> percentage = FindPercentage(said);
  const int most =
      said.empty() && !job.ending ? left : std::max(10, left * 2 / 5);
  std::string line = absl::StrCat(Coloured(head, "2", screen),
                                  FitToColumns(label, most, screen.utf8));
  int rest = left - most;
  if (job.ending && rest > 8) {
    absl::StrAppend(&line, Coloured(" ending", "33", screen));
    rest -= 7;
  }
  if (percentage.has_value() && rest > kJobBar + 6) {
    absl::StrAppend(&line, absl::StrFormat(" %3.0f%% ", *percentage),
                    Bar(*percentage / 100, kJobBar, screen));
    rest -= kJobBar + 6;
  }
  if (rest < 3 || said.empty()) return line;
  return absl::StrCat(
      line, "  ",
      Coloured(CutToColumns(said, rest - 2, screen.utf8), "2", screen));
}

// The time left if the pool goes on like this; nullopt if it is unknown.
std::optional<absl::Duration> TimeLeft(const PanelModel& model) {
  if (!model.total.has_value() || model.done == 0) return std::nullopt;
  return model.elapsed / model.done * (*model.total - model.done);
}

std::string Summary(const PanelModel& model) {
  std::vector<std::string> parts;
  parts.push_back(model.total.has_value()
                      ? absl::StrCat(model.done, "/", *model.total)
                      : absl::StrCat(model.done, "/", model.known, "+"));
  if (model.failed > 0) parts.push_back(absl::StrCat(model.failed, " failed"));
  const double seconds = absl::ToDoubleSeconds(model.elapsed);
  if (model.done > 0 && seconds > 0) {
    const double rate = model.done / seconds;
    parts.push_back(rate >= 1 ? absl::StrFormat("%.1f/s", rate)
                              : absl::StrFormat("%.1f/min", rate * 60));
  }
  if (!model.note.empty()) {
    parts.push_back(model.note);
  } else if (const auto left = TimeLeft(model); left.has_value()) {
    parts.push_back(absl::StrCat(FormatElapsed(*left), " left"));
  }
  return absl::StrJoin(parts, ", ");
}

std::string TotalLine(const PanelModel& model, const PanelScreen& screen) {
  const int columns = screen.columns - 1;
  const std::string summary = Printable(Summary(model), screen.utf8);
  const int bar =
      std::min(40, columns - ColumnsOf(summary) - 4 /* brackets, spaces */);
  if (!model.total.has_value() || bar < 5) {
    return CutToColumns(summary, columns, screen.utf8);
  }
  const double part =
      *model.total == 0 ? 1.0 : static_cast<double>(model.done) / *model.total;
  return absl::StrCat("[", Bar(part, bar, screen), "] ",
                      Coloured(summary, model.failed > 0 ? "31" : "1", screen));
}

// Without escape sequences, for measuring.
int ColumnsDrawn(absl::string_view line) {
  return ColumnsOf(Printable(line, /*utf8=*/true));
}

}  // namespace

std::string FormatElapsed(absl::Duration duration) {
  const int64_t seconds = std::max<int64_t>(
      0, absl::ToInt64Seconds(duration + absl::Milliseconds(1)));
  const int64_t days = seconds / 86400;
  const int hours = seconds / 3600 % 24;
  const int minutes = seconds / 60 % 60;
  const int rest = seconds % 60;
  if (days > 0) {
    return absl::StrFormat("%dd %d:%02d:%02d", days, hours, minutes, rest);
  }
  return hours > 0 ? absl::StrFormat("%d:%02d:%02d", hours, minutes, rest)
                   : absl::StrFormat("%d:%02d", minutes, rest);
}

std::optional<double> FindPercentage(absl::string_view line) {
  for (size_t sign = line.rfind('%'); sign != absl::string_view::npos;
       sign = sign == 0 ? absl::string_view::npos : line.rfind('%', sign - 1)) {
    size_t end = sign;
    if (end > 0 && line[end - 1] == ' ') --end;
    size_t from = end;
    while (from > 0 &&
           (absl::ascii_isdigit(line[from - 1]) || line[from - 1] == '.')) {
      --from;
    }
    double value;
    if (absl::SimpleAtod(line.substr(from, end - from), &value) && value >= 0 &&
        value <= 100) {
      return value;
    }
  }
  return std::nullopt;
}

std::vector<std::string> RenderPanel(const PanelModel& model,
                                     const PanelScreen& screen) {
  std::vector<std::string> lines;
  if (screen.rows < 2 || screen.columns < 10) return lines;
  const size_t room = screen.rows - 2;  // Beside the last line.
  const size_t all = model.running.size();
  size_t shown = std::min(all, room);
  // The line about the other jobs takes the place of one.
  if (shown < all && shown > 0) --shown;
  int slot_columns = 1;
  for (const PanelModel::Job& job : model.running) {
    slot_columns = std::max<int>(slot_columns, absl::StrCat(job.slot).size());
  }
  for (size_t i = 0; i < shown; ++i) {
    lines.push_back(JobLine(model.running[i], slot_columns, screen));
  }
  if (shown < all && room > 0) {
    lines.push_back(CutToColumns(absl::StrCat("and ", all - shown, " more"),
                                 screen.columns - 1, screen.utf8));
  }
  lines.push_back(TotalLine(model, screen));
  return lines;
}

std::string PanelPainter::Return(int columns) const {
  int rows = 0;
  for (size_t i = 0; i + 1 < drawn_.size(); ++i) {
    const int wide = ColumnsDrawn(drawn_[i]);
    rows += std::max(1, (wide + columns - 1) / std::max(1, columns));
  }
  return rows > 0 ? absl::StrCat("\r\033[", rows, "A") : "\r";
}

std::string PanelPainter::Draw(std::vector<std::string> lines, int columns) {
  if (lines.empty()) return Erase(columns);
  // A narrower line may leave rows that the new lines do not cover.
  const bool fits = std::all_of(drawn_.begin(), drawn_.end(),
                                [columns](const std::string& line) {
                                  return ColumnsDrawn(line) < columns;
                                });
  std::string text = !drawn() ? "" : fits ? Return(columns) : Erase(columns);
  // A terminal may be narrower than it has reported: longer lines are cut off,
  // and each line is still one row.
  absl::StrAppend(&text, "\033[?7l");
  for (size_t i = 0; i < lines.size(); ++i) {
    absl::StrAppend(&text, i > 0 ? "\r\n" : "", lines[i], "\033[K");
  }
  absl::StrAppend(&text, "\033[J\r\033[?7h");
  drawn_ = std::move(lines);
  return text;
}

std::string PanelPainter::Erase(int columns) {
  if (!drawn()) return "";
  const std::string home = Return(columns);
  drawn_.clear();
  if (home == "\r") return "\r\033[K";
  // Line by line: some terminals keep a fully erased screen in their history.
  return absl::StrCat(home, "\033[K\033[B\033[J\033[A");
}

}  // namespace asyncproc::cli
