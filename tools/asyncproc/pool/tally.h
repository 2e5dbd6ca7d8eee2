#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_TALLY_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_TALLY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tools/asyncproc/pool/job_run.h"

namespace asyncproc::cli {

// Counts the jobs that have ended, and remembers how the first of those that
// failed did so. Thread safety: none.
class Tally {
 public:
  // `host`: empty if all jobs run on this machine.
  void Add(const EndedRun& ended, const std::string& host);

  int64_t succeeded() const { return succeeded_; }
  // Also counts the jobs that the pool has ended.
  int64_t failed() const { return failed_; }

  // A list of the failed jobs, in lines; empty if there are none.
  std::string Failures() const;

 private:
  int64_t succeeded_ = 0;
  int64_t failed_ = 0;
  int64_t killed_ = 0;  // Of the failed ones, those that the pool has ended.
  std::vector<std::string> failures_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_TALLY_H_
