#include "asyncproc/internal/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"
#include "asyncproc/internal/os.h"
#include "asyncproc/internal/path_search.h"
#include "asyncproc/internal/pipe.h"
#include "asyncproc/internal/pty_pair.h"
#include "asyncproc/internal/spawn.h"
#include "asyncproc/internal/thread.h"

namespace asyncproc::internal {

// Runs one Spawn, and stays until it is destroyed.
class ParentThread {
 public:
  static absl::StatusOr<std::unique_ptr<ParentThread, ParentThreadDeleter>>
  Start(const SpawnRequest& request, SpawnResult* result) {
    std::unique_ptr<ParentThread, ParentThreadDeleter> self(new ParentThread);
    absl::StatusOr<Thread> thread =
        Thread::Start("asyncproc-paren", [self = self.get(), &request, result] {
          *result = Spawn(request);
          self->spawned_.Notify();
          self->released_.WaitForNotification();
        });
    if (!thread.ok()) return thread.status();
    self->thread_ = *std::move(thread);
    self->spawned_.WaitForNotification();
    return self;
  }

  ~ParentThread() { released_.Notify(); }

 private:
  absl::Notification spawned_;
  absl::Notification released_;
  Thread thread_;  // Last: it is joined first, after the destructor's body.
};

void ParentThreadDeleter::operator()(ParentThread* thread) const {
  delete thread;
}

namespace {

absl::Status Failed(const Command& command, SpawnFailure failure,
                    absl::string_view what) {
  absl::Status status = absl::ErrnoToStatus(
      failure.error_number,
      absl::StrCat("cannot start ", ShellQuote(command.argv[0]), ": ", what));
  // The limit of processes, which absl takes for something to try again.
  if (failure.error_number == EAGAIN) {
    status = absl::ResourceExhaustedError(status.message());
  }
  SetSpawnFailure(failure, &status);
  return status;
}

// `status` is that of making something in the host.
absl::Status Failed(const Command& command, SpawnStage stage, int error,
                    const absl::Status& status) {
  absl::Status failed(status.code(),
                      absl::StrCat("cannot start ", ShellQuote(command.argv[0]),
                                   ": ", status.message()));
  SetSpawnFailure({stage, error}, &failed);
  return failed;
}

const std::string& ProgramOf(const Command& command) {
  return command.executable.empty() ? command.argv[0] : command.executable;
}

// For a file that is there and of which exec says that it is not: "#!..." names
// one that is not.
std::string MissingInterpreter(const Command& command,
                               const std::string& program) {
  const std::string path =
      program[0] == '/' || command.working_directory.empty()
          ? program
          : absl::StrCat(command.working_directory, "/", program);
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line) || line.substr(0, 2) != "#!") return "";
  return absl::StrCat(" (it is there, but not its interpreter ",
                      ShellQuote(line.substr(2)), ")");
}

std::string WhatFailedInChild(const Command& command, SpawnFailure failure,
                              const std::optional<std::string>& path) {
  switch (failure.stage) {
    case SpawnStage::kDirectory:
      return absl::StrCat("chdir to ", ShellQuote(command.working_directory));
    case SpawnStage::kUser:
      return absl::StrCat("setuid to ", command.user.value_or(0));
    case SpawnStage::kGroup:
      return absl::StrCat("setgid to ", command.group.value_or(0));
    case SpawnStage::kProcessGroup:
      return absl::StrCat("setpgid to ", command.process_group.id());
    case SpawnStage::kExec:
      break;
    default:
      return std::string(SpawnStageName(failure.stage));
  }
  const std::string& program = ProgramOf(command);
  std::string what = absl::StrCat("exec of ", ShellQuote(program));
  if (!absl::StrContains(program, '/')) {
    absl::StrAppend(&what, ", searched for in PATH=",
                    path.value_or(std::string(kDefaultPath)));
  } else if (failure.error_number == ENOENT) {
    absl::StrAppend(&what, MissingInterpreter(command, program));
  }
  return what;
}

// The identity that `user` alone implies: nothing of the host's is kept.
absl::Status CompleteIdentity(const Command& command, SpawnRequest* request) {
  request->uid = command.user;
  request->gid = command.group;
  request->groups = command.supplementary_groups;
  if (!command.user.has_value()) return absl::OkStatus();
  // Whoever may not set them has none to lose that the kernel lets it lose, and
  // setuid will fail anyway unless it changes nothing.
  if (!request->groups.has_value() && geteuid() == 0) request->groups.emplace();
  if (request->gid.has_value()) return absl::OkStatus();
  std::vector<char> buffer(16 * 1024);
  passwd entry;
  passwd* found = nullptr;
  if (getpwuid_r(*command.user, &entry, buffer.data(), buffer.size(), &found) !=
          0 ||
      found == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot start ", ShellQuote(command.argv[0]), ": user ", *command.user,
        " is not in the password database: set group too"));
  }
  request->gid = entry.pw_gid;
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> OpenFile(const Command& command, const char* path,
                                  int flags) {
  // 0666: what the umask leaves of it, as every program that makes files.
  UniqueFd fd = AboveStdio(
      UniqueFd(GetOs().Open(path, flags | O_CLOEXEC | O_NOCTTY, 0666)));
  if (!fd.valid()) {
    return Failed(command, {SpawnStage::kOpen, errno},
                  absl::StrCat("open ", ShellQuote(path)));
  }
  return fd;
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
  return O_RDONLY;
}

// Opens what a Command's streams need, and says what is to be where in the
// child. Owns the child's ends until the child has them.
class Streams {
 public:
  explicit Streams(const Command& command) : command_(command) {}

  absl::Status Open(Launched* launched) {
    if (command_.pty.has_value()) {
      absl::Status status = OpenTerminal(launched);
      return status.ok() ? AddPassed() : status;
    }
    absl::Status status = OpenInput(&launched->in);
    if (status.ok()) {
      status = OpenOutput(command_.out, STDOUT_FILENO, &launched->out);
    }
    if (status.ok()) {
      status = OpenOutput(command_.err, STDERR_FILENO, &launched->err);
    }
    if (status.ok()) status = AddPassed();
    return status;
  }

  const std::vector<DescriptorMove>& moves() const { return moves_; }

 private:
  absl::Status OpenTerminal(Launched* launched) {
    absl::StatusOr<PtyPair> pty = MakePty(*command_.pty);
    if (!pty.ok()) {
      return Failed(command_, SpawnStage::kTerminal, errno, pty.status());
    }
    launched->terminal = std::move(pty->master);
    const int master = launched->terminal.get();
    launched->in = UniqueFd(GetOs().Duplicate(master, STDERR_FILENO + 1));
    launched->out = UniqueFd(GetOs().Duplicate(master, STDERR_FILENO + 1));
    if (!launched->in.valid() || !launched->out.valid()) {
      return Failed(command_, {SpawnStage::kTerminal, errno},
                    "cannot copy a descriptor");
    }
    const int slave = pty->slave.get();
    owned_.push_back(std::move(pty->slave));
    for (int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
      moves_.push_back({slave, number});
    }
    // For all three: the flag belongs to what they are copies of.
    return SetNonblocking(launched->terminal);
  }

  absl::Status OpenInput(UniqueFd* host_end) {
    if (command_.in.kind() != Stdio::Kind::kPipe) {
      return OpenOther(command_.in, STDIN_FILENO);
    }
    absl::StatusOr<Pipe> pipe = OpenPipe();
    if (!pipe.ok()) return pipe.status();
    *host_end = std::move(pipe->write_end);
    Own(std::move(pipe->read_end), STDIN_FILENO);
    return SetNonblocking(*host_end);
  }

  absl::Status OpenOutput(const Stdio& stream, int number, UniqueFd* host_end) {
    if (stream.kind() == Stdio::Kind::kLineBuffered) {
      absl::StatusOr<PtyPair> pty = MakeRawPty();
      if (!pty.ok()) {
        return Failed(command_, SpawnStage::kTerminal, errno, pty.status());
      }
      *host_end = std::move(pty->master);
      Own(std::move(pty->slave), number);
      return SetNonblocking(*host_end);
    }
    if (stream.kind() != Stdio::Kind::kPipe) return OpenOther(stream, number);
    absl::StatusOr<Pipe> pipe = OpenPipe();
    if (!pipe.ok()) return pipe.status();
    *host_end = std::move(pipe->read_end);
    Own(std::move(pipe->write_end), number);
    return SetNonblocking(*host_end);
  }

  absl::StatusOr<Pipe> OpenPipe() {
    absl::StatusOr<Pipe> pipe = MakePipe(command_.pipe_size);
    if (pipe.ok()) return pipe;
    return Failed(command_, SpawnStage::kPipe, errno, pipe.status());
  }

  absl::Status OpenOther(const Stdio& stream, int number) {
    switch (stream.kind()) {
      case Stdio::Kind::kNull:
        return OpenPath("/dev/null", O_RDWR, number);
      case Stdio::Kind::kFile:
        return OpenPath(stream.path().c_str(), OpenFlags(stream), number);
      case Stdio::Kind::kInherit:
        // Where the host has none, the child has none.
        if (fcntl(number, F_GETFD) >= 0) moves_.push_back({number, number});
        return absl::OkStatus();
      case Stdio::Kind::kFd:
        return AddHosts(stream.fd(), number);
      case Stdio::Kind::kToStdout:
        for (const DescriptorMove& move : moves_) {
          if (move.to == STDOUT_FILENO) {
            moves_.push_back({move.from, number});
            break;
          }
        }
        return absl::OkStatus();
      case Stdio::Kind::kPipe:
      case Stdio::Kind::kLineBuffered:
        break;
    }
    return absl::OkStatus();
  }

  absl::Status OpenPath(const char* path, int flags, int number) {
    absl::StatusOr<UniqueFd> fd = OpenFile(command_, path, flags);
    if (!fd.ok()) return fd.status();
    Own(*std::move(fd), number);
    return absl::OkStatus();
  }

  absl::Status AddPassed() {
    for (const auto& [child_fd, host_fd] : command_.pass_fds) {
      if (absl::Status status = AddHosts(host_fd, child_fd); !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  // A descriptor that the host names and keeps.
  absl::Status AddHosts(int fd, int number) {
    if (fcntl(fd, F_GETFD) < 0) {
      absl::Status status = absl::InvalidArgumentError(absl::StrCat(
          "cannot start ", ShellQuote(command_.argv[0]), ": descriptor ", fd,
          ", for ", number, " of the child, is not open"));
      SetSpawnFailure({SpawnStage::kDescriptors, EBADF}, &status);
      return status;
    }
    moves_.push_back({fd, number});
    return absl::OkStatus();
  }

  void Own(UniqueFd fd, int number) {
    moves_.push_back({fd.get(), number});
    owned_.push_back(std::move(fd));
  }

  const Command& command_;
  std::vector<UniqueFd> owned_;
  std::vector<DescriptorMove> moves_;
};

absl::StatusOr<SpawnRequest> ToRequest(const Command& command,
                                       const std::optional<std::string>& path) {
  SpawnRequest request;
  if (absl::Status status = CompleteIdentity(command, &request); !status.ok()) {
    return status;
  }
  request.argv = command.argv;
  request.candidates = ProgramCandidates(ProgramOf(command), path);
  request.environment = command.env.ToVector();
  if (!command.working_directory.empty()) {
    request.working_directory = command.working_directory;
  }
  request.new_session = command.new_session || command.pty.has_value();
  if (command.pty.has_value()) request.controlling_terminal = STDIN_FILENO;
  // The leader of a session leads a group already, and may not ask for it.
  if (!command.process_group.inherits() && !request.new_session) {
    request.process_group = command.process_group.id();
  }
  for (const auto& [resource, limit] : command.rlimits) {
    request.rlimits.push_back({resource, limit});
  }
  request.nice = command.nice;
  request.umask = command.umask;
  if (command.die_with_parent) request.death_signal = SIGKILL;
  return request;
}

}  // namespace

absl::StatusOr<Launched> Launch(const Command& command) {
  if (absl::Status status = command.Validate(); !status.ok()) return status;
  const std::optional<std::string> path = command.env.Get("PATH");
  absl::StatusOr<SpawnRequest> request = ToRequest(command, path);
  if (!request.ok()) return request.status();

  Launched launched;
  Streams streams(command);
  if (absl::Status status = streams.Open(&launched); !status.ok()) {
    return status;
  }
  request->moves = streams.moves();

  SpawnResult result;
  if (command.die_with_parent) {
    auto parent = ParentThread::Start(*request, &result);
    if (!parent.ok()) {
      return Failed(command, SpawnStage::kThread, EAGAIN, parent.status());
    }
    launched.parent = *std::move(parent);
  } else {
    result = Spawn(*request);
  }
  if (result.pid < 0) {
    return Failed(command, result.failure,
                  WhatFailedInChild(command, result.failure, path));
  }
  launched.pid = result.pid;
  launched.pidfd = std::move(result.pidfd);
  return launched;
}

}  // namespace asyncproc::internal
