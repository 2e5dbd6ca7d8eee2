#include "asyncproc/internal/thread.h"

#include <signal.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "asyncproc/internal/os.h"

namespace asyncproc::internal {
namespace {

struct Entry {
  std::string name;
  std::function<void()> body;
};

void* Run(void* arg) {
  std::unique_ptr<Entry> entry(static_cast<Entry*>(arg));
  pthread_setname_np(pthread_self(), entry->name.substr(0, 15).c_str());
  entry->body();
  return nullptr;
}

}  // namespace

absl::StatusOr<Thread> Thread::Start(const char* name,
                                     std::function<void()> body) {
  auto entry = std::make_unique<Entry>(Entry{name, std::move(body)});
  // A thread is born with the mask of the one that makes it: blocked from its
  // first instruction on.
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
  entry.release();
  thread.running_ = true;
  return thread;
}

Thread::Thread(Thread&& other) noexcept
    : thread_(other.thread_), running_(std::exchange(other.running_, false)) {}

Thread& Thread::operator=(Thread&& other) noexcept {
  if (this != &other) {
    Join();
    thread_ = other.thread_;
    running_ = std::exchange(other.running_, false);
  }
  return *this;
}

void Thread::Join() {
  if (std::exchange(running_, false)) pthread_join(thread_, nullptr);
}

void Thread::Detach() {
  if (std::exchange(running_, false)) pthread_detach(thread_);
}

}  // namespace asyncproc::internal
