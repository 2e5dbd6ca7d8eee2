#ifndef ASYNCPROC_TESTS_REFUSED_CALLS_H_
#define ASYNCPROC_TESTS_REFUSED_CALLS_H_

#include <cstdint>
#include <optional>

namespace asyncproc {

// A system call for the kernel to refuse: all calls with this `number`, or only
// the calls with this `value` as the argument with the index `argument`, from
// 0.
struct RefusedCall {
  long number;
  int error;
  int argument = 0;
  std::optional<uint32_t> value = std::nullopt;
};

// Permanently refuses the call to all threads of this process and to all
// processes that they start. For a host of its own: see own_host.h.
void Refuse(const RefusedCall& call);

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTS_REFUSED_CALLS_H_
