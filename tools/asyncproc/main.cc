// asyncproc: the library as a tool. See asyncproc --help; subcommand.h tells
// how to add a subcommand.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/inherited.h"
#include "tools/asyncproc/manual.h"
#include "tools/asyncproc/output.h"
#include "tools/asyncproc/pool/pool_command.h"
#include "tools/asyncproc/repl.h"
#include "tools/asyncproc/replay.h"
#include "tools/asyncproc/run.h"
#include "tools/asyncproc/signal_watcher.h"
#include "tools/asyncproc/subcommand.h"

namespace asyncproc::cli {

namespace {

// All subcommands, in the order of the manual. Add a new one here.
std::vector<Subcommand> Subcommands() {
  return {
      RunSubcommand(),
      PoolSubcommand(),
      ReplSubcommand(),
      ReplaySubcommand(),
  };
}

int Print(absl::string_view text) {
  Output::Stdout().Write(text).IgnoreError();
  return ExitCodeOfStdout();
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
  // The programs and words of which this tool has the counterpart.
  static constexpr std::pair<const char*, const char*> kOthers[] = {
      {"timeout", "run --timeout TIME"},
      {"exec", "run"},
      {"tini", "run"},
      {"script", "run --record FILE"},
      {"rec", "run --record FILE"},
      {"record", "run --record FILE"},
      {"parallel", "pool"},
      {"xargs", "pool"},
      {"expect", "repl"},
      {"play", "replay"},
      {"version", "--version"},
      {"-v", "--version"}};
  for (const auto& [other, ours] : kOthers) {
    if (name != other) continue;
    Complain("", absl::StrCat("there is no subcommand '", name,
                              "': use asyncproc ", ours));
    return kOwnFailure;
  }
  const std::string nearest = Nearest(name, names);
  Complain(
      "", absl::StrCat(
              "there is no subcommand '", name, "'; ",
              nearest.empty() ? "see"
                              : absl::StrCat("did you mean ", nearest, "? See"),
              " asyncproc --help, and asyncproc run to run a command"));
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
                            "' is not a value of --completion: it is bash, zsh "
                            "or fish"));
  return kOwnFailure;
}

int Main(const std::vector<std::string>& arguments) {
  const std::vector<Subcommand> subcommands = Subcommands();
  if (arguments.empty()) {
    Complain("", "no subcommand is given; see asyncproc --help");
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

// If the tool's parent has left SIGCHLD ignored, the kernel drops the status of
// every child.
void ResetSignals() {
  signal(SIGCHLD, SIG_DFL);
  // At the limit of the size of a file, the write fails.
  signal(SIGXFSZ, SIG_IGN);
}

// The library moves its descriptors above 255. If the table of descriptors
// grows while the process has several threads, the kernel first waits for all
// processors, up to 10 ms. So it grows here.
void GrowDescriptorTable() {
  constexpr int kHigh = 256;
  const int high = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, kHigh);
  if (high >= 0) close(high);
}

}  // namespace

}  // namespace asyncproc::cli

int main(int argc, char** argv) {
  std::set_new_handler(asyncproc::cli::EndWithoutMemory);
  asyncproc::cli::NoteInherited();
  asyncproc::cli::OpenStandardStreams();
  asyncproc::cli::ResetSignals();
  asyncproc::cli::GrowDescriptorTable();
  const int code = asyncproc::cli::FinishOutput(
      asyncproc::cli::Main({argv + 1, argv + argc}));
  asyncproc::cli::EndBySignal(code);
  return code;
}
