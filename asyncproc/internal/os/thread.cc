#include "asyncproc/internal/os/thread.h"

#include <signal.h>

#include <atomic>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/internal/os/os.h"

namespace asyncproc::internal {

// Shared by the thread and its joiner. Usually the joiner frees it: the first
// allocation or free by a thread creates a malloc arena for that thread.
struct Thread::Entry {
  const char* const name;
  const std::function<void()> body;
  std::atomic<int> owners{2};

  void Release() {
    if (--owners == 0) delete this;
  }
};

void* Thread::Run(void* arg) {
  Entry* const entry = static_cast<Entry*>(arg);
  pthread_setname_np(pthread_self(), entry->name);
  entry->body();
  entry->Release();
  return nullptr;
}

absl::StatusOr<Thread> Thread::Start(const char* name,
                                     std::function<void()> body) {
  auto entry = std::unique_ptr<Entry>(new Entry{name, std::move(body)});
  // A new thread inherits the signal mask of its creator, so its signals are
  // blocked from the first instruction.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Thread thread;
  const int error =
      GetOs().ThreadCreate(&thread.thread_, nullptr, Run, entry.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot start a thread: ",
                     absl::ErrnoToStatus(error, "pthread_create").message()));
  }
  thread.entry_ = entry.release();
  return thread;
}

Thread::Thread(Thread&& other) noexcept
    : stamp_(other.stamp_),
      thread_(other.thread_),
      entry_(std::exchange(other.entry_, nullptr)) {}

Thread& Thread::operator=(Thread&& other) noexcept {
  if (this != &other) {
    Join();
    stamp_ = other.stamp_;
    thread_ = other.thread_;
    entry_ = std::exchange(other.entry_, nullptr);
  }
  return *this;
}

bool Thread::ForgetInForkedCopy() {
  if (!stamp_.IsForkedCopy()) return false;
  entry_ = nullptr;
  return true;
}

void Thread::Join() {
  if (!running() || ForgetInForkedCopy()) return;
  pthread_join(thread_, nullptr);
  std::exchange(entry_, nullptr)->Release();
}

void Thread::Detach() {
  if (!running() || ForgetInForkedCopy()) return;
  pthread_detach(thread_);
  std::exchange(entry_, nullptr)->Release();
}

}  // namespace asyncproc::internal
