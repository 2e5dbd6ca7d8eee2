#include "asyncproc/internal/spawn/spawn.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/per_process.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/spawn/started_children.h"

namespace asyncproc::internal {
namespace {

// The child needs only a part of it: a few frames and a buffer of 1 KiB.
constexpr size_t kChildStackSize = 16 * 1024;

// A newly written file is busy while another thread's child still holds the
// descriptor for writing it, for the short time between clone and exec.
constexpr absl::Duration kFirstBusyDelay = absl::Milliseconds(1);
constexpr absl::Duration kLastBusyDelay = absl::Milliseconds(64);

std::vector<const char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<const char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& string : strings) pointers.push_back(string.c_str());
  pointers.push_back(nullptr);
  return pointers;
}

// The raw call also blocks the two signals that glibc reserves. One of them
// would make the child set its user id when another thread of the host sets its
// own.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    const uint64_t all = ~uint64_t{0};
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before_, sizeof(before_));
  }
  ~AllSignalsBlocked() {
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before_, nullptr,
            sizeof(before_));
  }

 private:
  uint64_t before_ = 0;
};

// Whether a child starts with the host's descriptor table, and then makes its
// own from the few descriptors that it needs. Becomes false when a child cannot
// do so: on a kernel before 5.9, or under a filter. Always false on a kernel
// that copies part of a table wrongly: see CopiesTablesRight.
struct DescriptorSharing {
  static bool Works() {
    utsname system;
    return uname(&system) == 0 && CopiesTablesRight(system.release);
  }
  std::atomic<bool> works{Works()};
};

std::atomic<bool>& ShareDescriptors() {
  static PerProcess<DescriptorSharing> sharing;
  return sharing.Get().works;
}

// Whether a child made with CLONE_VM has been seen to share the host's memory.
// Until then, a child gets a pipe for its report: an emulator may accept the
// flag but copy the host, and the report of a failure would stay in that copy.
std::atomic<bool> memory_is_shared{false};

// Tried in this order, until one is not refused. The first has no exit signal
// until exec, when the kernel sets it to SIGCHLD. The second is vfork, the
// third fork; emulators (qemu-user accepts only SIGCHLD as exit signal, and
// makes a fork of a vfork) and sandboxes support those.
constexpr int kWaysToClone[] = {
    CLONE_VM | CLONE_VFORK,
    CLONE_VM | CLONE_VFORK | SIGCHLD,
    SIGCHLD,
};

// The error of a kernel or a filter that does not support the flags.
bool IsRefusal(int error) {
  return error == EINVAL || error == EPERM || error == ENOSYS;
}

// Returns the pid, or a negated errno.
pid_t Clone(int flags, ChildPlan* plan, int* pidfd) {
  alignas(64) char stack[kChildStackSize];
  char* const top = stack + sizeof(stack);
  AllSignalsBlocked blocked;
  Os& os = GetOs();
  pid_t pid = os.Clone(RunChild, top, flags | CLONE_PIDFD, plan, pidfd);
  // EMFILE: no descriptor is left for a pidfd.
  if (pid < 0 && (errno == EMFILE || IsRefusal(errno))) {
    *pidfd = -1;
    pid = os.Clone(RunChild, top, flags, plan, nullptr);
  }
  return pid < 0 ? -errno : pid;
}

void ReapFailed(pid_t pid) {
  siginfo_t info;
  while (waitid(P_PID, pid, &info, WEXITED | __WALL) < 0 && errno == EINTR) {
  }
}

// Waits until the child runs its program, which shows as end-of-file on the
// pipe, or has failed. A concurrent fork of the host, without exec, delays
// end-of-file.
void AwaitReport(const UniqueFd& read_end, ChildPlan* plan) {
  ChildReport report;
  ssize_t size;
  do {
    size = GetOs().Read(read_end.get(), &report, sizeof(report));
  } while (size < 0 && errno == EINTR);
  if (size == static_cast<ssize_t>(sizeof(report))) plan->report = report;
}

// Returns the pid, or a negated errno: that of the pipe if `stage` is kPipe.
pid_t CloneInAnyWay(ChildPlan* plan, int* pidfd, SpawnStage* stage) {
  *stage = SpawnStage::kClone;
  if (memory_is_shared) {
    const int share = plan->shares_descriptors ? CLONE_FILES : 0;
    const pid_t pid = Clone(kWaysToClone[0] | share, plan, pidfd);
    if (pid >= 0 || !IsRefusal(-pid)) return pid;
  }
  plan->shares_descriptors = false;
  absl::StatusOr<Pipe> pipe = MakePipe();
  if (!pipe.ok()) {
    *stage = SpawnStage::kPipe;
    return -GetSpawnFailure(pipe.status())->error_number;
  }
  plan->report_fd = pipe->write_end.get();
  pid_t pid = -1;
  for (const int way : kWaysToClone) {
    pid = Clone(way, plan, pidfd);
    if (pid >= 0 || !IsRefusal(-pid)) break;
  }
  pipe->write_end.Reset();
  if (pid < 0) return pid;
  // In shared memory, the report is already there.
  if (plan->shares_memory) {
    memory_is_shared = true;
  } else {
    AwaitReport(pipe->read_end, plan);
  }
  return pid;
}

// A process that changes its identity becomes undumpable, so that no process of
// the new identity can read its memory. The child shares memory with the host,
// which would lose its core dumps and debuggers, so the host restores the flag
// once the child has its own memory. Only one such start runs at a time: a
// second child may still need the flag cleared, and its start must save the
// original value.
pid_t CloneWithIdentity(ChildPlan* plan, int* pidfd, SpawnStage* stage) {
  static PerProcess<absl::Mutex> mutex;
  MutexLock lock(mutex.Get());
  const int dumpable = prctl(PR_GET_DUMPABLE);
  const pid_t pid = CloneInAnyWay(plan, pidfd, stage);
  // Only 0 and 1 can be set.
  if (dumpable == 1) prctl(PR_SET_DUMPABLE, dumpable);
  return pid;
}

SpawnResult SpawnOnce(const SpawnRequest& request, const ChildPlan& prepared) {
  SpawnResult result;
  std::vector<DescriptorMove> moves = request.moves;
  std::sort(moves.begin(), moves.end(),
            [](const DescriptorMove& a, const DescriptorMove& b) {
              return a.to < b.to;
            });
  ChildPlan plan = prepared;
  plan.moves = moves.data();
  plan.move_count = moves.size();
  plan.shares_descriptors = plan.close_others && ShareDescriptors();

  int pidfd = -1;
  const bool changes_identity = plan.uid >= 0 || plan.gid >= 0;
  SpawnStage stage;
  const pid_t pid = changes_identity ? CloneWithIdentity(&plan, &pidfd, &stage)
                                     : CloneInAnyWay(&plan, &pidfd, &stage);
  if (pid < 0) {
    result.failure = {stage, -pid};
    return result;
  }
  result.pidfd = UniqueFd(pidfd);
  const ChildReport& report = plan.report;
  if (report.error != 0) {
    ReapFailed(pid);
    result.pidfd.Reset();
    if (report.could_not_unshare != 0) {
      ShareDescriptors() = false;
      return SpawnOnce(request, prepared);
    }
    result.failure = {report.stage, report.error};
    if (report.refused != nullptr) result.refused = report.refused;
    result.refused_resource = report.refused_resource;
    return result;
  }
  result.pid = pid;
  // If the pidfd took the number of a closed standard stream, other code would
  // write to it as to that stream.
  result.pidfd = MoveToHighFd(std::move(result.pidfd));
  return result;
}

}  // namespace

bool CopiesTablesRight(const char* release) {
  int version = 0, patch = 0, update = 0;
  if (sscanf(release, "%d.%d.%d", &version, &patch, &update) < 2) return false;
  if (version != 5 && version != 6) return version > 6;
  static constexpr struct {
    int version, patch, first_update;
  } kFixed[] = {
      {5, 10, 225}, {5, 15, 166}, {6, 1, 107}, {6, 6, 48}, {6, 10, 7}};
  for (const auto& fixed : kFixed) {
    if (version == fixed.version && patch == fixed.patch) {
      return update >= fixed.first_update;
    }
  }
  // The fix was made between two release candidates of 6.11.
  if (patch == 11 && strstr(release, "-rc") != nullptr) return false;
  return version == 6 && patch >= 11;
}

SpawnResult Spawn(const SpawnRequest& request) {
  const std::vector<const char*> argv = Pointers(request.argv);
  const std::vector<const char*> candidates = Pointers(request.candidates);
  const std::vector<const char*> environment = Pointers(request.environment);
  ChildPlan plan;
  plan.argv = argv.data();
  plan.candidates = candidates.data();
  plan.environment = environment.data();
  if (request.working_directory.has_value()) {
    plan.working_directory = request.working_directory->c_str();
  }
  plan.close_others = request.close_others;
  plan.new_session = request.new_session;
  plan.process_group = request.process_group.value_or(-1);
  plan.controlling_terminal = request.controlling_terminal.value_or(-1);
  plan.rlimits = request.rlimits.data();
  plan.rlimit_count = request.rlimits.size();
  plan.set_nice = request.nice.has_value();
  plan.nice = request.nice.value_or(0);
  if (request.groups.has_value()) {
    plan.groups = request.groups->data();
    plan.group_count = static_cast<int64_t>(request.groups->size());
  }
  if (request.gid.has_value()) plan.gid = *request.gid;
  if (request.uid.has_value()) plan.uid = *request.uid;
  if (request.umask.has_value()) plan.umask = *request.umask;
  plan.death_signal = request.death_signal.value_or(0);
  plan.parent = getpid();
  plan.ignored_signals = request.ignored_signals;
  plan.blocked_signals = request.blocked_signals;

  StartedChildren::Start start;
  absl::Duration delay = kFirstBusyDelay;
  for (;;) {
    SpawnResult result = SpawnOnce(request, plan);
    if (result.pid > 0) start.Succeeded(result.pid);
    const bool busy = result.failure.stage == SpawnStage::kExec &&
                      result.failure.error_number == ETXTBSY;
    if (!busy || delay > kLastBusyDelay) return result;
    timespec pause = absl::ToTimespec(delay);
    while (nanosleep(&pause, &pause) < 0 && errno == EINTR) {
    }
    delay *= 2;
  }
}

}  // namespace asyncproc::internal
