#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_PRINTER_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_PRINTER_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tools/asyncproc/os/thread.h"
#include "tools/asyncproc/output.h"
#include "tools/asyncproc/pool/output_store.h"
#include "tools/asyncproc/pool/panel.h"

namespace asyncproc::cli {

// What is printed of one job, in one piece: nothing else comes in between.
struct JobPrint {
  StoredOutput out;
  StoredOutput err;
  // If there is one, each line begins with it, and the last one is ended.
  std::optional<std::string> tag;
  std::string note;  // A line for stderr, behind all; empty: none.
  // Of output that is printed in several pieces: whether this one begins a
  // line, and whether it is the last, so that a line without an end gets one.
  bool begins_line = true;
  bool ends_line = true;
};

struct PrinterOptions {
  Output* out = &Output::Stdout();
  Output* err = &Output::Stderr();
  // Whether what goes to `out` and `err` is on the screen of the panel, which
  // is on `err`.
  bool out_on_screen = false;
  bool err_on_screen = false;
  // Printed jobs may lag behind by so many before HasRoom is false.
  size_t backlog = 256;
};

// Prints what jobs wrote, and a panel below it, from a thread of its own: a
// terminal that is stopped, or a reader that is slow, holds up nobody else.
//
// Thread safety: any thread may call anything.
// Ownership: the destructor waits until all has been printed; see Abandon. The
// descriptors stay the caller's.
// Blocking: Finish, as long as the reader likes.
class Printer {
 public:
  // `wake` is called, on its thread, when there is room again, and when
  // printing has failed.
  // Errors: kResourceExhausted.
  static absl::StatusOr<std::unique_ptr<Printer>> Start(
      PrinterOptions options, std::function<void()> wake);
  ~Printer();
  Printer(const Printer&) = delete;
  Printer& operator=(const Printer&) = delete;

  void Print(JobPrint job) ABSL_LOCKS_EXCLUDED(mu_);
  // Lines of our own, for stderr.
  void Note(std::string text) ABSL_LOCKS_EXCLUDED(mu_);

  // What the panel is from now on, when all before it has been printed; empty:
  // there is none.
  void Show(std::vector<std::string> panel, int columns)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Something else has been on the terminal: the panel begins anew, below.
  void ForgetPanel() ABSL_LOCKS_EXCLUDED(mu_);

  // False: there is so much to be printed that it is better to add no more.
  bool HasRoom() const ABSL_LOCKS_EXCLUDED(mu_);

  // Why nothing can be printed on stdout or stderr any more; OK: it can.
  absl::Status status() const ABSL_LOCKS_EXCLUDED(mu_);

  // Waits until all has been printed and the panel is erased, or until the
  // timeout. Errors: kDeadlineExceeded; else as status().
  absl::Status Finish(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mu_);

  // Leaves the thread, which may hang in a write, to itself, and the memory of
  // this too: for a program that is about to end.
  static void Abandon(std::unique_ptr<Printer> printer);

 private:
  struct Item {
    std::optional<JobPrint> job;
    std::string text;
  };

  Printer(PrinterOptions options, std::function<void()> wake);

  void Work() ABSL_LOCKS_EXCLUDED(mu_);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return !items_.empty() || panel_changed_ || forget_ || ending_;
  }
  bool IsIdle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return (items_.empty() && !busy_ && !panel_changed_) || !status_.ok();
  }
  // The thread's.
  absl::Status PrintItem(const Item& item, int columns);
  absl::Status PrintJob(const JobPrint& job);
  absl::Status PrintStream(const StoredOutput& output,
                           const std::optional<std::string>& tag, bool begins,
                           bool ends, Output* to, bool on_screen);
  absl::Status Put(Output* to, bool on_screen, absl::string_view text);
  void Draw(const std::vector<std::string>& panel, int columns);
  void EraseIf(bool needed, int columns);

  const PrinterOptions options_;
  const std::function<void()> wake_;

  // The thread's.
  PanelPainter painter_;
  bool at_line_start_ = true;  // Of the screen.
  bool screen_gone_ = false;

  mutable absl::Mutex mu_;
  std::deque<Item> items_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> panel_ ABSL_GUARDED_BY(mu_);
  int columns_ ABSL_GUARDED_BY(mu_) = 80;
  bool panel_changed_ ABSL_GUARDED_BY(mu_) = false;
  bool forget_ ABSL_GUARDED_BY(mu_) = false;
  bool busy_ ABSL_GUARDED_BY(mu_) = false;
  bool ending_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mu_);

  Thread thread_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_PRINTER_H_
