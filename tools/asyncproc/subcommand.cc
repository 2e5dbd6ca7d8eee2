#include "tools/asyncproc/subcommand.h"

#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/reflection.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "asyncproc/internal/text/printable.h"

namespace asyncproc::cli {

namespace {

// One word of the command line that is an option.
struct Word {
  std::string name;  // As the flag has it.
  std::optional<std::string> value;
  bool negated = false;
};

const Option* FindOption(const Subcommand& subcommand, absl::string_view flag) {
  for (const OptionGroup& group : subcommand.options) {
    for (const Option& option : group.options) {
      if (option.flag == flag) return &option;
    }
  }
  return nullptr;
}

const Option* FindLetter(const Subcommand& subcommand, char letter) {
  for (const OptionGroup& group : subcommand.options) {
    for (const Option& option : group.options) {
      if (letter != 0 && option.letter == letter) return &option;
    }
  }
  return nullptr;
}

// "-j4", "-j": a letter, and a value if there is more.
std::optional<Word> ByLetter(const Subcommand& subcommand,
                             absl::string_view argument) {
  if (absl::StartsWith(argument, "--") || argument.size() < 2) {
    return std::nullopt;
  }
  const Option* const option = FindLetter(subcommand, argument[1]);
  if (option == nullptr) return std::nullopt;
  Word word;
  word.name = option->flag;
  argument.remove_prefix(2);
  if (argument.empty()) return word;
  if (option->value.empty()) return std::nullopt;  // A bool takes none.
  word.value = std::string(argument);
  return word;
}

Word ByName(const Subcommand& subcommand, absl::string_view argument) {
  argument.remove_prefix(absl::StartsWith(argument, "--") ? 2 : 1);
  const size_t equals = argument.find('=');
  Word word;
  word.name = absl::StrReplaceAll(argument.substr(0, equals), {{"-", "_"}});
  if (equals != argument.npos) {
    word.value = std::string(argument.substr(equals + 1));
  }
  absl::string_view positive = word.name;
  if (FindOption(subcommand, word.name) == nullptr &&
      (absl::ConsumePrefix(&positive, "no_") ||
       absl::ConsumePrefix(&positive, "no"))) {
    const Option* const option = FindOption(subcommand, positive);
    if (option != nullptr && option->value.empty()) {
      word.name = std::string(positive);
      word.negated = true;
    }
  }
  return word;
}

absl::Status SetFlag(const Option& option, absl::string_view value) {
  absl::CommandLineFlag* const flag = absl::FindCommandLineFlag(option.flag);
  if (flag == nullptr) {
    return absl::InternalError(absl::StrCat(option.Name(), " has no flag"));
  }
  std::string error;
  if (flag->ParseFrom(value, &error)) return absl::OkStatus();
  // "Illegal value '3' specified for flag 'timeout'; <the parser's own words>"
  const size_t own = error.find("; ");
  return absl::InvalidArgumentError(
      absl::StrCat("'", value, "' is no value for ", option.Name(),
                   own == error.npos ? "" : ": ",
                   own == error.npos ? "" : error.substr(own + 2)));
}

}  // namespace

std::string Option::Name() const {
  return absl::StrCat("--", absl::StrReplaceAll(flag, {{"_", "-"}}));
}

absl::StatusOr<Parsed> ParseOptions(const Subcommand& subcommand,
                                    absl::Span<const std::string> arguments) {
  Parsed parsed;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const bool is_option = argument.size() > 1 && argument[0] == '-';
    if (argument == "--" || (!is_option && subcommand.word_ends_options)) {
      const size_t rest = argument == "--" ? i + 1 : i;
      parsed.words.insert(parsed.words.end(), arguments.begin() + rest,
                          arguments.end());
      break;
    }
    if (!is_option) {
      parsed.words.push_back(argument);
      continue;
    }
    if (argument == "--help" || argument == "-h") {
      parsed.help = true;
      return parsed;
    }
    std::optional<Word> word = ByLetter(subcommand, argument);
    if (!word.has_value()) word = ByName(subcommand, argument);
    const Option* const option = FindOption(subcommand, word->name);
    if (option == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("there is no option ", argument, "; see asyncproc ",
                       subcommand.name, " --help"));
    }
    if (option->value.empty()) {
      if (!word->value.has_value()) word->value = "true";
      if (word->negated) word->value = "false";
    } else if (!word->value.has_value()) {
      if (i + 1 == arguments.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat(option->Name(), " needs a value"));
      }
      word->value = arguments[++i];
    }
    if (absl::Status status = SetFlag(*option, *word->value); !status.ok()) {
      return status;
    }
  }
  return parsed;
}

void Complain(absl::string_view subcommand, absl::string_view what) {
  std::string text = absl::StrCat("asyncproc", subcommand.empty() ? "" : " ",
                                  subcommand, ": ");
  for (absl::string_view line : absl::StrSplit(what, '\n')) {
    absl::StrAppend(&text, internal::Printable(line), "\n");
  }
  while (write(STDERR_FILENO, text.data(), text.size()) < 0 && errno == EINTR) {
  }
}

}  // namespace asyncproc::cli
