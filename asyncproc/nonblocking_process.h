#ifndef ASYNCPROC_NONBLOCKING_PROCESS_H_
#define ASYNCPROC_NONBLOCKING_PROCESS_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"

namespace asyncproc {

// An interactive program that is polled for output: for loops that have other
// work and must never wait.
//
//   auto bc = asyncproc::NonblockingProcess::Spawn({"bc", "-q"});
//   if (!bc.ok()) return bc.status();
//   (*bc)->ReadLine();  // nullopt: it has said nothing yet
//   if (auto status = (*bc)->Write("20 + 22\n"); !status.ok()) return status;
//   while (running) {
//     // "42", when it is there.
//     if (std::optional<std::string> line = (*bc)->ReadLine()) Show(*line);
//     DoSomethingElse();
//   }
//
// Thread safety: any thread may call anything; see Process.
// Ownership: the destructor kills and reaps a child that still runs.
// Fork: as Process.
// Blocking: no method blocks.
class NonblockingProcess {
 public:
  // The environment is the host's, with the changes in `environment`.
  // Errors: as Process::Spawn.
  static absl::StatusOr<std::unique_ptr<NonblockingProcess>> Spawn(
      std::vector<std::string> argv, Environment environment = Environment());

  // Adds no newline to `data`: a line needs one at its end.
  // Errors: as Process::Write.
  absl::Status Write(absl::string_view data) { return process_->Write(data); }

  // Returns the next line of stdout, without its end, if it is complete, or if
  // it is the last one and the stream has ended. An empty line is "", not
  // nullopt. No line is lost, however many arrive at once.
  std::optional<std::string> ReadLine();

  // Whether ReadLine would return a line.
  bool HasLine() const { return process_->out().HasLine(); }

  // Whether all lines have been read, and the stream has ended.
  bool AtEof() const { return process_->out().AtEof(); }

  bool IsAlive() const { return process_->IsAlive(); }

  // For everything else: stderr, waiting, termination.
  Process& process() { return *process_; }

 private:
  explicit NonblockingProcess(std::unique_ptr<Process> process);

  const std::unique_ptr<Process> process_;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_NONBLOCKING_PROCESS_H_
