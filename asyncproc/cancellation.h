#ifndef ASYNCPROC_CANCELLATION_H_
#define ASYNCPROC_CANCELLATION_H_

#include <memory>

namespace asyncproc {

namespace internal {
class Cancellation;
class WaitScope;
}  // namespace internal

// Ends the blocking calls of other threads, for example when the user closes a
// window.
//
//   asyncproc::CancellationToken token;
//   std::thread worker([&process, token] {
//     asyncproc::CancellationScope scope(token);
//     absl::StatusOr<asyncproc::ExitStatus> status = process->Wait();
//     if (absl::IsCancelled(status.status())) return;  // The child runs on.
//     ...
//   });
//   ...
//   token.Cancel();
//
// A handle: copies refer to the same token. A canceled token stays canceled.
//
// Thread safety: all methods may be called from any thread, but not from a
// signal handler. No method blocks.
class CancellationToken {
 public:
  CancellationToken();
  CancellationToken(const CancellationToken&) = default;
  CancellationToken& operator=(const CancellationToken&) = default;

  // Ends the current and all later blocking calls under this token. A second
  // call does nothing.
  void Cancel() const;

  // For the caller's own loops.
  bool IsCanceled() const;

 private:
  friend class CancellationScope;

  // Never null: a move of the token copies the pointer.
  std::shared_ptr<internal::Cancellation> cancellation_;
};

// While a scope exists, every blocking call of this library on the thread that
// created the scope ends with kCancelled as soon as `token` is canceled, or at
// once if `token` is canceled already.
//
// A cancellation has no effect on the child: the child runs on, and the library
// still collects its output. The canceled call consumes no output: the next
// call can return the same result. The caller decides how to go on, for
// instance with Process::Terminate outside of the scope.
//
// Precedence: a result that is available (the child has ended, the line has
// arrived) wins over kCancelled, and kCancelled over kDeadlineExceeded. A call
// that does not wait, such as TryReadLine or a call with a timeout of zero, is
// never canceled. So Process::Spawn, Pipeline::Spawn, ProcessPoller::Run and
// Reactor::Spawn start a child even if `token` is canceled already. Run, Check
// and CheckOutput, which wait for the child, start none then. Neither is the
// destructor of Process. A canceled Process::Terminate takes no further step.
//
// Scopes nest, in each other and in WithTimeout, and each of them applies.
// Unlike WithTimeout, a scope does not interrupt system calls made outside of
// this library.
//
// Ownership: a scope keeps the token alive. Use a local variable: scopes must
// be destroyed on the thread that created them, in reverse order.
class CancellationScope {
 public:
  explicit CancellationScope(const CancellationToken& token);
  ~CancellationScope();
  CancellationScope(const CancellationScope&) = delete;
  CancellationScope& operator=(const CancellationScope&) = delete;

 private:
  const std::unique_ptr<internal::WaitScope> scope_;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_CANCELLATION_H_
