// DANGER: the code in this file runs in a child that shares the memory of a
// host whose other threads keep running, or that is a copy of such a host. It
// may only make raw system calls on prepared data: no allocation, no lock, no
// C++ object with a destructor, no libc wrapper that keeps state. It is
// compiled without sanitizers, because their runtimes keep such state.

#include "asyncproc/internal/spawn/child_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace asyncproc::internal {
namespace {

constexpr int kSignalCount = 64;
constexpr unsigned kLastDescriptor = ~0u;

// The kernel's struct sigaction, not glibc's: the handler comes first, and all
// zeros mean the default. Larger than on any supported architecture.
struct KernelSigaction {
  void* handler;
  void* rest[7];
};

struct DirectoryEntry {  // As in the result of getdents64.
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[1];
};

bool Ok(long result) { return result >= 0; }

bool IsTarget(const ChildPlan& plan, int fd) {
  for (size_t i = 0; i < plan.move_count; ++i) {
    if (plan.moves[i].to == fd) return true;
  }
  return false;
}

// Makes a descriptor table for the child, with copies of the descriptors that
// it uses and of all below them. A host with thousands of children has tens of
// thousands of descriptors, and copying all of them takes longer than the rest
// of the start.
bool UnshareDescriptors(ChildPlan& plan) {
  int last = STDERR_FILENO;
  for (size_t i = 0; i < plan.move_count; ++i) {
    last = std::max(last, plan.moves[i].from);
  }
  if (plan.have_close_range &&
      Ok(syscall(SYS_close_range, last + 1, kLastDescriptor,
                 CLOSE_RANGE_UNSHARE))) {
    return true;
  }
  plan.report.could_not_unshare = 1;
  return false;
}

// Copies `fd` to a number that is not the target of a move. Copies made on the
// way occupy target numbers until the moves overwrite them.
int CopyMoveToHighFd(const ChildPlan& plan, int fd) {
  int copy = 2;
  do {
    copy = static_cast<int>(syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, copy + 1));
  } while (copy >= 0 && IsTarget(plan, copy));
  return copy;
}

bool MoveDescriptors(ChildPlan& plan) {
  if (plan.report_fd >= 0 && IsTarget(plan, plan.report_fd)) {
    const int moved = CopyMoveToHighFd(plan, plan.report_fd);
    // If the descriptor cannot be moved, it reports that at its old number.
    if (moved < 0) return false;
    plan.report_fd = moved;
  }
  // First copies each source that another move would overwrite.
  for (size_t i = 0; i < plan.move_count; ++i) {
    DescriptorMove& move = plan.moves[i];
    if (move.from == move.to || !IsTarget(plan, move.from)) continue;
    move.from = CopyMoveToHighFd(plan, move.from);
    if (move.from < 0) return false;
  }
  for (size_t i = 0; i < plan.move_count; ++i) {
    const DescriptorMove& move = plan.moves[i];
    // For equal numbers, dup3 would fail, and dup2 would leave close-on-exec as
    // it is.
    if (!Ok(move.from == move.to ? syscall(SYS_fcntl, move.to, F_SETFD, 0)
                                 : syscall(SYS_dup3, move.from, move.to, 0))) {
      return false;
    }
  }
  return true;
}

bool IsKept(const ChildPlan& plan, int fd) {
  return fd == plan.report_fd || IsTarget(plan, fd);
}

// Closes the descriptors from `first` to `last`.
bool CloseGap(unsigned first, unsigned last) {
  return first > last || Ok(syscall(SYS_close_range, first, last, 0));
}

// The same, except for the descriptor that the report needs.
bool CloseGap(const ChildPlan& plan, unsigned first, unsigned last) {
  const auto report = static_cast<unsigned>(plan.report_fd);
  if (plan.report_fd < 0 || report < first || report > last) {
    return CloseGap(first, last);
  }
  return (report == 0 || CloseGap(first, report - 1)) &&
         CloseGap(report + 1, last);
}

bool CloseRanges(const ChildPlan& plan) {
  unsigned first = 0;
  for (size_t i = 0; i < plan.move_count; ++i) {
    const unsigned kept = static_cast<unsigned>(plan.moves[i].to);
    if (kept > 0 && !CloseGap(plan, first, kept - 1)) return false;
    first = kept + 1;
  }
  return CloseGap(plan, first, kLastDescriptor);
}

// Returns -1 for "." and "..".
int ToDescriptor(const char* name) {
  int fd = 0;
  for (; *name != '\0'; ++name) {
    if (*name < '0' || *name > '9') return -1;
    fd = fd * 10 + (*name - '0');
  }
  return fd;
}

int OpenDescriptorList() {
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, "/proc/self/fd",
                                  O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
}

// In a host at its limit of descriptors, all numbers below the limit are in
// use: closes the first one that is not kept.
void CloseOne(const ChildPlan& plan) {
  int fd = 0;
  while (IsKept(plan, fd)) ++fd;
  syscall(SYS_close, fd);
}

// The time depends on the number of open descriptors, not on the limit.
bool CloseListed(const ChildPlan& plan) {
  int directory = OpenDescriptorList();
  if (directory < 0 && errno == EMFILE) {
    CloseOne(plan);
    directory = OpenDescriptorList();
  }
  if (directory < 0) return false;
  alignas(DirectoryEntry) char buffer[1024];
  for (;;) {
    const long size =
        syscall(SYS_getdents64, directory, buffer, sizeof(buffer));
    if (size < 0) return false;
    if (size == 0) break;
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(buffer + at);
      const int fd = ToDescriptor(entry->name);
      if (fd >= 0 && fd != directory && !IsKept(plan, fd)) {
        syscall(SYS_close, fd);
      }
      at += entry->length;
    }
  }
  syscall(SYS_close, directory);
  return true;
}

bool CloseOthers(const ChildPlan& plan) {
  if (plan.have_close_range) {
    if (CloseRanges(plan)) return true;
    if (errno != ENOSYS && errno != EPERM) return false;
  }
  return CloseListed(plan);
}

bool SetRlimits(ChildPlan& plan) {
  for (size_t i = 0; i < plan.rlimit_count; ++i) {
    if (!Ok(syscall(SYS_prlimit64, 0, plan.rlimits[i].resource,
                    &plan.rlimits[i].limit, nullptr))) {
      plan.report.refused_resource = plan.rlimits[i].resource;
      return false;
    }
  }
  return true;
}

// As in <linux/capability.h>.
struct CapabilityHeader {
  uint32_t version;
  int pid;
};
struct CapabilitySets {
  uint32_t effective;
  uint32_t permitted;
  uint32_t inheritable;
};
constexpr uint32_t kCapabilityVersion3 = 0x20080522;

// Drops the host's capabilities that remain after the change of the user id.
// Without permitted and inheritable capabilities, there are no ambient ones
// either. Root gets its own capabilities back from exec. If a filter refuses
// capset, it suffices to drop the ambient ones: exec passes on no others.
bool DropCapabilities(const ChildPlan& plan) {
  if (plan.uid > 0) {
    CapabilityHeader header = {kCapabilityVersion3, 0};
    const CapabilitySets none[2] = {};
    if (Ok(syscall(SYS_capset, &header, none))) return true;
  }
  // EINVAL: a kernel before 4.3, which has no ambient capabilities.
  return Ok(syscall(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0,
                    0)) ||
         errno == EINVAL;
}

bool AskForDeathSignal(const ChildPlan& plan) {
  if (!Ok(syscall(SYS_prctl, PR_SET_PDEATHSIG, plan.death_signal, 0, 0, 0))) {
    return false;
  }
  // If the host has already ended, its end came before this request and sent no
  // signal.
  if (syscall(SYS_getppid) != plan.parent) {
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
  }
  return true;
}

bool ResetSignals(const ChildPlan& plan) {
  const KernelSigaction to_default = {};
  KernelSigaction to_ignore = {};
  to_ignore.handler = reinterpret_cast<void*>(SIG_IGN);
  for (int signal = 1; signal <= kSignalCount; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    const bool ignores = (plan.ignored_signals >> (signal - 1) & 1) != 0;
    if (!Ok(syscall(SYS_rt_sigaction, signal,
                    ignores ? &to_ignore : &to_default, nullptr,
                    sizeof(uint64_t)))) {
      return false;
    }
  }
  return Ok(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &plan.blocked_signals,
                    nullptr, sizeof(uint64_t)));
}

// Returns only if no candidate can be executed. ENOENT and ENOTDIR, for a
// missing file or a path component that is no directory, are reported only if
// no candidate fails with another error.
void Exec(ChildPlan& plan) {
  int refusal = 0;
  int error = ENOENT;
  for (const char* const* file = plan.candidates; *file != nullptr; ++file) {
    syscall(SYS_execve, *file, plan.argv, plan.environment);
    error = errno;
    // The file can be executed soon. A later candidate in PATH would be a
    // different program.
    const bool busy = error == ETXTBSY;
    if (busy || (refusal == 0 && error != ENOENT && error != ENOTDIR)) {
      refusal = error;
      plan.report.refused = *file;
    }
    if (busy) break;
  }
  errno = refusal != 0 ? refusal : error;
}

// Returns only on failure, with the reason in errno and plan.report.
bool Become(ChildPlan& plan) {
  plan.report.stage = SpawnStage::kSession;
  if (plan.new_session && !Ok(syscall(SYS_setsid))) return false;
  plan.report.stage = SpawnStage::kProcessGroup;
  if (plan.process_group >= 0 &&
      !Ok(syscall(SYS_setpgid, 0, plan.process_group))) {
    return false;
  }
  plan.report.stage = SpawnStage::kDescriptors;
  if (plan.shares_descriptors && !UnshareDescriptors(plan)) return false;
  if (!MoveDescriptors(plan)) return false;
  plan.report.stage = SpawnStage::kTerminal;
  if (plan.controlling_terminal >= 0 &&
      !Ok(syscall(SYS_ioctl, plan.controlling_terminal, TIOCSCTTY, 0))) {
    return false;
  }
  plan.report.stage = SpawnStage::kClose;
  if (plan.close_others && !CloseOthers(plan)) return false;
  plan.report.stage = SpawnStage::kRlimits;
  if (!SetRlimits(plan)) return false;
  plan.report.stage = SpawnStage::kNice;
  if (plan.set_nice &&
      !Ok(syscall(SYS_setpriority, PRIO_PROCESS, 0, plan.nice))) {
    return false;
  }
  plan.report.stage = SpawnStage::kGroup;
  if (plan.gid >= 0 &&
      !Ok(syscall(SYS_setresgid, plan.gid, plan.gid, plan.gid))) {
    return false;
  }
  plan.report.stage = SpawnStage::kGroups;
  if (plan.group_count >= 0 &&
      !Ok(syscall(SYS_setgroups, plan.group_count, plan.groups))) {
    return false;
  }
  plan.report.stage = SpawnStage::kUser;
  if (plan.uid >= 0 &&
      (!Ok(syscall(SYS_setresuid, plan.uid, plan.uid, plan.uid)) ||
       !DropCapabilities(plan))) {
    return false;
  }
  plan.report.stage = SpawnStage::kDirectory;
  if (plan.working_directory != nullptr &&
      !Ok(syscall(SYS_chdir, plan.working_directory))) {
    return false;
  }
  if (plan.umask >= 0) syscall(SYS_umask, plan.umask);
  plan.report.stage = SpawnStage::kParentDeath;
  if (plan.death_signal != 0 && !AskForDeathSignal(plan)) return false;
  plan.report.stage = SpawnStage::kSignals;
  if (!ResetSignals(plan)) return false;
  plan.report.stage = SpawnStage::kExec;
  Exec(plan);
  return false;
}

}  // namespace

int RunChild(void* arg) {
  ChildPlan& plan = *static_cast<ChildPlan*>(arg);
  plan.shares_memory = true;
  Become(plan);
  plan.report.error = errno;
  // A report is small enough that the pipe takes all of it.
  if (plan.report_fd >= 0) {
    syscall(SYS_write, plan.report_fd, &plan.report, sizeof(plan.report));
  }
  for (;;) syscall(SYS_exit_group, 127);
}

}  // namespace asyncproc::internal
