#ifndef ASYNCPROC_ORPHANS_H_
#define ASYNCPROC_ORPHANS_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "asyncproc/termination.h"

namespace asyncproc {

// While this object lives, orphans of this program's children become children
// of this process instead of init: an orphan is a process whose parent has
// ended, in any group or session, such as a daemon that has forked twice. An
// Escalation finds orphans only in the group that the child leads: elsewhere,
// nothing connects them with the child. They are adopted (the kernel's term is
// "child subreaper"), reaped when they end, and ended by Terminate.
//
//   auto adoption = asyncproc::OrphanAdoption::Start();
//   if (!adoption.ok()) return adoption.status();
//   DoSomethingElse();  // Start children, and wait for them.
//   auto survivors = (*adoption)->Terminate(asyncproc::Escalation::Standard());
//
// An adopted process is a child of this process that did not exist when Start
// was called and that this library did not start. So, while this object lives:
// - the program must start children only by this library;
// - it must not wait for any child (waitpid with -1) by itself.
// Children that the program had before are left to it, among them orphans that
// it received earlier as a child subreaper, or as PID 1 of a container.
//
// Orphans are found by /proc. Where /proc is not mounted, or is that of another
// PID namespace, orphans are reaped all the same, but one after the other, each
// once no other child of the program waits to be reaped; and Terminate cannot
// find live orphans.
//
// Thread safety: all methods may be called from any thread; only the destructor
// must not overlap another call.
// Ownership: one thread, which checks every 20 ms for a child that has ended.
// The destructor ends the adoption, unless this process was a child subreaper
// before. Orphans that are still alive then run on, and the thread reaps them
// and ends. In a forked copy of the host, the destructor does nothing.
class OrphanAdoption {
 public:
  // Errors: kFailedPrecondition when there is an OrphanAdoption already; also,
  // without a /proc of this PID namespace, when the program has a child, since
  // that could not be distinguished from an orphan. kResourceExhausted when no
  // thread can be started.
  static absl::StatusOr<std::unique_ptr<OrphanAdoption>> Start();

  ~OrphanAdoption();
  OrphanAdoption(const OrphanAdoption&) = delete;
  OrphanAdoption& operator=(const OrphanAdoption&) = delete;

  // The number of orphans reaped so far.
  size_t reaped() const;

  // The adopted orphans that are alive.
  // Errors: kResourceExhausted when the search for them failed.
  absl::StatusOr<std::vector<Survivor>> Living();

  // Ends the adopted orphans, and the orphans that they leave behind in turn:
  // each gets the signal of a step, and SIGCONT, and the signal of the next
  // step if it has not ended within the grace period. Steps that close stdin
  // are skipped; the scope has no effect. Returns the orphans that live on.
  //
  // Blocking: until all have ended, or the grace period of the last step has
  // passed. Errors: as Escalation::Validate and Living; kCancelled and
  // kDeadlineExceeded when a scope of this thread ends the wait.
  absl::StatusOr<std::vector<Survivor>> Terminate(
      const Escalation& escalation = Escalation::Standard());

 private:
  class Orphans;

  explicit OrphanAdoption(std::shared_ptr<Orphans> orphans);

  const std::shared_ptr<Orphans> orphans_;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_ORPHANS_H_
