#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "asyncproc/command.h"

namespace asyncproc {
namespace {

// The script for /bin/sh on the remote machine. Its arguments are the grace in
// seconds, the directory and the command.
//
// sshd makes the shell a session leader, so "$$" is the process group of all
// that it starts; the script signals no other group. When the local ssh or the
// connection ends, a command without a terminal gets no notice except
// end-of-file on stdin, which can have other reasons. So a watcher runs beside
// the command. Its `tail` has the same stdout, and checks once a second whether
// that stdout still has a reader (otherwise SIGPIPE ends tail: 141) and whether
// sshd still runs (otherwise 0). With a terminal, both get SIGHUP (129). If
// tail does not support this, only sshd is watched.
//
// Neither the watcher nor tail may outlive the command: they would hold its
// stdout open. The watcher ends tail by SIGKILL, because a tail that was just
// forked could lose a SIGTERM to the trap of the shell. A newline or "!" in the
// script could have a meaning for a login shell: the only "!" is that of "$!".
constexpr absl::string_view kRemoteScript =
    "grace=$1 dir=$2; shift 2; "
    "if [ -n \"$dir\" ]; then CDPATH= cd \"$dir\" || exit 126; fi; "
    "( "
    "trap 'kill -KILL $! 2>/dev/null; exit 0' TERM; trap : HUP; "
    "tail --pid=$PPID -f /dev/null </dev/null 2>/dev/null & wait $!; how=$?; "
    "exec </dev/null >/dev/null 2>&1; "
    "case $how in 0|129|141) ;; "
    "*) kill -0 $PPID || exit 0; "
    "while kill -0 $PPID; do sleep 1 & wait $!; done;; esac; "
    "trap '' TERM HUP INT PIPE; kill -TERM -$$; sleep $grace; kill -KILL -$$ "
    ") & "
    "watcher=$!; "
    "( exec \"$@\" ); status=$?; "
    "kill -TERM $watcher 2>/dev/null; "
    "exit $status";

// The argv of `command` on the remote machine.
std::vector<std::string> Words(const Command& command) {
  std::vector<std::string> words = command.argv;
  if (!words.empty() && !command.executable.empty()) {
    words[0] = command.executable;
  }
  return words;
}

bool CanBeCarried(const std::string& name) {
  return !name.empty() && !absl::StrContains(name, '=') &&
         !absl::StrContains(name, '\0');
}

// Words to put in front of `program` if env or a shell's exec would take its
// name for a variable or an option. The shell in between drops variables with
// names that a shell cannot have.
std::vector<std::string> ProgramWords(absl::string_view program) {
  if (absl::StartsWith(program, "-")) {
    return {"/bin/sh", "-c", "\"$@\"", "sh"};
  }
  if (absl::StrContains(program, '=')) {
    return {"/bin/sh", "-c", "exec \"$@\"", "sh"};
  }
  return {};
}

// The words that set the environment there and then run the words after them.
// The "--" keeps env from taking a variable with a name such as "-S" for an
// option.
std::vector<std::string> EnvironmentWords(const Environment& environment) {
  if (environment.inherits() && environment.changes().empty()) return {};
  std::vector<std::string> words = {"env"};
  if (!environment.inherits()) words.push_back("-i");
  for (const auto& [name, value] : environment.changes()) {
    if (!CanBeCarried(name) || value.has_value()) continue;
    words.insert(words.end(), {"-u", name});
  }
  words.push_back("--");
  for (const auto& [name, value] : environment.changes()) {
    if (!CanBeCarried(name) || !value.has_value()) continue;
    words.push_back(absl::StrCat(name, "=", *value));
  }
  return words;
}

// The variables that env cannot set there. They stay in the local command,
// where Command::Validate refuses them.
Environment NotCarried(const Environment& environment) {
  Environment rest;
  for (const auto& [name, value] : environment.changes()) {
    if (!CanBeCarried(name)) rest.Set(name, value.value_or(""));
  }
  return rest;
}

// Prefixes a relative directory, so that "cd" gives it no other meaning.
std::string Directory(const std::string& directory) {
  if (directory.empty() || directory[0] == '/') return directory;
  return absl::StrCat("./", directory);
}

std::string RemoteLine(const Command& command, const SshOptions& options) {
  const int64_t grace = std::max<int64_t>(
      0, static_cast<int64_t>(std::ceil(
             absl::ToDoubleSeconds(std::min(options.grace, absl::Hours(24))))));
  std::string line =
      absl::StrCat("exec /bin/sh -c ", ShellQuote(kRemoteScript), " sh ", grace,
                   " ", ShellQuote(Directory(command.working_directory)));
  const std::vector<std::string> words = Words(command);
  for (const std::vector<std::string>& part :
       {EnvironmentWords(command.env),
        ProgramWords(words.empty() ? "" : words[0]), words}) {
    for (const std::string& word : part) {
      absl::StrAppend(&line, " ", ShellQuote(word));
    }
  }
  return line;
}

bool SaysHowToShare(const std::vector<std::string>& ssh) {
  return std::any_of(ssh.begin(), ssh.end(), [](const std::string& word) {
    return absl::StartsWith(word, "-S") ||
           absl::StrContains(absl::AsciiStrToLower(word), "controlpath");
  });
}

// Whether a socket can be created in `folder`, and ssh's configuration takes
// the path literally.
bool IsPlaceForSocket(const std::string& folder) {
  constexpr size_t kLongestFolder = 38;  // 108 less "/asyncproc-%C.<random>".
  struct stat status;
  return absl::StartsWith(folder, "/") && folder.size() <= kLongestFolder &&
         std::all_of(folder.begin(), folder.end(),
                     [](unsigned char c) {
                       return absl::ascii_isalnum(c) ||
                              absl::StrContains("/._-+,:@",
                                                static_cast<char>(c));
                     }) &&
         stat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
         access(folder.c_str(), W_OK | X_OK) == 0;
}

// The home folder as ssh expands "~": from the user database, not $HOME.
std::string HomeFolder() {
  passwd entry;
  passwd* found = nullptr;
  std::vector<char> buffer(4096);
  while (getpwuid_r(geteuid(), &entry, buffer.data(), buffer.size(), &found) ==
         ERANGE) {
    buffer.resize(2 * buffer.size());
  }
  return found == nullptr ? "" : found->pw_dir;
}

// The path of a shared connection's socket. Empty if no folder can hold it, or
// the path would be too long for a socket: ssh would then fail instead of
// opening a connection of its own.
std::string ControlPath(const SshOptions& options) {
  if (!options.control_path.empty()) return options.control_path;
  const char* const runtime = getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && IsPlaceForSocket(runtime)) {
    return absl::StrCat(runtime, "/asyncproc-%C");
  }
  const char* const home = getenv("HOME");
  for (const std::string& folder :
       {std::string(home == nullptr ? "" : home), HomeFolder()}) {
    const std::string ssh = absl::StrCat(folder, "/.ssh");
    if (IsPlaceForSocket(ssh)) return absl::StrCat(ssh, "/asyncproc-%C");
  }
  return "";
}

// The options of ssh that share the connection.
std::vector<std::string> SharingWords(const SshOptions& options) {
  const std::string path = ControlPath(options);
  if (!options.share_connection || path.empty() ||
      SaysHowToShare(options.ssh)) {
    return {};
  }
  const std::string persist =
      options.persist == absl::InfiniteDuration()
          ? "yes"
          : absl::StrCat(
                std::max<int64_t>(1, absl::ToInt64Seconds(options.persist)));
  return {"-o", "ControlMaster=auto",
          "-o", absl::StrCat("ControlPath=", path),
          "-o", absl::StrCat("ControlPersist=", persist)};
}

}  // namespace

Command Command::Via(std::vector<std::string> prefix) const {
  Command command = *this;
  const std::vector<std::string> words = Words(*this);
  command.executable.clear();
  command.argv = std::move(prefix);
  command.argv.insert(command.argv.end(), words.begin(), words.end());
  return command;
}

Command Command::OverSsh(absl::string_view machine,
                         const SshOptions& options) const {
  Command command = *this;
  command.executable.clear();
  command.working_directory.clear();
  command.env = NotCarried(env);
  command.argv = options.ssh;
  std::vector<std::string>& words = command.argv;
  words.push_back(pty.has_value() ? "-tt" : "-T");
  if (options.batch) words.insert(words.end(), {"-o", "BatchMode=yes"});
  const std::vector<std::string> sharing = SharingWords(options);
  words.insert(words.end(), sharing.begin(), sharing.end());
  words.insert(words.end(),
               {"--", std::string(machine), RemoteLine(*this, options)});
  return command;
}

}  // namespace asyncproc
