#include "asyncproc/internal/io/input_queue.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc::internal {

namespace {

ssize_t WriteWithSigpipeBlocked(int fd, absl::string_view data) {
  sigset_t sigpipe, before, pending;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
  // One that waited before is the host's, and is left to it.
  const bool was_pending = sigismember(&before, SIGPIPE) &&
                           sigpending(&pending) == 0 &&
                           sigismember(&pending, SIGPIPE);
  const ssize_t written = GetOs().Write(fd, data.data(), data.size());
  const int error = errno;
  if (written < 0 && error == EPIPE && !was_pending) {
    const timespec at_once = {};
    while (sigtimedwait(&sigpipe, nullptr, &at_once) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return written;
}

}  // namespace

ssize_t WriteWithoutSigpipe(int fd, absl::string_view data) {
  const ssize_t written = GetOs().WriteQuietly(fd, data.data(), data.size());
  if (written >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS)) return written;
  return WriteWithSigpipeBlocked(fd, data);
}

InputQueue::InputQueue(UniqueFd fd, Kind kind, size_t limit,
                       std::shared_ptr<Driver> driver)
    : limit_(limit), driver_(std::move(driver)), fd_(std::move(fd)) {
  if (kind == Kind::kTerminal) terminal_.emplace();
}

void InputQueue::Observe(std::shared_ptr<ChildObserver> observer) {
  MutexLock lock(mu_);
  observer_ = std::move(observer);
}

void InputQueue::NoteResize(int rows, int columns) {
  MutexLock lock(mu_);
  if (observer_ != nullptr) observer_->OnResize(rows, columns);
}

absl::Status InputQueue::TypeEof() {
  MutexLock lock(mu_);
  return WriteLocked(terminal_->EndOfInput(fd_.get()));
}

absl::Status InputQueue::Write(absl::string_view data) {
  MutexLock lock(mu_);
  return WriteLocked(data);
}

absl::Status InputQueue::WriteLocked(absl::string_view data) {
  if (data.empty()) return absl::OkStatus();
  if (absl::Status status = CheckDelivered(); !status.ok()) return status;
  if (broken_) {
    return absl::ErrnoToStatus(EPIPE, "the child has closed its stdin");
  }
  if (closing_) return absl::FailedPreconditionError("stdin has been closed");
  if (limit_ > 0 && queue_.size() + data.size() > limit_) {
    return absl::ResourceExhaustedError(
        absl::StrCat(queue_.size(), " bytes wait to be written to stdin; ",
                     data.size(), " more would exceed the limit of ", limit_));
  }
  if (terminal_.has_value()) {
    absl::Status status = terminal_->Type(fd_.get(), data);
    if (!status.ok()) return status;
  }
  if (observer_ != nullptr) observer_->OnInput(data);
  if (queue_.empty()) WriteSome(&data);
  if (broken_) {
    undelivered_ += data.size();
    driver_->Wake();
    return CheckDelivered();
  }
  if (data.empty()) return absl::OkStatus();
  if (!queue_.Append(data)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "no memory to queue the last ", data.size(), " bytes for stdin"));
  }
  driver_->Wake();
  return absl::OkStatus();
}

absl::Status InputQueue::Close() {
  MutexLock lock(mu_);
  if (closing_) return CheckDelivered();
  std::string typed;
  if (terminal_.has_value() && !broken_) {
    typed = terminal_->EndOfInput(fd_.get());
    if (queue_.Reserve(typed.size()) == nullptr) {
      return absl::ResourceExhaustedError(
          "no memory to queue the end of the input");
    }
  }
  if (observer_ != nullptr && !broken_) observer_->OnInputClosed();
  absl::string_view rest = typed;
  if (queue_.empty() && !rest.empty()) WriteSome(&rest);
  if (broken_) {
    undelivered_ += rest.size();
  } else {
    queue_.Append(rest);  // There is room.
  }
  closing_ = true;
  driver_->Wake();
  return CheckDelivered();
}

bool InputQueue::Abort() {
  MutexLock lock(mu_);
  const bool was_closed = closing_ && queue_.empty();
  bool was_open = !broken_ && fd_.valid() && !was_closed;
  if (observer_ != nullptr && was_open && !closing_) {
    observer_->OnInputClosed();
  }
  Drop();
  if (terminal_.has_value() && was_open) {
    // Twice, because what was dropped may have ended a line.
    std::string eof = terminal_->EndOfInput(fd_.get());
    was_open = queue_.Append(std::string(2, eof[0]));
  }
  closing_ = true;
  driver_->Wake();
  return was_open;
}

absl::Status InputQueue::Flush(absl::Time deadline) {
  MutexLock lock(mu_);
  const auto done = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return queue_.empty();
  };
  if (absl::Status status =
          driver_->Await(mu_, absl::Condition(&done), deadline);
      !status.ok()) {
    return status;
  }
  return CheckDelivered();
}

uint64_t InputQueue::undelivered() const {
  MutexLock lock(mu_);
  return undelivered_;
}

size_t InputQueue::pending() const {
  MutexLock lock(mu_);
  return queue_.size();
}

int InputQueue::fd() const {
  MutexLock lock(mu_);
  return fd_.get();
}

bool InputQueue::wants_room() const {
  MutexLock lock(mu_);
  return !queue_.empty();
}

void InputQueue::Advance() {
  MutexLock lock(mu_);
  if (!fd_.valid()) return;
  absl::string_view data = queue_.view();
  WriteSome(&data);
  if (!broken_) queue_.Consume(queue_.size() - data.size());
  if (broken_ || (closing_ && queue_.empty())) CloseLocked();
}

void InputQueue::OnBroken() {
  MutexLock lock(mu_);
  Break();
  CloseLocked();
}

void InputQueue::CloseLocked() {
  if (!fd_.valid()) return;
  driver_->BeforeClose(fd_.get());
  fd_.Reset();
}

void InputQueue::WriteSome(absl::string_view* data) {
  ssize_t written;
  do {
    written = WriteWithoutSigpipe(fd_.get(), *data);
  } while (written < 0 && errno == EINTR);
  if (written >= 0) {
    data->remove_prefix(static_cast<size_t>(written));
  } else if (errno != EAGAIN) {
    Break();
  }
}

void InputQueue::Break() {
  if (observer_ != nullptr && !broken_) observer_->OnInputBroken();
  broken_ = true;
  Drop();
}

void InputQueue::Drop() {
  undelivered_ += queue_.size();
  queue_.Consume(queue_.size());
}

absl::Status InputQueue::CheckDelivered() const {
  if (undelivered_ == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(
      EPIPE, absl::StrCat("the child no longer reads its stdin: ", undelivered_,
                          " bytes were not delivered"));
}

}  // namespace asyncproc::internal
