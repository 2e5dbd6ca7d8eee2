// A program that has the two parts of Abseil which every host of a Process has.

#include <stdio.h>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "asyncproc/internal/os/mutex_lock.h"

int main() {
  absl::Mutex mutex;
  const asyncproc::internal::MutexLock lock(mutex);
  puts(absl::UnavailableError("hello").ToString().c_str());
}
