#ifndef ASYNCPROC_PROCESS_POLLER_H_
#define ASYNCPROC_PROCESS_POLLER_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/node_hash_map.h"
#include "absl/hash/hash.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/child_observer.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/loop/poller_core.h"  // ProcessPoller is a template.
#include "asyncproc/termination.h"

namespace asyncproc {

struct PollerOptions {
  // The most children that run at once: further children wait in a queue, and
  // Poll starts them in order as others end. 0: no limit.
  size_t max_running = 0;
};

// Runs many children at once on one thread: the caller's, while it is in Poll.
// Each child has a key chosen by the caller, which identifies it; events of the
// children are delivered as calls of virtual methods.
//
//   class Printer : public asyncproc::ProcessPoller<std::string> {
//     absl::Status OnOutput(const std::string& key, asyncproc::ChildStream,
//                           absl::string_view data) override {
//       std::cout << key << ": " << data;
//       return absl::OkStatus();
//     }
//   };
//   Printer printer;
//   absl::Status status = printer.Run("disks", asyncproc::Command({"df"}));
//   status.Update(
//       printer.Run("sums", asyncproc::Command({"bc", "-q"}), "6 * 7\n"));
//   status.Update(printer.CloseInput("sums"));
//   status.Update(printer.Poll());  // OK: all have ended.
//   if (!status.ok()) return status;
//   std::cout << *printer.results().at("sums");  // exited with status 0
//
// A child costs no thread: each of 2,000 children takes four descriptors and a
// few KiB, and no CPU time while silent. Start, stdin, end and escalation are
// those of Process: all output that a child wrote before its end is delivered;
// a child that has closed its output is not taken to have ended; and when other
// processes hold its output open, the poller waits for them for
// Command::drain_grace. It then closes its end of those pipes; use a Process to
// read on.
//
// Poll makes the callbacks, on its thread, one at a time, and with no lock
// held. They may call any method here except Poll: also Run, even for their own
// key after its child has ended; Remove, even for the current child; and the
// destructors of other pollers. When a callback returns an error, Poll ends and
// returns that error; no event is lost, and the next Poll goes on with the
// events that follow. The order, for each child: OnCreate; OnOutput, any number
// of times; OnTimeout, at most once, among them; at last OnTerminate or
// OnFailure, exactly once in every case.
//
// Keys: any type that absl::Hash or `Hash` can hash, and that can be compared
// and copied. A key is in use until its child has ended, and its result stays
// until the key is used again, or removed.
//
// Thread safety: none, except for Stop: the poller belongs to one thread.
// Ownership: the destructor kills and reaps all children that still run, with
// no further callback; Command::on_destroy has no effect here.
// Fork, stack, pthread_cancel: as Process. An exception of a callback leaves
// Poll; another Poll goes on.
// Blocking: the Poll methods. Remove and the destructor for as long as a killed
// child takes to end. No other method.
template <typename Key, typename Hash = absl::Hash<Key>>
class ProcessPoller : private internal::PollerCore::Client {
 public:
  // How a child ended. kUnavailable, as from Process::Wait: the child has not
  // ended. Any other error: the child was never started, or another waitpid has
  // taken its status (see Process::Wait).
  using Result = absl::StatusOr<ExitStatus>;
  using Results = absl::node_hash_map<Key, Result, Hash>;

  explicit ProcessPoller(PollerOptions options = {})
      : core_(*this, options.max_running) {}
  ~ProcessPoller() override = default;
  ProcessPoller(const ProcessPoller&) = delete;
  ProcessPoller& operator=(const ProcessPoller&) = delete;

  // Starts `command`, or queues it when max_running children run.
  //
  // Unlike asyncproc::Run, this does not wait for the child: Poll does.
  //
  // `input` holds the first bytes for the child's stdin. Without `input`, stdin
  // is not a pipe: it is /dev/null, or as command.in says. This default differs
  // from that of Process, since the many children of a poller are mostly jobs
  // that get no input: with a pipe, a child that reads its stdin would never
  // end. With an empty `input`, stdin is a pipe with nothing in it yet. In both
  // cases with `input`, stdin stays open, for SendInput, until CloseInput.
  // Errors: kAlreadyExists while a child of that key has not ended;
  // kInvalidArgument for input when command.in is not a pipe or socket, for
  // Stdio::ToStdin without input, or for an invalid command or invalid limits;
  // kDeadlineExceeded for a ChildLimits::timeout of zero or less;
  // kResourceExhausted for input that exceeds Command::input_limit; and, when
  // the child is started at once, as Process::Spawn, and kInvalidArgument for
  // input that a terminal does not take. After an error there is no such child,
  // and no callback. If a queued child cannot be started later, OnFailure is
  // called for it.
  absl::Status Run(const Key& key, Command command,
                   std::optional<std::string> input = std::nullopt,
                   const ChildLimits& limits = ChildLimits());

  // Queues `data` for the child's stdin; takes all of it or nothing.
  // Errors: kNotFound when there is no child of that key, or it has ended: the
  // error begins before its OnTerminate; kFailedPrecondition when the child was
  // run without input, or its stdin has been closed, by CloseInput or by the
  // child; kCancelled for a queued child that was terminated, until its
  // OnFailure; kResourceExhausted as Process::Write.
  absl::Status SendInput(const Key& key, absl::string_view data);

  // Sends end-of-file, after all sent data. A second call does nothing.
  // Errors: as SendInput.
  absl::Status CloseInput(const Key& key);

  // Errors: kNotFound when there is no such child, or it has just ended;
  // kFailedPrecondition while the child is queued; as Process::Signal.
  absl::Status SendSignal(const Key& key, int signal);

  // Begins to end the child, and returns at once: Poll takes the steps. It
  // calls OnTerminate when the child has ended and the escalation is over: all
  // processes of the scope have ended, or the last grace period has passed;
  // `termination` then lists the remaining processes. This escalation replaces
  // one that is already in progress. A queued child is removed from the queue:
  // OnFailure, kCancelled.
  // Errors: kNotFound; kInvalidArgument.
  absl::Status Terminate(const Key& key,
                         Escalation escalation = Escalation::Standard());

  // Forgets the child: kills and reaps it if it runs, and drops its result.
  // There is no further callback for it. Errors: kNotFound for a key that was
  // never used.
  absl::Status Remove(const Key& key);

  // Errors: kNotFound; kFailedPrecondition while the child is queued;
  // kCancelled for a queued child that was terminated, until its OnFailure.
  absl::StatusOr<pid_t> GetPid(const Key& key) const;

  // Handles events until all children have ended, and then returns OK; also
  // when there is no child. A timeout of zero handles the events so far.
  // Errors: kDeadlineExceeded when time is up first, also that of a
  // WithTimeout; kCancelled after Stop, "stopped", and by a CancellationScope,
  // "canceled"; the error of a callback; kFailedPrecondition from a callback.
  // After each of these, another Poll goes on.
  absl::Status Poll(absl::Duration timeout = absl::InfiniteDuration()) {
    return core_.Poll(timeout, nullptr);
  }

  // The same until `done` returns true, and then returns OK. `done` is called
  // before any event, and after each callback.
  // Errors: also kOutOfRange when all children have ended, and `done` is false.
  absl::Status PollUntil(const std::function<bool()>& done,
                         absl::Duration timeout = absl::InfiniteDuration()) {
    return core_.Poll(timeout, &done);
  }

  // The same until one of the children `keys` writes `text`, on either stream,
  // anywhere in a line; returns the key of the first such child. Output that
  // was delivered before the call does not count.
  // Errors: also kOutOfRange as soon as all of `keys` have ended; kNotFound
  // when one of `keys` was never used; kInvalidArgument for an empty text, and
  // without a key.
  absl::StatusOr<Key> PollUntilSays(
      const std::vector<Key>& keys, absl::string_view text,
      absl::Duration timeout = absl::InfiniteDuration());

  // Makes Poll return, after the callback that is being made; outside of Poll,
  // makes the next Poll return. Any thread may call it.
  void Stop() { core_.Stop(); }

  // Returns a descriptor for an event loop of the host: readable whenever
  // Poll(absl::ZeroDuration()) has something to do: output, an end, a limit or
  // a step of an escalation whose time has come, a queued child for which there
  // is room, or a call of Stop. The host watches the descriptor and polls:
  //
  //   absl::StatusOr<int> fd = poller.fd();
  //   if (!fd.ok()) return fd.status();
  //   while (poller.running() > 0 && AwaitReadable(*fd)) {  // The host's loop.
  //     absl::Status status = poller.Poll(absl::ZeroDuration());
  //     if (!status.ok() && !absl::IsDeadlineExceeded(status)) return status;
  //   }
  //
  // Poll returns OK when all children have ended, and kDeadlineExceeded while
  // children run. Poll makes the callbacks, on the thread of the host's loop.
  // tools/examples/loops has whole programs for epoll, libuv, Boost.Asio and
  // GLib.
  //
  // This is an epoll descriptor, to be watched only for input: the host does
  // not read, write or close it; the destructor closes it. It may be readable
  // although Poll then finds nothing to do. Watch it level-triggered, which is
  // the default everywhere; with EPOLLET, set the watch again by EPOLL_CTL_MOD
  // after each Poll (Boost.Asio's async_wait does). All calls return the same
  // descriptor. The first call makes one more, a timerfd, which shows the
  // deadlines; without a call, there is no timerfd. Errors: kResourceExhausted
  // when no descriptor is available; another call may succeed.
  absl::StatusOr<int> fd() { return core_.fd(); }

  // The results of all children, by key.
  const Results& results() const { return results_; }
  // The result of one child. Errors: also kNotFound for a key that was never
  // used.
  Result result(const Key& key) const;

  // The effect of an escalation on a child, of Terminate or of ChildLimits;
  // also in its OnTerminate. Errors: kNotFound when no escalation was begun, or
  // the key was never used; kUnavailable until the escalation is over and the
  // child has ended; kResourceExhausted when the child has ended, but the
  // search for the other processes of the group or tree failed, as for
  // Process::Terminate; kDataLoss as Process::Wait.
  absl::StatusOr<Termination> termination(const Key& key) const;

  // The numbers of running children, and of queued children.
  size_t running() const { return core_.running(); }
  size_t queued() const { return core_.queued(); }

 protected:
  // The child has been started.
  virtual absl::Status OnCreate(const Key& /*key*/) { return absl::OkStatus(); }
  // The child has written `data`, which is not cut at lines. By default the
  // data is dropped, so that no child ever waits for this program.
  virtual absl::Status OnOutput(const Key& /*key*/, ChildStream /*stream*/,
                                absl::string_view /*data*/) {
    return absl::OkStatus();
  }
  // The child has reached one of its limits, named by `why`, and is being
  // ended.
  virtual absl::Status OnTimeout(const Key& /*key*/,
                                 const absl::Status& /*why*/) {
    return absl::OkStatus();
  }
  // The child has ended. Its key may be used again from now on.
  virtual absl::Status OnTerminate(const Key& /*key*/,
                                   const ExitStatus& /*status*/) {
    return absl::OkStatus();
  }
  // Called instead of OnTerminate when there is no status: a queued child could
  // not be started, or other code has taken the status.
  virtual absl::Status OnFailure(const Key& /*key*/,
                                 const absl::Status& /*status*/) {
    return absl::OkStatus();
  }

 private:
  using Id = internal::PollerCore::Id;

  // The search of PollUntilSays.
  struct Search {
    std::string text;
    // By child and stream, the end of the output so far: a match may begin in
    // it.
    absl::flat_hash_map<std::pair<Id, ChildStream>, std::string> tails;
    absl::flat_hash_set<Id> left;
    std::optional<Key> found;
  };

  absl::StatusOr<Id> Find(const Key& key) const;
  // A copy: the callback may remove the key.
  Key KeyOf(Id id) const { return *keys_.at(id); }
  void Look(Id id, ChildStream stream, absl::string_view data);

  absl::Status HandleStarted(Id id) final { return OnCreate(KeyOf(id)); }
  absl::Status HandleOutput(Id id, ChildStream stream,
                            absl::string_view data) final {
    if (search_ != nullptr) Look(id, stream, data);
    return OnOutput(KeyOf(id), stream, data);
  }
  absl::Status HandleTimeout(Id id, const absl::Status& why) final {
    return OnTimeout(KeyOf(id), why);
  }
  absl::Status HandleEnded(Id id, absl::StatusOr<ExitStatus> status,
                           absl::StatusOr<Termination> termination) final;

  Results results_;
  // Of ended children for which an escalation was begun.
  absl::flat_hash_map<Key, absl::StatusOr<Termination>, Hash> terminations_;
  absl::flat_hash_map<Key, Id, Hash> ids_;  // Of children that have not ended.
  absl::flat_hash_map<Id, const Key*> keys_;  // Into results_.
  Search* search_ = nullptr;
  internal::PollerCore core_;
};

// The collected output of one child.
struct CollectedOutput {
  std::string out;
  std::string err;
  uint64_t dropped = 0;  // Bytes dropped from the front of both, for the bound.
};

// A ProcessPoller that collects the output of each child.
//
//   asyncproc::BufferingProcessPoller<int> poller;
//   absl::Status status;
//   for (int i = 0; i < 3; ++i) status.Update(poller.Run(i, commands[i]));
//   status.Update(poller.Poll());
//   if (!status.ok()) return status;
//   std::cout << poller.output(0).out;
//
// Output stays until its key is used again or removed. A subclass with an
// OnCreate or OnOutput of its own must also call that of this class.
template <typename Key, typename Hash = absl::Hash<Key>>
class BufferingProcessPoller : public ProcessPoller<Key, Hash> {
 public:
  // `max_bytes`: the most bytes kept of each stream of each child, from its
  // end. 0: all.
  explicit BufferingProcessPoller(PollerOptions options = {},
                                  size_t max_bytes = 0)
      : ProcessPoller<Key, Hash>(options), max_bytes_(max_bytes) {}

  // The child's output so far; empty for an unknown key.
  CollectedOutput output(const Key& key) const;
  // Returns the same, and forgets it.
  CollectedOutput TakeOutput(const Key& key);

  // As ProcessPoller's; also drops the output.
  absl::Status Remove(const Key& key) {
    outputs_.erase(key);
    return ProcessPoller<Key, Hash>::Remove(key);
  }

 protected:
  absl::Status OnCreate(const Key& key) override {
    outputs_[key] = CollectedOutput();
    return absl::OkStatus();
  }
  absl::Status OnOutput(const Key& key, ChildStream stream,
                        absl::string_view data) override;

 private:
  const size_t max_bytes_;
  absl::flat_hash_map<Key, CollectedOutput, Hash> outputs_;
};

// ---- Only implementation below.

namespace internal {

// Adds `data`; keeps at least the last `max_bytes`, and not much more. 0: all.
void AppendBounded(absl::string_view data, size_t max_bytes, std::string* text,
                   uint64_t* dropped);
// Keeps exactly the last `max_bytes`.
void CutToBound(size_t max_bytes, std::string* text, uint64_t* dropped);

// Whether `text` begins in `tail`, or in the `data` that follows it, and ends
// in `data`. Sets `tail` to the bytes to keep for the next data.
bool FindAcross(absl::string_view text, absl::string_view data,
                std::string* tail);

absl::Status KeyInUse(const Command& command);
absl::Status NoSuchChild();

}  // namespace internal

template <typename Key, typename Hash>
absl::Status ProcessPoller<Key, Hash>::Run(const Key& key, Command command,
                                           std::optional<std::string> input,
                                           const ChildLimits& limits) {
  if (ids_.contains(key)) return internal::KeyInUse(command);
  absl::StatusOr<Id> id =
      core_.Run(std::move(command), std::move(input), limits);
  if (!id.ok()) return id.status();
  const auto result =
      results_.insert_or_assign(key, Result(core_.NotEnded(*id))).first;
  terminations_.erase(key);
  ids_[key] = *id;
  keys_[*id] = &result->first;
  return absl::OkStatus();
}

template <typename Key, typename Hash>
auto ProcessPoller<Key, Hash>::Find(const Key& key) const
    -> absl::StatusOr<Id> {
  const auto found = ids_.find(key);
  if (found == ids_.end()) return internal::NoSuchChild();
  return found->second;
}

template <typename Key, typename Hash>
absl::Status ProcessPoller<Key, Hash>::SendInput(const Key& key,
                                                 absl::string_view data) {
  const absl::StatusOr<Id> id = Find(key);
  return id.ok() ? core_.SendInput(*id, data) : id.status();
}

template <typename Key, typename Hash>
absl::Status ProcessPoller<Key, Hash>::CloseInput(const Key& key) {
  const absl::StatusOr<Id> id = Find(key);
  return id.ok() ? core_.CloseInput(*id) : id.status();
}

template <typename Key, typename Hash>
absl::Status ProcessPoller<Key, Hash>::SendSignal(const Key& key, int signal) {
  const absl::StatusOr<Id> id = Find(key);
  return id.ok() ? core_.SendSignal(*id, signal) : id.status();
}

template <typename Key, typename Hash>
absl::Status ProcessPoller<Key, Hash>::Terminate(const Key& key,
                                                 Escalation escalation) {
  const absl::StatusOr<Id> id = Find(key);
  return id.ok() ? core_.Terminate(*id, std::move(escalation)) : id.status();
}

template <typename Key, typename Hash>
absl::StatusOr<pid_t> ProcessPoller<Key, Hash>::GetPid(const Key& key) const {
  const absl::StatusOr<Id> id = Find(key);
  return id.ok() ? core_.GetPid(*id) : id.status();
}

template <typename Key, typename Hash>
auto ProcessPoller<Key, Hash>::result(const Key& key) const -> Result {
  const auto found = results_.find(key);
  if (found == results_.end()) return internal::NoSuchChild();
  return found->second;
}

template <typename Key, typename Hash>
absl::StatusOr<Termination> ProcessPoller<Key, Hash>::termination(
    const Key& key) const {
  if (const auto running = ids_.find(key); running != ids_.end()) {
    return core_.GetTermination(running->second);
  }
  const auto found = terminations_.find(key);
  if (found == terminations_.end()) return internal::NoSuchChild();
  return found->second;
}

template <typename Key, typename Hash>
absl::Status ProcessPoller<Key, Hash>::Remove(const Key& key) {
  if (const auto found = ids_.find(key); found != ids_.end()) {
    const Id id = found->second;
    if (search_ != nullptr) search_->left.erase(id);
    core_.Remove(id);
    keys_.erase(id);
    ids_.erase(found);
  }
  terminations_.erase(key);
  return results_.erase(key) > 0 ? absl::OkStatus() : internal::NoSuchChild();
}

template <typename Key, typename Hash>
absl::Status ProcessPoller<Key, Hash>::HandleEnded(
    Id id, absl::StatusOr<ExitStatus> status,
    absl::StatusOr<Termination> termination) {
  const Key key = KeyOf(id);
  keys_.erase(id);
  ids_.erase(key);
  if (search_ != nullptr) search_->left.erase(id);
  results_.insert_or_assign(key, status);
  if (!absl::IsNotFound(termination.status())) {
    terminations_.insert_or_assign(key, std::move(termination));
  }
  return status.ok() ? OnTerminate(key, *status)
                     : OnFailure(key, status.status());
}

template <typename Key, typename Hash>
absl::StatusOr<Key> ProcessPoller<Key, Hash>::PollUntilSays(
    const std::vector<Key>& keys, absl::string_view text,
    absl::Duration timeout) {
  if (text.empty()) return absl::InvalidArgumentError("the text is empty");
  if (keys.empty()) return absl::InvalidArgumentError("there is no key");
  Search search;
  search.text = std::string(text);
  for (const Key& key : keys) {
    if (!results_.contains(key)) return internal::NoSuchChild();
    if (const auto found = ids_.find(key); found != ids_.end()) {
      search.left.insert(found->second);
    }
  }
  // In a callback, where it is refused below, another may be under way.
  Search* const outer = std::exchange(search_, &search);
  absl::Status status = PollUntil(
      [&search] { return search.found.has_value() || search.left.empty(); },
      timeout);
  search_ = outer;
  if (!status.ok()) return status;
  if (search.found.has_value()) return *std::move(search.found);
  return absl::OutOfRangeError("all these children have ended");
}

template <typename Key, typename Hash>
void ProcessPoller<Key, Hash>::Look(Id id, ChildStream stream,
                                    absl::string_view data) {
  if (search_->found.has_value() || !search_->left.contains(id)) return;
  if (internal::FindAcross(search_->text, data,
                           &search_->tails[{id, stream}])) {
    search_->found = KeyOf(id);
  }
}

template <typename Key, typename Hash>
CollectedOutput BufferingProcessPoller<Key, Hash>::output(
    const Key& key) const {
  const auto found = outputs_.find(key);
  if (found == outputs_.end()) return CollectedOutput();
  CollectedOutput output = found->second;
  internal::CutToBound(max_bytes_, &output.out, &output.dropped);
  internal::CutToBound(max_bytes_, &output.err, &output.dropped);
  return output;
}

template <typename Key, typename Hash>
CollectedOutput BufferingProcessPoller<Key, Hash>::TakeOutput(const Key& key) {
  CollectedOutput taken = output(key);
  if (const auto found = outputs_.find(key); found != outputs_.end()) {
    found->second = CollectedOutput();
  }
  return taken;
}

template <typename Key, typename Hash>
absl::Status BufferingProcessPoller<Key, Hash>::OnOutput(
    const Key& key, ChildStream stream, absl::string_view data) {
  CollectedOutput& output = outputs_[key];
  internal::AppendBounded(
      data, max_bytes_, stream == ChildStream::kOut ? &output.out : &output.err,
      &output.dropped);
  return absl::OkStatus();
}

}  // namespace asyncproc

#endif  // ASYNCPROC_PROCESS_POLLER_H_
