#include "asyncproc/internal/spawn/launch.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "asyncproc/internal/os/thread.h"
#include "asyncproc/internal/spawn/path_search.h"
#include "asyncproc/internal/spawn/spawn.h"
#include "asyncproc/internal/spawn/start_error.h"
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

void ParentThreadDeleter::operator()(ParentThread* thread) const {
  delete thread;
}

namespace {

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

}  // namespace

absl::Status CheckCommand(const Command& command) {
  absl::Status status = command.Validate();
  return status.ok() ? CheckDescriptors(command) : CannotStart(command, status);
}

absl::StatusOr<Launched> Launch(const Command& command,
                                const std::vector<int>& further_pipes) {
  if (absl::Status status = CheckFurtherPipes(command, further_pipes);
      !status.ok()) {
    return status;
  }
  const std::optional<std::string> path = command.env.Get("PATH");
  absl::StatusOr<SpawnRequest> request = ToRequest(command, path);
  if (!request.ok()) return request.status();

  Launched launched;
  ChildEnds child;
  if (absl::Status status =
          OpenStreams(command, further_pipes, &launched.ends, &child);
      !status.ok()) {
    return status;
  }
  request->moves = child.moves;

  SpawnResult result;
  if (command.die_with_parent) {
    auto parent = ParentThread::Start(*request, &result);
    if (!parent.ok()) {
      absl::Status status = parent.status();
      SetSpawnFailure({SpawnStage::kThread, EAGAIN}, &status);
      return StartFailed(command, SpawnStage::kThread, status);
    }
    launched.parent = *std::move(parent);
  } else {
    result = Spawn(*request);
  }
  if (result.pid < 0) {
    return ChildFailed(command, *request, result, path);
  }
  launched.pid = result.pid;
  launched.pidfd = std::move(result.pidfd);
  return launched;
}

}  // namespace asyncproc::internal
