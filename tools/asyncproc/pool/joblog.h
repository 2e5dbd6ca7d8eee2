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

// A job that has ended, as a line of GNU parallel's --joblog.
struct JobRecord {
  int64_t number = 0;      // From 1.
  std::string host = ":";  // ":" is this machine.
  absl::Time start;
  absl::Duration runtime;
  int64_t sent = 0;      // Always 0: no files are transferred.
  int64_t received = 0;  // Bytes of output.
  int exit_value = 0;    // -1: a time limit ended the job.
  int signal = 0;        // The signal that ended the job; 0: none.
  std::string command;

  bool ok() const { return exit_value == 0 && signal == 0; }
};

// Tab-separated, with a newline at the end. As in parallel, a newline in the
// command becomes a NUL. REQUIRES: no NUL in the command; no shell takes such a
// command.
std::string FormatJobRecord(const JobRecord& record);
// Nullopt for any other line. `line`: without its newline.
std::optional<JobRecord> ParseJobRecord(absl::string_view line);

// A file of such lines. Each line is written whole, in one call: after a kill,
// the next run can continue the log.
//
// FILE.running beside the log has a note of each job that has started and not
// ended, so that --resume knows which jobs were cut off by a kill. GNU parallel
// reads the log itself, in which such notes would be errors. The notes are
// removed when a run has ended.
//
// Thread safety: none.
// Blocking: as writes to a file do.
class JobLog {
 public:
  // Starts a new log; the old content of the file is lost.
  // Errors: as open; kFailedPrecondition if another pool writes the log.
  static absl::StatusOr<JobLog> Create(const std::string& path);
  // Reads the log, if there is one, and continues it. Drops a torn last line,
  // and skips lines that are not job records.
  // Errors: also kFailedPrecondition for a file that is not a job log, which is
  // left as it is.
  static absl::StatusOr<JobLog> Resume(const std::string& path);

  JobLog(JobLog&&) = default;
  JobLog& operator=(JobLog&&) = default;
  // Removes the notes, unless jobs still run.
  ~JobLog();

  enum class Past { kNone, kOk, kFailed };
  // The state of job `number` in the resumed log; of several records, the last
  // counts.
  // Errors: kFailedPrecondition if `command` is given and the log has another
  // command for the job: these are not the jobs of that log.
  absl::StatusOr<Past> Find(int64_t number,
                            const std::optional<std::string>& command) const;

  // The jobs that ran when the last run was killed, and that have not ended
  // since. An earlier record of such a job does not count.
  const std::set<int64_t>& cut_off() const { return cut_off_; }

  // Errors: as write, with the name of the file.
  absl::Status NoteStart(int64_t number);
  // Notes the end of a job that is not to be in the log.
  absl::Status NoteEnd(int64_t number);

  // Also notes the end of the job. Errors: as write, with the name of the file,
  // which then has no part of the line.
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
