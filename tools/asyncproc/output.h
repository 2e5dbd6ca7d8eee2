#ifndef ASYNCPROC_TOOLS_ASYNCPROC_OUTPUT_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_OUTPUT_H_

#include <sys/types.h>

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "tools/asyncproc/os/unique_fd.h"

namespace asyncproc::cli {

// A stream or file that the tool writes. All output of the tool goes through
// this class, which keeps the first error: the tool never loses output and then
// exits with status 0.
//
//   Output::Stdout().Write("hello\n").IgnoreError();
//   return FinishOutput(code);   // Reports the error, if there was one.
//
// EPIPE means that the output has no reader. It is an error like the others, so
// that the writer stops, but FinishOutput does not report it.
//
// Thread safety: any thread may call anything; the bytes of one call stay
// together only as far as the kernel keeps them together. Blocking: until the
// reader has taken the bytes, also where the descriptor is non-blocking. Raises
// no SIGPIPE while that signal is blocked: see SignalWatcher.
class Output {
 public:
  // The two streams of the program. A stream that was closed when the program
  // started fails with EBADF.
  static Output& Stdout();
  static Output& Stderr();

  // `name` stands in messages. The caller keeps the descriptor.
  Output(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}

  // Opens a file. `flags`: as for open(2), without O_CREAT and O_CLOEXEC, which
  // are added. The object closes the file. Errors: as open, with `path` in the
  // message.
  static absl::StatusOr<Output> Open(const std::string& path, int flags);

  Output(Output&& other) noexcept;
  Output& operator=(Output&& other) noexcept;

  int fd() const { return fd_; }
  const std::string& name() const { return name_; }

  // Writes all of `bytes`. Errors: "cannot write FILE: No space left on
  // device". After the first error every call returns that error and writes
  // nothing.
  absl::Status Write(absl::string_view bytes) ABSL_LOCKS_EXCLUDED(mu_);
  // The same at `offset`, for a regular file.
  absl::Status WriteAt(absl::string_view bytes, off_t offset)
      ABSL_LOCKS_EXCLUDED(mu_);

  // The first error, else OK.
  absl::Status status() const ABSL_LOCKS_EXCLUDED(mu_);
  // Whether that error is EPIPE: the output has no reader.
  bool unread() const ABSL_LOCKS_EXCLUDED(mu_);
  // Whether the stream was closed when the program started.
  bool was_closed() const ABSL_LOCKS_EXCLUDED(mu_);
  // Whether bytes are lost by another error than EPIPE.
  bool lost() const ABSL_LOCKS_EXCLUDED(mu_);
  // Allows another try, which may succeed: the disk has room again, say.
  void ForgetError() ABSL_LOCKS_EXCLUDED(mu_);
  // Records `error`, an errno, as if a write had failed with it. `lost`: bytes
  // that were written before are lost by it.
  void SetError(int error, bool lost = false) ABSL_LOCKS_EXCLUDED(mu_);

  // Closes a file of Open. Some file systems report a full disk only then.
  absl::Status Close() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  template <typename WriteSome>
  absl::Status WriteBy(absl::string_view bytes, const WriteSome& write_some);

  int fd_;
  std::string name_;
  UniqueFd owned_;
  mutable absl::Mutex mu_;
  int error_ ABSL_GUARDED_BY(mu_) = 0;
  bool lost_ ABSL_GUARDED_BY(mu_) = false;
};

// Call this once, at the start. Opens /dev/null for each standard stream that
// is closed, so that no other descriptor of the tool gets its number.
void OpenStandardStreams();

// Call this once, at the end. Returns the exit status of the program: `code`,
// or kOwnFailure if that is 0 and a write to stdout or stderr has failed.
// Reports such a failure on stderr.
int FinishOutput(int code);

// For std::set_new_handler: reports the lack of memory on stderr, and ends the
// program with kOwnFailure. The guard then ends the processes of the tool.
[[noreturn]] void EndWithoutMemory();

// The exit status of a subcommand whose work is its output: kSuccess if all of
// it has been written to stdout, 128 + SIGPIPE if stdout has no reader, else
// kOwnFailure.
int ExitCodeOfStdout();

// Writes all of `bytes` to a descriptor; to 1 and 2 by Output::Stdout and
// Stderr.
absl::Status WriteAll(int fd, absl::string_view bytes);

// Whether two descriptors are the same file, pipe or terminal.
bool IsSameFile(int a, int b);

// Whether the pipe or socket `fd` has no reader any more, as far as poll(2) can
// tell without a write.
bool HasNoReader(int fd);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_OUTPUT_H_
