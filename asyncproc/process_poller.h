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
  // The most children that run at once: further ones wait in a queue, and are
  // started by Poll, in their order, as others end. 0: no limit.
  size_t max_running = 0;
};

// Many children at once, on one thread: the caller's, while it is in Poll. Each
// has a key of the caller's choosing, by which it is spoken of; what happens to
// the children comes as calls of virtual methods.
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
// No child costs a thread: 2,000 of them are four descriptors and a few KiB
// each, and nothing while they are silent. Start, stdin, end and escalation are
// those of Process: what a child wrote before it ended is delivered, one that
// has closed its output is not taken to have ended, and one whose output others
// hold open is waited for by Command::drain_grace. What they still hold is
// closed then; whoever wants to go on reading wants a Process.
//
// The callbacks are made by Poll, on its thread, one at a time, and with no
// lock held. They may call anything here but Poll: also Run, for their own key
// too when it has ended, Remove, also of the child they are called for, and the
// destructors of other pollers. An error that one returns ends Poll, which
// returns it; nothing is lost by that, and the next Poll goes on with what
// comes behind it. The order, for each child: OnCreate; OnOutput, any number of
// times; OnTimeout, once at the most, among them; at last OnTerminate or
// OnFailure, once, whatever happened.
//
// Keys: anything that absl::Hash can hash, or `Hash`, and that can be compared
// and copied. A key is in use until its child has ended, and its result stays
// until it is used again, or removed.
//
// Thread safety: none, but for Stop: the poller belongs to one thread.
// Ownership: the destructor kills and reaps all children that still run, with
// no further callback; Command::on_destroy does not count here.
// Fork, stack, pthread_cancel: as Process. An exception of a callback comes out
// of Poll; another Poll goes on.
// Blocking: the Poll methods. Remove and the destructor for as long as a killed
// child takes to end. Nothing else.
template <typename Key, typename Hash = absl::Hash<Key>>
class ProcessPoller : private internal::PollerCore::Client {
 public:
  // How a child ended. kUnavailable, as from Process::Wait: it has not ended.
  // Any other error: it was never started, or another waitpid has taken its
  // status (see Process::Wait).
  using Result = absl::StatusOr<ExitStatus>;
  using Results = absl::node_hash_map<Key, Result, Hash>;

  explicit ProcessPoller(PollerOptions options = {})
      : core_(*this, options.max_running) {}
  ~ProcessPoller() override = default;
  ProcessPoller(const ProcessPoller&) = delete;
  ProcessPoller& operator=(const ProcessPoller&) = delete;

  // Starts `command`, or queues it when max_running are there.
  //
  // Unlike asyncproc::Run, it does not wait for the child: Poll does.
  //
  // `input` is what it gets on stdin first. Without, stdin is not a pipe: it is
  // /dev/null, or what command.in says. That is another default than
  // Process's, since the many children of a poller are mostly jobs that get no
  // input: with a pipe, one that reads its stdin would never end. Empty: it is
  // a pipe, with nothing in it yet. In either case it stays open, for
  // SendInput, until CloseInput.
  // Errors: kAlreadyExists while a child of that key has not ended;
  // kInvalidArgument for input when command.in is no pipe, or a command or
  // limits that make no sense; kResourceExhausted for input that exceeds
  // Command::input_limit; and, when it is started at once, as Process::Spawn,
  // and kInvalidArgument for input that a terminal does not take. Then there is
  // no such child, and no callback. One that is queued and cannot be started
  // later comes to OnFailure.
  absl::Status Run(const Key& key, Command command,
                   std::optional<std::string> input = std::nullopt,
                   const ChildLimits& limits = ChildLimits());

  // Queues `data` for the child's stdin; takes all of it or nothing.
  // Errors: kNotFound when no child of that key is there, which is so from
  // before its OnTerminate on; kFailedPrecondition when it was run without
  // input, or its stdin has been closed, by CloseInput or by the child;
  // kResourceExhausted as Process::Write.
  absl::Status SendInput(const Key& key, absl::string_view data);

  // End-of-file, behind what was sent. Again: does nothing.
  // Errors: as SendInput.
  absl::Status CloseInput(const Key& key);

  // Errors: kNotFound when there is no such child, or it has just ended;
  // kFailedPrecondition while it is queued; as Process::Signal.
  absl::Status SendSignal(const Key& key, int signal);

  // Begins to end the child, and returns at once: Poll takes the steps, and
  // OnTerminate comes when the escalation is over, for a group or tree when all
  // of it has ended; `termination` says which processes are left. What another
  // escalation has begun this one takes over. One that is queued is taken from
  // the queue: OnFailure, kCancelled.
  // Errors: kNotFound; kInvalidArgument.
  absl::Status Terminate(const Key& key,
                         Escalation escalation = Escalation::Standard());

  // Forgets the child: kills and reaps it if it runs, and drops its result.
  // There is no further callback for it. Errors: kNotFound for a key that was
  // never used.
  absl::Status Remove(const Key& key);

  // Errors: kNotFound; kFailedPrecondition while it is queued.
  absl::StatusOr<pid_t> GetPid(const Key& key) const;

  // Handles what happens until all children have ended, which is OK, also when
  // there is none. A timeout of zero handles what has happened.
  // Errors: kDeadlineExceeded when time is up first, that of a WithTimeout too;
  // kCancelled after Stop, "stopped", and by a CancellationScope, "canceled";
  // the error of a callback; kFailedPrecondition from a callback. After each of
  // them another Poll goes on.
  absl::Status Poll(absl::Duration timeout = absl::InfiniteDuration()) {
    return core_.Poll(timeout, nullptr);
  }

  // The same until `done` returns true, which is OK. It is asked first of all,
  // and after each callback.
  // Errors: also kOutOfRange when all children have ended, and it is not true.
  absl::Status PollUntil(const std::function<bool()>& done,
                         absl::Duration timeout = absl::InfiniteDuration()) {
    return core_.Poll(timeout, &done);
  }

  // The same until one of the children `keys` says `text`, on either stream,
  // wherever in a line; returns the first that does. What was delivered before
  // the call does not count.
  // Errors: also kOutOfRange as soon as all of `keys` have ended;
  // kInvalidArgument for an empty text.
  absl::StatusOr<Key> PollUntilSays(
      const std::vector<Key>& keys, absl::string_view text,
      absl::Duration timeout = absl::InfiniteDuration());

  // Makes Poll return, after the callback that is being made; the next one if
  // there is none now. Any thread may call it.
  void Stop() { core_.Stop(); }

  // A descriptor for an event loop of the host's: readable whenever
  // Poll(absl::ZeroDuration()) has something to do, be it output, an end, a
  // limit or a step of an escalation whose time has come, a child in the queue
  // for which there is room, or a call of Stop. The host watches it and polls:
  //
  //   absl::StatusOr<int> fd = poller.fd();
  //   if (!fd.ok()) return fd.status();
  //   while (poller.running() > 0 && AwaitReadable(*fd)) {  // The host's loop.
  //     absl::Status status = poller.Poll(absl::ZeroDuration());
  //     if (!status.ok() && !absl::IsDeadlineExceeded(status)) return status;
  //   }
  //
  // Poll returns OK when all children have ended, and kDeadlineExceeded while
  // children run. The callbacks are made by Poll, on the thread of the host's
  // loop. tools/examples/loops has whole programs for epoll, libuv, Asio and
  // GLib.
  //
  // It is an epoll descriptor, to be watched for input and nothing else: it is
  // not read, written or closed by the host, and is closed by the destructor.
  // It may be readable although Poll then finds nothing to do. Watch it
  // level-triggered, which is the default everywhere; with EPOLLET, set the
  // watch again by EPOLL_CTL_MOD after each Poll (Boost.Asio's async_wait
  // does). The same descriptor always. The first call makes one more, a
  // timerfd, which shows the deadlines; without a call, there is none. Errors:
  // kResourceExhausted when no descriptor is left; another call may succeed.
  absl::StatusOr<int> fd() { return core_.fd(); }

  // By key, of all children that there were.
  const Results& results() const { return results_; }
  // That of one of them. Errors: also kNotFound for a key that was never used.
  Result result(const Key& key) const;

  // What an escalation did to a child, Terminate's or that of ChildLimits; also
  // in its OnTerminate. Errors: kNotFound when none was begun, or the key was
  // never used; kUnavailable until the escalation is over and the child has
  // ended; kResourceExhausted when the child has ended, but the search for the
  // other processes of the group or tree failed, as for Process::Terminate;
  // kDataLoss as Process::Wait.
  absl::StatusOr<Termination> termination(const Key& key) const;

  // Children that run, and that wait to.
  size_t running() const { return core_.running(); }
  size_t queued() const { return core_.queued(); }

 protected:
  // It has been started.
  virtual absl::Status OnCreate(const Key& /*key*/) { return absl::OkStatus(); }
  // It has written `data`, which is not cut at lines. By default it is thrown
  // away, so that no child ever waits for us.
  virtual absl::Status OnOutput(const Key& /*key*/, ChildStream /*stream*/,
                                absl::string_view /*data*/) {
    return absl::OkStatus();
  }
  // It has reached one of its limits, `why` says which, and is being ended.
  virtual absl::Status OnTimeout(const Key& /*key*/,
                                 const absl::Status& /*why*/) {
    return absl::OkStatus();
  }
  // It has ended. Its key may be used again from now on.
  virtual absl::Status OnTerminate(const Key& /*key*/,
                                   const ExitStatus& /*status*/) {
    return absl::OkStatus();
  }
  // Comes instead of OnTerminate when there is no status: a queued child could
  // not be started, or the status was taken by someone else.
  virtual absl::Status OnFailure(const Key& /*key*/,
                                 const absl::Status& /*status*/) {
    return absl::OkStatus();
  }

 private:
  using Id = internal::PollerCore::Id;

  // What PollUntilSays waits for.
  struct Search {
    std::string text;
    // By child and stream, the end of what it said: a match may go on.
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
  // Of children that have ended, and that an escalation was begun for.
  absl::flat_hash_map<Key, absl::StatusOr<Termination>, Hash> terminations_;
  absl::flat_hash_map<Key, Id, Hash> ids_;    // Of those that have not ended.
  absl::flat_hash_map<Id, const Key*> keys_;  // Into results_.
  Search* search_ = nullptr;
  internal::PollerCore core_;
};

// What was collected of one child's output.
struct CollectedOutput {
  std::string out;
  std::string err;
  uint64_t dropped = 0;  // Bytes that the bound took from the front of both.
};

// A ProcessPoller that collects what each child says.
//
//   asyncproc::BufferingProcessPoller<int> poller;
//   absl::Status status;
//   for (int i = 0; i < 3; ++i) status.Update(poller.Run(i, commands[i]));
//   status.Update(poller.Poll());
//   if (!status.ok()) return status;
//   std::cout << poller.output(0).out;
//
// Output stays until its key is used again or removed. A subclass that has an
// OnCreate or OnOutput of its own calls those here, too.
template <typename Key, typename Hash = absl::Hash<Key>>
class BufferingProcessPoller : public ProcessPoller<Key, Hash> {
 public:
  // `max_bytes`: the most that is kept of each stream of each child, which is
  // the end of it. 0: all.
  explicit BufferingProcessPoller(PollerOptions options = {},
                                  size_t max_bytes = 0)
      : ProcessPoller<Key, Hash>(options), max_bytes_(max_bytes) {}

  // What the child has said so far; nothing for an unknown key.
  CollectedOutput output(const Key& key) const;
  // The same, and forgets it.
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
// Keeps just those.
void CutToBound(size_t max_bytes, std::string* text, uint64_t* dropped);

// Whether `text` begins in `tail`, or in `data` behind it, and ends in `data`.
// `tail` becomes what is to be kept for the next data.
bool FindAcross(absl::string_view text, absl::string_view data,
                std::string* tail);

absl::Status NoSuchChild();
absl::Status NotEnded();

}  // namespace internal

template <typename Key, typename Hash>
absl::Status ProcessPoller<Key, Hash>::Run(const Key& key, Command command,
                                           std::optional<std::string> input,
                                           const ChildLimits& limits) {
  if (ids_.contains(key)) {
    return absl::AlreadyExistsError("a child of this key has not ended");
  }
  absl::StatusOr<Id> id =
      core_.Run(std::move(command), std::move(input), limits);
  if (!id.ok()) return id.status();
  const auto result =
      results_.insert_or_assign(key, Result(internal::NotEnded())).first;
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
  Search search;
  search.text = std::string(text);
  for (const Key& key : keys) {
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
