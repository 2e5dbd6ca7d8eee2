#ifndef ASYNCPROC_TOOLS_ASYNCPROC_SUBCOMMAND_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_SUBCOMMAND_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace asyncproc::cli {

// One option of a subcommand: an absl flag, and how it is shown. An option that
// several subcommands have is one flag, in flags.h.
struct Option {
  std::string flag;        // As ABSL_FLAG has it: "idle_timeout".
  std::string value = "";  // What stands for its value: "TIME". Empty: a bool.
  char letter = 0;         // Also "-j 4" and "-j4".
  std::string help = "";   // Empty: what ABSL_FLAG says.

  // As one writes it: "--idle-timeout".
  std::string Name() const;
};

struct OptionGroup {
  std::string title;
  std::vector<Option> options;
};

// A line of a table of exit codes.
struct ExitCodeNote {
  std::string code;
  std::string meaning;
};

struct Example {
  std::string what;
  std::string line;  // For a shell.
};

// One of the things that the tool does, as data: from these are made the parser
// of its options, --help, the man page and the completion, so that none of them
// can know less than another.
//
// To add one: write a library `foo` with a function `Subcommand Foo()`, and add
// it to the list in main.cc.
struct Subcommand {
  std::string name;
  std::string synopsis;     // What follows the options: "[--] COMMAND ...".
  std::string summary;      // Half a line, without a full stop.
  std::string description;  // Paragraphs, with an empty line between two.
  std::vector<OptionGroup> options;
  std::vector<ExitCodeNote> exit_codes = {};  // Beyond those of every one.
  std::vector<Example> examples = {};
  // Whether the first word that is no option ends the options, as for timeout,
  // env or xargs: what comes behind it belongs to a command.
  bool word_ends_options = true;
  // Called with what is no option, the flags being set; returns the exit code.
  int (*main)(const std::vector<std::string>& words) = nullptr;
};

// What was found on a command line.
struct Parsed {
  bool help = false;
  std::vector<std::string> words;
};

// Sets the flags that `arguments` name, and returns the rest. Both "--name
// value" and "--name=value" do; "-" and "_" are the same in a name; "--" ends
// the options. Errors: kInvalidArgument for an option that is none of
// `subcommand`'s, though another may have it, and for a value that is none.
absl::StatusOr<Parsed> ParseOptions(const Subcommand& subcommand,
                                    absl::Span<const std::string> arguments);

// "asyncproc: `what`", or "asyncproc run: `what`", on stderr, in one piece.
void Complain(absl::string_view subcommand, absl::string_view what);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_SUBCOMMAND_H_
