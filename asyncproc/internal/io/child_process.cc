#include "asyncproc/internal/io/child_process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/spawn/start_error.h"
#include "asyncproc/internal/text/printable.h"
#include "asyncproc/spawn_error.h"

namespace asyncproc::internal {
namespace {

// The maximum number of bytes of a name in a message.
constexpr size_t kMostShown = 100;

// The interval between attempts when poll itself fails, for example without
// memory.
constexpr timespec kBlindInterval = {0, 5'000'000};

// Of an output, for messages.
std::string NameOf(const Command& command, size_t output) {
  const char* const name = output == ChildProcess::kOut   ? "stdout"
                           : output == ChildProcess::kErr ? "stderr"
                                                          : "a further output";
  return absl::StrCat(name, " of ", PrintableWord(command.argv[0], kMostShown));
}

bool LeadsGroup(const Command& command) {
  return command.process_group.is_new() || command.new_session ||
         command.pty.has_value();
}

StdinWriter::Kind KindOfStdin(const Command& command) {
  if (command.pty.has_value()) return StdinWriter::Kind::kTerminal;
  return command.in.kind() == Stdio::Kind::kSocket ? StdinWriter::Kind::kSocket
                                                   : StdinWriter::Kind::kPipe;
}

// `why` with a SpawnFailure; if it has none, one for a missing thread is added.
absl::Status WithStage(absl::Status why) {
  if (!GetSpawnFailure(why).has_value()) {
    SetSpawnFailure({SpawnStage::kThread, EAGAIN}, &why);
  }
  return why;
}

void KillAndReapByPid(pid_t pid) {
  siginfo_t info;
  // In a host that ignores SIGCHLD, the number may belong to another process by
  // now.
  if (GetOs().Waitid(P_PID, static_cast<id_t>(pid), &info,
                     WEXITED | WNOHANG | WNOWAIT | __WALL, nullptr) < 0) {
    return;
  }
  GetOs().Kill(pid, SIGKILL);
  while (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | __WALL) < 0 &&
         errno == EINTR) {
  }
}

}  // namespace

ChildProcess::ChildProcess(const Command& command,
                           std::unique_ptr<Reaper> reaper, Options options)
    : options_(std::move(options)), end_(std::move(reaper)) {
  OutputReader::Options reading;
  reading.drain_grace = command.drain_grace;
  reading.may_grow_pipe = command.pipe_size == 0;
  reading.before_close = options_.before_close;
  const size_t count = kUsualStreams + options_.further_pipes.size();
  for (size_t i = 0; i < count; ++i) {
    auto buffer =
        std::make_shared<OutputBuffer>(options_.bound, NameOf(command, i));
    if (options_.wake != nullptr) buffer->SetWake(options_.wake);
    // Stdin and the size of the terminal need its master.
    reading.drops_after_close = i == kOut && command.pty.has_value();
    outputs_.push_back(
        std::make_unique<OutputReader>(std::move(buffer), end_, reading));
  }
}

absl::StatusOr<std::shared_ptr<ChildProcess>> ChildProcess::Start(
    const Command& command, Options options) {
  // CheckCommand comes first: a descriptor opened below might get a number that
  // the command names and that is not open.
  if (absl::Status status = CheckCommand(command); !status.ok()) return status;
  // Called at the exit where there is no pidfd. Set below, before the child
  // starts.
  auto on_exit = std::make_shared<std::function<void()>>();
  absl::StatusOr<std::unique_ptr<Reaper>> reaper =
      Reaper::Create(command, LeadsGroup(command), [on_exit] { (*on_exit)(); });
  if (!reaper.ok()) return CannotStart(command, WithStage(reaper.status()));
  const std::shared_ptr<ChildProcess> child = absl::WrapUnique(
      new ChildProcess(command, *std::move(reaper), std::move(options)));
  const bool stepped =
      !child->options_.threads && child->options_.wake == nullptr;
  if (stepped && !child->reaper().has_pidfds()) {
    absl::StatusOr<std::shared_ptr<Waker>> waker = Waker::Create();
    if (!waker.ok()) return CannotStart(command, waker.status());
    child->waker_ = *std::move(waker);
  }
  *on_exit = [child = child.get()] {
    for (const auto& output : child->outputs_) output->Wake();
    if (child->waker_ != nullptr) child->waker_->Wake();
    if (child->options_.wake != nullptr) child->options_.wake();
  };
  absl::Cleanup stop = [&child] {
    for (const auto& output : child->outputs_) output->Stop();
  };
  if (child->options_.threads) {
    absl::Status status = child->StartThread(command, child);
    if (!status.ok()) return CannotStart(command, WithStage(status));
  }
  ChildObserver* const observer = command.observer.get();
  if (observer != nullptr) {
    absl::Status status = observer->OnStart(command);
    if (!status.ok()) return CannotStart(command, status);
  }
  absl::Cleanup failed = [observer] {
    if (observer != nullptr) observer->OnStartFailed();
  };
  absl::StatusOr<Launched> launched =
      Launch(command, child->options_.further_pipes);
  if (!launched.ok()) return launched.status();
  absl::Status status = child->Adopt(command, *std::move(launched), child);
  if (!status.ok()) return CannotStart(command, status);
  std::move(failed).Cancel();
  std::move(stop).Cancel();
  // No bytes have been read or written yet.
  if (observer != nullptr) child->Observe(command.observer);
  return child;
}

ChildProcess::~ChildProcess() { reaper().JoinWaiter(); }

absl::Status ChildProcess::StartThread(
    const Command& command, const std::shared_ptr<ChildProcess>& self) {
  const bool out = command.pty.has_value() || command.out.HasHostEnd();
  const bool err = !command.pty.has_value() && command.err.HasHostEnd();
  if (err && !out) return outputs_[kErr]->StartThread("asyncproc-err", self);
  return outputs_[kOut]->StartThread(out ? "asyncproc-out" : "asyncproc-end",
                                     self,
                                     err ? outputs_[kErr].get() : nullptr);
}

absl::Status ChildProcess::Adopt(const Command& command, Launched launched,
                                 const std::weak_ptr<ChildProcess>& self) {
  absl::Status status = reaper().Begin(launched.pid, std::move(launched.pidfd));
  if (!status.ok()) {
    KillAndReapByPid(launched.pid);
    return status;
  }
  parent_ = std::move(launched.parent);
  int streams = 0;
  const auto open = [&](size_t stream, OutputEnd end) {
    if (end.fd.valid()) ++streams;
    outputs_[stream]->Open(std::move(end.fd), end.inode);
  };
  open(kOut, std::move(launched.ends.out));
  open(kErr, std::move(launched.ends.err));
  for (size_t i = 0; i < launched.ends.further.size(); ++i) {
    open(kUsualStreams + i, std::move(launched.ends.further[i]));
  }
  end_.Begin(streams, options_.threads ? 1 : 0);
  if (launched.ends.in.valid()) {
    StdinWriter::Options writing;
    writing.limit = command.input_limit;
    writing.may_grow_pipe = command.pipe_size == 0;
    writing.wake = options_.wake;
    writing.before_close = options_.before_close;
    input_ = std::make_unique<StdinWriter>(std::move(launched.ends.in),
                                           KindOfStdin(command), end_,
                                           std::move(writing));
    if (options_.threads) input_->UseThread(self);
  }
  terminal_ = std::move(launched.ends.terminal);
  return absl::OkStatus();
}

void ChildProcess::Go() {
  // Not both: a thread may start that of stderr at once.
  for (const auto& output : outputs_) {
    if (output->has_thread()) return output->Go();
  }
}

bool ChildProcess::Observe(std::shared_ptr<ChildObserver> observer) {
  if (!end_.Observe(observer)) return false;
  // Input first, so that the observer sees it before the output that it causes.
  if (input_ != nullptr) input_->Observe(observer);
  outputs_[kOut]->buffer()->Observe(observer, ChildStream::kOut);
  outputs_[kErr]->buffer()->Observe(observer, ChildStream::kErr);
  if (end_.IsSettled()) end_.NoteExit();
  return true;
}

void ChildProcess::NoteSignal(int signal, TerminationScope scope) {
  const std::shared_ptr<ChildObserver> observer = end_.observer();
  if (observer == nullptr || signal <= 0 || signal > SIGRTMAX) return;
  // Processes that an ended child left behind may still be sent a signal.
  const bool ended = reaper().TryReap().has_value();
  if (ended && scope == TerminationScope::kChild) return;
  observer->OnSignal(signal, scope);
}

void ChildProcess::NoteLetters(absl::string_view letters) {
  if (const auto observer = end_.observer(); observer != nullptr) {
    observer->OnLetters(letters);
  }
}

void ChildProcess::NoteChannel(bool sent, absl::string_view bytes) {
  if (const auto observer = end_.observer(); observer != nullptr) {
    observer->OnChannel(sent, bytes);
  }
}

bool ChildProcess::AbortInput() {
  if (input_ == nullptr) return false;
  if (input_->Abort()) input_aborted_ = true;
  return input_aborted_;
}

bool ChildProcess::KillAndReap() {
  NoteSignal(SIGKILL, TerminationScope::kChild);
  return reaper().KillAndReap();
}

void ChildProcess::Stop() {
  for (const auto& output : outputs_) output->Stop();
  if (input_ != nullptr) input_->Stop();
  if (!end_.CheckExit()) return;
  for (const auto& output : outputs_) output->OnExit();
  end_.NoteExit();
}

void ChildProcess::Detach() {
  if (input_ != nullptr) {
    input_->Close().IgnoreError();
    input_->Detach();
  }
  for (const auto& output : outputs_) output->Detach();
}

void ChildProcess::CloseInForkedCopy() {
  reaper().CloseInForkedCopy();
  for (const auto& output : outputs_) output->CloseInForkedCopy();
  if (input_ != nullptr) input_->CloseInForkedCopy();
  terminal_.Reset();
}

bool ChildProcess::OutputsAtEnd() const {
  return std::none_of(outputs_.begin(), outputs_.end(),
                      [](const auto& output) { return output->is_open(); });
}

bool ChildProcess::CheckExit(bool group_wanted) {
  // A group is not searched for if its leader's output has been read to the
  // end: the search examines every process. The last bytes and end-of-file are
  // usually in the pipes by now.
  for (const auto& output : outputs_) {
    for (int i = 0; i < 2 && !group_wanted && output->poll_fd() >= 0; ++i) {
      output->OnReadable();
    }
  }
  const bool forget = !group_wanted && OutputsAtEnd();
  if (!end_.CheckExit(forget ? Reaper::Group::kForget
                             : Reaper::Group::kRemember)) {
    return false;
  }
  for (const auto& output : outputs_) output->OnExit();
  return true;
}

void ChildProcess::OnWake(bool group_wanted) {
  if (input_ != nullptr) input_->Advance(0);
  for (const auto& output : outputs_) output->OnWake();
  if (reaper().exit_fd() < 0 && !end_.HasExited()) CheckExit(group_wanted);
}

void ChildProcess::OnTime() {
  for (const auto& output : outputs_) output->OnTime();
}

absl::Time ChildProcess::deadline() const {
  absl::Time deadline = end_.NextWatch().next_look;
  for (const auto& output : outputs_) {
    deadline = std::min(deadline, output->deadline());
  }
  if (input_ != nullptr) {
    deadline = std::min(deadline, input_->NextWatch().next_look);
  }
  return deadline;
}

void ChildProcess::Step(absl::Time deadline) {
  const StdinWriter::Watch in =
      input_ != nullptr ? input_->NextWatch() : StdinWriter::Watch();
  const ChildEnd::Watch exit = end_.NextWatch();
  pollfd fds[] = {{in.fd, in.events, 0},
                  {exit.fd, POLLIN, 0},
                  {outputs_[kOut]->poll_fd(), POLLIN, 0},
                  {outputs_[kErr]->poll_fd(), POLLIN, 0},
                  {waker_ != nullptr ? waker_->fd() : -1, POLLIN, 0}};
  if (GetOs().Poll(fds, std::size(fds), std::min(deadline, this->deadline())) <
          0 &&
      errno != EINTR) {
    // No call below blocks, so each descriptor may be tried.
    nanosleep(&kBlindInterval, nullptr);
    for (pollfd& fd : fds) fd.revents = fd.fd >= 0 ? POLLIN : short{0};
  }
  if (fds[4].revents != 0) waker_->Reset();
  if (fds[0].revents != 0) input_->Advance(fds[0].revents);
  for (const size_t stream : {kOut, kErr}) {
    if (fds[2 + stream].revents != 0) outputs_[stream]->OnReadable();
  }
  if (fds[1].revents != 0 || fds[4].revents != 0) {
    CheckExit(/*group_wanted=*/true);
  }
  OnTime();
}

void ChildProcess::Abandon() {
  for (const auto& output : outputs_) output->Close();
  if (input_ != nullptr) input_->Break();
}

}  // namespace asyncproc::internal
