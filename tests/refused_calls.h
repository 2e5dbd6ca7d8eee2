#ifndef ASYNCPROC_TESTS_REFUSED_CALLS_H_
#define ASYNCPROC_TESTS_REFUSED_CALLS_H_

#include <cstdint>
#include <optional>

namespace asyncproc {

// A system call that the kernel is to refuse: each with this `number`, or only
// those with this `value` as their argument number `argument`, from 0.
struct RefusedCall {
  long number;
  int error;
  int argument = 0;
  std::optional<uint32_t> value = std::nullopt;
};

// From now on, and for good, it is refused to all threads of this process and
// to all that it starts. For a host of its own: see own_host.h.
void Refuse(const RefusedCall& call);

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTS_REFUSED_CALLS_H_
