#include "asyncproc/internal/repl/channel.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/proc/blocked_call.h"
#include "asyncproc/internal/proc/proc_fs.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc::internal {

absl::StatusOr<std::unique_ptr<Channel>> Channel::Open(Command* command) {
  for (const int number : {kStatements, kCompletions}) {
    if (command->pass_fds.count(number) > 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "descriptor ", number, " is one of the private channel's"));
    }
  }
  absl::StatusOr<Pipe> statements = MakePipe();
  if (!statements.ok()) return statements.status();
  absl::StatusOr<Pipe> completions = MakePipe();
  if (!completions.ok()) return completions.status();
  if (absl::Status status = SetNonblocking(statements->write_end);
      !status.ok()) {
    return status;
  }
  command->pass_fds[kStatements] = statements->read_end.get();
  command->pass_fds[kCompletions] = completions->write_end.get();
  return absl::WrapUnique(
      new Channel(*std::move(statements), *std::move(completions)));
}

Channel::Channel(Pipe statements, Pipe completions)
    : statements_(std::move(statements)),
      completions_(std::move(completions)) {}

bool Channel::IsAwaited(pid_t pid) const {
  int size = 0;
  struct stat pipe;
  if (!unsent_.empty() || fstat(statements_.read_end.get(), &pipe) != 0 ||
      ioctl(statements_.read_end.get(), FIONREAD, &size) != 0 || size > 0) {
    return false;
  }
  const std::optional<BlockedCall> call = ReadBlockedCall(pid, pid);
  return call.has_value() && call->kind == BlockedCall::Kind::kRead &&
         call->fds.size() == 1 &&
         DescriptorTarget(pid, call->fds[0]) ==
             absl::StrCat("pipe:[", pipe.st_ino, "]");
}

absl::StatusOr<std::string> Channel::Receive(absl::Time deadline) {
  for (;;) {
    pollfd fds[] = {
        {completions_.read_end.get(), POLLIN, 0},
        {statements_.write_end.get(), POLLOUT, 0},
    };
    const nfds_t count = unsent_.empty() ? 1 : 2;
    GetOs().Poll(fds, count, NextLook(deadline));
    if (fds[0].revents != 0) {
      char bytes[4096];
      const ssize_t got = GetOs().Read(fds[0].fd, bytes, sizeof(bytes));
      if (got >= 0) return std::string(bytes, static_cast<size_t>(got));
      if (errno != EINTR) return absl::ErrnoToStatus(errno, "private channel");
    }
    if (count == 2 && fds[1].revents != 0) {
      if (absl::Status status = WriteQueued(); !status.ok()) return status;
    }
    if (absl::Status status = CheckWaitScopes(); !status.ok()) return status;
    if (MonotonicNow() >= deadline) {
      return absl::DeadlineExceededError("no completion line came");
    }
  }
}

absl::Status Channel::Send(absl::string_view text) {
  if (unsent_.empty()) {
    if (absl::Status status = WriteSome(&text); !status.ok()) return status;
  }
  unsent_.append(text.data(), text.size());
  return absl::OkStatus();
}

absl::Status Channel::Flush(absl::Time deadline) {
  while (!unsent_.empty()) {
    pollfd fd = {statements_.write_end.get(), POLLOUT, 0};
    GetOs().Poll(&fd, 1, NextLook(deadline));
    if (absl::Status status = WriteQueued(); !status.ok()) return status;
    if (absl::Status status = CheckWaitScopes(); !status.ok()) return status;
    if (!unsent_.empty() && MonotonicNow() >= deadline) {
      return absl::DeadlineExceededError("the program does not read");
    }
  }
  return absl::OkStatus();
}

absl::Status Channel::WriteQueued() {
  absl::string_view rest = unsent_;
  absl::Status status = WriteSome(&rest);
  unsent_.erase(0, unsent_.size() - rest.size());
  return status;
}

absl::Status Channel::WriteSome(absl::string_view* text) {
  const ssize_t written =
      GetOs().Write(statements_.write_end.get(), text->data(), text->size());
  if (written > 0) text->remove_prefix(static_cast<size_t>(written));
  if (written < 0 && errno != EAGAIN && errno != EINTR) {
    return absl::ErrnoToStatus(errno, "private channel");
  }
  return absl::OkStatus();
}

}  // namespace asyncproc::internal
