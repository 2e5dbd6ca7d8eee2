#include "tools/asyncproc/os/thread.h"

#include <signal.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace asyncproc::cli {

namespace {

struct Body {
  std::string name;
  std::function<void()> run;
};

}  // namespace

void* Thread::Run(void* start) {
  const std::unique_ptr<Body> body(static_cast<Body*>(start));
  pthread_setname_np(pthread_self(), body->name.c_str());
  body->run();
  return nullptr;
}

absl::StatusOr<Thread> Thread::Start(const char* name,
                                     std::function<void()> body) {
  auto start = std::make_unique<Body>();
  start->name = std::string(name).substr(0, 15);
  start->run = std::move(body);
  // A thread begins with the mask of the thread that starts it.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Thread thread;
  const int error = pthread_create(&thread.thread_, nullptr, Run, start.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot start a thread: ",
                     absl::ErrnoToStatus(error, "pthread_create").message(),
                     "; end other processes or threads, or raise the limit of "
                     "them (ulimit -u)"));
  }
  start.release();  // NOLINT: the thread owns it.
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

}  // namespace asyncproc::cli
