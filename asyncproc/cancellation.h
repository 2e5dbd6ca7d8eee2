#ifndef ASYNCPROC_CANCELLATION_H_
#define ASYNCPROC_CANCELLATION_H_

#include <memory>

namespace asyncproc {

namespace internal {
class Cancellation;
class WaitScope;
}  // namespace internal

// Ends the blocking calls of other threads: "the user has closed the window".
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
// A handle: copies are the same token. Once canceled, it stays so.
//
// Thread safety: all methods may be called from any thread, but not from a
// signal handler. None waits for anybody.
class CancellationToken {
 public:
  CancellationToken();
  CancellationToken(const CancellationToken&) = default;
  CancellationToken& operator=(const CancellationToken&) = default;

  // Ends what waits under this token, now and from now on. Again: does nothing.
  void Cancel() const;

  // For loops of your own.
  bool IsCanceled() const;

 private:
  friend class CancellationScope;

  // Never null: what would move a token copies it.
  std::shared_ptr<internal::Cancellation> cancellation_;
};

// While it lives, every blocking call of this library on the thread that made
// it ends with kCancelled as soon as `token` is canceled, and at once when it
// has been already.
//
// The child is not touched: it runs on, and what it says is still collected.
// Nothing is taken either: what the call would have returned is there for the
// next. What comes next is the caller's decision, Process::Terminate for
// instance, outside of the scope.
//
// Which outcome wins: what is there, if anything is (the child had ended, the
// line had come), then kCancelled, then kDeadlineExceeded. A call that does not
// wait, TryReadLine or one with a timeout of zero, is never canceled. Neither
// is the destructor of Process. Process::Terminate, once canceled, takes no
// further step.
//
// Scopes nest, in each other and in WithTimeout; each has its say. Unlike
// WithTimeout, this interrupts no system calls of others.
//
// Ownership: keeps the token alive. Destroy it on the thread that made it, in
// reverse order: a local variable.
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
