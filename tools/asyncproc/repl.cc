#include "tools/asyncproc/repl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/plain_terminal.h"
#include "asyncproc/recorder.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "nlohmann/json.hpp"
#include "re2/re2.h"
#include "tools/asyncproc/byte_regex.h"
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/flags.h"
#include "tools/asyncproc/orphans.h"
#include "tools/asyncproc/os/open_file.h"
#include "tools/asyncproc/os/unique_fd.h"
#include "tools/asyncproc/output.h"
#include "tools/asyncproc/session.h"
#include "tools/asyncproc/signal_watcher.h"

ABSL_FLAG(
    std::string, preset, "",
    "A program that is known: bash, bc, dc, gdb, lua, node, psql, python3, sh "
    "or sqlite3. What follows are further arguments for it.");
ABSL_FLAG(std::string, dialect, "",
          "How to talk to a program, from this file: an object of JSON. Its "
          "fields are those of ReplDialect in asyncproc/repl.h (statement, "
          "setup, typed, channel, prompt, continuation, echoes, refused, "
          "incomplete, abandon), and command (an array), environment (null "
          "unsets), terminal, merge_stderr, interrupt_signal, interrupt_text "
          "and interrupt_repeated. What follows are further arguments.");
ABSL_FLAG(std::string, prompt, "",
          "What COMMAND says when it waits for a command: a regular expression "
          "(RE2) for the end of its output.");
ABSL_FLAG(bool, terminal, true,
          "Give the COMMAND of --prompt a terminal: most print no prompt "
          "without.");
ABSL_FLAG(std::string, file, "", "Read the session from this file, not stdin.");
ABSL_FLAG(bool, json, false,
          "Print a line of JSON for each command: command, out, err, status "
          "(where the program tells), seconds, line.");
ABSL_FLAG(bool, check, false,
          "Compare the replies with those in the session, and print only what "
          "differs.");

namespace asyncproc::cli {

namespace {

const char kDescription[] =
    "Starts an interactive program, gives it one command after the other, and "
    "prints each with its reply.\n\n"
    "The session, from stdin or --file, has a command in each line; lines that "
    "begin with a blank continue the one before, and so do those behind a "
    "command that the program is known to wait for the rest of. Or it has the "
    "form that is printed, which is that of Python's doctest: commands behind "
    "'>>> ', their further lines behind '... ', then the reply up to an empty "
    "line, <BLANKLINE> standing for one in it; anything else is prose. With "
    "--check, such a session is a test: what was printed once, and found "
    "right, is what has to come again.\n\n"
    "When stdin is a terminal, commands are asked for; an empty line ends one "
    "of several lines.";

constexpr int kDiffers = 1;

// What the command says is shown as it is when it is not to be compared.
struct Outcome {
  std::string statement;
  Reply reply;
  absl::Duration elapsed;

  // As a person would see it.
  std::string Shown() const {
    return absl::StrReplaceAll(absl::StrCat(reply.out, reply.err),
                               {{"\r\n", "\n"}});
  }
};

struct Preset {
  const char* name;
  ReplDialect (*dialect)();
};

constexpr Preset kPresets[] = {
    {"bash", BashDialect},
    {"bc", BcDialect},
    {"dc", DcDialect},
    {"gdb", [] { return GdbDialect(); }},
    {"lua", LuaDialect},
    {"node", NodeDialect},
    {"psql", [] { return PsqlDialect(); }},
    {"python", PythonDialect},
    {"python3", PythonDialect},
    {"sh", ShDialect},
    {"sqlite3", [] { return Sqlite3Dialect(); }},
};

absl::StatusOr<ReplDialect> FromPreset(const std::string& name,
                                       const std::vector<std::string>& words) {
  for (const Preset& preset : kPresets) {
    if (name != preset.name) continue;
    // A database comes in the place of the one in memory.
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
  return absl::InvalidArgumentError(
      absl::StrCat("there is no preset '", name, "'"));
}

// Wide, so that line editing does not scroll what it echoes.
constexpr Pty kWideTerminal = {24, 8192, /*echo=*/false};

ReplDialect Prompted(const std::string& prompt,
                     const std::vector<std::string>& words) {
  ReplDialect dialect;
  dialect.command = Command(words);
  dialect.prompt = prompt;
  if (!absl::GetFlag(FLAGS_terminal)) return dialect;
  dialect.command.pty = kWideTerminal;
  dialect.command = OnPlainTerminal(std::move(dialect.command));
  dialect.echoes = true;
  return dialect;
}

// A dialect as an object of JSON, with the names of ReplDialect's fields.
absl::StatusOr<ReplDialect> ParseDialect(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false, true);
  if (!json.is_object()) {
    return absl::InvalidArgumentError("is not an object of JSON");
  }
  ReplDialect dialect;
  const std::map<std::string, std::string*> texts = {
      {"statement", &dialect.statement},
      {"setup", &dialect.setup},
      {"typed", &dialect.typed},
      {"prompt", &dialect.prompt},
      {"continuation", &dialect.continuation},
      {"refused", &dialect.refused},
      {"incomplete", &dialect.incomplete},
      {"interrupt_text", &dialect.interrupt.text}};
  const std::map<std::string, bool*> switches = {
      {"channel", &dialect.channel},
      {"echoes", &dialect.echoes},
      {"interrupt_repeated", &dialect.interrupt.repeated}};
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
    } else if (const auto it = lists.find(name);
               it != lists.end() && value.is_array()) {
      for (const auto& item : value) {
        if (item.is_string()) it->second->push_back(item.get<std::string>());
      }
    } else if (name == "environment" && value.is_object()) {
      for (const auto& [variable, setting] : value.items()) {
        if (setting.is_string()) {
          dialect.command.env.Set(variable, setting.get<std::string>());
        } else {
          dialect.command.env.Unset(variable);
        }
      }
    } else if (name == "interrupt_signal" && value.is_number_integer()) {
      dialect.interrupt.signal = value.get<int>();
    } else if (name == "terminal" && value.is_boolean()) {
      if (!value.get<bool>()) continue;
      dialect.command.process_group = ProcessGroup::Inherit();
      dialect.command.pty = kWideTerminal;
      dialect.command = OnPlainTerminal(std::move(dialect.command));
    } else if (name == "merge_stderr" && value.is_boolean()) {
      if (value.get<bool>()) dialect.command.err = Stdio::ToStdout();
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", name, "\" is no field, or has a wrong type"));
    }
  }
  for (const std::string* regex :
       {&dialect.prompt, &dialect.continuation, &dialect.incomplete}) {
    if (const RE2 parsed(*regex, RE2::Quiet); !parsed.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", *regex, "\": ", parsed.error()));
    }
  }
  if (dialect.command.argv.empty()) {
    return absl::InvalidArgumentError("has no \"command\"");
  }
  return dialect;
}

absl::StatusOr<ReplDialect> FromFile(const std::string& path,
                                     const std::vector<std::string>& words) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) {
    return absl::NotFoundError(
        absl::StrCat("--dialect ", path, " cannot be read"));
  }
  absl::StatusOr<ReplDialect> dialect = ParseDialect(text.str());
  if (!dialect.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--dialect ", path, ": ", dialect.status().message()));
  }
  dialect->command.argv.insert(dialect->command.argv.end(), words.begin(),
                               words.end());
  return dialect;
}

absl::StatusOr<ReplDialect> DialectFromFlags(
    const std::vector<std::string>& words) {
  const std::string preset = absl::GetFlag(FLAGS_preset);
  const std::string prompt = absl::GetFlag(FLAGS_prompt);
  const std::string path = absl::GetFlag(FLAGS_dialect);
  if (preset.empty() + prompt.empty() + path.empty() != 2) {
    return absl::InvalidArgumentError(
        "which program? Use --preset, --dialect, or --prompt and a command");
  }
  if (!preset.empty()) return FromPreset(preset, words);
  if (!path.empty()) return FromFile(path, words);
  if (words.empty()) {
    return absl::InvalidArgumentError("--prompt needs a command");
  }
  if (const RE2 regex(prompt, ByteRegexOptions()); !regex.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--prompt: ", regex.error()));
  }
  return Prompted(prompt, words);
}

// What there is to read next; empty at the end. Errors: kCancelled.
absl::StatusOr<std::string> ReadSome(int fd, const CancellationToken& token) {
  for (;;) {
    if (token.IsCanceled()) return absl::CancelledError("got a signal");
    // Signals are taken by another thread, and interrupt nothing here.
    pollfd poll_fd = {fd, POLLIN, 0};
    if (poll(&poll_fd, 1, /*timeout=*/50) <= 0) continue;
    char bytes[65536];
    const ssize_t count = read(fd, bytes, sizeof(bytes));
    if (count >= 0) return std::string(bytes, static_cast<size_t>(count));
    if (errno != EINTR && errno != EAGAIN) {
      return absl::ErrnoToStatus(errno, "cannot read the session");
    }
  }
}

absl::StatusOr<std::string> ReadSession(const std::string& path,
                                        const CancellationToken& token) {
  UniqueFd file;
  if (!path.empty()) file = OpenFile(path.c_str(), O_RDONLY);
  if (!path.empty() && !file.valid()) {
    return absl::ErrnoToStatus(errno, absl::StrCat("--file ", path));
  }
  const int fd = path.empty() ? STDIN_FILENO : file.get();
  std::string text;
  absl::StatusOr<std::string> more = ReadSome(fd, token);
  for (; more.ok() && !more->empty(); more = ReadSome(fd, token)) text += *more;
  if (!more.ok()) return more.status();
  return text;
}

// One session, from its first command to its exit code.
class Session {
 public:
  Session(std::unique_ptr<Repl> repl, const CancellationToken& token)
      : repl_(std::move(repl)), token_(token) {}

  int Run(const SessionScript& script) {
    for (size_t i = 0; i < script.steps.size();) {
      const SessionStep& step = script.steps[i];
      size_t used = 1;
      absl::StatusOr<Outcome> outcome = Eval(step.statement);
      // The rest of it may be in the lines that follow.
      while (!script.is_doctest && IsIncomplete(outcome.status()) &&
             i + used < script.steps.size()) {
        outcome = Eval(JoinSteps(script, i, ++used));
      }
      i += used;
      if (!outcome.ok()) {
        return Failed(outcome.status(), step, i < script.steps.size());
      }
      if (absl::Status shown = Show(step, *outcome); !shown.ok()) {
        Complain("repl", shown.message());
        return kOwnFailure;
      }
    }
    Close();
    return differences_ > 0 ? kDiffers : kSuccess;
  }

  // Asks for one command after the other.
  int RunAtTerminal() {
    std::string typed;  // Not yet evaluated.
    bool complete = true;
    SessionStep step;
    for (;;) {
      if (!Print(complete ? ">>> " : "... ").ok()) return kOwnFailure;
      const absl::StatusOr<std::optional<std::string>> line = ReadLine();
      if (!line.ok() || !line->has_value()) break;
      ++step.line;
      if (complete && (*line)->empty()) continue;
      absl::StrAppend(&typed, typed.empty() ? "" : "\n", **line);
      // One of several lines goes on up to an empty one.
      if (!complete && !(*line)->empty()) continue;
      const absl::StatusOr<Outcome> outcome = Eval(typed);
      if (complete && IsIncomplete(outcome.status())) {
        complete = false;
        continue;
      }
      step.statement = std::exchange(typed, "");
      complete = true;
      if (outcome.ok()) {
        if (!Print(outcome->Shown()).ok()) return kOwnFailure;
      } else if (absl::IsFailedPrecondition(outcome.status()) ||
                 absl::IsCancelled(outcome.status())) {
        return Failed(outcome.status(), step, /*more=*/false);
      } else {
        Complain("repl", outcome.status().message());
      }
    }
    Close();
    return kSuccess;
  }

 private:
  static bool IsIncomplete(const absl::Status& status) {
    return absl::IsInvalidArgument(status);
  }

  static std::string JoinSteps(const SessionScript& script, size_t first,
                               size_t count) {
    std::vector<absl::string_view> statements;
    for (size_t i = first; i < first + count; ++i) {
      statements.push_back(script.steps[i].statement);
    }
    return absl::StrJoin(statements, "\n");
  }

  absl::StatusOr<Outcome> Eval(const std::string& statement) {
    const absl::Time start = absl::Now();
    absl::StatusOr<Reply> reply =
        repl_->Eval(statement, absl::GetFlag(FLAGS_timeout).value);
    if (!reply.ok()) return reply.status();
    return Outcome{statement, *std::move(reply), absl::Now() - start};
  }

  static absl::Status Print(absl::string_view text) {
    return WriteAll(STDOUT_FILENO, text);
  }

  absl::Status Show(const SessionStep& step, const Outcome& outcome) {
    const bool check = absl::GetFlag(FLAGS_check);
    const std::string shown = outcome.Shown();
    const bool same =
        !check || IsAsExpected(step, outcome.reply.out, outcome.reply.err);
    if (!same) ++differences_;
    if (absl::GetFlag(FLAGS_json)) {
      nlohmann::ordered_json line = {{"line", step.line},
                                     {"command", outcome.statement},
                                     {"out", outcome.reply.out},
                                     {"err", outcome.reply.err}};
      if (outcome.reply.status.has_value()) {
        line["status"] = *outcome.reply.status;
      }
      line["seconds"] = absl::ToDoubleSeconds(outcome.elapsed);
      if (check) {
        line["expected"] = step.expected.value_or("");
        line["same"] = same;
      }
      // What is no UTF-8 is replaced.
      return Print(absl::StrCat(
          line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
          "\n"));
    }
    if (!check) return Print(FormatStep(outcome.statement, shown));
    if (same) return absl::OkStatus();
    const std::string path = absl::GetFlag(FLAGS_file);
    return Print(absl::StrCat(
        path.empty() ? "stdin" : path, ":", step.line, ":\n",
        FormatStep(outcome.statement, ""), "expected:\n",
        Indented(step.expected.value_or("")), "got:\n", Indented(shown)));
  }

  static std::string Indented(absl::string_view text) {
    if (text.empty()) return "    (nothing)\n";
    absl::ConsumeSuffix(&text, "\n");
    return absl::StrCat("    ", absl::StrReplaceAll(text, {{"\n", "\n    "}}),
                        "\n");
  }

  // The exit code for a command that has no reply.
  int Failed(const absl::Status& status, const SessionStep& step, bool more) {
    if (absl::IsFailedPrecondition(status)) {
      const absl::StatusOr<ExitStatus> end = repl_->process().Wait(WNOHANG);
      // That a command ends the program is as it should be, at the end.
      if (end.ok() && (!more || !end->ok())) {
        if (more || !end->exited()) ComplainAt(step, status);
        if (end->ok() && differences_ > 0) return kDiffers;
        return ExitCodeOf(*end);
      }
    }
    ComplainAt(step, status);
    // It is killed when this goes away.
    return absl::IsDeadlineExceeded(status) ? kTimedOut : kOwnFailure;
  }

  static void ComplainAt(const SessionStep& step, const absl::Status& status) {
    Complain("repl", absl::StrCat("line ", step.line, ": ", status.message()));
  }

  void Close() {
    if (auto end = repl_->Close(); !end.ok()) {
      Complain("repl", end.status().message());
    }
  }

  // From the terminal; nullopt at the end of the input.
  absl::StatusOr<std::optional<std::string>> ReadLine() {
    for (;;) {
      const size_t newline = ahead_.find('\n');
      if (newline != std::string::npos) {
        std::string line = ahead_.substr(0, newline);
        ahead_.erase(0, newline + 1);
        return line;
      }
      const absl::StatusOr<std::string> more = ReadSome(STDIN_FILENO, token_);
      if (!more.ok()) return more.status();
      if (more->empty()) return std::nullopt;
      ahead_ += *more;
    }
  }

  const std::unique_ptr<Repl> repl_;
  const CancellationToken token_;
  std::string ahead_;  // Typed, and not yet read as lines.
  int differences_ = 0;
};

int ExitCodeOfFailedRepl(const absl::Status& status) {
  if (absl::IsDeadlineExceeded(status)) return kTimedOut;
  return ExitCodeOfFailedStart(status);
}

// From the start of the program to its end.
int Converse(ReplDialect dialect, const CancellationToken& token,
             bool at_terminal, const SessionScript& script, Orphans* orphans) {
  orphans->Mark(&dialect.command);
  absl::StatusOr<std::unique_ptr<Repl>> repl = [&] {
    Orphans::Birth birth(orphans);
    auto started = Repl::Start(std::move(dialect));
    if (started.ok()) birth.Started((*started)->process().pid());
    return started;
  }();
  if (!repl.ok()) {
    Complain("repl", repl.status().message());
    return ExitCodeOfFailedRepl(repl.status());
  }
  Session session(*std::move(repl), token);
  return at_terminal ? session.RunAtTerminal() : session.Run(script);
}

// All but the signals.
int Talk(const std::vector<std::string>& words, const CancellationToken& token,
         Orphans* orphans) {
  absl::StatusOr<ReplDialect> dialect = DialectFromFlags(words);
  if (!dialect.ok()) {
    Complain("repl", dialect.status().message());
    return kOwnFailure;
  }
  const std::string path = absl::GetFlag(FLAGS_file);
  const bool at_terminal = path.empty() && isatty(STDIN_FILENO) == 1 &&
                           !absl::GetFlag(FLAGS_check) &&
                           !absl::GetFlag(FLAGS_json);
  SessionScript script;
  if (!at_terminal) {
    const absl::StatusOr<std::string> text = ReadSession(path, token);
    if (!text.ok()) {
      Complain("repl", text.status().message());
      return kOwnFailure;
    }
    script = ParseSession(*text);
    if (absl::GetFlag(FLAGS_check) && !script.is_doctest) {
      Complain("repl", "nothing to check: there is no '>>> ' in the session");
      return kOwnFailure;
    }
  }
  const std::string record = absl::GetFlag(FLAGS_record);
  if (record.empty())
    return Converse(*std::move(dialect), token, at_terminal, script, orphans);
  absl::StatusOr<std::shared_ptr<Recorder>> recorder = Recorder::ToFile(record);
  if (!recorder.ok()) {
    Complain("repl", recorder.status().message());
    return kOwnFailure;
  }
  dialect->command.observer = *recorder;
  const int code =
      Converse(*std::move(dialect), token, at_terminal, script, orphans);
  if (absl::Status status = (*recorder)->Close(); !status.ok()) {
    Complain("repl", status.message());
    return kOwnFailure;
  }
  return code;
}

int ReplMain(const std::vector<std::string>& words) {
  std::atomic<int> signal{0};
  Orphans orphans;
  CancellationToken token;
  auto watcher = SignalWatcher::Start(
      SignalWatcher::EndingSignals(),
      [&](const ReceivedSignal& received) {
        signal = received.number;
        token.Cancel();
      },
      &orphans);
  if (!watcher.ok()) {
    Complain("repl", watcher.status().message());
    return kOwnFailure;
  }
  const CancellationScope scope(token);
  const int code = Talk(words, token, &orphans);
  // A session that is cut short leaves nothing behind.
  if (signal != 0 || code == kTimedOut) {
    for (const Survivor& left : orphans.EndAll(absl::Seconds(5))) {
      Complain("repl", absl::StrCat("still there: ", left.command, " (pid ",
                                    left.pid, ")"));
    }
  }
  return signal == 0 ? code : kSignalBase + signal;
}

}  // namespace

Subcommand ReplSubcommand() {
  Subcommand repl;
  repl.name = "repl";
  repl.synopsis = "[--] [COMMAND | ARGUMENT ...]";
  repl.summary = "give an interactive program commands, and print its replies";
  repl.description = kDescription;
  repl.options = {
      {"Program",
       {{"preset", "NAME"},
        {"dialect", "FILE"},
        {"prompt", "REGEX"},
        {"terminal"}}},
      {"Session",
       {{"file", "FILE"},
        {"timeout", "TIME", 0,
         "How long each reply may take; the session ends then."},
        {"json"},
        {"check"},
        {"record", "FILE", 0,
         "Record all that passes to and from the program, with its times: for "
         "asyncproc replay and, when FILE ends with .cast, asciinema."}}}};
  repl.exit_codes = {
      {"0", "every command had its reply; with --check, the one expected"},
      {"1", "with --check: a reply differs"}};
  repl.examples = {
      {"A calculation:", "echo '2^100' | asyncproc repl --preset bc"},
      {"Write down a session, and see later whether it is still so:",
       "asyncproc repl --preset sqlite3 --file commands.sql >session.txt; "
       "asyncproc repl --preset sqlite3 --check --file session.txt"},
      {"A program that is not known:",
       "asyncproc repl --prompt '\\(Pdb\\) ' --file commands -- python3 -m "
       "pdb program.py"}};
  repl.main = ReplMain;
  return repl;
}

}  // namespace asyncproc::cli
