#ifndef ASYNCPROC_TOOLS_ASYNCPROC_STDIN_PUMP_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_STDIN_PUMP_H_

#include <termios.h>

#include <functional>
#include <optional>
#include <thread>

#include "absl/strings/string_view.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/process.h"

namespace asyncproc::cli {

// Feeds the tool's own stdin to a child whose stdin is a pipe or a terminal of
// the library's; a child that can have stdin itself is better given that.
//
// It never reads ahead of what the child's pipe has taken, and nothing once
// the child has ended or has closed its stdin.
//
// Ownership: `process` outlives it; the destructor waits for its thread.
class StdinPump {
 public:
  explicit StdinPump(Process* process);
  ~StdinPump();
  StdinPump(const StdinPump&) = delete;
  StdinPump& operator=(const StdinPump&) = delete;

 private:
  void Pump();
  bool AwaitInput() const;

  Process* const process_;
  const int stop_;
  const CancellationToken stopped_;
  std::thread thread_;
};

// While it lives, the terminal that is the tool's stdin, if it is one, passes
// on every key as it is: for a child with a terminal of its own, whose
// business echo and Ctrl-C are.
class RawTerminal {
 public:
  RawTerminal();
  ~RawTerminal() { Restore(); }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

  void Restore();

 private:
  std::optional<termios> saved_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_STDIN_PUMP_H_
