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

const char kVersion[] = "0.1.0";

namespace {

constexpr size_t kColumns = 79;
constexpr size_t kIndent = 26;  // Of the help of an option.

const char kWhat[] =
    "Starts programs, talks to them while they run, and ends them with all "
    "that they have started.";

const char kWhatBesides[] =
    "--name VALUE and --name=VALUE are the same; -- ends the options. A time "
    "is a number of seconds, or has units: 500ms, 30s, 1h30m, 2d. A size is a "
    "number of bytes, or has a unit of 1024s: 64K, 1M, 2G.";

// Exit codes of every subcommand.
const std::vector<ExitCodeNote>& CommonExitCodes() {
  static const auto* const codes = new std::vector<ExitCodeNote>{
      {"124", "a time limit ended the command, however it then ended"},
      {"125", "asyncproc itself failed: a wrong option, no process to be had"},
      {"126", "the command was found, but cannot be run"},
      {"127", "the command was not found"},
      {"128+n", "signal n killed the command"},
      {"other", "that of the command"},
  };
  return *codes;
}

const std::vector<Option>& GlobalOptions() {
  static const auto* const options = new std::vector<Option>{
      {"help", "", 'h', "This text; behind a subcommand, that one's."},
      {"version", "", 0, "The version."},
      {"man", "", 0, "The man page: asyncproc --man | man -l -"},
      {"completion", "SHELL", 0,
       "Completion for a shell, which can be bash: eval \"$(asyncproc "
       "--completion bash)\""},
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

// A term and what is said about it, in two columns.
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

void RoffSubcommand(const Subcommand& subcommand, std::string* page) {
  absl::StrAppend(page, ".SS \"asyncproc ", Roff(subcommand.name),
                  " [\\fIOPTION\\fR ...] ", Roff(subcommand.synopsis), "\"\n");
  RoffParagraphs(subcommand.description, page);
  for (const OptionGroup& group : subcommand.options) {
    absl::StrAppend(page, ".PP\n\\fB", Roff(group.title), "\\fR\n");
    for (const Option& option : group.options) RoffOption(option, page);
  }
  if (subcommand.exit_codes.empty()) return;
  absl::StrAppend(page, ".PP\n\\fBExit status\\fR\n");
  for (const ExitCodeNote& code : subcommand.exit_codes) {
    RoffEntry(Roff(code.code), code.meaning, page);
  }
}

// All options of a subcommand, as one types them; with `value`, only those that
// take one.
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
  absl::StrAppend(&text, Wrap(kWhat, 0, 0), "\n\nSubcommands:\n");
  for (const Subcommand& subcommand : subcommands) {
    absl::StrAppend(&text, Entry(subcommand.name, subcommand.summary));
  }
  absl::StrAppend(&text, "\nOptions:\n");
  for (const Option& option : GlobalOptions()) {
    absl::StrAppend(&text, OptionEntry(option));
  }
  return absl::StrCat(text, "\n", Wrap(kWhatBesides, 0, 0),
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
  absl::StrAppend(&text, "Exit status:\n", ExitCodes(subcommand.exit_codes),
                  ExitCodes(CommonExitCodes()));
  if (!subcommand.examples.empty()) absl::StrAppend(&text, "\nExamples:\n");
  for (const Example& example : subcommand.examples) {
    absl::StrAppend(&text, "  ", Wrap(example.what, 2, 2), "\n      ",
                    example.line, "\n");
  }
  return text;
}

std::string ManPage(const std::vector<Subcommand>& subcommands) {
  std::string page = absl::StrCat(
      ".TH ASYNCPROC 1 \"\" \"asyncproc ", kVersion, "\" \"User Commands\"\n",
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
  absl::StrAppend(&page, ".SH DESCRIPTION\n", Roff(kWhat), "\n");
  RoffParagraphs(kWhatBesides, &page);
  absl::StrAppend(&page, ".SH OPTIONS\n");
  for (const Option& option : GlobalOptions()) RoffOption(option, &page);
  absl::StrAppend(&page, ".SH SUBCOMMANDS\n");
  for (const Subcommand& subcommand : subcommands) {
    RoffSubcommand(subcommand, &page);
  }
  absl::StrAppend(&page, ".SH \"EXIT STATUS\"\n");
  for (const ExitCodeNote& code : CommonExitCodes()) {
    RoffEntry(Roff(code.code), code.meaning, &page);
  }
  absl::StrAppend(&page, ".SH EXAMPLES\n");
  for (const Subcommand& subcommand : subcommands) {
    for (const Example& example : subcommand.examples) {
      absl::StrAppend(&page, ".PP\n", Roff(example.what), "\n.PP\n.RS 4\n.EX\n",
                      Roff(example.line), "\n.EE\n.RE\n");
    }
  }
  return absl::StrCat(page,
                      ".SH \"SEE ALSO\"\n.BR timeout (1),\n.BR parallel (1),\n"
                      ".BR script (1),\n.BR expect (1)\n");
}

std::string BashCompletion(const std::vector<Subcommand>& subcommands) {
  std::vector<std::string> names;
  std::string cases;
  for (const Subcommand& subcommand : subcommands) {
    names.push_back(subcommand.name);
    absl::StrAppend(&cases, "    ", subcommand.name, ")\n      options='",
                    Names(subcommand, false), "'\n      valued=' ",
                    Names(subcommand, true), " '\n      ;;\n");
  }
  return absl::StrCat(
      R"sh(# bash completion of asyncproc: eval "$(asyncproc --completion bash)"
_asyncproc() {
  local current=${COMP_WORDS[COMP_CWORD]} options= valued= i
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
      R"sh(    --completion)
      COMPREPLY=($(compgen -W bash -- "$current"))
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
  if ((i > COMP_CWORD)); then
    COMPREPLY=($(compgen -f -- "$current"))  # The value of an option.
  elif ((i == COMP_CWORD)); then
    if [[ $current == -* && ${COMP_WORDS[i - 1]} != -- ]]; then
      COMPREPLY=($(compgen -W "$options" -- "$current"))
    else
      COMPREPLY=($(compgen -c -- "$current") $(compgen -f -- "$current"))
    fi
  elif declare -F _command_offset >/dev/null; then
    _command_offset "$i"
  else
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -o filenames -F _asyncproc asyncproc
)sh");
}

}  // namespace asyncproc::cli
