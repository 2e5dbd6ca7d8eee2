#ifndef ASYNCPROC_TOOLS_ASYNCPROC_CONSOLE_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_CONSOLE_H_

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "tools/asyncproc/output.h"

namespace asyncproc::cli {

// The tool's own stdout and stderr, with a progress bar below the output on a
// terminal.
//
// The bytes of one call stay together; where both streams are the same terminal
// or file, the bytes of the other stream do not come in between either. The bar
// is erased before each write to its terminal, and drawn again afterwards; if
// the write ended within a line, after the end of that line.
//
// Thread safety: any thread may call anything. Blocking: a write blocks as long
// as its reader does, together with all writers of the same stream; the other
// stream goes on, unless it is the same file. Ownership: the descriptors are
// the program's.
class Console {
 public:
  enum Stream { kOut = 0, kErr = 1 };

  Console();
  ~Console() { ClearBar(); }

  // False if the output has no reader any more, or a write fails otherwise: see
  // FinishOutput.
  bool Write(Stream stream, absl::string_view bytes) {
    return WriteLines(stream, bytes, "", nullptr);
  }
  // The same for a writer of lines that may come in pieces. `front` is written
  // before `bytes`, unless `bytes` continues the last line of the same writer.
  // Another writer ends that line first.
  bool WriteLines(Stream stream, absl::string_view bytes,
                  absl::string_view front, const void* writer);

  // Whether the stream was closed when the tool started.
  bool WasClosed(Stream stream) const { return outputs_[stream]->was_closed(); }

  // Writes a line of the tool's own on stderr: "asyncproc run: ...".
  void Say(absl::string_view line);

  // Whether both streams are the same file: then a part of a line must not run
  // into output of the other stream.
  bool shared() const { return shared_; }

  // Whether there is a terminal to draw a bar on.
  bool has_bar() const { return bar_; }
  // `fraction`: from 0 to 1; other values are clamped. Does nothing without a
  // terminal.
  void ShowBar(double fraction, absl::string_view text);
  void ClearBar();
  // The terminal has another size.
  void Resized();

 private:
  absl::Mutex& MutexOf(Stream stream) {
    return shared_ || stream == kErr ? mu_ : out_mu_;
  }
  bool WriteLocked(Stream stream, absl::string_view bytes);
  // The bytes that draw the bar, and those that erase it; "" if there is none.
  std::string Drawing() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string Erasure() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const bool terminal_[2];  // By Stream.
  const bool shared_;
  const bool bar_;
  Output* const outputs_[2];  // By Stream.

  // The writer of a line that continues, by Stream: only kOut if both are the
  // same file. Guarded by MutexOf.
  const void* unfinished_[2] = {};

  absl::Mutex out_mu_;  // Guards stdout, if it is another file than stderr.
  absl::Mutex mu_;      // Guards stderr and the bar.
  bool shown_ ABSL_GUARDED_BY(mu_) = false;  // A bar is wanted.
  double fraction_ ABSL_GUARDED_BY(mu_) = 0;
  std::string text_ ABSL_GUARDED_BY(mu_);
  size_t drawn_ ABSL_GUARDED_BY(mu_) = 0;  // Columns that the bar takes now.
  bool within_line_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_CONSOLE_H_
