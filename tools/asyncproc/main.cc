// asyncproc: the library as a tool. See asyncproc --help, and subcommand.h for
// how to add to it.

#include <signal.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
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
  return Output::Stdout().Write(text).ok() ? kSuccess : kOwnFailure;
}

int PrintVersion() { return Print(absl::StrCat("asyncproc ", kVersion, "\n")); }

int Execute(const Subcommand& subcommand,
            const std::vector<std::string>& arguments) {
  absl::StatusOr<Parsed> parsed = ParseOptions(subcommand, arguments);
  if (!parsed.ok()) {
    Complain(subcommand.name, parsed.status().message());
    return kOwnFailure;
  }
  if (parsed->help) return Print(HelpOf(subcommand));
  if (parsed->version) return PrintVersion();
  return subcommand.main(parsed->words);
}

int NoSuchSubcommand(const std::vector<Subcommand>& subcommands,
                     const std::string& name) {
  std::vector<std::string> names = {"help"};
  for (const Subcommand& subcommand : subcommands) {
    names.push_back(subcommand.name);
  }
  const std::string nearest = Nearest(name, names);
  Complain(
      "",
      absl::StrCat(
          "there is no subcommand '", name, "'; ",
          nearest.empty() ? "" : absl::StrCat("did you mean ", nearest, "? "),
          "See asyncproc --help, and asyncproc run to run a command"));
  return kOwnFailure;
}

int Help(const std::vector<Subcommand>& subcommands, const std::string& name) {
  for (const Subcommand& subcommand : subcommands) {
    if (subcommand.name == name) return Print(HelpOf(subcommand));
  }
  return NoSuchSubcommand(subcommands, name);
}

int Man(const std::vector<Subcommand>& subcommands, const std::string& name) {
  for (const Subcommand& subcommand : subcommands) {
    if (subcommand.name == name) return Print(ManPageOf(subcommand));
  }
  return NoSuchSubcommand(subcommands, name);
}

// --completion SHELL, or --completion=SHELL.
int Completion(const std::vector<Subcommand>& subcommands,
               const std::vector<std::string>& arguments) {
  std::string shell = arguments.size() > 1 ? arguments[1] : "";
  const size_t equals = arguments[0].find('=');
  if (equals != std::string::npos) shell = arguments[0].substr(equals + 1);
  if (shell == "bash") return Print(BashCompletion(subcommands));
  if (shell == "zsh") return Print(ZshCompletion(subcommands));
  if (shell == "fish") return Print(FishCompletion(subcommands));
  Complain("", absl::StrCat("'", shell,
                            "' is no value for --completion: it is bash, zsh "
                            "or fish"));
  return kOwnFailure;
}

int Main(const std::vector<std::string>& arguments) {
  const std::vector<Subcommand> subcommands = Subcommands();
  if (arguments.empty()) {
    Complain("", "which subcommand? See asyncproc --help");
    return kOwnFailure;
  }
  const std::string& first = arguments[0];
  const bool help = first == "--help" || first == "-h" || first == "help";
  if (help && arguments.size() > 1) {
    return Help(subcommands, arguments[1]);
  }
  if (help) return Print(Overview(subcommands));
  if (first == "--version" || first == "-V") return PrintVersion();
  if (first == "--man") {
    return arguments.size() > 1 ? Man(subcommands, arguments[1])
                                : Print(ManPage(subcommands));
  }
  if (absl::StartsWith(first, "--completion")) {
    return Completion(subcommands, arguments);
  }
  for (const Subcommand& subcommand : subcommands) {
    if (subcommand.name == first) {
      return Execute(subcommand, {arguments.begin() + 1, arguments.end()});
    }
  }
  return NoSuchSubcommand(subcommands, first);
}

// A parent may have left SIGCHLD ignored, which would take the status of every
// child from this program.
void ResetSignals() {
  signal(SIGCHLD, SIG_DFL);
  // A file that is as large as it may be: the write fails instead.
  signal(SIGXFSZ, SIG_IGN);
}

}  // namespace

}  // namespace asyncproc::cli

int main(int argc, char** argv) {
  asyncproc::cli::OpenStandardStreams();
  asyncproc::cli::ResetSignals();
  return asyncproc::cli::FinishOutput(
      asyncproc::cli::Main({argv + 1, argv + argc}));
}
