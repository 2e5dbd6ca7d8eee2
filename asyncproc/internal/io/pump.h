#ifndef ASYNCPROC_INTERNAL_IO_PUMP_H_
#define ASYNCPROC_INTERNAL_IO_PUMP_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "asyncproc/internal/io/child_io.h"
#include "asyncproc/internal/io/driver.h"
#include "asyncproc/internal/os/thread.h"
#include "asyncproc/internal/os/waker.h"

namespace asyncproc::internal {

// Waits for what `child` waits for, once, until `deadline` at the longest, and
// lets it handle what has happened. `waker` is the one it was started with.
void DriveOnce(ChildIo& child, Waker& waker, absl::Time deadline);

// The thread that drives one child: drains its output, feeds its stdin, notices
// its end. A caller that waits does that instead while it waits (see
// DriverSeat). It sleeps while there is nothing to do, and ends when there is
// nothing left to do.
//
// Made before the child, so that a thread that is not to be had is found out
// while there is nothing to undo.
//
// Thread safety: none of its own.
class Pump {
 public:
  // Errors: kResourceExhausted.
  static absl::StatusOr<std::unique_ptr<Pump>> Create();

  // Stops and waits for the thread.
  ~Pump();

  // For the child to be.
  std::shared_ptr<Driver> driver() const;

  // Begins to drive `child`. Once.
  void Drive(std::shared_ptr<ChildIo> child);

  // Lets the thread go on by itself until the child has ended, and reap it.
  void Detach();

 private:
  class SharedDriver;

  explicit Pump(std::shared_ptr<SharedDriver> driver);

  const std::shared_ptr<SharedDriver> driver_;
  Thread thread_;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_IO_PUMP_H_
