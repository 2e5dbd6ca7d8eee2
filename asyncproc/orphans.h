#ifndef ASYNCPROC_ORPHANS_H_
#define ASYNCPROC_ORPHANS_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "asyncproc/termination.h"

namespace asyncproc {

// While it lives, orphans of this program's children come to this process
// instead of init: processes whose parent has ended, in whatever group or
// session, such as a daemon that has forked twice. An Escalation does not find
// those, since their parent is gone. Here they are adopted (the kernel's word
// is "child subreaper"), reaped when they end, and ended by Terminate.
//
//   auto adoption = asyncproc::OrphanAdoption::Start();
//   if (!adoption.ok()) return adoption.status();
//   DoSomethingElse();  // Start children, and wait for them.
//   auto survivors = (*adoption)->Terminate(asyncproc::Escalation::Standard());
//
// Adopted is a child of this process that was not there when Start was called
// and that this library did not start. So, while it lives:
// - the program must start no children but by this library;
// - it must not wait for any child (waitpid with -1) by itself.
// Children that the program had before are left to it, among them orphans that
// came to it when it was a child subreaper, or PID 1 of a container, already.
//
// /proc serves to find the orphans. Where it is not mounted, or is that of
// another PID namespace, orphans are reaped all the same, but one after the
// other, each once no other child of the program waits to be reaped; and
// Terminate cannot find those that live.
//
// Thread safety: all methods may be called from any thread; only the destructor
// must not overlap.
// Ownership: one thread, which looks every 20 ms for a child that has ended.
// The destructor ends the adoption, if this process was no child subreaper
// before. Orphans that still live then run on, and the thread reaps them and
// ends.
class OrphanAdoption {
 public:
  // Errors: kFailedPrecondition when there is an OrphanAdoption already; also,
  // without a /proc of this PID namespace, when the program has a child, which
  // could not be told from an orphan. kResourceExhausted when no thread can be
  // started.
  static absl::StatusOr<std::unique_ptr<OrphanAdoption>> Start();

  ~OrphanAdoption();
  OrphanAdoption(const OrphanAdoption&) = delete;
  OrphanAdoption& operator=(const OrphanAdoption&) = delete;

  // How many orphans have been reaped so far.
  size_t reaped() const;

  // The adopted orphans that live.
  // Errors: kResourceExhausted when they could not be searched for.
  absl::StatusOr<std::vector<Survivor>> Living();

  // Ends the adopted orphans, and those that they leave behind in their turn:
  // each gets the signal of a step, and SIGCONT, and the signal of the next
  // step if it has not ended within the grace. Steps that close stdin are
  // skipped; the scope does not matter. Returns the orphans that live on.
  //
  // Blocking: until all have ended, or the grace of the last step has passed.
  // Errors: as Escalation::Validate and Living; kCancelled and
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
