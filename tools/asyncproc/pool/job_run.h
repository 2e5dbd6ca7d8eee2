#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOB_RUN_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOB_RUN_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tools/asyncproc/pool/joblog.h"
#include "tools/asyncproc/pool/output_queue.h"
#include "tools/asyncproc/pool/results_directory.h"

namespace asyncproc::cli {

struct Job {
  int64_t number = 0;  // From 1, among all jobs of the source.
  int64_t order = 0;   // From 0, among the jobs that this pool runs.
  std::vector<std::string> values;
  int tries = 0;
  std::optional<size_t> avoid;  // A host on which the job has failed.
};

// One try of a job, from its start on.
struct JobRun {
  Job job;
  std::string line;  // For /bin/sh.
  absl::Time start;  // By the wall clock.
  absl::Time begin;  // By MonotonicNow.
  pid_t pid = 0;
  int64_t received = 0;  // Bytes of output.
  std::unique_ptr<JobOutput> output;
  std::optional<ResultFiles> files;
  bool timed_out = false;
  bool killed = false;       // The pool has ended it, though it did not fail.
  bool output_open = false;  // Another process has it open after the end.
  std::string last_line;     // For the panel. It may still grow.
  bool last_line_ended = false;
};

// A try that has ended.
struct EndedRun {
  JobRun run;
  size_t host = 0;
  bool ok = false;
  int code = 0;       // As an exit status of the tool.
  std::string words;  // "ok", "exited with status 3", "timed out"
  JobRecord record;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOB_RUN_H_
