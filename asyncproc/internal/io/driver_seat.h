#ifndef ASYNCPROC_INTERNAL_IO_DRIVER_SEAT_H_
#define ASYNCPROC_INTERNAL_IO_DRIVER_SEAT_H_

#include <cstdint>
#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace asyncproc::internal {

// Who drives a child: its own thread, the owner of the seat, or a caller that
// waits for something the child does, and may as well look after it meanwhile.
// So an answer that somebody waits for wakes one thread, not two.
//
// The owner has the seat while nobody waits. It leaves it to the one caller
// that does; when that is gone, it holds back for a moment before it takes the
// seat again, because whoever has read one line is likely to wait for another.
// While several callers wait, the owner drives for all of them: they would only
// take turns in waking each other.
//
// Thread safety: all methods may be called from any thread, those of the owner
// by that alone. Nothing is called back under the lock, which is the last to be
// taken: all others may be held.
class DriverSeat {
 public:
  // For how long an owner that holds back leaves a child alone, from when the
  // last caller has left.
  static constexpr absl::Duration kPatience = absl::Milliseconds(2);

  // ---- For the owner.

  // Waits until the owner is to drive. It then has the seat.
  void Take() ABSL_LOCKS_EXCLUDED(mu_);
  // Whether a caller waits for the seat: the owner is to Leave it.
  bool IsWanted() const ABSL_LOCKS_EXCLUDED(mu_);
  void Leave() ABSL_LOCKS_EXCLUDED(mu_);

  // ---- For callers that wait; each calls Enter first and Exit last.

  // True: the caller is to drive. False: somebody else does. `hurry` makes the
  // owner look at IsWanted. Blocks for as long as it takes the owner to leave:
  // the caller must hold no lock that driving needs.
  bool Enter(bool may_drive, const std::function<void()>& hurry)
      ABSL_LOCKS_EXCLUDED(mu_);
  // For a caller that drives, whenever it is about to look what there is to do:
  // false when it is to stop. What CallOwner was called for before this is up
  // to the caller; for what comes later, the owner is called at Exit.
  bool IsMine() ABSL_LOCKS_EXCLUDED(mu_);
  // `drove`: what Enter returned. `urgent`: the owner has something to do.
  void Exit(bool drove, bool urgent) ABSL_LOCKS_EXCLUDED(mu_);

  // ---- For all.

  // There is something to do, which has been written where who drives looks: a
  // seat that nobody has is taken at once.
  void CallOwner() ABSL_LOCKS_EXCLUDED(mu_);
  // From now on, no caller drives. The one that does finds out by IsMine.
  void Close() ABSL_LOCKS_EXCLUDED(mu_);
  // After Close: waits until no caller drives.
  void AwaitNoCaller() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  enum class Holder { kNobody, kOwner, kCaller };

  // Whether the owner has been patient for long enough.
  bool IsDeserted() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable absl::Mutex mu_;
  Holder holder_ ABSL_GUARDED_BY(mu_) = Holder::kNobody;
  int waiting_ ABSL_GUARDED_BY(mu_) = 0;  // Callers between Enter and Exit.
  bool wanted_ ABSL_GUARDED_BY(mu_) = false;
  bool called_ ABSL_GUARDED_BY(mu_) = false;  // Since a caller last looked.
  bool urgent_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t visits_ ABSL_GUARDED_BY(mu_) = 0;     // Times that a caller drove.
  absl::Time empty_since_ ABSL_GUARDED_BY(mu_);  // Where the owner is patient.
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_IO_DRIVER_SEAT_H_
