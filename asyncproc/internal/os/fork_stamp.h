#ifndef ASYNCPROC_INTERNAL_OS_FORK_STAMP_H_
#define ASYNCPROC_INTERNAL_OS_FORK_STAMP_H_

#include <cstdint>

namespace asyncproc::internal {

// Remembers the process that made it, so that an object can tell whether fork()
// copied it from another process. Such a copy has no threads, its mutexes may
// be locked forever, and its descriptors are shared with the original.
//
// The pid alone is not enough, since the kernel reuses the numbers of ended
// processes. The stamp uses a page that the kernel clears in a forked process.
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
