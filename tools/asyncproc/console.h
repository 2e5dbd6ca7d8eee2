#ifndef ASYNCPROC_TOOLS_ASYNCPROC_CONSOLE_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_CONSOLE_H_

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "tools/asyncproc/output.h"

namespace asyncproc::cli {

// The tool's own stdout and stderr, and the progress bar below what is said
// there, which is drawn on a terminal alone.
//
// What is written by one call stays in one piece; where both streams are the
// same terminal or file, in one piece among that of both. The bar is taken away
// before anything is written to its terminal, and drawn again behind it; where
// that ended within a line, behind the next end of a line.
//
// Thread safety: any thread may call anything. A write blocks as long as its
// reader does, and with it who writes to the same stream; the other goes on,
// unless it is the same. Ownership: the descriptors are the program's.
class Console {
 public:
  enum Stream { kOut = 0, kErr = 1 };

  Console();
  ~Console() { ClearBar(); }

  // False when nobody reads there any more, or it fails otherwise: see
  // FinishOutput.
  bool Write(Stream stream, absl::string_view bytes);

  // Whether it was closed when the tool was started.
  bool WasClosed(Stream stream) const { return outputs_[stream]->was_closed(); }

  // A line of the tool's own, on stderr: "asyncproc run: ...".
  void Say(absl::string_view line);

  // Whether both are the same: then what is no whole line may run into what the
  // other says.
  bool shared() const { return shared_; }

  // Whether there is a terminal to draw a bar on.
  bool has_bar() const { return bar_; }
  // `fraction` from 0 to 1, more or less. Does nothing without a terminal.
  void ShowBar(double fraction, absl::string_view text);
  void ClearBar();
  // The terminal has got another size.
  void Resized();

 private:
  absl::Mutex& MutexOf(Stream stream) {
    return shared_ || stream == kErr ? mu_ : out_mu_;
  }
  bool WriteLocked(Stream stream, absl::string_view bytes);
  // What draws the bar, and what takes it away; "" when there is none.
  std::string Drawing() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string Erasure() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const bool terminal_[2];  // By Stream.
  const bool shared_;
  const bool bar_;
  Output* const outputs_[2];  // By Stream.

  absl::Mutex out_mu_;  // For stdout, if it is another file than stderr.
  absl::Mutex mu_;      // For stderr, and all that is drawn there.
  bool shown_ ABSL_GUARDED_BY(mu_) = false;  // There is to be a bar.
  double fraction_ ABSL_GUARDED_BY(mu_) = 0;
  std::string text_ ABSL_GUARDED_BY(mu_);
  size_t drawn_ ABSL_GUARDED_BY(mu_) = 0;  // Columns that it takes now.
  bool within_line_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_CONSOLE_H_
