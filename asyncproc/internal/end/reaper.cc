#include "asyncproc/internal/end/reaper.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/text/printable.h"

namespace asyncproc::internal {
namespace {

// On a busy machine it can take 150 ms until a killed child, whose pidfd is
// readable already, can be reaped. One that a debugger holds may never be.
constexpr absl::Duration kReapPatience = absl::Seconds(1);
constexpr timespec kReapInterval = {0, 1'000'000};

// The maximum number of bytes of a command in a message.
constexpr size_t kMostShown = 500;

absl::Status HasEnded() { return absl::NotFoundError("it has ended"); }

// By errno.
absl::Status SignalError() {
  return errno == ESRCH ? HasEnded() : absl::ErrnoToStatus(errno, "kill");
}

ExitStatus ToExitStatus(const siginfo_t& info, const rusage& usage,
                        absl::Duration wall_time) {
  ExitStatus status =
      info.si_code == CLD_EXITED
          ? ExitStatus::Exited(info.si_status)
          : ExitStatus::Signaled(info.si_status, info.si_code == CLD_DUMPED);
  ResourceUsage used;
  used.user_time = absl::DurationFromTimeval(usage.ru_utime);
  used.system_time = absl::DurationFromTimeval(usage.ru_stime);
  used.wall_time = wall_time;
  used.max_rss_bytes = int64_t{usage.ru_maxrss} * 1024;
  status.set_usage(used);
  return status;
}

// Linux 5.2 and 5.3 have pidfds, but waitid does not accept them. On 5.2, a
// pidfd cannot be polled either.
bool CanBeWaitedFor(const UniqueFd& pidfd) {
  siginfo_t info;
  return GetOs().Waitid(static_cast<idtype_t>(P_PIDFD),
                        static_cast<id_t>(pidfd.get()), &info,
                        WEXITED | WNOHANG | WNOWAIT | __WALL, nullptr) == 0 ||
         errno != EINVAL;
}

// Whether `pidfd` refers to a child of the host that has not been reaped.
bool IsOwnChild(const UniqueFd& pidfd) {
  siginfo_t info;
  return GetOs().Waitid(static_cast<idtype_t>(P_PIDFD),
                        static_cast<id_t>(pidfd.get()), &info,
                        WEXITED | WNOHANG | WNOWAIT | __WALL, nullptr) == 0 ||
         errno != ECHILD;
}

// Waits until the child has ended. Reaps it unless `options` has WNOWAIT.
void AwaitByPid(pid_t pid, int options) {
  siginfo_t info;
  while (GetOs().Waitid(P_PID, static_cast<id_t>(pid), &info,
                        WEXITED | __WALL | options, nullptr) < 0 &&
         errno == EINTR) {
  }
}

}  // namespace

// The state that the waiting thread shares with the Reaper, and may outlive.
struct Reaper::Waiting {
  absl::Mutex mu;
  std::function<void()> on_exit ABSL_GUARDED_BY(mu);  // Null: detached.
  bool reaped ABSL_GUARDED_BY(mu) = false;            // When it was detached.
  std::optional<pid_t> pid ABSL_GUARDED_BY(mu);       // -1: there is no child.

  void Run() ABSL_LOCKS_EXCLUDED(mu) {
    const pid_t child = AwaitPid();
    if (child < 0) return;
    AwaitByPid(child, WNOWAIT);
    MutexLock lock(mu);
    if (on_exit != nullptr) {
      on_exit();
    } else if (!reaped) {
      AwaitByPid(child, 0);
    }
  }

  void SetPid(pid_t child) ABSL_LOCKS_EXCLUDED(mu) {
    MutexLock lock(mu);
    if (!pid.has_value()) pid = child;
  }

 private:
  pid_t AwaitPid() ABSL_LOCKS_EXCLUDED(mu) {
    MutexLock lock(mu);
    const auto known = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
      return pid.has_value();
    };
    mu.Await(absl::Condition(&known));
    return *pid;
  }
};

Reaper::Reaper(const Command& command, bool leads_group)
    : command_(Printable(command.DebugString(), kMostShown)),
      leads_group_(leads_group) {}

std::string Reaper::Name() const {
  return absl::StrCat(command_, " (pid ", pid_, ")");
}

absl::StatusOr<std::unique_ptr<Reaper>> Reaper::Create(
    const Command& command, bool leads_group, std::function<void()> on_exit) {
  auto reaper = absl::WrapUnique(new Reaper(command, leads_group));
  const UniqueFd probe(GetOs().PidfdOpen(getpid()));
  if (!probe.valid() && (errno == EMFILE || errno == ENFILE)) {
    return PipeError(errno, "cannot open a pidfd");
  }
  if (probe.valid() && CanBeWaitedFor(probe)) return reaper;
  auto waiting = std::make_shared<Waiting>();
  {
    MutexLock lock(waiting->mu);
    waiting->on_exit = std::move(on_exit);
  }
  absl::StatusOr<Thread> waiter =
      Thread::Start("asyncproc-wait", [waiting] { waiting->Run(); });
  if (!waiter.ok()) return waiter.status();
  reaper->waiting_ = std::move(waiting);
  reaper->waiter_ = *std::move(waiter);
  return reaper;
}

absl::Status Reaper::Begin(pid_t pid, UniqueFd pidfd) {
  pid_ = pid;
  start_ = MonotonicNow();
  if (waiting_ != nullptr) {
    waiting_->SetPid(pid);
    return absl::OkStatus();
  }
  if (!pidfd.valid()) {
    pidfd = UniqueFd(GetOs().PidfdOpen(pid));
    // In a host that ignores SIGCHLD or waits for any child, the child may have
    // been reaped by now, and its number may belong to another process.
    if (pidfd.valid() ? !IsOwnChild(pidfd) : errno == ESRCH) {
      return BeginAfterTheEnd();
    }
  }
  pidfd_ = MoveToHighFd(std::move(pidfd));
  if (pidfd_.valid()) return absl::OkStatus();
  return PipeError(errno, "cannot open a pidfd");
}

absl::Status Reaper::BeginAfterTheEnd() {
  UniqueFd readable(GetOs().EventFd());
  if (!readable.valid()) return PipeError(errno, "cannot make an eventfd");
  eventfd_write(readable.get(), 1);
  pidfd_ = MoveToHighFd(std::move(readable));
  if (!pidfd_.valid()) return PipeError(errno, "cannot keep an eventfd");
  MutexLock lock(mu_);
  result_ = StatusTaken();
  return absl::OkStatus();
}

absl::Status Reaper::StatusTaken() const {
  return absl::DataLossError(absl::StrCat(
      "the exit status of ", Name(),
      " is lost: this program ignores SIGCHLD, or waits for any child "
      "(waitpid(-1))"));
}

Reaper::~Reaper() { JoinWaiter(); }

void Reaper::JoinWaiter() {
  if (waiting_ != nullptr) waiting_->SetPid(-1);
  waiter_.Join();
}

void Reaper::Detach() {
  if (waiting_ != nullptr) {
    MutexLock lock(waiting_->mu);
    waiting_->on_exit = nullptr;
    waiting_->reaped = TryReap(Group::kForget).has_value();
    waiter_.Detach();
    return;
  }
  absl::StatusOr<Thread> thread =
      Thread::Start("asyncproc-wait", [pid = pid_] { AwaitByPid(pid, 0); });
  // Without a thread, the child stays a zombie until this program ends.
  if (thread.ok()) thread->Detach();
}

int Reaper::Waitid(siginfo_t* info, int options, rusage* usage) const {
  *info = {};
  const bool by_pidfd = pidfd_.valid();
  int result;
  do {
    result = GetOs().Waitid(by_pidfd ? static_cast<idtype_t>(P_PIDFD) : P_PID,
                            static_cast<id_t>(by_pidfd ? pidfd_.get() : pid_),
                            info, options, usage);
  } while (result < 0 && errno == EINTR);
  return result;
}

std::optional<absl::StatusOr<ExitStatus>> Reaper::TryReap(Group group) {
  MutexLock lock(mu_);
  return TryReapLocked(group);
}

std::optional<absl::StatusOr<ExitStatus>> Reaper::TryReapLocked(Group group) {
  if (result_.has_value()) return result_;
  siginfo_t info;
  if (leads_group_ && group == Group::kRemember &&
      Waitid(&info, WEXITED | WNOHANG | WNOWAIT | __WALL, nullptr) == 0 &&
      info.si_pid != 0) {
    group_left_behind_ = ListGroup(pid_);
  }
  rusage usage = {};
  if (Waitid(&info, WEXITED | WNOHANG | __WALL, &usage) < 0) {
    result_ = StatusTaken();
  } else if (info.si_pid != 0) {
    result_ = ToExitStatus(info, usage, MonotonicNow() - start_);
  }
  return result_;
}

absl::Status Reaper::CheckRunning() {
  if (!TryReapLocked().has_value()) return absl::OkStatus();
  return HasEnded();
}

absl::Status Reaper::Signal(int signal) {
  MutexLock lock(mu_);
  if (absl::Status status = CheckRunning(); !status.ok()) return status;
  int result = -1;
  if (pidfd_.valid()) {
    result = GetOs().PidfdSendSignal(pidfd_.get(), signal);
    if (result < 0 && errno != ENOSYS && errno != EPERM) {
      return SignalError();
    }
  }
  // There is no pidfd, or a seccomp filter allows clone but not this call. The
  // child has not been reaped, so the number is still its own.
  if (result < 0) result = GetOs().Kill(pid_, signal);
  return result < 0 ? SignalError() : absl::OkStatus();
}

absl::Status Reaper::SignalGroup(int signal) {
  MutexLock lock(mu_);
  siginfo_t info;
  const bool has_its_number =
      leads_group_ && !result_.has_value() &&
      Waitid(&info, WEXITED | WNOHANG | WNOWAIT | __WALL, nullptr) == 0;
  if (!has_its_number) {
    return absl::NotFoundError(
        absl::StrCat(Name(), " leads no process group any more"));
  }
  return GetOs().Kill(-pid_, signal) < 0 ? SignalError() : absl::OkStatus();
}

absl::StatusOr<std::vector<ProcessStat>> Reaper::GroupLeftBehind() {
  MutexLock lock(mu_);
  return group_left_behind_;
}

bool Reaper::IsStopped() {
  MutexLock lock(mu_);
  if (TryReapLocked().has_value()) return false;
  siginfo_t info;
  return Waitid(&info, WSTOPPED | WNOHANG | WNOWAIT | __WALL, nullptr) == 0 &&
         info.si_pid != 0;
}

bool Reaper::KillAndReap() {
  const absl::Status killed = Signal(SIGKILL);
  if (!killed.ok() && !TryReap().has_value()) return false;
  absl::Time give_up = absl::InfiniteFuture();
  while (!TryReap().has_value()) {
    if (!pidfd_.valid()) {
      siginfo_t info;
      // WNOWAIT: TryReap reaps the child, under the lock.
      Waitid(&info, WEXITED | WNOWAIT | __WALL, nullptr);
      continue;
    }
    pollfd fd = {pidfd_.get(), POLLIN, 0};
    if (GetOs().Poll(&fd, 1, absl::InfiniteFuture()) != 1) continue;
    if (TryReap().has_value()) break;
    const absl::Time now = MonotonicNow();
    if (now >= give_up) return false;
    give_up = std::min(give_up, now + kReapPatience);
    nanosleep(&kReapInterval, nullptr);
  }
  return true;
}

}  // namespace asyncproc::internal
