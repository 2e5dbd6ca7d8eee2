#include "tools/asyncproc/stdin_pump.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tools/asyncproc/subcommand.h"

namespace asyncproc::cli {

StdinPump::StdinPump(Process* process)
    : process_(process),
      stop_(eventfd(0, EFD_CLOEXEC)),
      thread_([this] { Pump(); }) {}

StdinPump::~StdinPump() {
  stopped_.Cancel();
  eventfd_write(stop_, 1);
  thread_.join();
  close(stop_);
}

void StdinPump::Pump() {
  CancellationScope scope(stopped_);
  // Less than a line of a terminal, and than a pipe takes at once.
  char bytes[2048];
  while (AwaitInput()) {
    const ssize_t size = read(STDIN_FILENO, bytes, sizeof(bytes));
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (size <= 0) {
      process_->CloseStdin().IgnoreError();
      return;
    }
    const absl::Status status =
        process_->Write(absl::string_view(bytes, static_cast<size_t>(size)));
    if (absl::IsInvalidArgument(status)) Complain("run", status.message());
    if (!status.ok() || !process_->Flush(absl::InfiniteDuration()).ok()) return;
  }
}

bool StdinPump::AwaitInput() const {
  pollfd ready[] = {{STDIN_FILENO, POLLIN, 0}, {stop_, POLLIN, 0}};
  while (poll(ready, 2, -1) < 0) {
    if (errno != EINTR) return false;
  }
  return ready[1].revents == 0;
}

RawTerminal::RawTerminal() {
  termios mode;
  if (tcgetattr(STDIN_FILENO, &mode) != 0) return;
  saved_ = mode;
  cfmakeraw(&mode);
  tcsetattr(STDIN_FILENO, TCSADRAIN, &mode);
}

void RawTerminal::Restore() {
  if (saved_.has_value()) tcsetattr(STDIN_FILENO, TCSADRAIN, &*saved_);
  saved_.reset();
}

}  // namespace asyncproc::cli
