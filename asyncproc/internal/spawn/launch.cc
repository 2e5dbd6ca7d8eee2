#include "asyncproc/internal/spawn/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/os/thread.h"
#include "asyncproc/internal/spawn/path_search.h"
#include "asyncproc/internal/spawn/pty_pair.h"
#include "asyncproc/internal/spawn/spawn.h"
#include "asyncproc/internal/text/printable.h"
#include "asyncproc/internal/wait/open_file.h"
#include "asyncproc/spawn_error.h"

namespace asyncproc::internal {

// Runs one Spawn, and stays alive until it is destroyed.
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
  Thread thread_;  // Last: joined first, after the destructor's body.
};

namespace {

// The maximum number of bytes of a name in a message.
constexpr size_t kMostShown = 1000;
// The maximum number of directories of a PATH in a message, and of their bytes.
constexpr size_t kMostDirectories = 6;
constexpr size_t kMostOfPath = 300;

std::string Shown(absl::string_view word) {
  return PrintableWord(word, kMostShown);
}

// "/usr/local/bin:/usr/bin:/bin", or the beginning of a longer PATH and the
// number of its directories.
std::string ShownPath(absl::string_view path) {
  std::vector<absl::string_view> directories = absl::StrSplit(path, ':');
  const size_t count = directories.size();
  if (count <= kMostDirectories) return Printable(path, kMostOfPath);
  directories.resize(kMostDirectories);
  return absl::StrCat(Printable(absl::StrJoin(directories, ":"), kMostOfPath),
                      ":... (", count, " directories)");
}

// The remedy for a failure by a limit; empty for any other failure.
absl::string_view Remedy(int error_number) {
  switch (error_number) {
    case EAGAIN:
      return "; end other processes or threads, or raise the limit of them "
             "(ulimit -u)";
    case EMFILE:
      return "; close other descriptors, or raise the limit of them (ulimit "
             "-n)";
    default:
      return "";
  }
}

}  // namespace

absl::Status CannotStart(const Command& command, const absl::Status& why) {
  const std::optional<SpawnFailure> failure = GetSpawnFailure(why);
  absl::Status status(
      why.code(),
      absl::StrCat("cannot start ",
                   command.argv.empty() ? "a command" : Shown(command.argv[0]),
                   ": ", why.message(),
                   failure.has_value() ? Remedy(failure->error_number) : ""));
  if (failure.has_value()) SetSpawnFailure(*failure, &status);
  return status;
}

void ParentThreadDeleter::operator()(ParentThread* thread) const {
  delete thread;
}

namespace {

// `remedy`: the user's remedy, after "; "; or empty.
absl::Status Failed(const Command& command, SpawnFailure failure,
                    absl::string_view action, absl::string_view remedy = "") {
  const absl::Status why = absl::ErrnoToStatus(failure.error_number, action);
  // EAGAIN: the limit of processes. absl would return kUnavailable.
  absl::Status status(failure.error_number == EAGAIN
                          ? absl::StatusCode::kResourceExhausted
                          : why.code(),
                      absl::StrCat(why.message(), remedy));
  SetSpawnFailure(failure, &status);
  return CannotStart(command, status);
}

// `status` is the error of an operation in the host, and carries its errno.
absl::Status Failed(const Command& command, SpawnStage stage,
                    const absl::Status& status) {
  const SpawnFailure cause = GetSpawnFailure(status).value_or(SpawnFailure());
  absl::Status failed = status;
  SetSpawnFailure({stage, cause.error_number}, &failed);
  return CannotStart(command, failed);
}

const std::string& ProgramOf(const Command& command) {
  return command.executable.empty() ? command.argv[0] : command.executable;
}

// The start of `file`, as many bytes as a kernel reads to find an interpreter.
std::string FirstBytes(const std::string& file) {
  const UniqueFd fd = OpenAboveStdio(file.c_str(), O_RDONLY | O_NONBLOCK);
  char bytes[256];
  const ssize_t size =
      fd.valid() ? GetOs().Read(fd.get(), bytes, sizeof(bytes)) : 0;
  return std::string(bytes, size > 0 ? static_cast<size_t>(size) : 0);
}

// For an existing file that exec reports as missing: its interpreter, named
// after "#!" or inside the file, does not exist.
std::string MissingInterpreter(const Command& command,
                               const std::vector<std::string>& candidates) {
  for (const std::string& candidate : candidates) {
    const std::string file =
        candidate[0] == '/' || command.working_directory.empty()
            ? candidate
            : absl::StrCat(command.working_directory, "/", candidate);
    if (access(file.c_str(), F_OK) < 0) continue;
    std::string first_line = FirstBytes(file);
    first_line.resize(std::min(first_line.find('\n'), first_line.size()));
    absl::string_view interpreter = first_line;
    const bool named = absl::ConsumePrefix(&interpreter, "#!");
    return absl::StrCat(
        " (", Shown(candidate), " is there, but its interpreter ",
        named ? absl::StrCat("\"", Printable(interpreter, kMostShown),
                             "\" is not)")
              : "is not)");
  }
  return "";
}

std::string WhatExecRefused(const Command& command, const SpawnRequest& request,
                            const SpawnResult& result,
                            const std::optional<std::string>& path) {
  const std::string& program = ProgramOf(command);
  std::string what = absl::StrCat("exec of ", Shown(program));
  if (!absl::StrContains(program, '/')) {
    if (!result.refused.empty()) {
      absl::StrAppend(&what, ", found as ", Shown(result.refused));
    }
    absl::StrAppend(&what, ", searched for in PATH=",
                    ShownPath(path.value_or(std::string(kDefaultPath))));
  }
  if (result.failure.error_number == ENOENT) {
    absl::StrAppend(&what, MissingInterpreter(command, request.candidates));
  }
  return what;
}

// The user's remedy when exec refuses a program; empty when there is none.
absl::string_view RemedyOfExec(const Command& command,
                               const SpawnRequest& request,
                               const SpawnResult& result) {
  if (result.failure.stage != SpawnStage::kExec) return "";
  switch (result.failure.error_number) {
    case ENOENT:
      return absl::StrContains(ProgramOf(command), '/') ||
                     !MissingInterpreter(command, request.candidates).empty()
                 ? ""
                 : "; install it, or add its folder to PATH";
    case EACCES:
      return "; is it an executable file (chmod +x)?";
    case ENOEXEC:
      return "; if it is a script, give it a first line like #!/bin/sh";
    default:
      return "";
  }
}

std::string ResourceName(int resource) {
  static constexpr std::pair<int, const char*> kNames[] = {
      {RLIMIT_AS, "RLIMIT_AS"},
      {RLIMIT_CORE, "RLIMIT_CORE"},
      {RLIMIT_CPU, "RLIMIT_CPU"},
      {RLIMIT_DATA, "RLIMIT_DATA"},
      {RLIMIT_FSIZE, "RLIMIT_FSIZE"},
      {RLIMIT_LOCKS, "RLIMIT_LOCKS"},
      {RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK"},
      {RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE"},
      {RLIMIT_NICE, "RLIMIT_NICE"},
      {RLIMIT_NOFILE, "RLIMIT_NOFILE"},
      {RLIMIT_NPROC, "RLIMIT_NPROC"},
      {RLIMIT_RSS, "RLIMIT_RSS"},
      {RLIMIT_RTPRIO, "RLIMIT_RTPRIO"},
      {RLIMIT_RTTIME, "RLIMIT_RTTIME"},
      {RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING"},
      {RLIMIT_STACK, "RLIMIT_STACK"},
  };
  for (const auto& [number, name] : kNames) {
    if (number == resource) return name;
  }
  return absl::StrCat("resource ", resource);  // A resource of a later kernel.
}

std::string WhatFailedInChild(const Command& command,
                              const SpawnRequest& request,
                              const SpawnResult& result,
                              const std::optional<std::string>& path) {
  const absl::string_view stage = SpawnStageName(result.failure.stage);
  switch (result.failure.stage) {
    case SpawnStage::kProcessGroup:
      return absl::StrCat(stage, " to ", request.process_group.value_or(0));
    case SpawnStage::kRlimits:
      return absl::StrCat(stage, " of ", ResourceName(result.refused_resource));
    case SpawnStage::kNice:
      return absl::StrCat(stage, " to ", request.nice.value_or(0));
    case SpawnStage::kGroup:
      return absl::StrCat(stage, " to ", request.gid.value_or(0));
    case SpawnStage::kGroups:
      return absl::StrCat(
          stage, " to [",
          absl::StrJoin(request.groups.value_or(std::vector<gid_t>()), " "),
          "]");
    case SpawnStage::kUser:
      return absl::StrCat(stage, " to ", request.uid.value_or(0));
    case SpawnStage::kDirectory:
      return absl::StrCat(stage, " to ", Shown(command.working_directory));
    case SpawnStage::kExec:
      return WhatExecRefused(command, request, result, path);
    default:
      return std::string(stage);
  }
}

// Whether `user` is not root, and is the host's real, effective and saved user:
// such a host may not change its groups, and has no other user's groups to
// drop.
bool IsUnprivileged(uid_t user) {
  uid_t real, effective, saved;
  return user != 0 && getresuid(&real, &effective, &saved) == 0 &&
         real == user && effective == user && saved == user;
}

// Sets the identity that `user` implies; no part of the host's is kept.
absl::Status CompleteIdentity(const Command& command, SpawnRequest* request) {
  request->uid = command.user;
  request->gid = command.group;
  request->groups = command.supplementary_groups;
  if (!command.user.has_value()) return absl::OkStatus();
  if (!request->groups.has_value() && !IsUnprivileged(*command.user)) {
    request->groups.emplace();
  }
  if (request->gid.has_value()) return absl::OkStatus();
  std::vector<char> buffer(16 * 1024);
  passwd entry;
  passwd* found = nullptr;
  if (getpwuid_r(*command.user, &entry, buffer.data(), buffer.size(), &found) !=
          0 ||
      found == nullptr) {
    return CannotStart(command,
                       absl::InvalidArgumentError(absl::StrCat(
                           "user ", *command.user,
                           " is not in the password database: set group too")));
  }
  request->gid = entry.pw_gid;
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> OpenFor(const Command& command, const char* path,
                                 int flags) {
  absl::Status status;
  // 0666, reduced by the umask, as is usual for a new file.
  UniqueFd fd = OpenFile(path, flags | O_NOCTTY, 0666, &status);
  if (fd.valid()) return fd;
  const std::string what = absl::StrCat("open ", Shown(path));
  if (status.ok()) return Failed(command, {SpawnStage::kOpen, errno}, what);
  status =
      absl::Status(status.code(), absl::StrCat(what, ": ", status.message()));
  SetSpawnFailure({SpawnStage::kOpen, EINTR}, &status);
  return Failed(command, SpawnStage::kOpen, status);
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

// Opens the streams of a Command, and lists the descriptor moves for the child.
// Owns the child's ends until the child has them.
class Streams {
 public:
  Streams(const Command& command, const std::vector<int>& further_pipes)
      : command_(command), further_pipes_(further_pipes) {}

  absl::Status Open(Launched* launched) {
    absl::Status status = command_.pty.has_value() ? OpenTerminal(launched)
                                                   : OpenStandard(launched);
    if (status.ok()) status = OpenFurther(launched);
    for (const auto& [child_fd, host_fd] : command_.pass_fds) {
      moves_.push_back({host_fd, child_fd});
    }
    return status;
  }

  const std::vector<DescriptorMove>& moves() const { return moves_; }

 private:
  absl::Status OpenTerminal(Launched* launched) {
    absl::StatusOr<PtyPair> pty = MakePty(*command_.pty);
    if (!pty.ok()) {
      return Failed(command_, SpawnStage::kTerminal, pty.status());
    }
    launched->terminal = MoveToHighFd(std::move(pty->master));
    const int master = launched->terminal.get();
    for (UniqueFd* const copy : {&launched->in, &launched->out.fd}) {
      absl::Status status = Copy(master, SpawnStage::kTerminal, copy);
      if (!status.ok()) return status;
    }
    const int slave = pty->slave.get();
    owned_.push_back(std::move(pty->slave));
    for (int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
      moves_.push_back({slave, number});
    }
    // Applies to all three: the flag belongs to the open file that they share.
    return MakeNonblocking(launched->terminal, SpawnStage::kTerminal);
  }

  absl::Status OpenStandard(Launched* launched) {
    absl::Status status = OpenInput(&launched->in);
    if (status.ok()) {
      status = command_.out.kind() == Stdio::Kind::kToStdin
                   ? ShareSocket(launched->in, &launched->out)
                   : OpenOutput(command_.out, STDOUT_FILENO, &launched->out);
    }
    if (status.ok()) {
      status = OpenOutput(command_.err, STDERR_FILENO, &launched->err);
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
        return Failed(command_, SpawnStage::kTerminal, pty.status());
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
    if (!pair.ok()) return Failed(command_, SpawnStage::kPipe, pair.status());
    *host_end = MoveToHighFd(std::move(pair->of_host));
    Own(std::move(pair->of_child), number);
    return MakeNonblocking(*host_end, SpawnStage::kPipe);
  }

  // Gives stdout the socket of stdin.
  absl::Status ShareSocket(const UniqueFd& in, OutputEnd* out) {
    const int of_child = FdOf(STDIN_FILENO);
    moves_.push_back({of_child, STDOUT_FILENO});
    out->inode = InodeOf(of_child);
    return Copy(in.get(), SpawnStage::kPipe, &out->fd);
  }

  absl::Status Copy(int fd, SpawnStage stage, UniqueFd* copy) {
    *copy = MoveToHighFd(UniqueFd(GetOs().Duplicate(fd, STDERR_FILENO + 1)));
    if (copy->valid()) return absl::OkStatus();
    return Failed(command_, {stage, errno}, "cannot copy a descriptor");
  }

  static ino_t InodeOf(int fd) {
    struct stat info;
    return fstat(fd, &info) == 0 ? info.st_ino : 0;
  }

  absl::StatusOr<Pipe> OpenPipe() {
    absl::StatusOr<Pipe> pipe = MakePipe(command_.pipe_size);
    if (pipe.ok()) return pipe;
    return Failed(command_, SpawnStage::kPipe, pipe.status());
  }

  absl::Status MakeNonblocking(const UniqueFd& fd, SpawnStage stage) {
    absl::Status status = SetNonblocking(fd);
    if (status.ok()) return status;
    return Failed(command_, stage, status);
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
        if (fcntl(number, F_GETFD) >= 0) moves_.push_back({number, number});
        return absl::OkStatus();
      case Stdio::Kind::kFd:
        moves_.push_back({stream.fd(), number});
        return absl::OkStatus();
      case Stdio::Kind::kToStdout:
        if (const int out = FdOf(STDOUT_FILENO); out >= 0) {
          moves_.push_back({out, number});
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
    for (const DescriptorMove& move : moves_) {
      if (move.to == number) return move.from;
    }
    return -1;
  }

  absl::Status OpenStream(const Stdio& stream, int number) {
    const bool may_be_shared =
        number == STDERR_FILENO && command_.out.kind() == Stdio::Kind::kFile;
    if (may_be_shared && stream.path() == command_.out.path()) {
      // Both have the same mode: see Command::Validate.
      moves_.push_back({FdOf(STDOUT_FILENO), number});
      return absl::OkStatus();
    }
    absl::Status status =
        OpenPath(stream.path().c_str(), OpenFlags(stream), number);
    if (!status.ok() || !may_be_shared) return status;
    // Another name may refer to the same file.
    if (!AreOneFile(FdOf(STDOUT_FILENO), moves_.back().from))
      return absl::OkStatus();
    if (stream.mode() != command_.out.mode()) {
      status = absl::InvalidArgumentError(absl::StrCat(
          "out and err open the file ", Shown(stream.path()),
          " in two modes: one would overwrite what the other writes"));
      SetSpawnFailure({SpawnStage::kOpen, EINVAL}, &status);
      return CannotStart(command_, status);
    }
    moves_.back().from = FdOf(STDOUT_FILENO);
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

  absl::Status OpenFurther(Launched* launched) {
    for (int number : further_pipes_) {
      OutputEnd& host_end = launched->further.emplace_back();
      absl::Status status = OpenOutput(Stdio::Pipe(), number, &host_end);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  void Own(UniqueFd fd, int number) {
    moves_.push_back({fd.get(), number});
    owned_.push_back(std::move(fd));
  }

  const Command& command_;
  const std::vector<int>& further_pipes_;
  std::vector<UniqueFd> owned_;
  std::vector<DescriptorMove> moves_;
};

// The absolute path of the child's working directory, without "." and "..";
// nothing when the host cannot determine it.
std::optional<std::string> WorkingDirectory(const Command& command) {
  std::string path = command.working_directory;
  if (!absl::StartsWith(path, "/")) {
    char here[PATH_MAX];
    if (getcwd(here, sizeof(here)) == nullptr) return std::nullopt;
    path = absl::StrCat(here, "/", path);
  }
  const std::vector<absl::string_view> parts =
      absl::StrSplit(path, '/', absl::SkipEmpty());
  const auto is_dots = [](absl::string_view part) {
    return part == "." || part == "..";
  };
  if (std::none_of(parts.begin(), parts.end(), is_dots)) {
    return absl::StrCat("/", absl::StrJoin(parts, "/"));
  }
  // After a symbolic link, ".." may not be the parent that the text names.
  char resolved[PATH_MAX];
  if (realpath(path.c_str(), resolved) == nullptr) return std::nullopt;
  return resolved;
}

// The host's PWD names the host's directory, and its LINES and COLUMNS are the
// size of the host's terminal: programs trust them.
Environment EnvironmentOf(const Command& command) {
  Environment environment = command.env;
  const auto has_of_host = [&environment](const char* name) {
    return environment.inherits() && environment.changes().count(name) == 0;
  };
  if (command.pty.has_value()) {
    for (const char* name : {"LINES", "COLUMNS"}) {
      if (has_of_host(name)) environment.Unset(name);
    }
  }
  if (!command.working_directory.empty() && has_of_host("PWD")) {
    const std::optional<std::string> directory = WorkingDirectory(command);
    if (directory.has_value()) return environment.Set("PWD", *directory);
    environment.Unset("PWD");
  }
  return environment;
}

uint64_t SignalSet(const std::set<int>& signals) {
  uint64_t set = 0;
  for (const int signal : signals) set |= uint64_t{1} << (signal - 1);
  return set;
}

absl::StatusOr<SpawnRequest> ToRequest(const Command& command,
                                       const std::optional<std::string>& path) {
  SpawnRequest request;
  if (absl::Status status = CompleteIdentity(command, &request); !status.ok()) {
    return status;
  }
  request.argv = command.argv;
  request.candidates = ProgramCandidates(ProgramOf(command), path);
  request.environment = EnvironmentOf(command).ToVector();
  if (!command.working_directory.empty()) {
    request.working_directory = command.working_directory;
  }
  request.new_session = command.new_session || command.pty.has_value();
  if (command.pty.has_value()) request.controlling_terminal = STDIN_FILENO;
  // A session leader already leads a group, and must not call setpgid.
  if (!command.process_group.inherits() && !request.new_session) {
    request.process_group = command.process_group.id();
  }
  for (const auto& [resource, limit] : command.rlimits) {
    request.rlimits.push_back({resource, limit});
  }
  request.nice = command.nice;
  request.umask = command.umask;
  request.blocked_signals = SignalSet(command.blocked_signals);
  request.ignored_signals = SignalSet(command.ignored_signals);
  if (command.die_with_parent) request.death_signal = SIGKILL;
  return request;
}

absl::Status ValidateFurther(const Command& command,
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

}  // namespace

absl::Status CheckCommand(const Command& command) {
  absl::Status status = command.Validate();
  if (!status.ok()) return CannotStart(command, status);
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

absl::StatusOr<Launched> Launch(const Command& command,
                                const std::vector<int>& further_pipes,
                                const std::function<absl::Status()>& ready) {
  if (absl::Status status = ValidateFurther(command, further_pipes);
      !status.ok()) {
    return status;
  }
  const std::optional<std::string> path = command.env.Get("PATH");
  absl::StatusOr<SpawnRequest> request = ToRequest(command, path);
  if (!request.ok()) return request.status();

  Launched launched;
  Streams streams(command, further_pipes);
  if (absl::Status status = streams.Open(&launched); !status.ok()) {
    return status;
  }
  request->moves = streams.moves();
  if (ready != nullptr) {
    if (absl::Status status = ready(); !status.ok()) return status;
  }

  SpawnResult result;
  if (command.die_with_parent) {
    auto parent = ParentThread::Start(*request, &result);
    if (!parent.ok()) {
      absl::Status status = parent.status();
      SetSpawnFailure({SpawnStage::kThread, EAGAIN}, &status);
      return Failed(command, SpawnStage::kThread, status);
    }
    launched.parent = *std::move(parent);
  } else {
    result = Spawn(*request);
  }
  if (result.pid < 0) {
    return Failed(command, result.failure,
                  WhatFailedInChild(command, *request, result, path),
                  RemedyOfExec(command, *request, result));
  }
  launched.pid = result.pid;
  launched.pidfd = std::move(result.pidfd);
  return launched;
}

}  // namespace asyncproc::internal
