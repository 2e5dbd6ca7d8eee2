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

// A stream or file that the tool writes to. Everything that the tool writes
// goes through this class, which keeps the first error: so that no output is
// lost and the tool ends with exit status 0.
//
//   Output::Stdout().Write("hello\n").IgnoreError();
//   return FinishOutput(code);   // Reports the error, if there was one.
//
// EPIPE means that nobody reads: it is an error like the others, so that the
// writer stops, but FinishOutput says nothing about it.
//
// Thread safety: any thread may call anything; the bytes of one call stay
// together only as far as the kernel keeps them together. Blocking: as long as
// the reader does, also where the descriptor is non-blocking. No SIGPIPE is
// raised while that signal is blocked: see SignalWatcher.
class Output {
 public:
  // The two streams of the program. A stream that was closed when the program
  // started fails with EBADF.
  static Output& Stdout();
  static Output& Stderr();

  // `name` stands in messages. The descriptor stays the caller's.
  Output(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}

  // A file: `flags` as for open(2), less O_CREAT and O_CLOEXEC. It is closed
  // with this object. Errors: as open, with `path` in the message.
  static absl::StatusOr<Output> Open(const std::string& path, int flags);

  Output(Output&& other) noexcept;
  Output& operator=(Output&& other) noexcept;

  int fd() const { return fd_; }
  const std::string& name() const { return name_; }

  // Writes all of `bytes`. Errors: "cannot write FILE: No space left on
  // device"; after the first one, the same again, with nothing written.
  absl::Status Write(absl::string_view bytes) ABSL_LOCKS_EXCLUDED(mu_);
  // The same at `offset`, for a regular file.
  absl::Status WriteAt(absl::string_view bytes, off_t offset)
      ABSL_LOCKS_EXCLUDED(mu_);

  // The first error, else OK.
  absl::Status status() const ABSL_LOCKS_EXCLUDED(mu_);
  // Whether that error is that nobody reads any more.
  bool unread() const ABSL_LOCKS_EXCLUDED(mu_);
  // Whether the stream was closed when the program started.
  bool was_closed() const ABSL_LOCKS_EXCLUDED(mu_);
  // Whether bytes are lost by another error than that one.
  bool lost() const ABSL_LOCKS_EXCLUDED(mu_);
  // Another try may succeed: there is room again, say.
  void ForgetError() ABSL_LOCKS_EXCLUDED(mu_);
  // Keeps `error`, an errno, as if a write had failed by it; `lost`: bytes
  // that had been written are lost by it.
  void SetError(int error, bool lost = false) ABSL_LOCKS_EXCLUDED(mu_);

  // Closes a file of Open: some file systems report a full disk only then.
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

// To be called once, at the start: opens /dev/null for each standard stream
// that is closed, so that no descriptor of the tool gets its number.
void OpenStandardStreams();

// To be called once, at the end: the exit status of the program, which would
// else be `code`. An error on stdout or stderr is reported on stderr, and makes
// an exit status of 0 one of kOwnFailure.
int FinishOutput(int code);

// Writes all of `bytes` to a descriptor; for 1 and 2 by the Output that it is.
absl::Status WriteAll(int fd, absl::string_view bytes);

// Whether two descriptors are the same file, pipe or terminal.
bool IsSameFile(int a, int b);

// Whether nobody reads the pipe or socket `fd` any more, as far as is known
// without writing to it.
bool HasNoReader(int fd);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_OUTPUT_H_
