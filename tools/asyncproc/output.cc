#include "tools/asyncproc/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/os/mutex_lock.h"
#include "tools/asyncproc/os/open_file.h"

namespace asyncproc::cli {

namespace {

absl::Status WriteError(int error, const std::string& name) {
  return absl::ErrnoToStatus(error, absl::StrCat("cannot write ", name));
}

}  // namespace

Output& Output::Stdout() {
  static auto* const output = new Output(STDOUT_FILENO, "stdout");
  return *output;
}

Output& Output::Stderr() {
  static auto* const output = new Output(STDERR_FILENO, "stderr");
  return *output;
}

absl::StatusOr<Output> Output::Open(const std::string& path, int flags) {
  UniqueFd fd = OpenFile(path.c_str(), flags | O_CREAT, 0666);
  if (!fd.valid()) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  }
  Output output(fd.get(), path);
  output.owned_ = std::move(fd);
  return output;
}

Output::Output(Output&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      name_(std::move(other.name_)),
      owned_(std::move(other.owned_)) {
  MutexLock lock(other.mu_);
  error_ = other.error_;
  lost_ = other.lost_;
}

Output& Output::operator=(Output&& other) noexcept
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (this == &other) return *this;
  fd_ = std::exchange(other.fd_, -1);
  name_ = std::move(other.name_);
  owned_ = std::move(other.owned_);
  error_ = other.error_;
  lost_ = other.lost_;
  return *this;
}

template <typename WriteSome>
absl::Status Output::WriteBy(absl::string_view bytes,
                             const WriteSome& write_some) {
  if (bytes.empty()) return absl::OkStatus();
  {
    MutexLock lock(mu_);
    if (error_ != 0) {
      lost_ = true;
      return WriteError(error_, name_);
    }
  }
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t written = write_some(bytes.substr(done), done);
    if (written > 0) {
      done += static_cast<size_t>(written);
    } else if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      pollfd ready = {fd_, POLLOUT, 0};
      poll(&ready, 1, -1);
    } else if (written == 0 || errno != EINTR) {
      MutexLock lock(mu_);
      error_ = written == 0 ? EIO : errno;
      lost_ = true;
      return WriteError(error_, name_);
    }
  }
  return absl::OkStatus();
}

absl::Status Output::Write(absl::string_view bytes) {
  return WriteBy(bytes, [this](absl::string_view rest, size_t) {
    return write(fd_, rest.data(), rest.size());
  });
}

absl::Status Output::WriteAt(absl::string_view bytes, off_t offset) {
  return WriteBy(bytes, [this, offset](absl::string_view rest, size_t done) {
    return pwrite(fd_, rest.data(), rest.size(),
                  offset + static_cast<off_t>(done));
  });
}

absl::Status Output::status() const {
  MutexLock lock(mu_);
  return error_ == 0 ? absl::OkStatus() : WriteError(error_, name_);
}

bool Output::unread() const {
  MutexLock lock(mu_);
  return error_ == EPIPE;
}

bool Output::was_closed() const {
  MutexLock lock(mu_);
  return error_ == EBADF;
}

bool Output::lost() const {
  MutexLock lock(mu_);
  return lost_ && error_ != EPIPE;
}

void Output::ForgetError() {
  MutexLock lock(mu_);
  error_ = 0;
  lost_ = false;
}

void Output::SetError(int error, bool lost) {
  MutexLock lock(mu_);
  if (error_ == 0) error_ = error;
  lost_ = lost_ || lost;
}

absl::Status Output::Close() {
  const int fd = owned_.Release();
  if (fd >= 0 && close(fd) != 0 && errno != EINTR)
    SetError(errno, /*lost=*/true);
  return status();
}

void OpenStandardStreams() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    open("/dev/null", O_RDWR);
    if (fd == STDOUT_FILENO) Output::Stdout().SetError(EBADF);
    if (fd == STDERR_FILENO) Output::Stderr().SetError(EBADF);
  }
}

int FinishOutput(int code) {
  bool failed = false;
  for (Output* output : {&Output::Stdout(), &Output::Stderr()}) {
    // Some file systems report a full disk only when a descriptor is closed.
    if (output->status().ok() && close(dup(output->fd())) != 0 &&
        (errno == ENOSPC || errno == EDQUOT || errno == EIO)) {
      output->SetError(errno, /*lost=*/true);
    }
    if (!output->lost()) continue;
    failed = true;
    // If stderr itself has failed, there is no place for a report.
    if (output == &Output::Stdout()) {
      Output::Stderr()
          .Write(absl::StrCat("asyncproc: ", output->status().message(), "\n"))
          .IgnoreError();
    }
  }
  return failed && code == kSuccess ? kOwnFailure : code;
}

void EndWithoutMemory() {
  constexpr absl::string_view kMessage = "asyncproc: there is no more memory\n";
  // Not by Output, which uses memory. A failure has no place for a report.
  static_cast<void>(!write(STDERR_FILENO, kMessage.data(), kMessage.size()));
  _exit(kOwnFailure);
}

int ExitCodeOfStdout() {
  if (Output::Stdout().unread()) return kSignalBase + SIGPIPE;
  return Output::Stdout().lost() ? kOwnFailure : kSuccess;
}

absl::Status WriteAll(int fd, absl::string_view bytes) {
  if (fd == STDOUT_FILENO) return Output::Stdout().Write(bytes);
  if (fd == STDERR_FILENO) return Output::Stderr().Write(bytes);
  return Output(fd, absl::StrCat("descriptor ", fd)).Write(bytes);
}

bool IsSameFile(int a, int b) {
  struct stat of_a, of_b;
  if (fstat(a, &of_a) != 0 || fstat(b, &of_b) != 0) return false;
  if (S_ISCHR(of_a.st_mode) && S_ISCHR(of_b.st_mode)) {
    return of_a.st_rdev == of_b.st_rdev;
  }
  return of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

bool HasNoReader(int fd) {
  pollfd pipe = {fd, 0, 0};
  return poll(&pipe, 1, 0) == 1 && (pipe.revents & (POLLERR | POLLHUP)) != 0;
}

}  // namespace asyncproc::cli
