#include "tools/asyncproc/repl_program.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/plain_terminal.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "nlohmann/json.hpp"
#include "re2/re2.h"
#include "tools/asyncproc/byte_regex.h"
#include "tools/asyncproc/input.h"
#include "tools/asyncproc/subcommand.h"

ABSL_FLAG(std::string, preset, "",
          "A known program: bash, bc, dc, fish, gdb, guile, lua, node, ocaml, "
          "perl, prolog, psql, python3, r, redis, ruby, sh, sqlite3, tcl or "
          "zsh. The words after the options are further arguments for it.");
ABSL_FLAG(
    std::string, dialect, "",
    "A file with a JSON object that describes a program. Its fields are "
    "those of ReplDialect in asyncproc/repl_dialects.h (name, statement, "
    "setup, typed, channel, prompt, continuation, whole, echoes, refused, "
    "incomplete, abandon), and command (an array), environment (null "
    "unsets), terminal, merge_stderr, interrupt_signal, interrupt_text, "
    "interrupt_answer and interrupt_limit. The words after the options "
    "are further arguments.");
ABSL_FLAG(
    std::string, prompt, "",
    "The prompt of COMMAND: a regular expression (RE2) for the end of its "
    "output when it waits for a command. On a terminal, a command with a "
    "control character is refused, since the terminal would act on it, and so "
    "is one with a tab if COMMAND edits its lines, since the tab would "
    "complete "
    "a word. Each line of a command must be answered by a prompt: see "
    "--continuation and --whole.");
ABSL_FLAG(
    std::string, continuation, "",
    "The prompt of the COMMAND of --prompt when it waits for the rest of a "
    "command, such as '\\.\\.\\. $' for python3: a regular expression (RE2). "
    "After this prompt, the next line of the session belongs to the same "
    "command.");
ABSL_FLAG(bool, whole, false,
          "Write the lines of a command of --prompt at once, and await one "
          "prompt. For a COMMAND that prints no prompt for a line that does "
          "not end a command, as sbcl and clisp do.");
ABSL_FLAG(bool, terminal, true,
          "Give the COMMAND of --prompt a terminal. That is the default, for "
          "most programs print no prompt without one; --no-terminal gives it "
          "pipes, and joins its stderr to its stdout. The terminal has 8192 "
          "columns and TERM=dumb; zsh needs +Z there, ksh93 +o emacs, and irb "
          "--nomultiline.");

namespace asyncproc::cli {

namespace {

struct Preset {
  const char* name;
  ReplDialect (*dialect)();
};

constexpr Preset kPresets[] = {
    {"bash", BashDialect},
    {"bc", BcDialect},
    {"dc", DcDialect},
    {"fish", FishDialect},
    {"gdb", [] { return GdbDialect(); }},
    {"guile", GuileDialect},
    {"lua", LuaDialect},
    {"node", NodeDialect},
    {"ocaml", OcamlDialect},
    {"perl", PerlDialect},
    {"prolog", PrologDialect},
    {"psql", [] { return PsqlDialect(); }},
    {"python", PythonDialect},
    {"python3", PythonDialect},
    {"r", RDialect},
    {"redis", [] { return RedisDialect(); }},
    {"ruby", RubyDialect},
    {"sh", ShDialect},
    {"sqlite3", [] { return Sqlite3Dialect(); }},
    {"tcl", TclDialect},
    {"zsh", ZshDialect},
};

absl::StatusOr<ReplDialect> FromPreset(const std::string& name,
                                       const std::vector<std::string>& words) {
  for (const Preset& preset : kPresets) {
    if (name != preset.name) continue;
    // A database file replaces the one in memory.
    if (name == "sqlite3" && !words.empty()) {
      ReplDialect dialect = Sqlite3Dialect(words[0]);
      dialect.command.argv.insert(dialect.command.argv.end(), words.begin() + 1,
                                  words.end());
      return dialect;
    }
    ReplDialect dialect = preset.dialect();
    dialect.command.argv.insert(dialect.command.argv.end(), words.begin(),
                                words.end());
    return dialect;
  }
  std::vector<std::string> names;
  for (const Preset& preset : kPresets) names.push_back(preset.name);
  const std::string nearest = Nearest(name, names);
  return absl::InvalidArgumentError(absl::StrCat(
      "there is no preset '", name, "': the presets are ", OneOf(names),
      nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?")));
}

// Wide, so that line editing does not scroll the line that it echoes.
constexpr Pty kWideTerminal = {24, 8192, /*echo=*/false};

// The bytes on which a terminal or a line editor acts, but for a tab, which is
// text as long as no program edits the line.
std::string ControlCharacters() {
  std::string bytes = "\x7f";
  for (char c = 0; c < ' '; ++c) {
    if (c != '\t' && c != '\n') bytes.push_back(c);
  }
  return bytes;
}

ReplDialect Prompted(const std::string& prompt, const std::string& continuation,
                     const std::vector<std::string>& words) {
  ReplDialect dialect;
  dialect.command = Command(words);
  dialect.prompt = prompt;
  dialect.continuation = continuation;
  dialect.whole = absl::GetFlag(FLAGS_whole);
  if (!absl::GetFlag(FLAGS_terminal)) {
    // Many programs, such as python3 -i, write their prompts to stderr there.
    dialect.command.err = Stdio::ToStdout();
    return dialect;
  }
  dialect.command.pty = kWideTerminal;
  dialect.command = OnPlainTerminal(std::move(dialect.command));
  // Either the terminal or a line editor then echoes a line, and an answer that
  // equals the line is no echo.
  dialect.command.pty->echo = true;
  dialect.echoes = true;
  dialect.refused = ControlCharacters();
  return dialect;
}

// A dialect as an object of JSON, with the names of ReplDialect's fields.
absl::StatusOr<ReplDialect> ParseDialect(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false, true);
  if (!json.is_object()) {
    return absl::InvalidArgumentError("is not a JSON object");
  }
  ReplDialect dialect;
  const std::map<std::string, std::string*> texts = {
      {"name", &dialect.name},
      {"statement", &dialect.statement},
      {"setup", &dialect.setup},
      {"typed", &dialect.typed},
      {"prompt", &dialect.prompt},
      {"continuation", &dialect.continuation},
      {"refused", &dialect.refused},
      {"incomplete", &dialect.incomplete},
      {"interrupt_text", &dialect.interrupt.text},
      {"interrupt_answer", &dialect.interrupt.answer}};
  const std::map<std::string, bool*> switches = {{"channel", &dialect.channel},
                                                 {"echoes", &dialect.echoes},
                                                 {"whole", &dialect.whole}};
  const std::map<std::string, int*> numbers = {
      {"interrupt_signal", &dialect.interrupt.signal},
      {"interrupt_limit", &dialect.interrupt.limit}};
  const std::map<std::string, std::vector<std::string>*> lists = {
      {"command", &dialect.command.argv}, {"abandon", &dialect.abandon}};
  dialect.command.process_group = ProcessGroup::New();
  for (const auto& [name, value] : json.items()) {
    if (const auto it = texts.find(name);
        it != texts.end() && value.is_string()) {
      *it->second = value.get<std::string>();
    } else if (const auto it = switches.find(name);
               it != switches.end() && value.is_boolean()) {
      *it->second = value.get<bool>();
    } else if (const auto it = numbers.find(name);
               it != numbers.end() && value.is_number_integer()) {
      *it->second = value.get<int>();
    } else if (const auto it = lists.find(name);
               it != lists.end() && value.is_array()) {
      for (const auto& item : value) {
        if (!item.is_string()) {
          return absl::InvalidArgumentError(
              absl::StrCat("\"", name, "\" has an element that is no string"));
        }
        it->second->push_back(item.get<std::string>());
      }
    } else if (name == "environment" && value.is_object()) {
      for (const auto& [variable, setting] : value.items()) {
        if (setting.is_string()) {
          dialect.command.env.Set(variable, setting.get<std::string>());
        } else {
          dialect.command.env.Unset(variable);
        }
      }
    } else if (name == "terminal" && value.is_boolean()) {
      if (!value.get<bool>()) continue;
      dialect.command.process_group = ProcessGroup::Inherit();
      dialect.command.pty = kWideTerminal;
      dialect.command = OnPlainTerminal(std::move(dialect.command));
    } else if (name == "merge_stderr" && value.is_boolean()) {
      if (value.get<bool>()) dialect.command.err = Stdio::ToStdout();
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", name, "\" is not a field, or has a wrong type"));
    }
  }
  for (const std::string* regex :
       {&dialect.prompt, &dialect.continuation, &dialect.incomplete}) {
    if (const RE2 parsed(*regex, RE2::Quiet); !parsed.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", *regex, "\" is not a regular expression: ", parsed.error()));
    }
  }
  if (dialect.command.argv.empty()) {
    return absl::InvalidArgumentError("has no \"command\"");
  }
  return dialect;
}

absl::StatusOr<ReplDialect> FromFile(const std::string& path,
                                     const std::vector<std::string>& words,
                                     const CancellationToken& token) {
  const absl::StatusOr<std::string> text = ReadFile("--dialect", path, token);
  if (!text.ok()) return text.status();
  absl::StatusOr<ReplDialect> dialect = ParseDialect(*text);
  if (!dialect.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--dialect ", path, ": ", dialect.status().message()));
  }
  dialect->command.argv.insert(dialect->command.argv.end(), words.begin(),
                               words.end());
  return dialect;
}

}  // namespace

absl::StatusOr<ReplDialect> DialectFromFlags(
    const std::vector<std::string>& words, const CancellationToken& token) {
  const std::string preset = absl::GetFlag(FLAGS_preset);
  const std::string prompt = absl::GetFlag(FLAGS_prompt);
  const std::string continuation = absl::GetFlag(FLAGS_continuation);
  const std::string path = absl::GetFlag(FLAGS_dialect);
  if (preset.empty() + prompt.empty() + path.empty() != 2) {
    return absl::InvalidArgumentError(
        "no program is given: use --preset, --dialect, or --prompt and a "
        "command");
  }
  if (prompt.empty() && !continuation.empty()) {
    return absl::InvalidArgumentError("--continuation needs --prompt");
  }
  const bool whole = absl::GetFlag(FLAGS_whole);
  if (whole && (prompt.empty() || !continuation.empty())) {
    return absl::InvalidArgumentError(
        "--whole needs --prompt, and no --continuation");
  }
  if (!preset.empty()) return FromPreset(preset, words);
  if (!path.empty()) return FromFile(path, words, token);
  if (words.empty()) {
    return absl::InvalidArgumentError("--prompt needs a command");
  }
  absl::Status status = CheckRegex("--prompt", prompt);
  if (status.ok()) status = CheckRegex("--continuation", continuation);
  if (!status.ok()) return status;
  return Prompted(prompt, continuation, words);
}

}  // namespace asyncproc::cli
