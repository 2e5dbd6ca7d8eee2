#include "tools/asyncproc/manual.h"

#include <algorithm>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/reflection.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace asyncproc::cli {

const char kVersion[] = "0.2.0";

namespace {

constexpr size_t kColumns = 79;
constexpr size_t kIndent = 26;  // Of the help of an option.

const char kPurpose[] =
    "Starts programs, talks to them while they run, and ends them with "
    "all processes that they have started.";

const char kConventions[] =
    "--name VALUE and --name=VALUE are the same, and so are -kj4 and -k "
    "-j 4; -- ends the options. An empty VALUE is refused, but for --prefix. "
    "A time is a number of seconds, or has "
    "units: 500ms, 30s, 1h30m, 2d. A size is a number of bytes, or has a "
    "unit: 64K, 1M, 2G, in powers of 1024.";

// The exit statuses that several subcommands have.
const std::vector<ExitCodeNote>& CommonExitCodes() {
  static const auto* const codes = new std::vector<ExitCodeNote>{
      {"124", "a time limit ended the command, whatever its status"},
      {"125", "asyncproc itself failed: a wrong option, no room for a process"},
      {"126", "the command exists, but cannot be run"},
      {"127", "the command does not exist"},
      {"128+n", "signal n killed the command"},
      {"other", "the status of the command"},
      {"",
       "The help of each subcommand lists its own: pool exits with the number "
       "of failed jobs, for example."},
  };
  return *codes;
}

const std::vector<Option>& GlobalOptions() {
  static const auto* const options = new std::vector<Option>{
      {"help", "", 'h',
       "This text; after a subcommand, the help of the subcommand, as with "
       "'asyncproc help SUBCOMMAND'."},
      {"version", "", 'V', "The version."},
      {"man", "", 0,
       "The man page, also of a subcommand: asyncproc --man run | man -l -"},
      {"completion",
       "SHELL",
       0,
       "Completion for bash, zsh or fish: eval \"$(asyncproc --completion "
       "bash)\"",
       {"bash", "zsh", "fish"}},
  };
  return *options;
}

absl::CommandLineFlag* Flag(const Option& option) {
  return absl::FindCommandLineFlag(option.flag);
}

std::string OptionHelp(const Option& option) {
  if (!option.help.empty()) return option.help;
  const absl::CommandLineFlag* const flag = Flag(option);
  return flag == nullptr ? "" : flag->Help();
}

std::string DefaultOf(const Option& option) {
  const absl::CommandLineFlag* const flag = Flag(option);
  if (flag == nullptr || option.value.empty()) return "";
  return flag->DefaultValue();
}

// `text` in lines of up to kColumns, all but the first indented.
std::string Wrap(absl::string_view text, size_t first, size_t indent) {
  std::string result;
  size_t column = first;
  bool begun = false;
  for (absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    if (begun && column + 1 + word.size() > kColumns) {
      absl::StrAppend(&result, "\n", std::string(indent, ' '));
      column = indent;
      begun = false;
    }
    absl::StrAppend(&result, begun ? " " : "", word);
    column += word.size() + (begun ? 1 : 0);
    begun = true;
  }
  return result;
}

// A term and its description, in two columns.
std::string Entry(absl::string_view term, absl::string_view text) {
  std::string result = absl::StrCat("  ", term);
  if (result.size() + 2 > kIndent) {
    absl::StrAppend(&result, "\n");
    absl::StrAppend(&result, std::string(kIndent, ' '));
  } else {
    result.resize(kIndent, ' ');
  }
  return absl::StrCat(result, Wrap(text, kIndent, kIndent), "\n");
}

std::string Term(const Option& option) {
  return absl::StrCat(
      option.letter == 0
          ? ""
          : absl::StrCat("-", std::string(1, option.letter), ", "),
      option.Name(), option.value.empty() ? "" : " ", option.value);
}

std::string OptionEntry(const Option& option) {
  const std::string standard = DefaultOf(option);
  return Entry(Term(option),
               absl::StrCat(OptionHelp(option),
                            standard.empty() ? "" : " Default: ", standard,
                            standard.empty() ? "" : "."));
}

std::string Paragraphs(absl::string_view text) {
  std::string result;
  for (absl::string_view paragraph : absl::StrSplit(text, "\n\n")) {
    absl::StrAppend(&result, Wrap(paragraph, 0, 0), "\n\n");
  }
  return result;
}

std::string ExitCodes(const std::vector<ExitCodeNote>& codes) {
  std::string result;
  for (const ExitCodeNote& code : codes) {
    absl::StrAppend(&result, Entry(code.code, code.meaning));
  }
  return result;
}

// Text for troff. A line must not begin with a "." or "'".
std::string Roff(absl::string_view text) {
  std::string result = absl::StrReplaceAll(text, {{"\\", "\\e"},
                                                  {"-", "\\-"},
                                                  {"'", "\\(aq"},
                                                  {"`", "\\(ga"},
                                                  {"^", "\\(ha"},
                                                  {"~", "\\(ti"},
                                                  {"\"", "\\(dq"}});
  if (!result.empty() && result[0] == '.') result.insert(0, "\\&");
  return result;
}

void RoffEntry(absl::string_view term, absl::string_view text,
               std::string* page) {
  absl::StrAppend(page, ".TP\n", term, "\n", Roff(text), "\n");
}

void RoffOption(const Option& option, std::string* page) {
  std::string term =
      option.letter == 0
          ? ""
          : absl::StrCat("\\fB\\-", std::string(1, option.letter), "\\fR, ");
  absl::StrAppend(&term, "\\fB", Roff(option.Name()), "\\fR");
  if (!option.value.empty()) {
    absl::StrAppend(&term, " \\fI", Roff(option.value), "\\fR");
  }
  const std::string standard = DefaultOf(option);
  RoffEntry(term,
            absl::StrCat(OptionHelp(option),
                         standard.empty() ? "" : " Default: ", standard,
                         standard.empty() ? "" : "."),
            page);
}

void RoffParagraphs(absl::string_view text, std::string* page) {
  for (absl::string_view paragraph : absl::StrSplit(text, "\n\n")) {
    absl::StrAppend(page, ".PP\n", Roff(paragraph), "\n");
  }
}

std::string RoffTitle(absl::string_view name) {
  return absl::StrCat(".TH ", absl::AsciiStrToUpper(name),
                      " 1 \"\" \"asyncproc ", kVersion,
                      "\" \"User Commands\"\n");
}

void RoffExitCodes(const std::vector<ExitCodeNote>& codes, std::string* page) {
  for (const ExitCodeNote& code : codes) {
    RoffEntry(code.code.empty() ? "\\&" : Roff(code.code), code.meaning, page);
  }
}

void RoffExamples(const Subcommand& subcommand, std::string* page) {
  for (const Example& example : subcommand.examples) {
    absl::StrAppend(page, ".PP\n", Roff(example.what), "\n.PP\n.RS 4\n.EX\n",
                    Roff(example.line), "\n.EE\n.RE\n");
  }
}

// The names of all options of a subcommand, as a user types them; with
// `only_with_value`, only of those that take a value.
std::string Names(const Subcommand& subcommand, bool only_with_value) {
  std::vector<std::string> names;
  for (const OptionGroup& group : subcommand.options) {
    for (const Option& option : group.options) {
      if (only_with_value && option.value.empty()) continue;
      names.push_back(option.Name());
      if (option.letter != 0) names.push_back({'-', option.letter});
    }
  }
  if (!only_with_value) names.push_back("--help");
  return absl::StrJoin(names, " ");
}

}  // namespace

std::string Overview(const std::vector<Subcommand>& subcommands) {
  std::string text =
      "Usage: asyncproc SUBCOMMAND [OPTION ...] [--] [ARGUMENT ...]\n\n";
  absl::StrAppend(&text, Wrap(kPurpose, 0, 0), "\n\nSubcommands:\n");
  for (const Subcommand& subcommand : subcommands) {
    absl::StrAppend(&text, Entry(subcommand.name, subcommand.summary));
  }
  absl::StrAppend(&text, "\nOptions:\n");
  for (const Option& option : GlobalOptions()) {
    absl::StrAppend(&text, OptionEntry(option));
  }
  return absl::StrCat(text, "\n", Wrap(kConventions, 0, 0),
                      "\n\nExit status:\n", ExitCodes(CommonExitCodes()));
}

std::string HelpOf(const Subcommand& subcommand) {
  std::string text =
      absl::StrCat("Usage: asyncproc ", subcommand.name, " [OPTION ...] ",
                   subcommand.synopsis, "\n\n");
  absl::StrAppend(&text, Paragraphs(subcommand.description));
  for (const OptionGroup& group : subcommand.options) {
    absl::StrAppend(&text, group.title, ":\n");
    for (const Option& option : group.options) {
      absl::StrAppend(&text, OptionEntry(option));
    }
    absl::StrAppend(&text, "\n");
  }
  absl::StrAppend(&text, "Exit status:\n", ExitCodes(subcommand.exit_codes));
  if (!subcommand.examples.empty()) absl::StrAppend(&text, "\nExamples:\n");
  for (const Example& example : subcommand.examples) {
    absl::StrAppend(&text, "  ", Wrap(example.what, 2, 2), "\n      ",
                    example.line, "\n");
  }
  return text;
}

std::string ManPage(const std::vector<Subcommand>& subcommands) {
  std::string page = absl::StrCat(
      RoffTitle("asyncproc"),
      ".SH NAME\nasyncproc \\- start programs, talk to them, and end them\n",
      ".SH SYNOPSIS\n");
  for (const Subcommand& subcommand : subcommands) {
    absl::StrAppend(&page, ".B asyncproc ", Roff(subcommand.name),
                    "\n[\\fIOPTION\\fR ...] ", Roff(subcommand.synopsis),
                    "\n.br\n");
  }
  absl::StrAppend(&page,
                  ".B asyncproc\n\\fB\\-\\-help\\fR | "
                  "\\fB\\-\\-version\\fR | \\fB\\-\\-man\\fR | "
                  "\\fB\\-\\-completion\\fR \\fISHELL\\fR\n");
  absl::StrAppend(&page, ".SH DESCRIPTION\n", Roff(kPurpose), "\n");
  RoffParagraphs(kConventions, &page);
  absl::StrAppend(&page, ".SH SUBCOMMANDS\n");
  for (const Subcommand& subcommand : subcommands) {
    RoffEntry(absl::StrCat(".BR asyncproc\\-", Roff(subcommand.name), " (1)"),
              subcommand.summary, &page);
  }
  absl::StrAppend(&page, ".SH OPTIONS\n");
  for (const Option& option : GlobalOptions()) RoffOption(option, &page);
  absl::StrAppend(&page, ".SH \"EXIT STATUS\"\n");
  RoffExitCodes(CommonExitCodes(), &page);
  absl::StrAppend(&page, ".SH EXAMPLES\n");
  for (const Subcommand& subcommand : subcommands) {
    RoffExamples(subcommand, &page);
  }
  absl::StrAppend(&page, ".SH \"SEE ALSO\"\n");
  for (const Subcommand& subcommand : subcommands) {
    absl::StrAppend(&page, ".BR asyncproc\\-", Roff(subcommand.name),
                    " (1),\n");
  }
  return absl::StrCat(page,
                      ".BR timeout (1),\n.BR parallel (1),\n"
                      ".BR script (1),\n.BR expect (1)\n");
}

std::string ManPageOf(const Subcommand& subcommand) {
  const std::string name = absl::StrCat("asyncproc-", subcommand.name);
  std::string page =
      absl::StrCat(RoffTitle(name), ".SH NAME\n", Roff(name), " \\- ",
                   Roff(subcommand.summary), "\n.SH SYNOPSIS\n.B asyncproc ",
                   Roff(subcommand.name), "\n[\\fIOPTION\\fR ...] ",
                   Roff(subcommand.synopsis), "\n.SH DESCRIPTION\n");
  RoffParagraphs(subcommand.description, &page);
  absl::StrAppend(&page, ".SH OPTIONS\n");
  RoffParagraphs(kConventions, &page);
  for (const OptionGroup& group : subcommand.options) {
    absl::StrAppend(&page, ".SS \"", Roff(group.title), "\"\n");
    for (const Option& option : group.options) RoffOption(option, &page);
  }
  absl::StrAppend(&page, ".SH \"EXIT STATUS\"\n");
  RoffExitCodes(subcommand.exit_codes, &page);
  if (!subcommand.examples.empty()) {
    absl::StrAppend(&page, ".SH EXAMPLES\n");
    RoffExamples(subcommand, &page);
  }
  return absl::StrCat(page, ".SH \"SEE ALSO\"\n.BR asyncproc (1)\n");
}

namespace {

// "[--scope]='child group tree'": the values of each option that has a few.
std::string BashChoices(const Subcommand& subcommand) {
  std::vector<std::string> choices;
  for (const OptionGroup& group : subcommand.options) {
    for (const Option& option : group.options) {
      if (option.choices.empty()) continue;
      choices.push_back(absl::StrCat("[", option.Name(), "]='",
                                     absl::StrJoin(option.choices, " "), "'"));
    }
  }
  return absl::StrJoin(choices, " ");
}

}  // namespace

std::string BashCompletion(const std::vector<Subcommand>& subcommands) {
  std::vector<std::string> names;
  std::string cases;
  for (const Subcommand& subcommand : subcommands) {
    names.push_back(subcommand.name);
    absl::StrAppend(&cases, "    ", subcommand.name, ")\n      options='",
                    Names(subcommand, false), "'\n      valued=' ",
                    Names(subcommand, true), " '\n      choices=(",
                    BashChoices(subcommand), ")\n      ;;\n");
  }
  return absl::StrCat(
      R"sh(# bash completion of asyncproc: eval "$(asyncproc --completion bash)"
_asyncproc() {
  local current=${COMP_WORDS[COMP_CWORD]} options= valued= option= i
  local -A choices=()
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W ')sh",
      absl::StrJoin(names, " "),
      R"sh( --help --version --man --completion' -- "$current"))
    return
  fi
  case ${COMP_WORDS[1]} in
)sh",
      cases,
      R"sh(    help)
      COMPREPLY=($(compgen -W ')sh",
      absl::StrJoin(names, " "),
      R"sh(' -- "$current"))
      return
      ;;
    --completion)
      COMPREPLY=($(compgen -W 'bash zsh fish' -- "$current"))
      return
      ;;
    *) return ;;
  esac
  # The first word that is neither an option nor the value of one.
  for ((i = 2; i < COMP_CWORD; ++i)); do
    case ${COMP_WORDS[i]} in
      --) ((++i)); break ;;
      =) ((++i)) ;;
      -*)
        if [[ $valued == *" ${COMP_WORDS[i]} "* && ${COMP_WORDS[i + 1]} != = ]]; then
          ((++i))
        fi
        ;;
      *) break ;;
    esac
  done
  # The words of --option=value are three.
  if [[ $current == = ]]; then
    if ((i == COMP_CWORD)); then ((++i)); fi
    current=
  fi
  if ((i > COMP_CWORD)); then
    option=${COMP_WORDS[COMP_CWORD - 1]}
    if [[ $option == = ]]; then option=${COMP_WORDS[COMP_CWORD - 2]}; fi
    if [[ -n ${choices[$option]} ]]; then
      COMPREPLY=($(compgen -W "${choices[$option]}" -- "$current"))
    else
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
  elif ((i == COMP_CWORD)); then
    if [[ $current == -* && ${COMP_WORDS[i - 1]} != -- ]]; then
      COMPREPLY=($(compgen -W "$options" -- "$current"))
    else
      mapfile -t COMPREPLY < <(
        compgen -c -- "$current"
        compgen -f -- "$current"
      )
    fi
  elif declare -F _command_offset >/dev/null; then
    _command_offset "$i"
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}
complete -o filenames -F _asyncproc asyncproc
)sh");
}

namespace {

// The first sentence of an option's help.
std::string ShortHelp(const Option& option) {
  const std::string help = OptionHelp(option);
  return help.substr(0, std::min({help.find(". "), help.find(": "),
                                  help.find("; "), help.size()}));
}

// Within single quotes and the brackets of a specification of _arguments.
std::string ZshText(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"'", "'\\''"},
                                    {"\\", "\\\\"},
                                    {"[", "\\["},
                                    {"]", "\\]"},
                                    {":", "\\:"}});
}

// The completion of an option's value.
std::string ZshValue(const Option& option) {
  std::string action = " ";
  if (!option.choices.empty()) {
    action = absl::StrCat("(", absl::StrJoin(option.choices, " "), ")");
  } else if (option.value == "FILE") {
    action = "_files";
  } else if (option.value == "DIR") {
    action = "_files -/";
  } else if (absl::StartsWith(option.value, "HOST")) {
    action = "_hosts";
  } else if (option.value == "COMMAND") {
    action = "_command_names -e";
  } else if (option.value == "SIGNAL") {
    action = "_signals";
  }
  return absl::StrCat(":", ZshText(option.value), ":", action);
}

std::string ZshOption(const Option& option) {
  const std::string name = option.Name();
  const bool valued = !option.value.empty();
  const std::string rest = absl::StrCat("'[", ZshText(ShortHelp(option)), "]",
                                        valued ? ZshValue(option) : "", "'");
  if (option.letter == 0) {
    return absl::StrCat("'", name, valued ? "=" : "", "'", rest);
  }
  const std::string letter = absl::StrCat("-", std::string(1, option.letter));
  return absl::StrCat("'(", letter, " ", name, ")'{", letter, valued ? "+" : "",
                      ",", name, valued ? "=" : "", "}", rest);
}

std::string FishText(absl::string_view text) {
  return absl::StrCat(
      "'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

std::string FishOption(const Option& option, absl::string_view condition) {
  std::string line =
      absl::StrCat("complete -c asyncproc -n ", FishText(condition), " -l ",
                   option.Name().substr(2));
  if (option.letter != 0) {
    absl::StrAppend(&line, " -s ", std::string(1, option.letter));
  }
  if (!option.choices.empty()) {
    absl::StrAppend(&line, " -x -a ",
                    FishText(absl::StrJoin(option.choices, " ")));
  } else if (option.value == "FILE" || option.value == "DIR") {
    absl::StrAppend(&line, " -r -F");
  } else if (absl::StartsWith(option.value, "HOST")) {
    absl::StrAppend(&line, " -x -a '(__fish_print_hostnames)'");
  } else if (!option.value.empty()) {
    absl::StrAppend(&line, " -x");
  }
  return absl::StrCat(line, " -d ", FishText(ShortHelp(option)), "\n");
}

}  // namespace

std::string ZshCompletion(const std::vector<Subcommand>& subcommands) {
  std::string names;
  std::string cases;
  for (const Subcommand& subcommand : subcommands) {
    absl::StrAppend(&names, "      '", subcommand.name, ":",
                    ZshText(subcommand.summary), "'\n");
    absl::StrAppend(&cases, "    ", subcommand.name,
                    ")\n      _arguments -s -S \\\n"
                    "        '(- *)'{-h,--help}'[Its help]' \\\n"
                    "        '(- *)'{-V,--version}'[The version]' \\\n");
    for (const OptionGroup& group : subcommand.options) {
      for (const Option& option : group.options) {
        absl::StrAppend(&cases, "        ", ZshOption(option), " \\\n");
      }
    }
    absl::StrAppend(&cases, "        ",
                    subcommand.word_ends_options
                        ? "'(-)1:command:_command_names -e' '*::word:_normal'"
                        : "'*:file:_files'",
                    "\n      ;;\n");
  }
  return absl::StrCat(R"sh(#compdef asyncproc
# zsh completion of asyncproc: the file _asyncproc in a folder of $fpath.
_asyncproc() {
  if ((CURRENT == 2)); then
    local -a subcommands=(
)sh",
                      names, R"sh(      'help:the help of a subcommand'
    )
    _describe -t commands subcommand subcommands
    _arguments '(-h --help)'{-h,--help}'[Help]' '(-V --version)'{-V,--version}'[The version]'       '--man[The man page]' '--completion[Completion for a shell]'
    return
  fi
  local subcommand=$words[2]
  shift words
  ((CURRENT--))
  case $subcommand in
)sh",
                      cases, "    help) _values subcommand ",
                      absl::StrJoin(subcommands, " ",
                                    [](std::string* out, const Subcommand& s) {
                                      absl::StrAppend(out, s.name);
                                    }),
                      R"sh( ;;
    --completion) _values shell bash zsh fish ;;
  esac
}
if [[ $funcstack[1] == _asyncproc ]]; then
  _asyncproc "$@"
else
  compdef _asyncproc asyncproc
fi
)sh");
}

std::string FishCompletion(const std::vector<Subcommand>& subcommands) {
  std::string text = R"sh(# fish completion of asyncproc: asyncproc.fish.
# Whether the subcommand is $argv[1] and no command of its own has begun.
function __asyncproc_in
  set -l words (commandline -opc)
  test (count $words) -ge 2; and test $words[2] = $argv[1]; or return 1
  set -l valued $argv[2..-1]
  set -l skip 0
  for word in $words[3..-1]
    if test $skip = 1
      set skip 0
    else if test $word = --
      return 1
    else if contains -- $word $valued
      set skip 1
    else if not string match -q -- '-*' $word
      return 1
    end
  end
  return 0
end
complete -c asyncproc -f
complete -c asyncproc -n __fish_use_subcommand -l help -s h -d 'Help'
complete -c asyncproc -n __fish_use_subcommand -l version -s V -d 'The version'
complete -c asyncproc -n __fish_use_subcommand -l man -d 'The man page'
complete -c asyncproc -n __fish_use_subcommand -l completion -x -a 'bash zsh fish' -d 'Completion for a shell'
complete -c asyncproc -n __fish_use_subcommand -a help -d 'The help of a subcommand'
)sh";
  for (const Subcommand& subcommand : subcommands) {
    absl::StrAppend(&text, "complete -c asyncproc -n __fish_use_subcommand -a ",
                    subcommand.name, " -d ", FishText(subcommand.summary),
                    "\n");
    absl::StrAppend(&text,
                    "complete -c asyncproc -n '__fish_seen_subcommand_from "
                    "help' -a ",
                    subcommand.name, "\n");
    const std::string condition =
        absl::StrCat("__asyncproc_in ", subcommand.name, " ",
                     Names(subcommand, /*only_with_value=*/true));
    absl::StrAppend(&text, "complete -c asyncproc -n ", FishText(condition),
                    " -l help -s h -d 'Its help'\n");
    for (const OptionGroup& group : subcommand.options) {
      for (const Option& option : group.options) {
        absl::StrAppend(&text, FishOption(option, condition));
      }
    }
    absl::StrAppend(
        &text, "complete -c asyncproc -n ",
        FishText(absl::StrCat("__fish_seen_subcommand_from ", subcommand.name)),
        subcommand.word_ends_options
            ? " -a '(__fish_complete_subcommand --fcs-skip=2)'\n"
            : " -F\n");
  }
  return text;
}

}  // namespace asyncproc::cli
