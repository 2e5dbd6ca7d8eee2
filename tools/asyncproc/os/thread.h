#ifndef ASYNCPROC_TOOLS_ASYNCPROC_OS_THREAD_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_OS_THREAD_H_

#include <pthread.h>

#include <functional>

#include "absl/status/statusor.h"

namespace asyncproc::cli {

// A thread of the tool. It has a name and receives no signals. If the system
// has no room for a thread, Start returns an error, where std::thread ends the
// program.
//
//   auto thread = Thread::Start("reader", [this] { Read(); });
//   if (!thread.ok()) return thread.status();
//
// Thread safety: as a struct. The destructor waits for the end of the thread.
class Thread {
 public:
  // `name` is cut to 15 characters, the most that the kernel keeps.
  // Errors: kResourceExhausted.
  static absl::StatusOr<Thread> Start(const char* name,
                                      std::function<void()> body);

  Thread() = default;
  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&& other) noexcept;
  ~Thread() { Join(); }

  bool running() const { return running_; }
  // Waits for the end of the thread. Does nothing if there is no thread.
  // REQUIRES: not called by the thread itself.
  void Join();
  // Lets the thread run on by itself; the objects that it uses must stay.
  void Detach();

 private:
  static void* Run(void* start);

  pthread_t thread_ = {};
  bool running_ = false;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_OS_THREAD_H_
