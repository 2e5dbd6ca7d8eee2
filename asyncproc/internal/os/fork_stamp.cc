#include "asyncproc/internal/os/fork_stamp.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

namespace asyncproc::internal {
namespace {

// A page that is zero at first and in every forked copy; null where the kernel
// has no MADV_WIPEONFORK (before Linux 4.14). No static variable with an
// initializer: a copy that is forked during the initialization would wait for
// its end forever.
std::atomic<uint64_t>* WipedPage() {
  static std::atomic<uint64_t> none{0};
  static std::atomic<std::atomic<uint64_t>*> page{nullptr};
  std::atomic<uint64_t>* current = page.load();
  if (current == nullptr) {
    const auto size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const bool is_wiped =
        memory != MAP_FAILED && madvise(memory, size, MADV_WIPEONFORK) == 0;
    auto* const made =
        is_wiped ? static_cast<std::atomic<uint64_t>*>(memory) : &none;
    if (page.compare_exchange_strong(current, made)) current = made;
    if (memory != MAP_FAILED && memory != current) munmap(memory, size);
  }
  return current == &none ? nullptr : current;
}

// Larger than the numbers of all processes from which this one was forked.
uint64_t ThisProcess() {
  static std::atomic<uint64_t> last{0};  // Copied by fork, unlike the page.
  std::atomic<uint64_t>* const page = WipedPage();
  if (page == nullptr) return static_cast<uint64_t>(getpid());
  uint64_t number = page->load();
  if (number != 0) return number;
  const uint64_t mine = ++last;
  return page->compare_exchange_strong(number, mine) ? mine : number;
}

}  // namespace

ForkStamp::ForkStamp() : process_(ThisProcess()) {}

bool ForkStamp::IsForkedCopy() const { return ThisProcess() != process_; }

}  // namespace asyncproc::internal
