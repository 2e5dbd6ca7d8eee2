#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOBLOG_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOBLOG_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tools/asyncproc/output.h"

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
// there. REQUIRES: no NUL in the command; no shell takes such a command.
std::string FormatJobRecord(const JobRecord& record);
// Nothing for what is no such line. `line` without its "\n".
std::optional<JobRecord> ParseJobRecord(absl::string_view line);

// A file of such lines. Each is written at once and whole: a run that was
// killed leaves a log that the next can go on with.
//
// Beside it, in FILE.running, there is a note of each job that has started and
// not ended, so that a run that was killed can be told from one that was not.
// GNU parallel reads the log itself, in which such notes would be errors. The
// notes are gone when a run has ended.
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
  // Errors: also kFailedPrecondition for a file that is not a job log; it is
  // left as it is.
  static absl::StatusOr<JobLog> Resume(const std::string& path);

  JobLog(JobLog&&) = default;
  JobLog& operator=(JobLog&&) = default;
  // Removes the notes, unless jobs still run.
  ~JobLog();

  enum class Past { kNone, kOk, kFailed };
  // What the log that was resumed says of job `number`; when it ran several
  // times, the last counts.
  // Errors: kFailedPrecondition if that was another command than `command`, if
  // that is given: these are not the jobs of that log.
  absl::StatusOr<Past> Find(int64_t number,
                            const std::optional<std::string>& command) const;

  // The jobs that ran when the run before was killed, and that have not ended
  // since. What the log says of them from an earlier run does not count.
  const std::set<int64_t>& cut_off() const { return cut_off_; }

  // Errors: as write, with the name of the file.
  absl::Status NoteStart(int64_t number);
  // Notes that a job has ended that is not to be in the log.
  absl::Status NoteEnd(int64_t number);

  // Also notes that the job has ended.
  // Errors: as write, with the name of the file, which then has no part of the
  // line.
  absl::Status Append(const JobRecord& record);

 private:
  struct Done {
    bool ok = false;
    size_t command = 0;  // Its hash.
  };

  explicit JobLog(Output file) : path_(file.name()), file_(std::move(file)) {}

  static absl::StatusOr<JobLog> Open(const std::string& path);
  absl::Status ReadPast();
  void Remember(absl::string_view line);
  absl::Status Write(absl::string_view text);
  std::string NotesPath() const { return path_ + ".running"; }
  void ReadNotes();
  absl::Status Note(char what, int64_t number);

  std::string path_;
  Output file_;
  std::optional<Output> notes_;  // From the first note on.
  std::set<int64_t> running_;
  std::set<int64_t> cut_off_;
  int64_t size_ = 0;
  absl::flat_hash_map<int64_t, Done> past_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOBLOG_H_
