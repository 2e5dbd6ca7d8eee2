#ifndef ASYNCPROC_TOOLS_ASYNCPROC_LINE_PRINTER_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_LINE_PRINTER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "tools/asyncproc/console.h"

namespace asyncproc::cli {

// Passes on the first bytes of what it is fed, and of what comes behind them
// the last, when that is known: at Finish, behind a line that says how much is
// missing. It keeps no more than those last bytes.
//
// Thread safety: none of its own.
class HeadAndTailFilter {
 public:
  using Next = std::function<void(absl::string_view)>;

  // Sizes of the two; all is passed on when `head` is the largest size_t.
  HeadAndTailFilter(size_t head, size_t tail, Next next);

  void Feed(absl::string_view bytes);
  void Finish();

  // Bytes that are missing.
  uint64_t dropped() const { return dropped_; }

 private:
  const size_t tail_limit_;
  const Next next_;
  size_t head_left_;
  bool head_ends_line_ = true;
  std::string tail_;  // Up to twice of what is kept.
  uint64_t dropped_ = 0;
};

struct LineStyle {
  std::string prefix;       // "build1": lines begin with "build1: ".
  bool timestamps = false;  // "15:04:05.123 "
  bool plain() const { return prefix.empty() && !timestamps; }
};

// Prints one stream of a child on one of the console's, live. Where lines have
// something in front of them, or could run into those of another stream, whole
// lines are written at once, and the last one that has no end waits for it for
// as long as Flush is not called; else all bytes are passed on as they come.
// What it keeps is bounded: a line that is longer than kLongestLine is printed
// in pieces.
//
// Thread safety: none of its own.
class LinePrinter {
 public:
  static constexpr size_t kLongestLine = 64 * 1024;

  LinePrinter(Console* console, Console::Stream stream, LineStyle style);

  // False: nobody reads what is printed.
  bool Print(absl::string_view bytes);
  // A prompt, say: shows what waits for the end of its line. Lines that have
  // something in front of them wait on.
  bool Flush();
  // There is no more: what is left is printed, and its line is ended if lines
  // have something in front of them.
  bool Finish();

  bool waiting() const { return !line_.empty() && style_.plain(); }

 private:
  std::string Front() const;
  // The whole lines of `bytes`, with what is in front of them.
  std::string Decorated(absl::string_view bytes) const;

  Console* const console_;
  const Console::Stream stream_;
  const LineStyle style_;
  std::string line_;  // That has no end yet.
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_LINE_PRINTER_H_
