#ifndef ASYNCPROC_INTERNAL_IO_PIPE_SINK_H_
#define ASYNCPROC_INTERNAL_IO_PIPE_SINK_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "asyncproc/child_stream.h"
#include "asyncproc/internal/io/child_observer.h"

namespace asyncproc::internal {

// Where one stream of a child's output goes. The child's driver calls it, one
// call at a time.
class PipeSink {
 public:
  enum class Fed {
    kMore,   // As many bytes as were asked for: there may be more.
    kEmpty,  // All that there was.
    kEnd,    // End-of-file, or an error.
  };

  virtual ~PipeSink() = default;

  // Reads once from `fd`, which is nonblocking, and takes what it reads: not
  // less than `owed` bytes over all calls, even if it would rather not.
  virtual Fed Feed(int fd, size_t owed, size_t* taken) = 0;
  // Nothing more will come: end-of-file, or `why` not. Only the first counts.
  virtual void Finish(absl::Status why = absl::OkStatus()) = 0;
  // Whether it takes more now. When that changes, the driver is woken.
  virtual bool HasRoom() const = 0;
  // Whether it never will again: the pipe is to be closed. Likewise.
  virtual bool IsRefused() const = 0;
  // Not 0 when somebody waits for all that is in the pipe; what to call Synced
  // with when it has been read.
  virtual uint64_t WantedSync() const = 0;
  virtual void Synced(uint64_t wanted) = 0;

  // From now on, `observer` is told; and at once, of what is still there.
  virtual void Observe(std::shared_ptr<ChildObserver> observer,
                       ChildStream stream) = 0;

  // How far it is, for people to be told. May be called by any thread where
  // the sink may be used by any.
  struct Progress {
    uint64_t bytes = 0;     // That ever arrived.
    size_t waiting = 0;     // That have not been taken on.
    bool finished = false;  // Finish has been called.
  };
  virtual Progress progress() const = 0;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_IO_PIPE_SINK_H_
