#include "tools/asyncproc/subcommand.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/reflection.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "asyncproc/text.h"
#include "tools/asyncproc/output.h"

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

// "-j4", "-j", "-kj4": letters, the last of which may have a value.
std::vector<Word> ByLetters(const Subcommand& subcommand,
                            absl::string_view argument) {
  if (absl::StartsWith(argument, "--")) return {};
  std::vector<Word> words;
  for (argument.remove_prefix(1); !argument.empty();) {
    const Option* const option = FindLetter(subcommand, argument[0]);
    if (option == nullptr) return {};
    argument.remove_prefix(1);
    Word word;
    word.name = option->flag;
    if (!option->value.empty()) {
      if (!argument.empty()) word.value = std::string(argument);
      argument = "";
    }
    words.push_back(std::move(word));
  }
  return words;
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

// The values of a flag whose parser explains no error: see the types of
// ABSL_FLAG.
absl::string_view ValuesOf(const absl::CommandLineFlag& flag) {
  if (flag.IsOfType<bool>()) return "it is true or false";
  if (flag.IsOfType<double>()) return "it is a number";
  return "it is a whole number";
}

absl::Status SetFlag(const Option& option, absl::string_view value) {
  if (value.empty() && !option.may_be_empty) {
    return absl::InvalidArgumentError(
        absl::StrCat("the value of ", option.Name(), " is empty"));
  }
  if (!option.choices.empty() &&
      std::find(option.choices.begin(), option.choices.end(), value) ==
          option.choices.end()) {
    const std::string nearest = Nearest(value, option.choices);
    return absl::InvalidArgumentError(absl::StrCat(
        "'", value, "' is not a value of ", option.Name(), ": it is ",
        OneOf(option.choices),
        nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?")));
  }
  absl::CommandLineFlag* const flag = absl::FindCommandLineFlag(option.flag);
  if (flag == nullptr) {
    return absl::InternalError(absl::StrCat(option.Name(), " has no flag"));
  }
  // absl also takes spaces, exponents, hexadecimal numbers and "inf".
  const bool is_number = flag->IsOfType<int>() || flag->IsOfType<double>();
  std::string error;
  if (!(is_number && value.find_first_not_of("-.0123456789") != value.npos) &&
      flag->ParseFrom(value, &error)) {
    return absl::OkStatus();
  }
  // "Illegal value '3' specified for flag 'timeout'; <the parser's own words>"
  const size_t own = error.find("; ");
  return absl::InvalidArgumentError(absl::StrCat(
      "'", value, "' is not a value of ", option.Name(), ": ",
      own == error.npos ? ValuesOf(*flag) : error.substr(own + 2)));
}

// The number of letters that have to be added, removed, replaced or swapped
// with their neighbours to make one word of the other.
size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1,
                                     std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1,
                          d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

absl::Status NoSuchOption(const Subcommand& subcommand,
                          absl::string_view argument) {
  const absl::string_view name = argument.substr(0, argument.find('='));
  for (const Hint& hint : subcommand.hints) {
    // "-P4" is "-P", too.
    const bool letter = hint.option.size() == 2;
    if (name == hint.option ||
        (letter && absl::StartsWith(name, hint.option))) {
      return absl::InvalidArgumentError(
          absl::StrCat("there is no option ", hint.option, ": ", hint.advice));
    }
  }
  std::vector<std::string> names = {"--help", "--version"};
  for (const OptionGroup& group : subcommand.options) {
    for (const Option& option : group.options) names.push_back(option.Name());
  }
  const std::string nearest = Nearest(name, names);
  return absl::InvalidArgumentError(absl::StrCat(
      "there is no option ", argument,
      nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?"),
      nearest.empty() ? "; see" : " See", " asyncproc ", subcommand.name,
      " --help"));
}

}  // namespace

std::string Option::Name() const {
  return absl::StrCat("--", absl::StrReplaceAll(flag, {{"_", "-"}}));
}

std::string OneOf(const std::vector<std::string>& choices) {
  std::string text;
  for (size_t i = 0; i < choices.size(); ++i) {
    absl::StrAppend(&text,
                    i == 0                    ? ""
                    : i + 1 == choices.size() ? " or "
                                              : ", ",
                    choices[i]);
  }
  return text;
}

std::string Nearest(absl::string_view name,
                    const std::vector<std::string>& names) {
  std::string nearest;
  size_t least = 1 + std::min<size_t>(2, name.size() / 3);
  for (const std::string& candidate : names) {
    // The beginning of a name is near to it.
    const size_t distance = name.size() > 3 && absl::StartsWith(candidate, name)
                                ? 1
                                : Distance(name, candidate);
    if (distance < least) {
      least = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

absl::StatusOr<Parsed> ParseOptions(const Subcommand& subcommand,
                                    absl::Span<const std::string> arguments) {
  Parsed parsed;
  std::set<std::string> given;
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
    parsed.help = argument == "--help" || argument == "-h";
    parsed.version = argument == "--version" || argument == "-V";
    if (parsed.help || parsed.version) return parsed;
    std::vector<Word> words = ByLetters(subcommand, argument);
    if (words.empty()) words.push_back(ByName(subcommand, argument));
    for (Word& word : words) {
      const Option* const option = FindOption(subcommand, word.name);
      if (option == nullptr) return NoSuchOption(subcommand, argument);
      if (option->value.empty()) {
        if (!word.value.has_value()) word.value = "true";
        if (word.negated) word.value = "false";
      } else if (option->once && !given.insert(option->flag).second) {
        return absl::InvalidArgumentError(
            absl::StrCat(option->Name(), " can be given only once"));
      } else if (!word.value.has_value()) {
        if (i + 1 == arguments.size()) {
          return absl::InvalidArgumentError(
              absl::StrCat(option->Name(), " needs a value; see asyncproc ",
                           subcommand.name, " --help"));
        }
        word.value = arguments[++i];
      }
      absl::Status status = SetFlag(*option, *word.value);
      if (!status.ok()) return status;
    }
  }
  return parsed;
}

void Complain(absl::string_view subcommand, absl::string_view what) {
  std::string text = absl::StrCat("asyncproc", subcommand.empty() ? "" : " ",
                                  subcommand, ": ");
  for (absl::string_view line : absl::StrSplit(what, '\n')) {
    absl::StrAppend(&text, Printable(line), "\n");
  }
  Output::Stderr().Write(text).IgnoreError();
}

}  // namespace asyncproc::cli
