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
  // The values that there are, if not any: "json", "text".
  std::vector<std::string> choices = {};
  // Given again, it is refused: for one that adds up elsewhere. Else the last
  // one counts.
  bool once = false;

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

// An option that another program of this kind has, and what to do here instead.
struct Hint {
  std::string option;  // "--bar", "-P"
  std::string advice;  // A clause: "--display panel shows how far all is"
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
  std::vector<Hint> hints = {};
  // Whether the first word that is no option ends the options, as for timeout,
  // env or xargs: what comes behind it belongs to a command.
  bool word_ends_options = true;
  // Called with what is no option, the flags being set; returns the exit code.
  int (*main)(const std::vector<std::string>& words) = nullptr;
};

// What was found on a command line.
struct Parsed {
  bool help = false;
  bool version = false;
  std::vector<std::string> words;
};

// Sets the flags that `arguments` name, and returns the rest. Both "--name
// value" and "--name=value" do; "-" and "_" are the same in a name; letters can
// be put together, as in "-kj4"; "--" ends the options. Errors:
// kInvalidArgument for an option that `subcommand` does not have, with the
// nearest name or the hint, and for a value that is none.
absl::StatusOr<Parsed> ParseOptions(const Subcommand& subcommand,
                                    absl::Span<const std::string> arguments);

// "json or text", "child, group or tree".
std::string OneOf(const std::vector<std::string>& choices);

// Of `names`, the one that `name` is most likely a misspelling of; empty when
// none is near.
std::string Nearest(absl::string_view name,
                    const std::vector<std::string>& names);

// "asyncproc: `what`", or "asyncproc run: `what`", on stderr, in one piece.
void Complain(absl::string_view subcommand, absl::string_view what);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_SUBCOMMAND_H_
