#include "asyncproc/internal/proc/blocked_call.h"

#include <poll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <array>
#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "asyncproc/internal/proc/proc_file.h"

namespace asyncproc::internal {
namespace {

using Kind = BlockedCall::Kind;
using Arguments = std::array<uint64_t, 6>;

// The system calls in which programs wait. Not every architecture has all of
// them.
struct KnownCall {
  long number;
  Kind kind;
};
constexpr KnownCall kKnownCalls[] = {
    {SYS_read, Kind::kRead},
    {SYS_readv, Kind::kRead},
    {SYS_preadv2, Kind::kRead},
    {SYS_recvfrom, Kind::kRead},
    {SYS_recvmsg, Kind::kRead},
    {SYS_splice, Kind::kRead},
    {SYS_write, Kind::kWrite},
    {SYS_writev, Kind::kWrite},
    {SYS_sendto, Kind::kWrite},
    {SYS_sendmsg, Kind::kWrite},
    {SYS_wait4, Kind::kChild},
    {SYS_waitid, Kind::kChild},
    {SYS_nanosleep, Kind::kSleep},
    {SYS_clock_nanosleep, Kind::kSleep},
    {SYS_futex, Kind::kLock},
    {SYS_flock, Kind::kFileLock},
    {SYS_fcntl, Kind::kFileLock},
    {SYS_rt_sigsuspend, Kind::kSignal},
    {SYS_rt_sigtimedwait, Kind::kSignal},
    {SYS_accept, Kind::kConnection},
    {SYS_accept4, Kind::kConnection},
    {SYS_connect, Kind::kConnection},
    {SYS_openat, Kind::kOpen},
    {SYS_ppoll, Kind::kEvent},
    {SYS_pselect6, Kind::kEvent},
    {SYS_epoll_pwait, Kind::kEvent},
#ifdef SYS_open
    {SYS_open, Kind::kOpen},
#endif
#ifdef SYS_pause
    {SYS_pause, Kind::kSignal},
#endif
#ifdef SYS_poll
    {SYS_poll, Kind::kEvent},
#endif
#ifdef SYS_select
    {SYS_select, Kind::kEvent},
#endif
#ifdef SYS_epoll_wait
    {SYS_epoll_wait, Kind::kEvent},
#endif
};

Kind KindOf(long number) {
  for (const KnownCall& call : kKnownCalls) {
    if (call.number == number) return call.kind;
  }
  return Kind::kOther;
}

bool IsPoll(long number) {
#ifdef SYS_poll
  if (number == SYS_poll) return true;
#endif
  return number == SYS_ppoll;
}

bool IsSelect(long number) {
#ifdef SYS_select
  if (number == SYS_select) return true;
#endif
  return number == SYS_pselect6;
}

bool ReadMemory(pid_t pid, uint64_t address, void* data, size_t size) {
  iovec local = {data, size};
  // The address is valid in the other process.
  iovec remote = {reinterpret_cast<void*>(static_cast<uintptr_t>(address)),
                  size};
  return process_vm_readv(pid, &local, 1, &remote, 1, 0) ==
         static_cast<ssize_t>(size);
}

void FindPolled(pid_t pid, const Arguments& arguments, BlockedCall* call) {
  constexpr uint64_t kMost = 64;
  std::vector<pollfd> polled(std::min(arguments[1], kMost));
  if (polled.empty() || !ReadMemory(pid, arguments[0], polled.data(),
                                    polled.size() * sizeof(pollfd))) {
    return;
  }
  for (const pollfd& fd : polled) {
    if (fd.fd >= 0 && (fd.events & POLLIN) != 0) call->fds.push_back(fd.fd);
  }
  if (!call->fds.empty()) call->kind = Kind::kRead;
}

void FindSelected(pid_t pid, const Arguments& arguments, BlockedCall* call) {
  // The set may be shorter than an fd_set: read one word, for descriptors 0 to
  // 63.
  uint64_t readable = 0;
  if (arguments[0] == 0 || arguments[1] == 0 ||
      !ReadMemory(pid, arguments[1], &readable, sizeof(readable))) {
    return;
  }
  for (int fd = 0; fd < 64 && static_cast<uint64_t>(fd) < arguments[0]; ++fd) {
    if ((readable >> fd & 1) != 0) call->fds.push_back(fd);
  }
  if (!call->fds.empty()) call->kind = Kind::kRead;
}

void FindChild(const Arguments& arguments, BlockedCall* call) {
  const auto first = static_cast<int>(arguments[0]);
  if (call->number == SYS_wait4) {
    call->child = std::max(first, 0);
  } else if (first == P_PID) {
    call->child = static_cast<pid_t>(arguments[1]);
  }
}

}  // namespace

std::optional<BlockedCall> ReadBlockedCall(pid_t pid, pid_t thread) {
  // "NUMBER ARGUMENT*6 STACK COUNTER", or "running", or "-1 STACK COUNTER".
  const std::string text =
      ReadFile(absl::StrCat("/proc/", pid, "/task/", thread, "/syscall"));
  const std::vector<absl::string_view> fields =
      absl::StrSplit(text, ' ', absl::SkipEmpty());
  BlockedCall call;
  Arguments arguments = {};
  if (fields.size() <= arguments.size() ||
      !absl::SimpleAtoi(fields[0], &call.number)) {
    return std::nullopt;
  }
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!absl::SimpleHexAtoi(fields[i + 1], &arguments[i])) return std::nullopt;
  }
  call.kind = KindOf(call.number);
  switch (call.kind) {
    case Kind::kRead:
    case Kind::kWrite:
    case Kind::kConnection:
    case Kind::kFileLock:
      call.fds.push_back(static_cast<int>(arguments[0]));
      break;
    case Kind::kChild:
      FindChild(arguments, &call);
      break;
    case Kind::kEvent:
      if (IsPoll(call.number)) FindPolled(pid, arguments, &call);
      if (IsSelect(call.number)) FindSelected(pid, arguments, &call);
      break;
    default:
      break;
  }
  return call;
}

std::string ReadWaitChannel(pid_t pid) {
  const std::string name = ReadFile(absl::StrCat("/proc/", pid, "/wchan"));
  return name == "0" ? "" : name;
}

pid_t ReadTracer(pid_t pid) {
  const std::string text = ReadFile(absl::StrCat("/proc/", pid, "/status"));
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    pid_t tracer = 0;
    if (absl::ConsumePrefix(&line, "TracerPid:") &&
        absl::SimpleAtoi(line, &tracer)) {
      return tracer;
    }
  }
  return 0;  // The process no longer exists.
}

}  // namespace asyncproc::internal
