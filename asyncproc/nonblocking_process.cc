#include "asyncproc/nonblocking_process.h"

#include <utility>

#include "absl/memory/memory.h"

namespace asyncproc {

absl::StatusOr<std::unique_ptr<NonblockingProcess>> NonblockingProcess::Spawn(
    std::vector<std::string> argv, Environment environment) {
  Command command(std::move(argv));
  command.env = std::move(environment);
  absl::StatusOr<std::unique_ptr<Process>> process =
      Process::Spawn(std::move(command));
  if (!process.ok()) return process.status();
  return absl::WrapUnique(new NonblockingProcess(*std::move(process)));
}

NonblockingProcess::NonblockingProcess(std::unique_ptr<Process> process)
    : process_(std::move(process)) {}

std::optional<std::string> NonblockingProcess::ReadLine() {
  absl::StatusOr<std::string> line = process_->out().TryReadLine();
  if (!line.ok()) return std::nullopt;
  return *std::move(line);
}

}  // namespace asyncproc
