#include "tests/refused_calls.h"

// Not <termios.h>: its structures have the same names.
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <optional>
#include <vector>

#include "absl/log/check.h"

namespace asyncproc {
namespace {

uint32_t OffsetOfArgument(int argument) {
  const size_t high = static_cast<size_t>(argument) * sizeof(uint64_t);
  // The lower half, which comes first on all supported machines.
  return static_cast<uint32_t>(offsetof(seccomp_data, args) + high);
}

// Skips `otherwise` instructions unless the loaded value is `value`.
sock_filter SkipUnless(uint32_t value, uint8_t otherwise) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, otherwise);
}

sock_filter Load(uint32_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset);
}

sock_filter Return(uint32_t what) { return BPF_STMT(BPF_RET | BPF_K, what); }

// The ioctl that newer C libraries use instead.
std::optional<uint32_t> NewerRequest(const RefusedCall& call) {
  if (call.number != SYS_ioctl || !call.value.has_value()) return std::nullopt;
  if (*call.value == TCGETS) return TCGETS2;
  if (*call.value == TCSETS) return TCSETS2;
  return std::nullopt;
}

}  // namespace

void Refuse(const RefusedCall& call) {
  if (const auto newer = NewerRequest(call)) {
    RefusedCall other = call;
    other.value = newer;
    Refuse(other);
  }
  std::vector<sock_filter> filter = {Load(offsetof(seccomp_data, nr))};
  const auto number = static_cast<uint32_t>(call.number);
  if (call.value.has_value()) {
    filter.push_back(SkipUnless(number, 3));
    filter.push_back(Load(OffsetOfArgument(call.argument)));
    filter.push_back(SkipUnless(*call.value, 1));
  } else {
    filter.push_back(SkipUnless(number, 1));
  }
  filter.push_back(
      Return(SECCOMP_RET_ERRNO | static_cast<uint32_t>(call.error)));
  filter.push_back(Return(SECCOMP_RET_ALLOW));

  sock_fprog program = {static_cast<unsigned short>(filter.size()),
                        filter.data()};
  CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0) << strerror(errno);
  CHECK_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                   SECCOMP_FILTER_FLAG_TSYNC, &program),
           0)
      << strerror(errno);
}

}  // namespace asyncproc
