#ifndef ASYNCPROC_PIPELINE_H_
#define ASYNCPROC_PIPELINE_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/child.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/output_stream.h"
#include "asyncproc/process.h"
#include "asyncproc/termination.h"

namespace asyncproc {

struct PipelineOptions {
  // A stage is killed by SIGPIPE when its reader ends first, as in `yes | head
  // -1`. This is usually expected, and not a failure. For the last stage it is
  // always a failure.
  bool sigpipe_is_failure = false;
};

// Programs that feed each other, `a | b | c`, with the interface of one
// Process, so that Expect, Repl and WaitUntilReady accept it: writes go to the
// first program, and the output is that of the last program. No shell is
// involved.
//
//   auto pipeline = asyncproc::Pipeline::Spawn({{"sort"}, {"uniq", "-c"}});
//   if (!pipeline.ok()) return pipeline.status();
//   absl::Status written = (*pipeline)->Write("b\na\nb\n");
//   if (written.ok()) written = (*pipeline)->CloseStdin();
//   if (!written.ok()) return written;
//   auto status = (*pipeline)->WaitFor(absl::Seconds(10));
//   std::string counts = (*pipeline)->Read();   // "      1 a\n      2 b\n"
//
// Between two stages there is a pipe that only these stages have open: none of
// the data passes through this program, each stage sees the end of the stage
// before it, and gets SIGPIPE when it writes after the end of the stage that
// follows.
//
// All stages are in one process group, which the first stage leads; so
// Terminate also reaches the processes that they have started, as long as these
// stay in the group. At a terminal, the group is in the background: a stage
// that reads from the terminal of the host, as ssh does for a password, is
// stopped by SIGTTIN, and Ctrl-C does not reach the stages: with
// Command::die_with_parent, they end with the host. In a host that ignores
// SIGCHLD, a stage that ends at once may take its group with it before the next
// stage has joined; the next stage then leads another group, which the
// following stages join, and Terminate reaches both.
//
// Thread safety, blocking, fork: as Process.
// Ownership: as Process: each stage has its threads. The destructor kills all
// stages that still run.
// Errors: as Process.
class Pipeline final : public Child {
 public:
  // Starts all of `commands`, or none. The stdin of the first stage, the stdout
  // of the last, the stderr of each and all other settings are those of its
  // command.
  // Errors: as Process::Spawn, naming the stage. kInvalidArgument for an empty
  // list; for a stdin or stdout between two stages that is set to something
  // other than a pipe; for a terminal, a session or group of its own, or an
  // on_destroy that does not kill.
  static absl::StatusOr<std::unique_ptr<Pipeline>> Spawn(
      std::vector<Command> commands, const PipelineOptions& options = {});

  ~Pipeline() override;
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  size_t size() const { return stages_.size(); }
  // For operations on a single stage. REQUIRES: i < size().
  Process& stage(size_t i) { return *stages_[i]; }
  // The process group; also the pid of the first stage.
  pid_t pid() const { return stages_.front()->pid(); }

  // The stdin of the first stage.
  absl::Status Write(absl::string_view data) override {
    return stages_.front()->Write(data);
  }
  absl::Status Flush(absl::Duration timeout) override {
    return stages_.front()->Flush(timeout);
  }
  absl::Status CloseStdin() override { return stages_.front()->CloseStdin(); }

  // The stdout of the last stage.
  std::string Read() { return stages_.back()->Read(); }
  OutputStream& out() override { return stages_.back()->out(); }
  // The stderr of the last stage.
  OutputStream& err() override { return stages_.back()->err(); }
  // The stderr of stage `i`. REQUIRES: i < size().
  OutputStream& err(size_t i) { return stages_[i]->err(); }
  // The bytes that have arrived on the stderr of each stage, stage by stage.
  std::string ReadErr();

  // Waits for all stages, as Process::Wait does for one, and returns the status
  // of the last stage that failed; if none failed, that of the last stage.
  absl::StatusOr<ExitStatus> Wait(int flags = 0) override;
  // Errors: also kDeadlineExceeded, with the stages that still run and the
  // activity of each stage.
  absl::StatusOr<ExitStatus> WaitFor(absl::Duration timeout) override;

  // The exit status of each stage; nothing for a stage that has not ended, or
  // for a status that other code has taken.
  std::vector<std::optional<ExitStatus>> statuses();

  // Sends a signal to each stage that runs.
  // Errors: kNotFound once all have ended; else the first error of
  // Process::Signal.
  absl::Status Signal(int signal) override;
  // Sends a signal to all processes of the group or tree; with kChild, to the
  // stages alone. Errors: the first error of Process::Signal.
  absl::Status Signal(int signal, TerminationScope scope) override;
  absl::Status Interrupt(TerminationScope scope) override;

  // As the same methods of Process, for all stages; a step that closes stdin
  // closes that of the first stage. The scope kChild means the same as kGroup
  // here.
  absl::StatusOr<ExitStatus> Terminate(
      absl::Duration grace = absl::Seconds(1)) override;
  absl::StatusOr<Termination> Terminate(const Escalation& escalation);
  absl::StatusOr<Termination> Terminate(absl::Duration grace,
                                        TerminationScope scope) {
    return Terminate(Escalation::Standard(grace, scope));
  }

  // Whether any stage has not ended.
  bool IsAlive() override;
  // kRunning while a stage runs; kStopped when all stages that have not ended
  // are stopped; else the least advanced state of a stage.
  ProcessState state() override;

  // "a | b | c", quoted for a shell.
  std::string DebugString() const override;
  // The stages.
  std::vector<Process*> processes() override;

  // Those of the first stage, and of its observer.
  absl::StatusOr<std::string> DrawLetters(size_t count) override {
    return stages_.front()->DrawLetters(count);
  }
  absl::Status NoteSent(absl::string_view bytes) override {
    return stages_.front()->NoteSent(bytes);
  }
  absl::StatusOr<std::string> NoteReceived(absl::string_view bytes,
                                           absl::Duration timeout) override {
    return stages_.front()->NoteReceived(bytes, timeout);
  }

 private:
  Pipeline(std::vector<std::unique_ptr<Process>> stages,
           const PipelineOptions& options);

  bool Failed(size_t i, const ExitStatus& status) const;
  // Calls `function` for one stage of each process group of the stages.
  absl::Status ForEachGroup(
      const std::function<absl::Status(Process& stage)>& function);

  const PipelineOptions options_;
  const std::vector<std::unique_ptr<Process>> stages_;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_PIPELINE_H_
