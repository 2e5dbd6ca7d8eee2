#include "asyncproc/command.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/spawn/path_search.h"
#include "asyncproc/internal/text/printable.h"
#include "asyncproc/internal/text/resource_name.h"

namespace asyncproc {
namespace {

bool HasNul(absl::string_view text) { return absl::StrContains(text, '\0'); }

template <typename... Parts>
absl::Status Invalid(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::Status ValidateStrings(const Command& command) {
  if (command.argv.empty()) return Invalid("argv is empty");
  const std::string& program =
      command.executable.empty() ? command.argv[0] : command.executable;
  if (program.empty()) return Invalid("the name of the program is empty");
  for (size_t i = 0; i < command.argv.size(); ++i) {
    if (HasNul(command.argv[i])) {
      return Invalid("argv[", i, "] has a NUL byte: \"",
                     absl::CHexEscape(command.argv[i]), "\"");
    }
  }
  if (HasNul(command.executable)) {
    return Invalid("executable has a NUL byte: \"",
                   absl::CHexEscape(command.executable), "\"");
  }
  if (HasNul(command.working_directory)) {
    return Invalid("working_directory has a NUL byte: \"",
                   absl::CHexEscape(command.working_directory), "\"");
  }
  return absl::OkStatus();
}

absl::Status ValidateEnvironment(const Environment& environment) {
  for (const auto& [name, value] : environment.changes()) {
    const std::string shown = absl::CHexEscape(name);
    if (name.empty()) return Invalid("the name of a variable is empty");
    if (HasNul(name)) {
      return Invalid("the name of variable \"", shown, "\" has a NUL byte");
    }
    if (absl::StrContains(name, '=')) {
      return Invalid("the name of variable \"", shown, "\" has a '='");
    }
    if (value.has_value() && HasNul(*value)) {
      return Invalid("the value of variable \"", shown, "\" has a NUL byte");
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateStream(absl::string_view name, const Stdio& stream) {
  switch (stream.kind()) {
    case Stdio::Kind::kLineBuffered:
      if (name == "in") return Invalid("only out and err can be LineBuffered");
      break;
    case Stdio::Kind::kToStdout:
      if (name != "err") {
        return Invalid("only err can go where stdout goes, not ", name);
      }
      break;
    case Stdio::Kind::kToStdin:
      if (name != "out") {
        return Invalid("only out can share the socket of in, not ", name);
      }
      break;
    case Stdio::Kind::kFd:
      if (stream.fd() < 0) {
        return Invalid(name, " is set to descriptor ", stream.fd());
      }
      break;
    case Stdio::Kind::kFile:
      if (stream.path().empty() || HasNul(stream.path())) {
        return Invalid("the path of ", name, " is empty or has a NUL byte: \"",
                       absl::CHexEscape(stream.path()), "\"");
      }
      if ((name == "in") != (stream.mode() == Stdio::FileMode::kRead)) {
        return Invalid("the file of ", name,
                       " is opened the wrong way round: ", stream.ToString());
      }
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

absl::Status ValidateDescriptors(const Command& command) {
  for (const auto& [name, stream] :
       {std::pair<const char*, const Stdio&>{"in", command.in},
        {"out", command.out},
        {"err", command.err}}) {
    if (absl::Status status = ValidateStream(name, stream); !status.ok()) {
      return status;
    }
  }
  if (command.out.kind() == Stdio::Kind::kToStdin &&
      command.in.kind() != Stdio::Kind::kSocket) {
    return Invalid("out shares the socket of in, but in is ",
                   command.in.ToString(), ": set it to Stdio::Socket()");
  }
  for (const auto& [child_fd, host_fd] : command.pass_fds) {
    if (child_fd < 0 || host_fd < 0) {
      return Invalid("pass_fds has descriptor ", std::min(child_fd, host_fd));
    }
    if (child_fd <= STDERR_FILENO) {
      return Invalid("pass_fds has ", child_fd,
                     " of the child, which is for in, out and err to set");
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateFiles(const Command& command) {
  if (command.out.kind() != Stdio::Kind::kFile ||
      command.err.kind() != Stdio::Kind::kFile ||
      command.out.path() != command.err.path() ||
      command.out.mode() == command.err.mode()) {
    return absl::OkStatus();
  }
  return Invalid("out and err open the file ",
                 internal::PrintableWord(command.out.path()),
                 " in two modes: one would overwrite what the other writes");
}

absl::Status ValidateSignals(const Command& command) {
  const auto is_refused = [](int signal) {
    const bool of_libc = signal > SIGSYS && signal < SIGRTMIN;
    return signal <= 0 || signal > SIGRTMAX || signal == SIGKILL ||
           signal == SIGSTOP || of_libc;
  };
  for (const int signal : command.blocked_signals) {
    if (!is_refused(signal)) continue;
    return Invalid("blocked_signals has ", SignalName(signal),
                   ", which is no signal that can be blocked");
  }
  for (const int signal : command.ignored_signals) {
    if (!is_refused(signal)) continue;
    return Invalid("ignored_signals has ", SignalName(signal),
                   ", which is no signal that can be ignored");
  }
  return absl::OkStatus();
}

absl::Status ValidatePty(const Command& command) {
  if (!command.pty.has_value()) return absl::OkStatus();
  for (const Stdio* stream : {&command.in, &command.out, &command.err}) {
    if (stream->kind() != Stdio::Kind::kPipe) {
      return Invalid("with a pty, in, out and err are the terminal, not ",
                     stream->ToString());
    }
  }
  if (!command.process_group.inherits() && !command.process_group.is_new()) {
    return Invalid(
        "a child with a pty has a session of its own and cannot "
        "join group ",
        command.process_group.id());
  }
  const Pty& pty = *command.pty;
  if (pty.rows < 0 || pty.columns < 0 || pty.rows > USHRT_MAX ||
      pty.columns > USHRT_MAX) {
    return Invalid("a pty of ", pty.rows, " rows and ", pty.columns,
                   " columns: both must be from 0 to ", USHRT_MAX);
  }
  return absl::OkStatus();
}

absl::Status ValidateIdentity(const Command& command) {
  // The kernel takes (uid_t)-1 for "unchanged": the child would keep the host's
  // identity.
  if (command.user == static_cast<uid_t>(-1)) return Invalid("user is -1");
  if (command.group == static_cast<gid_t>(-1)) return Invalid("group is -1");
  if (command.supplementary_groups.has_value()) {
    const std::vector<gid_t>& groups = *command.supplementary_groups;
    if (groups.size() > NGROUPS_MAX) {
      return Invalid(groups.size(), " supplementary groups; ", NGROUPS_MAX,
                     " are the most");
    }
    if (std::count(groups.begin(), groups.end(), static_cast<gid_t>(-1)) > 0) {
      return Invalid("supplementary_groups has -1");
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateLimits(const Command& command) {
  if (command.umask.has_value() && *command.umask > 0777) {
    return Invalid("umask is ", *command.umask, ", beyond 0777");
  }
  if (command.nice.has_value() && (*command.nice < -20 || *command.nice > 19)) {
    return Invalid("nice is ", *command.nice, ", not from -20 to 19");
  }
  for (const auto& [resource, limit] : command.rlimits) {
    if (resource < 0 || resource >= static_cast<int>(RLIM_NLIMITS)) {
      return Invalid("rlimits has ", resource, ", which is no resource");
    }
    if (limit.rlim_cur > limit.rlim_max) {
      return Invalid(
          "rlimits has a soft limit above the hard one for resource ",
          resource);
    }
  }
  if (command.drain_grace < absl::ZeroDuration()) {
    return Invalid("drain_grace is negative: ",
                   absl::FormatDuration(command.drain_grace));
  }
  if (command.pipe_size > INT_MAX) {
    return Invalid("pipe_size is ", command.pipe_size);
  }
  if (command.output_buffer.bytes() == 0) {
    return Invalid("output_buffer has room for no byte");
  }
  return absl::OkStatus();
}

absl::Status ValidateEnd(const Command& command) {
  if (!command.process_group.IsValid()) {
    return Invalid("process_group joins what is no process");
  }
  if (command.new_session && !command.process_group.inherits() &&
      !command.process_group.is_new()) {
    return Invalid("a child with a session of its own cannot join group ",
                   command.process_group.id());
  }
  if (command.on_destroy.policy() == OnDestroy::Policy::kDetach &&
      command.die_with_parent) {
    return Invalid("on_destroy lets the child live, die_with_parent does not");
  }
  if (command.on_destroy.policy() == OnDestroy::Policy::kTerminate) {
    return command.on_destroy.escalation().Validate();
  }
  return absl::OkStatus();
}

std::string ExplainProgram(const Command& command) {
  const std::string& program =
      command.executable.empty() ? command.argv[0] : command.executable;
  const std::optional<std::string> path = command.env.Get("PATH");
  for (const std::string& candidate :
       internal::ProgramCandidates(program, path)) {
    // A relative path is relative to the child's directory.
    const std::string file =
        candidate[0] == '/' || command.working_directory.empty()
            ? candidate
            : absl::StrCat(command.working_directory, "/", candidate);
    struct stat info;
    if (stat(file.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
        access(file.c_str(), X_OK) == 0) {
      return internal::Printable(file);
    }
  }
  if (absl::StrContains(program, '/')) {
    return absl::StrCat(internal::Printable(program),
                        " (which cannot be executed)");
  }
  return absl::StrCat(
      "none: \"", internal::Printable(program), "\" is not in ",
      internal::Printable(path.value_or(std::string(internal::kDefaultPath))));
}

std::string ExplainEnvironment(const Environment& environment) {
  std::vector<std::string> set, unset;
  for (const auto& [name, value] : environment.changes()) {
    (value.has_value() ? set : unset).push_back(internal::Printable(name));
  }
  std::string text = environment.inherits() ? "the host's" : "nothing";
  if (!set.empty()) absl::StrAppend(&text, "; set: ", absl::StrJoin(set, " "));
  if (!unset.empty()) {
    absl::StrAppend(&text, "; unset: ", absl::StrJoin(unset, " "));
  }
  return text;
}

std::string ExplainStream(const Command& command, const Stdio& stream) {
  return command.pty.has_value() ? "terminal" : stream.ToString();
}

// One line for each attribute that differs from the host's.
std::string ExplainIdentity(const Command& command) {
  std::string text;
  if (command.pty.has_value()) {
    absl::StrAppend(&text, "terminal:    ", command.pty->rows, " rows, ",
                    command.pty->columns, " columns, ",
                    command.pty->echo ? "echo" : "no echo", "\n");
  }
  if (command.new_session || command.pty.has_value()) {
    absl::StrAppend(&text, "session:     its own\n");
  } else if (!command.process_group.inherits()) {
    absl::StrAppend(&text, "group:       ",
                    command.process_group.is_new()
                        ? "its own"
                        : absl::StrCat(command.process_group.id()),
                    "\n");
  }
  if (command.user.has_value()) {
    absl::StrAppend(&text, "user:        ", *command.user, "\n");
  }
  if (command.group.has_value()) {
    absl::StrAppend(&text, "group id:    ", *command.group, "\n");
  }
  if (command.supplementary_groups.has_value()) {
    absl::StrAppend(&text, "groups:      ",
                    absl::StrJoin(*command.supplementary_groups, " "), "\n");
  }
  return text;
}

std::string ExplainLimit(rlim_t limit) {
  return limit == RLIM_INFINITY ? "unlimited" : absl::StrCat(limit);
}

std::string SignalNames(const std::set<int>& signals) {
  return absl::StrJoin(signals, " ", [](std::string* out, int signal) {
    out->append(SignalName(signal));
  });
}

std::string ExplainLimits(const Command& command) {
  std::string text;
  if (command.umask.has_value()) {
    absl::StrAppend(&text, "umask:       0", absl::Hex(*command.umask >> 6 & 7),
                    absl::Hex(*command.umask >> 3 & 7),
                    absl::Hex(*command.umask & 7), "\n");
  }
  if (command.nice.has_value()) {
    absl::StrAppend(&text, "nice:        ", *command.nice, "\n");
  }
  for (const auto& [resource, limit] : command.rlimits) {
    absl::StrAppend(&text, "limit:       ", internal::ResourceName(resource),
                    " ", ExplainLimit(limit.rlim_cur), " of ",
                    ExplainLimit(limit.rlim_max), "\n");
  }
  if (!command.blocked_signals.empty()) {
    absl::StrAppend(
        &text, "blocked:     ", SignalNames(command.blocked_signals), "\n");
  }
  if (!command.ignored_signals.empty()) {
    absl::StrAppend(
        &text, "ignored:     ", SignalNames(command.ignored_signals), "\n");
  }
  if (command.die_with_parent) {
    absl::StrAppend(&text, "ends:        with the host\n");
  }
  return text;
}

}  // namespace

Stdio Stdio::File(std::string path, FileMode mode) {
  Stdio stdio(Kind::kFile);
  stdio.path_ = std::move(path);
  stdio.mode_ = mode;
  return stdio;
}

Stdio Stdio::Fd(int fd) {
  Stdio stdio(Kind::kFd);
  stdio.fd_ = fd;
  return stdio;
}

bool Stdio::HasHostEnd() const {
  return kind_ == Kind::kPipe || kind_ == Kind::kLineBuffered ||
         kind_ == Kind::kSocket || kind_ == Kind::kToStdin;
}

std::string Stdio::ToString() const {
  switch (kind_) {
    case Kind::kPipe:
      return "pipe";
    case Kind::kLineBuffered:
      return "line-buffered";
    case Kind::kNull:
      return "/dev/null";
    case Kind::kInherit:
      return "inherited";
    case Kind::kFd:
      return absl::StrCat("descriptor ", fd_);
    case Kind::kToStdout:
      return "as stdout";
    case Kind::kClosed:
      return "closed";
    case Kind::kSocket:
      return "socket";
    case Kind::kToStdin:
      return "as stdin";
    case Kind::kFile:
      break;
  }
  const char* const arrow = mode_ == FileMode::kRead       ? "< "
                            : mode_ == FileMode::kTruncate ? "> "
                                                           : ">> ";
  return absl::StrCat(arrow, internal::PrintableWord(path_));
}

Environment& Environment::Set(absl::string_view name, absl::string_view value) {
  changes_[std::string(name)] = std::string(value);
  return *this;
}

Environment Environment::Only(
    const std::map<std::string, std::string>& variables) {
  return Environment().Clear().Set(variables);
}

absl::StatusOr<Environment> Environment::FromList(
    const std::vector<std::string>& entries) {
  Environment environment;
  environment.Clear();
  for (const absl::string_view entry : entries) {
    const size_t end = entry.find('=');
    if (end == absl::string_view::npos || end == 0) {
      // Without the entry, which may be a secret.
      return Invalid("an entry of an environment is not NAME=value: it has no ",
                     end == 0 ? "name" : "'='");
    }
    environment.Set(entry.substr(0, end), entry.substr(end + 1));
  }
  return environment;
}

Environment& Environment::Set(
    const std::map<std::string, std::string>& variables) {
  for (const auto& [name, value] : variables) Set(name, value);
  return *this;
}

Environment& Environment::Unset(absl::string_view name) {
  changes_[std::string(name)] = std::nullopt;
  return *this;
}

Environment& Environment::Clear() {
  inherits_ = false;
  changes_.clear();
  return *this;
}

std::optional<std::string> Environment::Get(absl::string_view name) const {
  const std::string key(name);
  if (const auto change = changes_.find(key); change != changes_.end()) {
    return change->second;
  }
  const char* const value = inherits_ ? getenv(key.c_str()) : nullptr;
  if (value == nullptr) return std::nullopt;
  return value;
}

std::vector<std::string> Environment::ToVector() const {
  std::vector<std::string> entries;
  if (inherits_ && environ != nullptr) {
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const absl::string_view text = *entry;
      // An entry that is not an assignment is passed on.
      const std::string name(text.substr(0, text.find('=')));
      if (changes_.count(name) == 0) entries.emplace_back(text);
    }
  }
  for (const auto& [name, value] : changes_) {
    if (value.has_value()) entries.push_back(absl::StrCat(name, "=", *value));
  }
  return entries;
}

Command Command::Shell(std::string script) {
  Command command({"/bin/sh", "-c"});
  // Even after -c, sh would take such a script for an option.
  if (absl::StartsWith(script, "-") || absl::StartsWith(script, "+")) {
    command.argv.push_back("--");
  }
  command.argv.push_back(std::move(script));
  return command;
}

absl::Status Command::Validate() const {
  for (const absl::Status& status :
       {ValidateStrings(*this), ValidateEnvironment(env),
        ValidateDescriptors(*this), ValidateFiles(*this), ValidatePty(*this),
        ValidateIdentity(*this), ValidateSignals(*this), ValidateLimits(*this),
        ValidateEnd(*this)}) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

std::string Command::DebugString() const {
  return absl::StrJoin(argv, " ",
                       [](std::string* out, const std::string& word) {
                         absl::StrAppend(out, internal::PrintableWord(word));
                       });
}

std::string Command::Explain() const {
  if (absl::Status status = Validate(); !status.ok()) {
    return absl::StrCat("cannot be run: ", status.message(), "\n");
  }
  std::string text = absl::StrCat(
      "command:     ", DebugString(), "\n",
      "file:        ", ExplainProgram(*this), "\n", "directory:   ",
      working_directory.empty() ? "the host's"
                                : internal::PrintableWord(working_directory),
      "\n", "environment: ", ExplainEnvironment(env), "\n",
      "0 (stdin):   ", ExplainStream(*this, in), "\n",
      "1 (stdout):  ", ExplainStream(*this, out), "\n",
      "2 (stderr):  ", ExplainStream(*this, err), "\n");
  for (const auto& [child_fd, host_fd] : pass_fds) {
    std::string number = absl::StrCat(child_fd, ":");
    number.resize(std::max<size_t>(number.size(), 12), ' ');
    absl::StrAppend(&text, number, " descriptor ", host_fd, "\n");
  }
  absl::StrAppend(&text, ExplainIdentity(*this), ExplainLimits(*this));
  return text;
}

std::string ShellQuote(absl::string_view text) {
  return internal::ShellWord(text);
}

}  // namespace asyncproc
