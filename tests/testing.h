#ifndef ASYNCPROC_TESTS_TESTING_H_
#define ASYNCPROC_TESTS_TESTING_H_

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace asyncproc {

// The only two durations that tests wait for: one that is expected to run out,
// and one that must not.
constexpr absl::Duration kShort = absl::Milliseconds(50);
constexpr absl::Duration kNeverReached = absl::Minutes(1);

// The factor for upper bounds on elapsed time: sanitizers are slow.
extern const int kSlowness;

// The path of a program in tests/helpers.
std::string Helper(absl::string_view name);

// A folder for files, which is removed with this object.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }
  // Writes a file; returns its path.
  std::string Write(absl::string_view name, absl::string_view content,
                    int mode = 0644) const;
  std::string Read(absl::string_view name) const;

 private:
  std::string path_;
};

// Starts `command`. On failure, fails the test and ends the program, because
// there is no child to test.
std::unique_ptr<Process> MustSpawn(Command command);

// The output of `command` on stdout. The command must exit with 0.
std::string OutputOf(Command command);

// Waits for the line that `process` prints when it is ready for the test.
void AwaitLine(Process& process, absl::string_view line);

// Whether the process exists and is not a zombie.
bool ProcessLives(pid_t pid);
// Waits until the process has ended. Returns false after `timeout`.
bool AwaitProcessEnd(pid_t pid, absl::Duration timeout = kNeverReached);

// Waits until `thread`, a thread of this program, sleeps. 0: not known yet.
void AwaitSleep(const std::atomic<pid_t>& thread);

inline const absl::Status& GetStatus(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& GetStatus(const absl::StatusOr<T>& status) {
  return status.status();
}

// Matches a Status or StatusOr.
MATCHER(IsOk, "is OK") {
  const absl::Status status = GetStatus(arg);
  *result_listener << status;
  return status.ok();
}
MATCHER_P(HasCode, code, absl::StatusCodeToString(code)) {
  const absl::Status status = GetStatus(arg);
  *result_listener << status;
  return status.code() == code;
}
// Matches a StatusOr that is OK and whose value matches.
MATCHER_P(
    IsOkAndHolds, matcher,
    "is OK and " +
        testing::DescribeMatcher<typename std::decay_t<arg_type>::value_type>(
            matcher)) {
  if (!arg.ok()) {
    *result_listener << arg.status();
    return false;
  }
  return testing::ExplainMatchResult(matcher, *arg, result_listener);
}

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTS_TESTING_H_
