#include "tests/conformance/fork_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "asyncproc/internal/spawn/spawn.h"

namespace asyncproc {
namespace {

using internal::SpawnRequest;

constexpr uint64_t SignalBit(int signal) { return uint64_t{1} << (signal - 1); }

std::vector<std::string> Strings(const char* const* strings) {
  std::vector<std::string> copies;
  for (; *strings != nullptr; ++strings) copies.emplace_back(*strings);
  return copies;
}

// The raw call: glibc's wrapper leaves out its internal signals.
uint64_t BlockedSignals() {
  uint64_t blocked = 0;
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, nullptr, &blocked, sizeof(blocked));
  return blocked;
}

uint64_t IgnoredSignals() {
  uint64_t ignored = 0;
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    struct sigaction action;
    if (sigaction(signal, nullptr, &action) == 0 &&
        action.sa_handler == SIG_IGN) {
      ignored |= SignalBit(signal);
    }
  }
  return ignored;
}

void AddMoves(const fe_request& from, SpawnRequest* request) {
  for (int fd = 0; fd < 3; ++fd) {
    if (from.std_fd[fd] >= 0) {
      request->moves.push_back({from.std_fd[fd], fd});
    } else if (fcntl(fd, F_GETFD) >= 0) {
      request->moves.push_back({fd, fd});
    }
  }
  for (uint64_t i = 0; i < from.pass_fd_count; ++i) {
    const int fd = from.pass_fds[i];
    // A standard stream in pass_fds has been passed already.
    const bool moved = std::any_of(
        request->moves.begin(), request->moves.end(),
        [fd](const internal::DescriptorMove& move) { return move.to == fd; });
    if (!moved) request->moves.push_back({fd, fd});
  }
}

void AddIdentity(const fe_request& from, SpawnRequest* request) {
  if (from.uid >= 0) request->uid = static_cast<uid_t>(from.uid);
  if (from.gid >= 0) request->gid = static_cast<gid_t>(from.gid);
  if (from.group_count >= 0) {
    request->groups.emplace(from.groups, from.groups + from.group_count);
  }
}

SpawnRequest ToRequest(const fe_request& from) {
  SpawnRequest request;
  request.argv = Strings(from.argv);
  request.candidates = Strings(from.executables);
  request.environment = Strings(from.envp != nullptr ? from.envp : environ);
  if (from.cwd != nullptr) request.working_directory = from.cwd;
  AddMoves(from, &request);
  request.close_others = (from.flags & FE_CLOSE_FDS) != 0;
  request.new_session = (from.flags & FE_NEW_SESSION) != 0;
  if (from.process_group >= 0) request.process_group = from.process_group;
  AddIdentity(from, &request);
  if (from.umask >= 0) request.umask = static_cast<mode_t>(from.umask);
  request.ignored_signals = IgnoredSignals();
  if ((from.flags & FE_RESTORE_SIGNALS) != 0) {
    request.ignored_signals &= ~(SignalBit(SIGPIPE) | SignalBit(SIGXFSZ));
  }
  request.blocked_signals = BlockedSignals();
  return request;
}

fe_stage ToStage(SpawnStage stage) {
  switch (stage) {
    case SpawnStage::kNone:
      return FE_NONE;
    case SpawnStage::kPipe:
    case SpawnStage::kOpen:
    case SpawnStage::kThread:
    case SpawnStage::kClone:
      return FE_PARENT;
    case SpawnStage::kDirectory:
      return FE_CHDIR;
    case SpawnStage::kExec:
      return FE_EXEC;
    default:
      return FE_SETUP;
  }
}

}  // namespace
}  // namespace asyncproc

int fe_spawn(const fe_request* request, fe_result* result) {
  if (request->struct_size != sizeof(*request)) {
    *result = {-1, EINVAL, FE_PARENT};
    return -1;
  }
  const asyncproc::internal::SpawnResult spawned =
      asyncproc::internal::Spawn(asyncproc::ToRequest(*request));
  *result = {spawned.pid, spawned.failure.error_number,
             asyncproc::ToStage(spawned.failure.stage)};
  return spawned.pid < 0 ? -1 : 0;
}
