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

// The output of one job, printed in one piece: nothing else comes in between.
struct JobPrint {
  StoredOutput out;
  StoredOutput err;
  // If set, each line begins with it, and the last line is ended.
  std::optional<std::string> tag;
  std::string note;  // A line for stderr, after the output; empty: none.
  // For an output in several pieces: whether this piece begins a line, and
  // whether it is the last, so that a line without an end gets one.
  bool begins_line = true;
  bool ends_line = true;
};

struct PrinterOptions {
  Output* out = &Output::Stdout();
  Output* err = &Output::Stderr();
  // Whether `out` and `err` are the terminal of the panel, which is on `err`.
  bool out_on_screen = false;
  bool err_on_screen = false;
  // HasRoom is false if this many jobs wait to be printed.
  size_t backlog = 256;
};

// Prints the output of jobs, and a panel below it, on a thread of its own: a
// stopped terminal or a slow reader holds up only that thread.
//
// Thread safety: any thread may call anything.
// Ownership: the destructor waits until all is printed; see Abandon. The caller
// keeps the descriptors.
// Blocking: Finish, as long as the reader blocks.
class Printer {
 public:
  // `wake` is called, on the printer's thread, when there is room again, and
  // when printing has failed.
  // Errors: kResourceExhausted.
  static absl::StatusOr<std::unique_ptr<Printer>> Start(
      PrinterOptions options, std::function<void()> wake);
  ~Printer();
  Printer(const Printer&) = delete;
  Printer& operator=(const Printer&) = delete;

  void Print(JobPrint job) ABSL_LOCKS_EXCLUDED(mu_);
  // Prints lines of the tool's own on stderr. Where they cannot be written,
  // status() stays as it is; so does it for JobPrint::note.
  void Note(std::string text) ABSL_LOCKS_EXCLUDED(mu_);

  // Sets the panel that is drawn when all output before it has been printed;
  // empty: no panel.
  void Show(std::vector<std::string> panel, int columns)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Another program has written to the terminal: draws the panel anew, below.
  void ForgetPanel() ABSL_LOCKS_EXCLUDED(mu_);

  // False: so much output waits that the caller should add no more.
  bool HasRoom() const ABSL_LOCKS_EXCLUDED(mu_);

  // The error of printing the output of a job; OK until there is one.
  absl::Status status() const ABSL_LOCKS_EXCLUDED(mu_);

  // Waits until all is printed and the panel is erased, or until the timeout.
  // Errors: kDeadlineExceeded; else as status().
  absl::Status Finish(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mu_);

  // Leaves the thread, which may hang in a write, and its memory behind: for a
  // program that is about to end.
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
  // For the printer's thread.
  absl::Status PrintItem(const Item& item, int columns);
  absl::Status PrintJob(const JobPrint& job);
  absl::Status PrintStream(const StoredOutput& output,
                           const std::optional<std::string>& tag, bool begins,
                           bool ends, Output* to, bool on_screen);
  absl::Status Put(Output* to, bool on_screen, absl::string_view text);
  void PutNote(absl::string_view text);
  void Draw(const std::vector<std::string>& panel, int columns);
  void EraseIf(bool needed, int columns);

  const PrinterOptions options_;
  const std::function<void()> wake_;

  // For the printer's thread.
  PanelPainter painter_;
  bool at_line_start_ = true;  // The screen's cursor is at the start of a line.
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
