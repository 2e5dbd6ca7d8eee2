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

// What a child's terminal is like when it starts; see Command::pty, and
// Terminal for what can be done with it then. A value.
struct Pty {
  int rows = 24;
  int columns = 80;
  // Whether the terminal shows what is written to it, as it does to a person
  // who types: then it comes back among the output.
  bool echo = true;
};

// Where one of the child's three standard streams comes from or goes to.
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
  };
  enum class FileMode {
    kRead,
    kTruncate,  // Write from the start; made, with mode 0666 less the umask, if
                // it is not there.
    kAppend,    // Write at the end; made likewise.
  };

  // A pipe to or from the host: what Process reads and writes. The default.
  static Stdio Pipe() { return Stdio(Kind::kPipe); }
  // For stdout or stderr: as Pipe, but the child finds a terminal there, so
  // that programs that buffer what they write to a pipe hand over each line,
  // and may use colours and a pager (OnPlainTerminal turns those off). The
  // terminal has 24 rows and 80 columns, and no other sign of one: no echo, no
  // "\r\n", no Ctrl-C, and stdin is what it is set to. See Command::pty for a
  // whole one.
  static Stdio LineBuffered() { return Stdio(Kind::kLineBuffered); }
  // /dev/null: end-of-file at once, or output that nobody sees.
  static Stdio Null() { return Stdio(Kind::kNull); }
  // The host's own stream of that number; closed if that is closed.
  static Stdio Inherit() { return Stdio(Kind::kInherit); }
  // No stream: the child has the descriptor closed. Mind that the first file
  // that the child opens gets that number, and then the child's messages.
  static Stdio Closed() { return Stdio(Kind::kClosed); }
  // A file, opened by the host: a relative path is relative to the directory of
  // the host, not to Command::working_directory. Mind that opening a FIFO waits
  // for its other end; only WithTimeout ends that.
  // Where stdout and stderr name the same file in the same mode, both have one
  // open file description, as with ToStdout, and neither overwrites what the
  // other has written. In two different modes the file is refused.
  static Stdio File(std::string path, FileMode mode);
  // An open descriptor of the host's, which stays the host's to close.
  static Stdio Fd(int fd);
  // For stderr only: wherever stdout goes, in the order written.
  static Stdio ToStdout() { return Stdio(Kind::kToStdout); }

  Kind kind() const { return kind_; }
  const std::string& path() const { return path_; }
  FileMode mode() const { return mode_; }
  int fd() const { return fd_; }

  // "pipe", "/dev/null", "inherited", "> 'log'", "descriptor 7", "as stdout",
  // "closed".
  std::string ToString() const;

 private:
  explicit Stdio(Kind kind) : kind_(kind) {}

  Kind kind_;
  std::string path_;
  FileMode mode_ = FileMode::kRead;
  int fd_ = -1;
};

// The child's environment: by default the host's, as it is when the child is
// started; with changes to it; or, after Clear, nothing but what is set.
//
//   command.env.Set("LANG", "C").Unset("HOME");
//   command.env.Clear().Set("PATH", "/usr/bin:/bin");
//
// The host's environment is read without a lock, as getenv reads it: where
// another thread may call setenv meanwhile, Clear and set all that is needed.
class Environment {
 public:
  // The host's, without changes.
  Environment() = default;
  // These variables and no others:
  //   command.env = asyncproc::Environment::Only({{"PATH", "/bin"}});
  static Environment Only(const std::map<std::string, std::string>& variables);
  // The same from a list of "NAME=value", as `environ` and ToVector have them.
  // Of a name that comes twice, the last counts. Errors: kInvalidArgument for
  // an entry without a name or without "=".
  static absl::StatusOr<Environment> FromList(
      const std::vector<std::string>& entries);

  Environment& Set(absl::string_view name, absl::string_view value);
  // Each of these, besides what there is.
  Environment& Set(const std::map<std::string, std::string>& variables);
  Environment& Unset(absl::string_view name);
  // Forgets the host's environment and all changes made so far.
  Environment& Clear();

  bool inherits() const { return inherits_; }
  // Names to values; no value: it is unset.
  const std::map<std::string, std::optional<std::string>>& changes() const {
    return changes_;
  }

  // The variable as the child will see it.
  std::optional<std::string> Get(absl::string_view name) const;
  // "NAME=value", as exec takes them.
  std::vector<std::string> ToVector() const;

 private:
  bool inherits_ = true;
  std::map<std::string, std::optional<std::string>> changes_;
};

// The process group that the child is in.
class ProcessGroup {
 public:
  static ProcessGroup Inherit() { return ProcessGroup(kInherit); }
  // Its own, whose number is its pid: so that all it starts can be signalled
  // together, and Ctrl-C at the host's terminal does not reach it.
  static ProcessGroup New() { return ProcessGroup(kNew); }
  // That of another child that leads one, in the same session.
  static ProcessGroup Join(pid_t leader) {
    return ProcessGroup(leader > 0 ? leader : kNone);
  }

  bool inherits() const { return id_ == kInherit; }
  bool is_new() const { return id_ == kNew; }
  // False for Join of what is no pid.
  bool IsValid() const { return id_ != kNone; }
  // 0 for a new one. REQUIRES: !inherits().
  pid_t id() const { return id_; }

 private:
  enum : pid_t { kNone = -2, kInherit = -1, kNew = 0 };

  explicit ProcessGroup(pid_t id) : id_(id) {}
  pid_t id_;
};

// How Command::OverSsh reaches another machine.
struct SshOptions {
  // The local program, with options of its own: {"ssh", "-p", "2222"}. They go
  // before the user's configuration and what is added here.
  std::vector<std::string> ssh = {"ssh"};

  // OpenSSH's connection sharing: the first command to a machine opens the
  // connection, which then stays for `persist`, and others use it: a start
  // takes a round trip or two. Not done where `ssh` says how (-S, ControlPath).
  bool share_connection = true;
  absl::Duration persist = absl::Minutes(1);
  // Where the shared connection's socket is. Empty: in $XDG_RUNTIME_DIR, or in
  // ~/.ssh; where neither is there, or can be written to, the connection is not
  // shared.
  std::string control_path;

  // Never asks for a password, but fails.
  bool batch = true;

  // How long what runs there has to end by SIGTERM when the local side is gone,
  // before SIGKILL. Rounded up to seconds.
  absl::Duration grace = absl::Seconds(2);
};

// What to run, and in what surroundings: plain fields, all with defaults.
//
//   asyncproc::Command command({"python3", "-i", "-q"});
//   command.working_directory = "/tmp";
//   command.env.Set("PYTHONUNBUFFERED", "1");
//   command.err = asyncproc::Stdio::ToStdout();
//
// The child has no descriptor of the host's but what is named here, a signal
// mask that is empty but for `blocked_signals`, and the default action for
// every signal, also for those that the host ignores.
//
// A value: it can be copied, changed and used again. Thread safety: as a
// struct.
struct Command {
  Command() = default;
  explicit Command(std::vector<std::string> arguments)
      : argv(std::move(arguments)) {}
  Command(std::initializer_list<std::string> arguments) : argv(arguments) {}

  // `/bin/sh -c script`. The script is the shell's to parse: put nothing into
  // it that comes from elsewhere, but by ShellQuote, or as an environment
  // variable. Mind that sh, if it does not exec its last command, is the child
  // that a signal reaches, and what it runs is not: see ProcessGroup::New.
  static Command Shell(std::string script);

  // This command, run by another that takes it as its last arguments, byte for
  // byte: nice, env, sudo, srun.
  //
  //   asyncproc::Command hostname({"hostname"});
  //   auto process = asyncproc::Process::Spawn(hostname.Via({"srun", "-n1"}));
  //
  // Whether a signal to that other one reaches the command is for it to see to:
  // srun passes them on. `executable`, if set, takes the place of argv[0].
  Command Via(std::vector<std::string> prefix) const;

  // This command, run on `machine` ("build1", "me@build1") by OpenSSH:
  //
  //   asyncproc::Command make({"make", "test"});
  //   make.working_directory = "src";   // There; relative to the home.
  //   make.env.Set("CC", "clang");      // There, too.
  //   auto process = asyncproc::Process::Spawn(make.OverSsh("build1"));
  //
  // Arguments arrive there byte for byte, whatever is in them, as long as the
  // login shell is a POSIX one. The directory and what is changed in the
  // environment are carried over (for all to see who can list the processes
  // there); `executable`, if set, takes the place of argv[0]; all other fields
  // are about the local ssh. stdin, stdout and stderr are the command's, and
  // stay apart and clean of all else; with `pty` set, there is a terminal there
  // too.
  //
  // The status is that of the command; 128 + n when signal n killed it there;
  // 127 and 126 when there is no such program, or directory; 255 when ssh
  // failed, or the command said so.
  //
  // When the local ssh ends, whatever ends it, or the connection does, then
  // what runs there gets SIGTERM, and SIGKILL after SshOptions::grace: the
  // command and all of its process group. It takes up to a second until that is
  // noticed, and nobody here waits for it. It needs GNU's tail there, and
  // a server that uses pipes, as OpenSSH's does on Linux; elsewhere what runs
  // is ended only when the whole connection is, which may be shared.
  // A signal that is to end the command there is one to end ssh here: none is
  // passed on.
  Command OverSsh(absl::string_view machine,
                  const SshOptions& options = {}) const;

  // The program and its arguments, passed on byte for byte; no shell sees them.
  // A program with a slash in its name is that file, relative to
  // working_directory if it is relative. Any other is searched for in the
  // child's PATH ("/bin:/usr/bin" where it has none); empty entries and "."
  // there are skipped.
  std::vector<std::string> argv;

  // If not empty, the program to run instead of argv[0], found in the same way;
  // the child still sees argv[0] as its name.
  std::string executable;

  // If not empty, where the child starts; else where the host is. A child that
  // inherits the host's environment gets a PWD that names this directory,
  // unless `env` sets or unsets PWD itself.
  std::string working_directory;

  Environment env;

  Stdio in = Stdio::Pipe();
  Stdio out = Stdio::Pipe();
  Stdio err = Stdio::Pipe();

  // A terminal for the child instead of its three pipes: its controlling one,
  // in a session of its own. What it writes, to stdout or stderr, comes by
  // Process::out; what is written to it, by Process::Write, it takes for typed.
  // See Process::pty.
  std::optional<Pty> pty;

  // Further descriptors of the child: its number to the host's. The host's stay
  // open, and are not changed.
  //
  // There is no way to pass on all descriptors but some: among them would be
  // those of the host's other threads and libraries, whose numbers nobody
  // knows, and the pipes of other children, which would not see their
  // end-of-file while this child lives.
  std::map<int, int> pass_fds;

  ProcessGroup process_group = ProcessGroup::Inherit();

  // A session of its own, without a controlling terminal; also a new group.
  bool new_session = false;

  // The identity of the child; the host needs the right to give it. With `user`
  // alone, `group` is that user's own in the password database, and
  // supplementary_groups are none. With `user`, the child also loses all of the
  // host's capabilities, ambient and inheritable ones included.
  //
  // What remains of the host's, as after every setuid: the session keyring
  // (`keyctl session - PROGRAM` gives another); no_new_privs and securebits,
  // which forbid more than is usual (but a host that has set
  // SECBIT_NO_SETUID_FIXUP should start no set-user-ID program); limits,
  // niceness, control group, namespaces and seccomp filters.
  std::optional<uid_t> user;
  std::optional<gid_t> group;
  std::optional<std::vector<gid_t>> supplementary_groups;

  // The signals that the child has blocked when its program starts; most
  // programs do not expect any. None of SIGKILL, SIGSTOP and the two that the C
  // library uses itself (32 and 33) can be named.
  std::set<int> blocked_signals;

  std::optional<mode_t> umask;
  // From -20 to 19; absolute, not added to the host's.
  std::optional<int> nice;
  std::map<int, rlimit> rlimits;  // By resource: RLIMIT_CORE ...

  // SIGKILL for the child when the host ends, however it ends. Costs a thread.
  // The kernel forgets it for a set-user-ID program.
  bool die_with_parent = false;

  // What is kept of stdout and of stderr, each.
  OutputBound output_buffer = OutputBound::Unbounded();

  // The most bytes that may wait to be written to stdin; 0: no bound. A Write
  // that would exceed it is refused with kResourceExhausted, and takes nothing.
  size_t input_limit = 0;

  // The capacity in bytes of each of the child's pipes. 0: the kernel's (64 KiB
  // as a rule), and more for an output that proves to need it. What the kernel
  // does not let this user have is refused with kPermissionDenied: a single
  // pipe is limited (/proc/sys/fs/pipe-max-size), and all of them together
  // (pipe-user-pages-soft).
  size_t pipe_size = 0;

  // When the child has ended and some other process still holds its output
  // open, how long that output must have been silent before nobody waits for
  // more. Every chunk starts it anew, twenty times at the most.
  absl::Duration drain_grace = absl::Milliseconds(50);

  // A Recorder, say, which then has everything from the first byte on. Of one
  // child only: a second one is not started, with kFailedPrecondition.
  std::shared_ptr<ChildObserver> observer;

  // For a child that still runs when its Process is destroyed.
  OnDestroy on_destroy = OnDestroy::Kill();

  // Whether it makes sense, before anything is done.
  // Errors: kInvalidArgument, saying what of it: no argv; a NUL byte; a
  // variable's name that is empty or has a '='; a stream that cannot be what it
  // is set to; the same number twice; a file that stdout and stderr open in two
  // modes; a signal that cannot be blocked; a negative or excessive number.
  absl::Status Validate() const;

  // The command line, quoted for a shell, to be read: a word with control
  // characters is shown as bash's $'...'. Never the environment. To make a
  // script, use ShellQuote.
  std::string DebugString() const;

  // What would be done, for a person to read: the quoted argv, the file that it
  // would be, what differs in the environment (names, no values), where each
  // descriptor leads, identity and limits.
  std::string Explain() const;
};

// `text` as one word of a POSIX shell. "don't" -> 'don'\''t'; plain words stay
// as they are.
std::string ShellQuote(absl::string_view text);

}  // namespace asyncproc

#endif  // ASYNCPROC_COMMAND_H_
