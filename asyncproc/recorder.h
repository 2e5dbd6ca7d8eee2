#ifndef ASYNCPROC_RECORDER_H_
#define ASYNCPROC_RECORDER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asyncproc/child_observer.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/process.h"
#include "asyncproc/termination.h"
#include "asyncproc/transcript.h"

namespace asyncproc {

// Records all traffic between this program and one child: see Transcript.
//
//   auto recorder = asyncproc::Recorder::ToFile("session.cast");
//   if (!recorder.ok()) return recorder.status();
//   asyncproc::ReplDialect dialect = asyncproc::BcDialect();
//   dialect.command.observer = *recorder;
//   auto bc = asyncproc::Repl::Start(dialect);
//   ...
//   absl::Status written = (*recorder)->Close();
//
// A recorder that is set as Command::observer records everything, for every way
// of starting the child: a Process, a Repl, Run, a stage of a Pipeline; further
// pipes of a Reactor's child excepted. A recorder that is attached to a Process
// later records everything from then on, after the output that has arrived and
// that no reader has taken yet. Of a child that is detached
// (OnDestroy::Detach), it records no further output, but the exit.
//
// Output is recorded before any reader can take it, and input before it is
// written; so the order of the events is right. The time of an output is that
// of its read from the pipe, and the time of an input that of the call of
// Write; also of a call that fails since the child no longer reads.
//
// Recording costs a copy of all bytes, and, to a file, one thread. Data that is
// not on disk yet is kept in memory: the child never waits for the disk.
//
// Thread safety: any thread may call anything.
// Ownership: the child shares it, until both are gone. In a copy of the host
// made by fork(), the destructor closes the file and does nothing else.
// Blocking: Close and the destructor, until everything is written.
class Recorder final : public ChildObserver,
                       public std::enable_shared_from_this<Recorder> {
 public:
  // Keeps the events, for transcript().
  static std::shared_ptr<Recorder> InMemory();

  // Writes each event to `path` at once, in whole lines, so that the recording
  // survives a crash of this program. An existing file is overwritten; only its
  // owner may read the file, since it may contain passwords.
  // Errors: as open; kResourceExhausted without a thread.
  static absl::StatusOr<std::shared_ptr<Recorder>> ToFile(
      const std::string& path, TranscriptFormat format);
  static absl::StatusOr<std::shared_ptr<Recorder>> ToFile(
      const std::string& path) {
    return ToFile(path, TranscriptFormatOf(path));
  }

  ~Recorder() override;

  // Records `process` from now on. Errors: kFailedPrecondition when this
  // recorder has recorded a child or is closed, or `process` has an observer.
  absl::Status Attach(Process& process);

  // Adds a label to the events: "logged in". Dropped before a child is
  // recorded.
  void Mark(absl::string_view label);

  // Returns the events so far; none when they go to a file.
  Transcript transcript() const;

  // Ends the recording: waits until all events are in the file. Later events
  // are not recorded. A second call returns the same. Errors: that of the first
  // failed write, for example of a full disk. The file then ends with the last
  // whole line, and nothing more was recorded. kResourceExhausted when there
  // was no memory for more.
  absl::Status Close();

 private:
  struct Core;
  explicit Recorder(std::unique_ptr<Core> core);

  absl::Status OnStart(const Command& command) override;
  void OnStartFailed() override;
  void OnInput(absl::string_view bytes) override;
  void OnInputClosed() override;
  void OnInputBroken() override;
  void OnOutput(ChildStream stream, absl::string_view bytes) override;
  void OnOutputClosed(ChildStream stream) override;
  void OnSignal(int signal, TerminationScope scope) override;
  void OnResize(int rows, int columns) override;
  void OnLetters(absl::string_view letters) override;
  void OnChannel(bool sent, absl::string_view bytes) override;
  void OnExit(const absl::StatusOr<ExitStatus>& status) override;

  const std::unique_ptr<Core> core_;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_RECORDER_H_
