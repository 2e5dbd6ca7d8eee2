#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_OUTPUT_STORE_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_OUTPUT_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "tools/asyncproc/os/unique_fd.h"

namespace asyncproc::cli {

// Holds the output of many jobs until it is printed: in memory up to a bound,
// and beyond that in one file without a name. An output gives its part of the
// file back when it is destroyed.
//
// Thread safety: any thread may call anything.
// Ownership: outlives its outputs.
class OutputStore {
 public:
  struct Options {
    std::string directory;           // Empty: $TMPDIR, or /tmp.
    size_t memory_each = 256 << 10;  // The most bytes of one output in memory,
    size_t memory_total = 4 << 20;   // and of all, with a little more each.
  };

  explicit OutputStore(Options options);
  OutputStore(const OutputStore&) = delete;
  OutputStore& operator=(const OutputStore&) = delete;

  // The bytes in memory, and in the file.
  size_t in_memory() const ABSL_LOCKS_EXCLUDED(mu_);
  uint64_t in_file() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  friend class StoredOutput;

  // Counts `size` bytes as in memory. True: they should go to the file.
  bool Charge(size_t size) ABSL_LOCKS_EXCLUDED(mu_);
  void Discharge(size_t size) ABSL_LOCKS_EXCLUDED(mu_);
  // Writes to the file. Returns the offset there.
  absl::StatusOr<uint64_t> Spill(absl::string_view data)
      ABSL_LOCKS_EXCLUDED(mu_);
  void Free(uint64_t offset, uint64_t size) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status OpenFile() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  int file() const ABSL_LOCKS_EXCLUDED(mu_);

  const Options options_;
  mutable absl::Mutex mu_;
  UniqueFd file_ ABSL_GUARDED_BY(mu_);
  uint64_t end_ ABSL_GUARDED_BY(mu_) = 0;  // The end of the file.
  uint64_t in_file_ ABSL_GUARDED_BY(mu_) = 0;
  size_t in_memory_ ABSL_GUARDED_BY(mu_) = 0;
};

// One stream of bytes in a store.
//
// Thread safety: one thread at a time.
class StoredOutput {
 public:
  explicit StoredOutput(OutputStore* store) : store_(store) {}
  StoredOutput(StoredOutput&& other) noexcept;
  StoredOutput& operator=(StoredOutput&& other) noexcept;
  ~StoredOutput() { Clear(); }

  // Errors: those of writing to a file. Then no byte of `data` is stored.
  absl::Status Append(absl::string_view data);
  uint64_t size() const { return size_; }
  // Whether the last byte is a newline; true if there is no byte.
  bool EndsLine() const { return ends_line_; }

  // Calls `take` with all bytes, piece by piece, in order, until it fails.
  // Errors: those of `take`; kDataLoss if the file cannot be read.
  absl::Status ForEach(
      const std::function<absl::Status(absl::string_view)>& take) const;

  void Clear();

 private:
  struct Extent {
    uint64_t offset;
    uint64_t size;
  };

  OutputStore* store_;
  std::vector<Extent> extents_;
  std::string memory_;  // The bytes after those.
  uint64_t size_ = 0;
  bool ends_line_ = true;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_OUTPUT_STORE_H_
