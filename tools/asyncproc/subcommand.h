#ifndef ASYNCPROC_TOOLS_ASYNCPROC_SUBCOMMAND_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_SUBCOMMAND_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace asyncproc::cli {

// An option of a subcommand: an absl flag, and how it is shown. An option of
// several subcommands is one flag, in flags.h.
struct Option {
  std::string flag;        // The name for ABSL_FLAG: "idle_timeout".
  std::string value = "";  // The name of its value: "TIME". Empty: a bool.
  char letter = 0;         // Also "-j 4" and "-j4".
  std::string help = "";   // Empty: the text of ABSL_FLAG.
  // The allowed values, if not any: "json", "text".
  std::vector<std::string> choices = {};
  // A second use is refused. Else the last one counts.
  bool once = false;
  // An empty value is allowed. Else it is refused: it is mostly the value of an
  // unset variable of a shell.
  bool may_be_empty = false;

  // As a user types it: "--idle-timeout".
  std::string Name() const;
};

struct OptionGroup {
  std::string title;
  std::vector<Option> options;
};

// A line of a table of exit statuses.
struct ExitCodeNote {
  std::string code;
  std::string meaning;
};

struct Example {
  std::string what;
  std::string line;  // For a shell.
};

// An option of a similar program, and its replacement here.
struct Hint {
  std::string option;  // "--bar", "-P"
  std::string advice;  // A clause: "--display panel shows how far all is"
};

// A subcommand of the tool, as data. The parser of its options, --help, the man
// page and the completion are all made from it, so that they agree.
//
// To add one: write a library `foo` with a function `Subcommand Foo()`, and add
// it to the list in main.cc.
struct Subcommand {
  std::string name;
  std::string synopsis;     // The part after the options: "[--] COMMAND ...".
  std::string summary;      // Half a line, without a full stop.
  std::string description;  // Paragraphs, with an empty line between two.
  std::vector<OptionGroup> options;
  std::vector<ExitCodeNote> exit_codes = {};  // All of them.
  std::vector<Example> examples = {};
  std::vector<Hint> hints = {};
  // Whether the first word that is not an option ends the options, as for
  // timeout, env or xargs: the words after it belong to a command.
  bool word_ends_options = true;
  // Called with the words that are not options, after the flags are set.
  // Returns the exit status.
  int (*main)(const std::vector<std::string>& words) = nullptr;
};

// The result of parsing a command line.
struct Parsed {
  bool help = false;
  bool version = false;
  std::vector<std::string> words;
};

// Sets the flags that `arguments` name, and returns the rest. Accepts "--name
// value" and "--name=value"; "-" and "_" are the same in a name; letters may be
// joined, as in "-kj4"; "--" ends the options. Errors: kInvalidArgument for an
// option that `subcommand` does not have, with the nearest name or a hint, and
// for a bad value, or an empty one.
absl::StatusOr<Parsed> ParseOptions(const Subcommand& subcommand,
                                    absl::Span<const std::string> arguments);

// "json or text", "child, group or tree".
std::string OneOf(const std::vector<std::string>& choices);

// The name in `names` of which `name` is most likely a misspelling; empty if
// none is near.
std::string Nearest(absl::string_view name,
                    const std::vector<std::string>& names);

// Writes "asyncproc: `what`", or "asyncproc run: `what`", on stderr, in one
// piece.
void Complain(absl::string_view subcommand, absl::string_view what);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_SUBCOMMAND_H_
