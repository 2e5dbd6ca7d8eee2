#ifndef ASYNCPROC_COMMAND_H_
#define ASYNCPROC_COMMAND_H_

#include <sys/resource.h>
#include <sys/types.h>

#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/output_bound.h"
#include "asyncproc/termination.h"

namespace asyncproc {

class ChildObserver;

// The initial state of a child's terminal; see Command::pty. The methods of
// Terminal can change it later. A value.
struct Pty {
  int rows = 24;
  int columns = 80;
  // Whether the terminal echoes its input. The echo is then part of the output.
  bool echo = true;
};

// The source or destination of one of the child's three standard streams.
class Stdio {
 public:
  enum class Kind {
    kPipe,
    kNull,
    kInherit,
    kFile,
    kFd,
    kToStdout,
    kLineBuffered,
    kClosed,
    kSocket,
    kToStdin,
  };
  enum class FileMode {
    kRead,
    kTruncate,  // Write from the start. A missing file is created with
                // mode 0666 less the umask of the host.
    kAppend,    // Write at the end. A missing file is created likewise.
  };

  // A pipe that Process reads or writes. The default.
  static Stdio Pipe() { return Stdio(Kind::kPipe); }
  // For stdout or stderr: as Pipe, but the child sees a terminal. So a program
  // that would buffer its output to a pipe writes each line at once, and may
  // use colours and a pager (OnPlainTerminal turns those off). The terminal has
  // 24 rows and 80 columns, and is otherwise like a pipe: no echo, no "\r\n",
  // no Ctrl-C; stdin is set separately. See Command::pty for a full terminal.
  static Stdio LineBuffered() { return Stdio(Kind::kLineBuffered); }
  // As Pipe, but one end of a connected pair of AF_UNIX stream sockets: for a
  // program that wants a socket, and for bulk data, which may pass faster than
  // through a pipe (see the figures in the README). Everything that a Process
  // does with a pipe it does with the socket: no SIGPIPE comes to the host,
  // CloseStdin gives the child end-of-file, and no byte is lost at the exit.
  //
  // The differences for the child:
  // - /dev/stdin, /dev/stdout and /proc/self/fd/1 cannot be opened (ENXIO):
  //   `cat /dev/stdin` and `echo text > /dev/stderr` fail.
  // - Programs that look at the type of their streams may act differently:
  //   bash, with a socket as its stdin, reads ~/.bashrc even without a
  //   terminal, as under rshd.
  // - The kernel counts its own overhead: by default (net.core.wmem_default),
  //   some 200 KiB fit in large writes, but only 278 writes of one byte.
  //   Command::pipe_size has no effect.
  // - A child that is blocked in a write when the host closes the stream may
  //   get EPIPE without a SIGPIPE. Its next write gets both.
  static Stdio Socket() { return Stdio(Kind::kSocket); }
  // For stdout only, with `in` set to Socket: the same socket, in both
  // directions, as inetd gives it to a server: `rsync --daemon`, `sshd -i`,
  // `git daemon --inetd`. CloseStdin ends the direction to the child, and the
  // other direction stays open. A child that closes only one of the two
  // descriptors ends neither direction.
  //
  //   command.in = asyncproc::Stdio::Socket();
  //   command.out = asyncproc::Stdio::ToStdin();
  static Stdio ToStdin() { return Stdio(Kind::kToStdin); }
  // /dev/null: end-of-file at once, or output that is discarded.
  static Stdio Null() { return Stdio(Kind::kNull); }
  // The host's own stream of the same number; closed if the host's is closed.
  static Stdio Inherit() { return Stdio(Kind::kInherit); }
  // No stream: the descriptor is closed in the child. Mind that the first file
  // that the child opens gets this number, and then the child's messages.
  static Stdio Closed() { return Stdio(Kind::kClosed); }
  // A file, opened by the host: a relative path is relative to the directory of
  // the host, not to Command::working_directory. Mind that opening a FIFO
  // blocks until its other end is open; only WithTimeout ends this wait.
  // If stdout and stderr name the same file in the same mode, they share one
  // open file description, as with ToStdout, and neither overwrites the output
  // of the other. Two different modes for one file are refused.
  static Stdio File(std::string path, FileMode mode);
  // An open descriptor of the host. The host still owns it.
  static Stdio Fd(int fd);
  // For stderr only: the destination of stdout, in the order of the writes.
  static Stdio ToStdout() { return Stdio(Kind::kToStdout); }

  Kind kind() const { return kind_; }
  const std::string& path() const { return path_; }
  FileMode mode() const { return mode_; }
  int fd() const { return fd_; }

  // Whether the host has the other end of the stream, and reads or writes it:
  // Pipe, LineBuffered, Socket and ToStdin.
  bool HasHostEnd() const;

  // "pipe", "/dev/null", "inherited", "> 'log'", "descriptor 7", "as stdout",
  // "closed", "socket", "as stdin".
  std::string ToString() const;

 private:
  explicit Stdio(Kind kind) : kind_(kind) {}

  Kind kind_;
  std::string path_;
  FileMode mode_ = FileMode::kRead;
  int fd_ = -1;
};

// The child's environment. By default, it is the host's environment at the
// start of the child, with the changes made here. After Clear, it has only the
// variables that are set here.
//
//   command.env.Set("LANG", "C").Unset("HOME");
//   command.env.Clear().Set("PATH", "/usr/bin:/bin");
//
// The host's environment is read without a lock, as by getenv: if another
// thread may call setenv at the same time, use Clear and set all variables that
// the child needs.
class Environment {
 public:
  // The host's environment without changes.
  Environment() = default;
  // Only these variables:
  //   command.env = asyncproc::Environment::Only({{"PATH", "/bin"}});
  static Environment Only(const std::map<std::string, std::string>& variables);
  // The same from a list of "NAME=value", the format of `environ` and ToVector.
  // If a name occurs twice, the last entry counts. Errors: kInvalidArgument for
  // an entry without a name or without "=".
  static absl::StatusOr<Environment> FromList(
      const std::vector<std::string>& entries);

  Environment& Set(absl::string_view name, absl::string_view value);
  // Sets each of these variables; other variables stay.
  Environment& Set(const std::map<std::string, std::string>& variables);
  Environment& Unset(absl::string_view name);
  // Forgets the host's environment and all changes so far.
  Environment& Clear();

  bool inherits() const { return inherits_; }
  // Names to values; a variable without a value is unset.
  const std::map<std::string, std::optional<std::string>>& changes() const {
    return changes_;
  }

  // The value that the child will see; nullopt if unset.
  std::optional<std::string> Get(absl::string_view name) const;
  // "NAME=value", the format of exec.
  std::vector<std::string> ToVector() const;

 private:
  bool inherits_ = true;
  std::map<std::string, std::optional<std::string>> changes_;
};

// The process group of the child.
class ProcessGroup {
 public:
  static ProcessGroup Inherit() { return ProcessGroup(kInherit); }
  // A new group, with the child's pid as its id: all processes that the child
  // starts can be signalled together, and Ctrl-C at the host's terminal does
  // not reach them. A child that reads from that terminal is stopped by
  // SIGTTIN.
  static ProcessGroup New() { return ProcessGroup(kNew); }
  // The group that another child, with the pid `leader`, leads in the same
  // session.
  static ProcessGroup Join(pid_t leader) {
    return ProcessGroup(leader > 0 ? leader : kNone);
  }

  bool inherits() const { return id_ == kInherit; }
  bool is_new() const { return id_ == kNew; }
  // False after Join with a number that is not a pid.
  bool IsValid() const { return id_ != kNone; }
  // The group to join; 0 for a new group. REQUIRES: !inherits().
  pid_t id() const { return id_; }

 private:
  enum : pid_t { kNone = -2, kInherit = -1, kNew = 0 };

  explicit ProcessGroup(pid_t id) : id_(id) {}
  pid_t id_;
};

// Options of Command::OverSsh.
struct SshOptions {
  // The local program and its options: {"ssh", "-p", "2222"}. They come before
  // the options that OverSsh adds, and override the user's configuration.
  std::vector<std::string> ssh = {"ssh"};

  // Uses OpenSSH's connection sharing: the first command to a machine opens the
  // connection, which then stays open for `persist`. Later commands use it, and
  // start within a round trip or two. Not used if `ssh` itself configures the
  // sharing (-S, ControlPath).
  bool share_connection = true;
  absl::Duration persist = absl::Minutes(1);
  // The path of the shared connection's socket. Empty: a path in
  // $XDG_RUNTIME_DIR, or in ~/.ssh. If neither directory exists and is
  // writable, the connection is not shared.
  std::string control_path;

  // Fails instead of asking for a password.
  bool batch = true;

  // The time from SIGTERM to SIGKILL for the remote processes when the local
  // side is gone. Rounded up to seconds.
  absl::Duration grace = absl::Seconds(2);
};

// A program to run and its surroundings: plain fields, all with defaults.
//
//   asyncproc::Command command({"python3", "-i", "-q"});
//   command.working_directory = "/tmp";
//   command.env.Set("PYTHONUNBUFFERED", "1");
//   command.err = asyncproc::Stdio::ToStdout();
//
// The child has no descriptor of the host except those named here, and a signal
// mask that is empty except for `blocked_signals`. It ignores
// `ignored_signals`, and has the default action for every other signal, also
// for one that the host ignores.
//
// A value: it can be copied, changed and used again. Thread safety: as a
// struct.
struct Command {
  Command() = default;
  explicit Command(std::vector<std::string> arguments)
      : argv(std::move(arguments)) {}
  Command(std::initializer_list<std::string> arguments) : argv(arguments) {}

  // `/bin/sh -c script`. The shell parses the script: insert text from
  // elsewhere only through ShellQuote or an environment variable. Mind that,
  // unless sh execs its last command, a signal reaches sh and not the programs
  // that it runs: see ProcessGroup::New.
  static Command Shell(std::string script);

  // This command, run by a program that takes a command as its last arguments,
  // byte for byte: nice, env, sudo, srun.
  //
  //   asyncproc::Command hostname({"hostname"});
  //   auto process = asyncproc::Process::Spawn(hostname.Via({"srun", "-n1"}));
  //
  // Whether a signal reaches the command depends on that program: nice and env
  // become the command, and srun forwards signals. `executable`, if set,
  // replaces argv[0].
  Command Via(std::vector<std::string> prefix) const;

  // This command, run on `machine` ("build1", "me@build1") by OpenSSH:
  //
  //   asyncproc::Command make({"make", "test"});
  //   make.working_directory = "src";   // There; relative to the home.
  //   make.env.Set("CC", "clang");      // There, too.
  //   auto process = asyncproc::Process::Spawn(make.OverSsh("build1"));
  //
  // Arguments arrive there byte for byte, whatever their content, if the login
  // shell is a POSIX shell. The directory and the changes of the environment
  // are carried over (visible to every user who can list the processes there);
  // `executable`, if set, replaces argv[0]; all other fields apply to the local
  // ssh. stdin, stdout and stderr are the command's; stdout and stderr stay
  // separate and contain nothing else. With `pty` set, the command has a
  // terminal there too.
  //
  // The exit status is the command's; 128 + n if signal n killed the command
  // there; 127 if there is no such program; 126 if there is no such directory,
  // or the program cannot be executed; 255 if ssh failed, or if the command
  // itself returned 255.
  //
  // When the local ssh or the connection ends, for any reason, the command and
  // all processes of its group there get SIGTERM, and SIGKILL after
  // SshOptions::grace. The remote side notices the end within a second; the
  // local side does not wait for it. This requires GNU tail there, and a server
  // that uses pipes, as OpenSSH does on Linux; elsewhere the remote processes
  // end only with the whole connection, which may be shared.
  // Signals are not forwarded: to end the command there, end the local ssh by a
  // signal.
  Command OverSsh(absl::string_view machine,
                  const SshOptions& options = {}) const;

  // The program and its arguments, passed on byte for byte, without a shell. A
  // program name with a slash is a path, relative to working_directory unless
  // it is absolute. Any other name is searched for in the child's PATH
  // ("/bin:/usr/bin" if the child has none); empty entries and "." in PATH are
  // skipped.
  std::vector<std::string> argv;

  // If not empty, the program to run instead of argv[0], found in the same way;
  // the child still sees argv[0] as its name.
  std::string executable;

  // If not empty, the directory in which the child starts instead of the
  // host's. A child that inherits the host's environment then gets a PWD that
  // names this directory, unless `env` sets or unsets PWD.
  std::string working_directory;

  Environment env;

  Stdio in = Stdio::Pipe();
  Stdio out = Stdio::Pipe();
  Stdio err = Stdio::Pipe();

  // A terminal for the child instead of its three pipes: the controlling
  // terminal of a new session. Process::out reads the output to stdout and
  // stderr; data from Process::Write arrives as typed input. See Process::pty.
  // The host's LINES and COLUMNS, which would replace the size of this terminal
  // in many programs, are not inherited; `env` may set them.
  std::optional<Pty> pty;

  // Further descriptors of the child: the child's number to the host's. The
  // host's descriptors stay open and unchanged.
  //
  // There is no way to pass on all descriptors except some: they would include
  // descriptors of the host's other threads and libraries, with unknown
  // numbers, and the pipes of other children, which would not see end-of-file
  // while this child lives.
  std::map<int, int> pass_fds;

  ProcessGroup process_group = ProcessGroup::Inherit();

  // A new session without a controlling terminal; implies a new group.
  bool new_session = false;

  // The identity of the child; the host must have the privilege to set it. With
  // `user` alone, `group` is the group of that user in the password database,
  // and supplementary_groups is empty. With `user`, the child also loses all of
  // the host's capabilities, including ambient and inheritable ones. The
  // environment stays: HOME, USER and LOGNAME are those of the host unless
  // `env` sets them. The streams belong to the user of the host: the child can
  // write to them, but cannot open them again as /dev/stdout.
  //
  // As after every setuid, the child keeps the host's session keyring
  // (`keyctl session - PROGRAM` gives a new one); its no_new_privs and
  // securebits, which add restrictions (but a host that has set
  // SECBIT_NO_SETUID_FIXUP should start no set-user-ID program); and its
  // limits, niceness, control group, namespaces and seccomp filters.
  std::optional<uid_t> user;
  std::optional<gid_t> group;
  std::optional<std::vector<gid_t>> supplementary_groups;

  // The signals that are blocked in the child when its program starts; most
  // programs expect none. SIGKILL, SIGSTOP and the two signals of the C library
  // (32 and 33) are not allowed.
  std::set<int> blocked_signals;

  // The signals that the child ignores when its program starts, as nohup has
  // its program ignore SIGHUP. Not allowed: as for blocked_signals.
  std::set<int> ignored_signals;

  // Of the child. Files of Stdio::File are created with that of the host.
  std::optional<mode_t> umask;
  // From -20 to 19; absolute, not relative to the host's.
  std::optional<int> nice;
  std::map<int, rlimit> rlimits;  // By resource: RLIMIT_CORE ...

  // Kills the child with SIGKILL when the host ends, for any reason. Costs a
  // thread. The kernel drops this setting for a set-user-ID program.
  bool die_with_parent = false;

  // The bound for the unread output, for stdout and stderr each. Of no effect
  // in a ProcessPoller or Reactor, whose callbacks get all output.
  OutputBound output_buffer = OutputBound::Unbounded();

  // The most bytes that may be queued for stdin; 0: no bound. A Write that
  // would exceed the bound fails with kResourceExhausted, and queues nothing.
  size_t input_limit = 0;

  // The capacity in bytes of each of the child's pipes. 0: the kernel's default
  // (usually 64 KiB), and more for an output that proves to need it. A size
  // that the kernel denies to this user fails with kPermissionDenied: there is
  // a limit for one pipe (/proc/sys/fs/pipe-max-size), and one for all pipes of
  // a user (pipe-user-pages-soft).
  size_t pipe_size = 0;

  // For a child that has ended while another process still holds its output
  // open: how long the output must be silent before the library stops waiting
  // for more. Each chunk restarts this time; the whole wait takes at most 20
  // times drain_grace.
  absl::Duration drain_grace = absl::Milliseconds(50);

  // For example a Recorder, which then records everything from the first byte
  // on. A Recorder serves one child: a second child with it does not start, and
  // the error is kFailedPrecondition.
  std::shared_ptr<ChildObserver> observer;

  // The treatment of the child when its Process is destroyed.
  OnDestroy on_destroy = OnDestroy::Kill();

  // Checks the command without any effect.
  // Errors: kInvalidArgument, naming the fault: no argv; a NUL byte; a variable
  // with an empty name or a name with '='; a stream with a setting that it
  // cannot have; a pass_fds entry for the child's stdin, stdout or stderr; a
  // file that stdout and stderr open in two modes; a signal that cannot be
  // blocked; a negative or excessive number.
  absl::Status Validate() const;

  // The command line for people, quoted for a shell; a word with control
  // characters is shown as bash's $'...'. Never includes the environment. Use
  // ShellQuote to make a script.
  std::string DebugString() const;

  // Describes for people how the child would be started: the quoted argv, the
  // program's file, the changes of the environment (names, no values), the
  // target of each descriptor, identity and limits.
  std::string Explain() const;
};

// `text` as one word for a POSIX shell: "don't" -> 'don'\''t'. Plain words stay
// unchanged.
std::string ShellQuote(absl::string_view text);

}  // namespace asyncproc

#endif  // ASYNCPROC_COMMAND_H_
