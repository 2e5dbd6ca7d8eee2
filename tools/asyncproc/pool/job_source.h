#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOB_SOURCE_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOB_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "tools/asyncproc/os/thread.h"
#include "tools/asyncproc/os/unique_fd.h"

namespace asyncproc::cli {

// The values of the jobs, one job at a time.
class JobSource {
 public:
  virtual ~JobSource() = default;

  // The values of the next job. Does not block. Errors: kOutOfRange after the
  // last job; kUnavailable if the next values are not known yet.
  virtual absl::StatusOr<std::vector<std::string>> Next() = 0;

  // The number of all jobs, if it is known yet.
  virtual std::optional<int64_t> total() const = 0;
};

// Lists that belong together: a job gets the first value of each, the next job
// the second of each, up to the end of the shortest list. Mostly one list.
using LinkedLists = std::vector<std::vector<std::string>>;

// All combinations of the values of several lists; the last list varies
// fastest. Linked lists count as one list. Makes one combination at a time:
// there may be any number.
//
// Thread safety: none.
class ProductSource : public JobSource {
 public:
  explicit ProductSource(std::vector<LinkedLists> lists);

  absl::StatusOr<std::vector<std::string>> Next() override;
  std::optional<int64_t> total() const override { return total_; }

 private:
  const std::vector<LinkedLists> lists_;
  std::vector<int64_t> sizes_;  // The size of each list.
  int64_t total_ = 1;
  int64_t next_ = 0;
};

// Gives each job the values of several jobs of another source.
//
// Thread safety: none.
class GroupingSource : public JobSource {
 public:
  // REQUIRES: `source` has one value for each job; `size` > 1.
  GroupingSource(std::unique_ptr<JobSource> source, size_t size)
      : source_(std::move(source)), size_(size) {}

  // The last job may have fewer values.
  absl::StatusOr<std::vector<std::string>> Next() override;
  std::optional<int64_t> total() const override;

 private:
  const std::unique_ptr<JobSource> source_;
  const size_t size_;
  std::vector<std::string> group_;  // Not complete yet.
};

// Moves bytes from the front of `data` to the end of `value`, up to and without
// `end`. Returns whether `end` has come. `name`: of the input, for an error.
// Errors: kInvalidArgument for a NUL in a value, or a value of more than 16
// MiB.
absl::StatusOr<bool> TakeValue(absl::string_view* data, char end,
                               absl::string_view name, std::string* value);

// The lines of a descriptor, each the one value of a job. A thread reads them
// ahead, up to a bound. The last line needs no end. Lines may end with another
// character than a newline: NUL, say. Else a NUL in a line is an error: no
// command can have one.
//
// Thread safety: one thread at a time may call it.
// Ownership: owns the descriptor.
class LineSource : public JobSource {
 public:
  // `name`: of the input, for an error.
  // `wake` is called on the reading thread when a line arrives after Next had
  // none. `max_bytes`: how many bytes are read ahead; each line counts as 32
  // bytes more than its length.
  // Errors: kResourceExhausted.
  static absl::StatusOr<std::unique_ptr<LineSource>> Create(
      UniqueFd fd, std::string name, std::function<void()> wake,
      char end = '\n', size_t max_bytes = 1 << 20);
  ~LineSource() override;

  // Errors: also that of a failed read or of TakeValue, once: no further line
  // is read.
  absl::StatusOr<std::vector<std::string>> Next() override
      ABSL_LOCKS_EXCLUDED(mu_);
  std::optional<int64_t> total() const override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  LineSource(UniqueFd fd, std::string name, std::function<void()> wake,
             char end, size_t max_bytes, UniqueFd stop_read,
             UniqueFd stop_write);

  void ReadAll() ABSL_LOCKS_EXCLUDED(mu_);
  // False: the thread is to stop, or there is an error.
  bool AwaitInput();
  // False: the thread is to stop.
  bool Take(absl::string_view data) ABSL_LOCKS_EXCLUDED(mu_);
  bool AddLine(std::string line) ABSL_LOCKS_EXCLUDED(mu_);
  void End(absl::Status status) ABSL_LOCKS_EXCLUDED(mu_);
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return stopped_ || bytes_ < max_bytes_;
  }

  const UniqueFd fd_;
  const std::string name_;
  const char end_;
  const std::function<void()> wake_;
  const size_t max_bytes_;
  const UniqueFd stop_read_;
  std::string line_;  // For the thread: a line without its end.

  mutable absl::Mutex mu_;
  std::deque<std::string> lines_ ABSL_GUARDED_BY(mu_);
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;  // The weight of lines_.
  int64_t seen_ ABSL_GUARDED_BY(mu_) = 0;
  // Next had no line: wake when there is one.
  bool starved_ ABSL_GUARDED_BY(mu_) = false;
  bool at_end_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status error_ ABSL_GUARDED_BY(mu_);

  UniqueFd stop_write_;
  Thread thread_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOB_SOURCE_H_
