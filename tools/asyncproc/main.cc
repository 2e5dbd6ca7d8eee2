// asyncproc: the library as a tool. See asyncproc --help, and subcommand.h for
// how to add to it.

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/manual.h"
#include "tools/asyncproc/output.h"
#include "tools/asyncproc/pool/pool_command.h"
#include "tools/asyncproc/repl.h"
#include "tools/asyncproc/replay.h"
#include "tools/asyncproc/run.h"
#include "tools/asyncproc/subcommand.h"

namespace asyncproc::cli {

namespace {

// All there are, in the order of the manual. A new one is added here.
std::vector<Subcommand> Subcommands() {
  return {
      RunSubcommand(),
      PoolSubcommand(),
      ReplSubcommand(),
      ReplaySubcommand(),
  };
}

int Print(absl::string_view text) {
  return WriteAll(STDOUT_FILENO, text).ok() ? kSuccess : kOwnFailure;
}

int Execute(const Subcommand& subcommand,
            const std::vector<std::string>& arguments) {
  absl::StatusOr<Parsed> parsed = ParseOptions(subcommand, arguments);
  if (!parsed.ok()) {
    Complain(subcommand.name, parsed.status().message());
    return kOwnFailure;
  }
  if (parsed->help) return Print(HelpOf(subcommand));
  return subcommand.main(parsed->words);
}

int Main(const std::vector<std::string>& arguments) {
  const std::vector<Subcommand> subcommands = Subcommands();
  if (arguments.empty()) {
    Complain("", "which subcommand? See asyncproc --help");
    return kOwnFailure;
  }
  const std::string& first = arguments[0];
  if (first == "--help" || first == "-h" || first == "help") {
    return Print(Overview(subcommands));
  }
  if (first == "--version") {
    return Print(std::string("asyncproc ") + kVersion + "\n");
  }
  if (first == "--man") return Print(ManPage(subcommands));
  if (first == "--completion" || first == "--completion=bash") {
    if (first == "--completion" &&
        (arguments.size() < 2 || arguments[1] != "bash")) {
      Complain("", "--completion is there for bash alone");
      return kOwnFailure;
    }
    return Print(BashCompletion(subcommands));
  }
  for (const Subcommand& subcommand : subcommands) {
    if (subcommand.name == first) {
      return Execute(subcommand, {arguments.begin() + 1, arguments.end()});
    }
  }
  Complain("", "there is no subcommand '" + first + "'; see asyncproc --help");
  return kOwnFailure;
}

// So that no pipe of ours gets the number of a standard stream that is closed.
void OpenStandardStreams() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) < 0) open("/dev/null", O_RDWR);
  }
}

}  // namespace

}  // namespace asyncproc::cli

int main(int argc, char** argv) {
  asyncproc::cli::OpenStandardStreams();
  return asyncproc::cli::Main({argv + 1, argv + argc});
}
