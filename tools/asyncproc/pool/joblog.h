#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOBLOG_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOBLOG_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/unique_fd.h"

namespace asyncproc::cli {

// One job that has ended, as a line of GNU parallel's --joblog.
struct JobRecord {
  int64_t number = 0;      // From 1.
  std::string host = ":";  // ":" is this machine.
  absl::Time start;
  absl::Duration runtime;
  int64_t sent = 0;      // Always 0: no files are transferred.
  int64_t received = 0;  // Bytes of output.
  int exit_value = 0;    // -1: it took too long.
  int signal = 0;        // That ended it; 0: none.
  std::string command;

  bool ok() const { return exit_value == 0 && signal == 0; }
};

// Tab-separated, with its "\n"; a newline in the command becomes a NUL, as
// there.
std::string FormatJobRecord(const JobRecord& record);
// Nothing for what is no such line. `line` without its "\n".
std::optional<JobRecord> ParseJobRecord(absl::string_view line);

// A file of such lines. Each is written at once and whole: a run that was
// killed leaves a log that the next can go on with.
//
// Thread safety: none.
// Blocking: as writes to a file do.
class JobLog {
 public:
  // Starts a new one; what was in the file is gone.
  // Errors: as open; kFailedPrecondition when another pool writes it.
  static absl::StatusOr<JobLog> Create(const std::string& path);
  // Reads what is there, if anything, and goes on behind it. A last line that
  // was torn is dropped, lines that are none are passed over.
  static absl::StatusOr<JobLog> Resume(const std::string& path);

  JobLog(JobLog&&) = default;
  JobLog& operator=(JobLog&&) = default;

  enum class Past { kNone, kOk, kFailed };
  // What the log that was resumed says of job `number`; when it ran several
  // times, the last counts.
  // Errors: kFailedPrecondition if that was another command than `command`, if
  // that is given: these are not the jobs of that log.
  absl::StatusOr<Past> Find(int64_t number,
                            const std::optional<std::string>& command) const;

  // Errors: as write; the file has then no part of the line.
  absl::Status Append(const JobRecord& record);

 private:
  struct Done {
    bool ok = false;
    size_t command = 0;  // Its hash.
  };

  explicit JobLog(std::string path) : path_(std::move(path)) {}

  static absl::StatusOr<JobLog> Open(const std::string& path);
  absl::Status ReadPast();
  void Remember(absl::string_view line);
  absl::Status Write(absl::string_view text);

  std::string path_;
  internal::UniqueFd fd_;
  int64_t size_ = 0;
  absl::flat_hash_map<int64_t, Done> past_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOBLOG_H_
