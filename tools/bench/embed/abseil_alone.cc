// A program that has the two parts of Abseil which every host of a Process has.

#include <stdio.h>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

int main() {
  absl::Mutex mutex;
  const absl::MutexLock lock(&mutex);
  puts(absl::UnavailableError("hello").ToString().c_str());
}
