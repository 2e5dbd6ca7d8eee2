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

// Writes down all that passes between this program and one child, as it
// happens: see Transcript.
//
//   auto recorder = asyncproc::Recorder::ToFile("session.cast");
//   if (!recorder.ok()) return recorder.status();
//   asyncproc::ReplDialect dialect = asyncproc::BcDialect();
//   dialect.command.observer = *recorder;
//   auto bc = asyncproc::Repl::Start(dialect);
//   ...
//   absl::Status written = (*recorder)->Close();
//
// Set as Command::observer, it has everything, whatever starts the child: a
// Process, a Repl, Run, a part of a Pipeline. Attached to a Process later, it
// has all from then on, and before that what the child said and nobody has
// taken yet.
//
// A piece of output is recorded before anybody can read it, and an input before
// it is written; so their order is right, and their times are as good as that.
//
// It costs a copy of all bytes, and, to a file, one thread. What the disk has
// not taken yet is kept in memory: the child never waits for it.
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

  // Writes each event to `path` at once, whole lines at a time, so that what
  // was recorded is there though this program comes to a sudden end. What was
  // in the file is gone; nobody else may read it, for there may be passwords.
  // Errors: as open; kResourceExhausted without a thread.
  static absl::StatusOr<std::shared_ptr<Recorder>> ToFile(
      const std::string& path, TranscriptFormat format);
  static absl::StatusOr<std::shared_ptr<Recorder>> ToFile(
      const std::string& path) {
    return ToFile(path, TranscriptFormatOf(path));
  }

  ~Recorder() override;

  // Records `process` from now on. Errors: kFailedPrecondition when one of the
  // two has another already.
  absl::Status Attach(Process& process);

  // A word of your own among the events: "logged in".
  void Mark(absl::string_view label);

  // What there is so far; nothing when it goes to a file.
  Transcript transcript() const;

  // The end of it: waits until all is in the file. What happens afterwards is
  // not recorded. Again: returns the same. Errors: what the first write that
  // failed did with, as that of a full disk. Then the file ends with the last
  // line that is whole, and nothing more was recorded.
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
