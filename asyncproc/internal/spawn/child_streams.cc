#include "asyncproc/internal/spawn/child_streams.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/spawn/pty_pair.h"
#include "asyncproc/internal/spawn/start_error.h"
#include "asyncproc/internal/wait/open_file.h"
#include "asyncproc/spawn_error.h"

namespace asyncproc::internal {
namespace {

absl::StatusOr<UniqueFd> OpenFor(const Command& command, const char* path,
                                 int flags) {
  absl::Status status;
  // 0666, reduced by the umask, as is usual for a new file.
  UniqueFd fd = OpenFile(path, flags | O_NOCTTY, 0666, &status);
  if (fd.valid()) return fd;
  const std::string what = absl::StrCat("open ", ShownWord(path));
  if (status.ok())
    return StartFailed(command, {SpawnStage::kOpen, errno}, what);
  status =
      absl::Status(status.code(), absl::StrCat(what, ": ", status.message()));
  SetSpawnFailure({SpawnStage::kOpen, EINTR}, &status);
  return StartFailed(command, SpawnStage::kOpen, status);
}

int OpenFlags(const Stdio& stream) {
  switch (stream.mode()) {
    case Stdio::FileMode::kRead:
      return O_RDONLY;
    case Stdio::FileMode::kTruncate:
      return O_WRONLY | O_CREAT | O_TRUNC;
    case Stdio::FileMode::kAppend:
      return O_WRONLY | O_CREAT | O_APPEND;
  }
  return O_RDONLY;  // There is no other mode.
}

absl::Status InvalidDescriptor(const Command& command, absl::string_view what) {
  absl::Status status = absl::InvalidArgumentError(what);
  SetSpawnFailure({SpawnStage::kDescriptors, EBADF}, &status);
  return CannotStart(command, status);
}

// Whether a descriptor of the host can be moved to `number` of the child.
absl::Status CheckNumber(const Command& command, int number) {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
      static_cast<rlim_t>(number) < limit.rlim_cur) {
    return absl::OkStatus();
  }
  return InvalidDescriptor(
      command,
      absl::StrCat("descriptor ", number,
                   " of the child is beyond the limit of ", limit.rlim_cur));
}

// Whether the host's `fd` can become `number` of the child.
absl::Status CheckDescriptor(const Command& command, int fd, int number) {
  if (fcntl(fd, F_GETFD) < 0) {
    return InvalidDescriptor(command,
                             absl::StrCat("descriptor ", fd, ", for ", number,
                                          " of the child, is not open"));
  }
  return fd == number ? absl::OkStatus() : CheckNumber(command, number);
}

// Opens the streams of one Command.
class StreamOpener {
 public:
  StreamOpener(const Command& command, HostEnds* host, ChildEnds* child)
      : command_(command), host_(*host), child_(*child) {}

  absl::Status Open(const std::vector<int>& further_pipes) {
    absl::Status status =
        command_.pty.has_value() ? OpenTerminal() : OpenStandard();
    if (status.ok()) status = OpenFurther(further_pipes);
    for (const auto& [child_fd, host_fd] : command_.pass_fds) {
      child_.moves.push_back({host_fd, child_fd});
    }
    return status;
  }

 private:
  absl::Status OpenTerminal() {
    absl::StatusOr<PtyPair> pty = MakePty(*command_.pty);
    if (!pty.ok()) {
      return StartFailed(command_, SpawnStage::kTerminal, pty.status());
    }
    host_.terminal = MoveToHighFd(std::move(pty->master));
    const int master = host_.terminal.get();
    for (UniqueFd* const copy : {&host_.in, &host_.out.fd}) {
      absl::Status status = Copy(master, SpawnStage::kTerminal, copy);
      if (!status.ok()) return status;
    }
    const int slave = pty->slave.get();
    child_.owned.push_back(std::move(pty->slave));
    for (int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
      child_.moves.push_back({slave, number});
    }
    // Applies to all three: the flag belongs to the open file that they share.
    return MakeNonblocking(host_.terminal, SpawnStage::kTerminal);
  }

  absl::Status OpenStandard() {
    absl::Status status = OpenInput(&host_.in);
    if (status.ok()) {
      status = command_.out.kind() == Stdio::Kind::kToStdin
                   ? ShareSocket(host_.in, &host_.out)
                   : OpenOutput(command_.out, STDOUT_FILENO, &host_.out);
    }
    if (status.ok()) {
      status = OpenOutput(command_.err, STDERR_FILENO, &host_.err);
    }
    return status;
  }

  absl::Status OpenInput(UniqueFd* host_end) {
    if (command_.in.kind() == Stdio::Kind::kSocket) {
      absl::Status status = OpenSocket(STDIN_FILENO, host_end);
      // A write of the child to its stdin fails then, as on a pipe, and a child
      // that closes its stdin shows as POLLHUP.
      if (status.ok() && command_.out.kind() != Stdio::Kind::kToStdin) {
        shutdown(host_end->get(), SHUT_RD);
      }
      return status;
    }
    if (command_.in.kind() != Stdio::Kind::kPipe) {
      return OpenOther(command_.in, STDIN_FILENO);
    }
    absl::StatusOr<Pipe> pipe = OpenPipe();
    if (!pipe.ok()) return pipe.status();
    *host_end = MoveToHighFd(std::move(pipe->write_end));
    Own(std::move(pipe->read_end), STDIN_FILENO);
    return MakeNonblocking(*host_end, SpawnStage::kPipe);
  }

  // The socket of an output stays open in both directions: Python's asyncio
  // reads it, and takes end-of-file as the sign that the host has closed it.
  absl::Status OpenOutput(const Stdio& stream, int number,
                          OutputEnd* host_end) {
    if (stream.kind() == Stdio::Kind::kSocket) {
      absl::Status status = OpenSocket(number, &host_end->fd);
      host_end->inode = InodeOf(FdOf(number));
      return status;
    }
    if (stream.kind() == Stdio::Kind::kLineBuffered) {
      absl::StatusOr<PtyPair> pty = MakeRawPty();
      if (!pty.ok()) {
        return StartFailed(command_, SpawnStage::kTerminal, pty.status());
      }
      host_end->fd = MoveToHighFd(std::move(pty->master));
      Own(std::move(pty->slave), number);
      return MakeNonblocking(host_end->fd, SpawnStage::kTerminal);
    }
    if (stream.kind() != Stdio::Kind::kPipe) return OpenOther(stream, number);
    absl::StatusOr<Pipe> pipe = OpenPipe();
    if (!pipe.ok()) return pipe.status();
    host_end->fd = MoveToHighFd(std::move(pipe->read_end));
    host_end->inode = InodeOf(pipe->write_end.get());
    Own(std::move(pipe->write_end), number);
    return MakeNonblocking(host_end->fd, SpawnStage::kPipe);
  }

  absl::Status OpenSocket(int number, UniqueFd* host_end) {
    absl::StatusOr<SocketPair> pair = MakeSocketPair();
    if (!pair.ok())
      return StartFailed(command_, SpawnStage::kPipe, pair.status());
    *host_end = MoveToHighFd(std::move(pair->of_host));
    Own(std::move(pair->of_child), number);
    return MakeNonblocking(*host_end, SpawnStage::kPipe);
  }

  // Gives stdout the socket of stdin.
  absl::Status ShareSocket(const UniqueFd& in, OutputEnd* out) {
    const int of_child = FdOf(STDIN_FILENO);
    child_.moves.push_back({of_child, STDOUT_FILENO});
    out->inode = InodeOf(of_child);
    return Copy(in.get(), SpawnStage::kPipe, &out->fd);
  }

  absl::Status Copy(int fd, SpawnStage stage, UniqueFd* copy) {
    *copy = MoveToHighFd(UniqueFd(GetOs().Duplicate(fd, STDERR_FILENO + 1)));
    if (copy->valid()) return absl::OkStatus();
    return StartFailed(command_, {stage, errno}, "cannot copy a descriptor");
  }

  static ino_t InodeOf(int fd) {
    struct stat info;
    return fstat(fd, &info) == 0 ? info.st_ino : 0;
  }

  absl::StatusOr<Pipe> OpenPipe() {
    absl::StatusOr<Pipe> pipe = MakePipe(command_.pipe_size);
    if (pipe.ok()) return pipe;
    return StartFailed(command_, SpawnStage::kPipe, pipe.status());
  }

  absl::Status MakeNonblocking(const UniqueFd& fd, SpawnStage stage) {
    absl::Status status = SetNonblocking(fd);
    if (status.ok()) return status;
    return StartFailed(command_, stage, status);
  }

  absl::Status OpenOther(const Stdio& stream, int number) {
    switch (stream.kind()) {
      case Stdio::Kind::kNull:
        return OpenPath("/dev/null", O_RDWR, number);
      case Stdio::Kind::kClosed:
        return absl::OkStatus();
      case Stdio::Kind::kFile:
        return OpenStream(stream, number);
      case Stdio::Kind::kInherit:
        // If the host's stream is closed, the child's is closed too.
        if (fcntl(number, F_GETFD) >= 0)
          child_.moves.push_back({number, number});
        return absl::OkStatus();
      case Stdio::Kind::kFd:
        child_.moves.push_back({stream.fd(), number});
        return absl::OkStatus();
      case Stdio::Kind::kToStdout:
        if (const int out = FdOf(STDOUT_FILENO); out >= 0) {
          child_.moves.push_back({out, number});
        }
        return absl::OkStatus();
      case Stdio::Kind::kPipe:
      case Stdio::Kind::kLineBuffered:
      case Stdio::Kind::kSocket:
      case Stdio::Kind::kToStdin:
        break;  // Opened by the caller.
    }
    return absl::OkStatus();
  }

  // The host's descriptor for `number` of the child; -1 when that is closed.
  int FdOf(int number) const {
    for (const DescriptorMove& move : child_.moves) {
      if (move.to == number) return move.from;
    }
    return -1;
  }

  absl::Status OpenStream(const Stdio& stream, int number) {
    const bool may_be_shared =
        number == STDERR_FILENO && command_.out.kind() == Stdio::Kind::kFile;
    if (may_be_shared && stream.path() == command_.out.path()) {
      // Both have the same mode: see Command::Validate.
      child_.moves.push_back({FdOf(STDOUT_FILENO), number});
      return absl::OkStatus();
    }
    absl::Status status =
        OpenPath(stream.path().c_str(), OpenFlags(stream), number);
    if (!status.ok() || !may_be_shared) return status;
    // Another name may refer to the same file.
    if (!AreOneFile(FdOf(STDOUT_FILENO), child_.moves.back().from))
      return absl::OkStatus();
    if (stream.mode() != command_.out.mode()) {
      status = absl::InvalidArgumentError(absl::StrCat(
          "out and err open the file ", ShownWord(stream.path()),
          " in two modes: one would overwrite what the other writes"));
      SetSpawnFailure({SpawnStage::kOpen, EINVAL}, &status);
      return CannotStart(command_, status);
    }
    child_.moves.back().from = FdOf(STDOUT_FILENO);
    return absl::OkStatus();
  }

  // Only for a regular file does each open file description have its own
  // offset.
  static bool AreOneFile(int a, int b) {
    struct stat of_a, of_b;
    return fstat(a, &of_a) == 0 && fstat(b, &of_b) == 0 &&
           S_ISREG(of_a.st_mode) && of_a.st_dev == of_b.st_dev &&
           of_a.st_ino == of_b.st_ino;
  }

  absl::Status OpenPath(const char* path, int flags, int number) {
    absl::StatusOr<UniqueFd> fd = OpenFor(command_, path, flags);
    if (!fd.ok()) return fd.status();
    Own(*std::move(fd), number);
    return absl::OkStatus();
  }

  absl::Status OpenFurther(const std::vector<int>& further_pipes) {
    for (int number : further_pipes) {
      OutputEnd& host_end = host_.further.emplace_back();
      absl::Status status = OpenOutput(Stdio::Pipe(), number, &host_end);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  void Own(UniqueFd fd, int number) {
    child_.moves.push_back({fd.get(), number});
    child_.owned.push_back(std::move(fd));
  }

  const Command& command_;
  HostEnds& host_;
  ChildEnds& child_;
};

}  // namespace

absl::Status CheckDescriptors(const Command& command) {
  absl::Status status;
  int number = STDIN_FILENO;
  for (const Stdio* stream : {&command.in, &command.out, &command.err}) {
    if (status.ok() && stream->kind() == Stdio::Kind::kFd) {
      status = CheckDescriptor(command, stream->fd(), number);
    }
    ++number;
  }
  for (const auto& [child_fd, host_fd] : command.pass_fds) {
    if (status.ok()) status = CheckDescriptor(command, host_fd, child_fd);
  }
  return status;
}

absl::Status CheckFurtherPipes(const Command& command,
                               const std::vector<int>& further_pipes) {
  std::set<int> numbers;
  for (int number : further_pipes) {
    if (number <= STDERR_FILENO || command.pass_fds.count(number) > 0 ||
        !numbers.insert(number).second) {
      return CannotStart(command,
                         absl::InvalidArgumentError(absl::StrCat(
                             "descriptor ", number,
                             " of the child cannot be a "
                             "further pipe: it is ",
                             number < 0 ? "negative" : "something else")));
    }
    if (absl::Status status = CheckNumber(command, number); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

absl::Status OpenStreams(const Command& command,
                         const std::vector<int>& further_pipes, HostEnds* host,
                         ChildEnds* child) {
  return StreamOpener(command, host, child).Open(further_pipes);
}

}  // namespace asyncproc::internal
