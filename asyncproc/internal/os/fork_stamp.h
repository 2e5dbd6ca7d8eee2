#ifndef ASYNCPROC_INTERNAL_OS_FORK_STAMP_H_
#define ASYNCPROC_INTERNAL_OS_FORK_STAMP_H_

#include <cstdint>

namespace asyncproc::internal {

// Remembers the process that made it, so that an object can tell whether it is
// a copy that fork() made of an object of another process. Such a copy has no
// threads, its mutexes may be locked for good, and its descriptors are shared
// with the original.
//
// A pid alone does not tell: the kernel uses the numbers of ended processes
// again. A page that the kernel clears in a forked process does.
//
// Thread safety: all methods may be called from any thread, and in a forked
// copy.
class ForkStamp {
 public:
  ForkStamp();

  // Whether the calling process is a forked copy of the process that made this.
  bool IsForkedCopy() const;

 private:
  uint64_t process_;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_OS_FORK_STAMP_H_
