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

// What is done with the output of a command besides printing it.
struct PrintOptions {
  LineStyle style;
  size_t head = std::numeric_limits<size_t>::max();
  size_t tail = 0;
  // RE2: lines that match are progress. Empty: none are.
  std::string progress;
  // Called with each line, before it is printed; may be null.
  std::function<void(absl::string_view)> on_line;
};

// Prints what a child says on one stream, on a thread of its own, until the end
// of the stream. When nobody reads what is printed any more, or it cannot be
// written, the child's pipe is closed, so that it learns of that as if it had
// written there itself.
//
// The child waits for a slow reader when its Command::output_buffer is
// BlockChild; nothing more than that, than a line, and than `tail` is kept.
//
// Thread safety: any thread may call anything. Ownership: stream and console
// outlive it; the destructor waits for the end of the stream.
class StreamPrinter {
 public:
  // Errors: kInvalidArgument when PrintOptions::progress is no pattern;
  // kResourceExhausted.
  static absl::StatusOr<std::unique_ptr<StreamPrinter>> Start(
      OutputStream* from, Console* console, Console::Stream to,
      PrintOptions options);
  ~StreamPrinter();

  // Whether all was printed within `timeout`.
  bool AwaitEnd(absl::Duration timeout) const;
  // Counts up as long as something is printed.
  uint64_t progress() const { return printed_; }
  // Whether something has arrived that is not printed yet: the child may be
  // waiting for the console.
  bool busy() const { return busy_; }
  // Bytes that were left out; once it has ended.
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

  OutputStream* const from_;
  Console* const console_;
  const Console::Stream to_;
  const PrintOptions options_;

  // Of the printing thread.
  LinePrinter printer_;
  HeadAndTailFilter filter_;
  std::unique_ptr<ProgressParser> parser_;
  std::vector<std::string> last_progress_;
  std::string line_;  // For on_line: that has no end yet.
  bool open_ = true;  // Somebody reads what is printed.

  std::atomic<uint64_t> printed_{0};
  std::atomic<bool> busy_{false};
  absl::Notification ended_;
  Thread thread_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_STREAM_PRINTER_H_
