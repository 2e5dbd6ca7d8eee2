// A long command, watched live: writes a password to its stdin, prints its
// progress as it runs, and sends its messages to the log.
//
//   bazel run //tools/examples:backup_progress
//   bazel run //tools/examples:backup_progress -- pg_basebackup -D data -v -P

#include <iostream>
#include <string>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/initialize.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "asyncproc/monitor.h"
#include "asyncproc/run.h"

namespace {

// In place of a real backup, which needs a database.
constexpr char kFakeBackup[] = R"(
read -r password
echo "backup: signed in with ${#password} characters" >&2
for percent in 0 25 50 75 100; do
  printf '%d/2048 kB (%d%%), 1 tablespace\r' $((percent * 2048 / 100)) \
      $percent >&2
  sleep 0.02
done
echo >&2
echo "backup: done" >&2
echo manifest
)";

absl::Status Example(const asyncproc::Command& command) {
  auto parser = asyncproc::ProgressParser::Create(
      R"(\((\d+)%\))",
      [](const asyncproc::Progress& progress) {
        std::cout << "progress: " << progress.groups[0] << " of 100\n";
      },
      asyncproc::LineLogger(command.argv[0]));
  if (!parser.ok()) return parser.status();

  asyncproc::RunOptions options;
  options.input = "secret\n";
  options.check = true;
  options.idle_timeout = absl::Minutes(10);
  options.on_err = [&](absl::string_view piece) {
    (*parser)->Feed(piece);
    return absl::OkStatus();
  };
  auto result = asyncproc::Run(command, options);
  (*parser)->Finish();
  if (!result.ok()) return result.status();
  std::cout << "said " << result->out.size() << " bytes and "
            << result->err.size() << " about it\n";
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  absl::InitializeLog();
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfo);
  const asyncproc::Command command =
      argc > 1
          ? asyncproc::Command(std::vector<std::string>(argv + 1, argv + argc))
          : asyncproc::Command::Shell(kFakeBackup);
  const absl::Status status = Example(command);
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
