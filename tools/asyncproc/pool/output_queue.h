#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_OUTPUT_QUEUE_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_OUTPUT_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "asyncproc/process_poller.h"
#include "tools/asyncproc/line_printer.h"
#include "tools/asyncproc/pool/output_store.h"
#include "tools/asyncproc/pool/printer.h"

namespace asyncproc::cli {

// The output of one try of a job that has not been printed yet.
struct JobOutput {
  JobOutput(int64_t order, OutputStore* store)
      : order(order), out(store), err(store) {}

  const int64_t order;
  std::optional<std::string> tag;
  // With OutputQueue::Options::line_buffer: a line without its end, of less
  // than 16 MiB.
  StoredOutput out, err;
  bool out_begins_line = true;
  // Null where all output is printed.
  std::unique_ptr<HeadAndTailFilter> out_filter, err_filter;
  absl::Status filtered;  // The error of storing the output of a filter.
};

// Decides when the output of each job goes to the printer: in one piece when
// the job has ended, in the order of the ends or of the jobs; or line by line
// while the job runs. A large output is printed early, in pieces, while the
// outputs of other jobs wait: then the job notices that a reader such as head
// has gone.
//
// Thread safety: none.
// Ownership: the store and the printer outlive this object.
class OutputQueue {
 public:
  struct Options {
    bool keep_order = false;   // Prints in the order of the jobs.
    bool line_buffer = false;  // Prints whole lines as they come.
    bool early = true;         // Prints a large output while its job runs.
    // Of each stream of a job, only this much of the beginning and of the end
    // is printed.
    size_t head = std::numeric_limits<size_t>::max();
    size_t tail = 0;
  };

  // `await_room` waits until the printer has room, or there is no use waiting.
  OutputQueue(const Options& options, OutputStore* store, Printer* printer,
              std::function<void()> await_room)
      : options_(options),
        store_(store),
        printer_(printer),
        await_room_(std::move(await_room)) {}

  std::unique_ptr<JobOutput> Open(int64_t order,
                                  std::optional<std::string> tag);
  // Errors: those of StoredOutput::Append.
  absl::Status Add(JobOutput* output, ChildStream stream,
                   absl::string_view data);
  // The job has ended: stores the bytes that filters still hold.
  absl::Status Complete(JobOutput* output);
  // Prints the output, and then `note` on stderr, when its turn comes.
  void Print(std::unique_ptr<JobOutput> output, std::string note);
  // Prints all outputs that wait for their turn.
  void Flush();

  // False: so much output waits that no further job is to start.
  bool HasRoom() const;
  // Whether this output is being printed while its job runs.
  bool IsEarly(const JobOutput& output) const { return early_ == output.order; }

 private:
  struct Waiting {
    std::unique_ptr<JobOutput> output;
    std::string note;
  };

  absl::Status Store(JobOutput* output, ChildStream stream,
                     absl::string_view data);
  absl::Status PrintLines(JobOutput* output, ChildStream stream,
                          absl::string_view data);
  void PrintPiece(const JobOutput& output, StoredOutput out, StoredOutput err,
                  bool begins_line);
  void PrintIfLarge(JobOutput* output);
  void PrintNow(Waiting waiting);
  void PrintHeld();

  const Options options_;
  OutputStore* const store_;
  Printer* const printer_;
  const std::function<void()> await_room_;

  std::map<int64_t, Waiting> unordered_;  // By the order of the jobs.
  int64_t next_ = 0;                      // The order that is printed next.
  std::optional<int64_t> early_;  // The job that is printed while it runs.
  std::deque<Waiting> held_;      // Until that job has ended.
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_OUTPUT_QUEUE_H_
