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
#include "asyncproc/internal/os/thread.h"
#include "asyncproc/internal/os/unique_fd.h"

namespace asyncproc::cli {

// The values of the jobs, one after the other.
class JobSource {
 public:
  virtual ~JobSource() = default;

  // The values of the next job. Does not block.
  // Errors: kOutOfRange when there are no more; kUnavailable when there are
  // none yet.
  virtual absl::StatusOr<std::vector<std::string>> Next() = 0;

  // How many there are in all. Nothing: it is not known yet.
  virtual std::optional<int64_t> total() const = 0;
};

// All combinations of the values of several lists; the last list varies
// fastest. They are made one at a time: there may be any number.
//
// Thread safety: none.
class ProductSource : public JobSource {
 public:
  explicit ProductSource(std::vector<std::vector<std::string>> lists);

  absl::StatusOr<std::vector<std::string>> Next() override;
  std::optional<int64_t> total() const override { return total_; }

 private:
  const std::vector<std::vector<std::string>> lists_;
  int64_t total_ = 1;
  int64_t next_ = 0;
};

// The lines of a descriptor, each the one value of a job, read ahead of their
// use by a thread, up to a bound. A last line needs no end.
//
// Thread safety: none, as far as it is seen from outside.
// Ownership: the descriptor stays the caller's.
class LineSource : public JobSource {
 public:
  // `wake` is called, on that thread, when there may be a line after Next had
  // none. `max_bytes`: how much is read ahead, and no line counts as less than
  // 32 bytes.
  // Errors: kResourceExhausted.
  static absl::StatusOr<std::unique_ptr<LineSource>> Create(
      int fd, std::function<void()> wake, size_t max_bytes = 16 << 20);
  ~LineSource() override;

  // Errors: also that of a read that failed, once.
  absl::StatusOr<std::vector<std::string>> Next() override
      ABSL_LOCKS_EXCLUDED(mu_);
  std::optional<int64_t> total() const override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  LineSource(int fd, std::function<void()> wake, size_t max_bytes,
             internal::UniqueFd stop_read, internal::UniqueFd stop_write);

  void ReadAll() ABSL_LOCKS_EXCLUDED(mu_);
  // False: it is to stop, or there is an error.
  bool AwaitInput();
  // False: it is to stop.
  bool Take(absl::string_view data) ABSL_LOCKS_EXCLUDED(mu_);
  bool AddLine(std::string line) ABSL_LOCKS_EXCLUDED(mu_);
  void End(absl::Status status) ABSL_LOCKS_EXCLUDED(mu_);
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return stopped_ || bytes_ < max_bytes_;
  }

  const int fd_;
  const std::function<void()> wake_;
  const size_t max_bytes_;
  const internal::UniqueFd stop_read_;
  std::string line_;  // The thread's: one that has no end yet.

  mutable absl::Mutex mu_;
  std::deque<std::string> lines_ ABSL_GUARDED_BY(mu_);
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;  // Of those.
  int64_t seen_ ABSL_GUARDED_BY(mu_) = 0;
  bool starved_ ABSL_GUARDED_BY(mu_) = false;  // Wake when there is one.
  bool at_end_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status error_ ABSL_GUARDED_BY(mu_);

  internal::UniqueFd stop_write_;
  internal::Thread thread_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOB_SOURCE_H_
