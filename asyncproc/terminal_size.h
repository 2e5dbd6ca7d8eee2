#ifndef ASYNCPROC_TERMINAL_SIZE_H_
#define ASYNCPROC_TERMINAL_SIZE_H_

namespace asyncproc {

// The size of a terminal, in characters. A value.
struct TerminalSize {
  int rows = 24;
  int columns = 80;

  friend bool operator==(const TerminalSize& a, const TerminalSize& b) {
    return a.rows == b.rows && a.columns == b.columns;
  }
};

}  // namespace asyncproc

#endif  // ASYNCPROC_TERMINAL_SIZE_H_
