#ifndef ASYNCPROC_TOOLS_ASYNCPROC_STREAM_PRINTER_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_STREAM_PRINTER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "asyncproc/monitor.h"
#include "asyncproc/output_stream.h"
#include "tools/asyncproc/console.h"
#include "tools/asyncproc/line_printer.h"
#include "tools/asyncproc/os/thread.h"

namespace asyncproc::cli {

// How the output of a command is printed and watched.
struct PrintOptions {
  LineStyle style;
  size_t head = std::numeric_limits<size_t>::max();
  size_t tail = 0;
  // RE2: matching lines are progress. Empty: no line is.
  std::string progress;
  // Called with each line before it is printed; may be null.
  std::function<void(absl::string_view)> on_line;
  // Called, perhaps several times, when the output has no reader any more or
  // cannot be written. Null: the printer closes the child's pipe.
  std::function<void()> on_lost;
};

// Prints one stream of a child, on a thread of its own, until the end of the
// stream. When the output has no reader any more, or cannot be written, it
// closes the child's pipe: the child gets the same error as if it wrote to the
// output itself. A terminal cannot be closed so: see PrintOptions::on_lost.
//
// The child waits for a slow reader if its Command::output_buffer is
// BlockChild. Beyond that buffer, the printer keeps at most one line and `tail`
// bytes.
//
// Thread safety: any thread may call anything. Ownership: stream and console
// outlive this object; the destructor waits for the end of the stream.
class StreamPrinter {
 public:
  // Errors: kInvalidArgument if PrintOptions::progress is not a valid pattern;
  // kResourceExhausted.
  static absl::StatusOr<std::unique_ptr<StreamPrinter>> Start(
      OutputStream* from, Console* console, Console::Stream to,
      PrintOptions options);
  ~StreamPrinter();

  // Whether all output was printed within `timeout`.
  bool AwaitEnd(absl::Duration timeout) const;
  // A counter that grows with each print.
  uint64_t progress() const { return printed_; }
  // Whether output has arrived that is not printed yet: the child may be
  // waiting for the console.
  bool busy() const { return busy_; }
  // The number of bytes left out. Valid after the end.
  uint64_t left_out() const { return filter_.dropped(); }

 private:
  StreamPrinter(OutputStream* from, Console* console, Console::Stream to,
                PrintOptions options);
  absl::Status Prepare();
  void Run();
  void Take(absl::string_view bytes);
  void ShowProgress(const Progress& progress);
  void TakeLines(absl::string_view bytes);
  void Print(absl::string_view bytes);
  void GiveUp();

  OutputStream* const from_;
  Console* const console_;
  const Console::Stream to_;
  const PrintOptions options_;

  // For the printing thread.
  LinePrinter printer_;
  HeadAndTailFilter filter_;
  std::unique_ptr<ProgressParser> parser_;
  std::vector<std::string> last_progress_;
  std::string line_;  // For on_line: a line without its end.
  bool open_ = true;  // The output has a reader.

  std::atomic<uint64_t> printed_{0};
  std::atomic<bool> busy_{false};
  absl::Notification ended_;
  Thread thread_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_STREAM_PRINTER_H_
