#include "tools/asyncproc/repl.h"

#include <unistd.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/recorder.h"
#include "asyncproc/repl.h"
#include "nlohmann/json.hpp"
#include "re2/re2.h"
#include "tools/asyncproc/byte_regex.h"
#include "tools/asyncproc/control_group.h"
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/flags.h"
#include "tools/asyncproc/input.h"
#include "tools/asyncproc/orphans.h"
#include "tools/asyncproc/output.h"
#include "tools/asyncproc/repl_program.h"
#include "tools/asyncproc/session.h"
#include "tools/asyncproc/signal_watcher.h"

ABSL_FLAG(std::string, answer, "",
          "The answer to a question in the middle of a command, REGEX=TEXT: "
          "the line TEXT is written to the program's stdin when the command "
          "waits for it, and its output since its start or the last answer "
          "matches the regular expression (RE2), in which \\x3d stands for "
          "'='. Any other question ends the command, with an error.");
ABSL_FLAG(std::string, file, "", "Read the session from this file, not stdin.");
ABSL_FLAG(
    bool, json, false,
    "Print a line of JSON for each command: command, out, err, status (if "
    "the program reports one), seconds, line.");
ABSL_FLAG(
    bool, stop_on_error, false,
    "End the session at the first command that fails, with its status as "
    "the exit status, or 1. A command fails if its status is not 0; where "
    "the program reports no status, if it writes to stderr (the COMMAND "
    "of --prompt does neither); with --check, if its reply differs.");
ABSL_FLAG(bool, check, false,
          "Compare the replies with those in the session, and print only the "
          "differences.");

namespace asyncproc::cli {

namespace {

const char kDescription[] =
    "Starts an interactive program, gives it one command after the other, "
    "and prints each command with its reply.\n\n"
    "The session comes from stdin or --file, in one of two forms. In the "
    "first, each line is a command; a line that begins with a blank "
    "continues the line before, and so do the lines after a command that "
    "the program reports as incomplete. The second form is that of the "
    "output, and of Python's doctest: commands after '>>> ', their "
    "further lines after '... ', then the reply up to an empty line; "
    "<BLANKLINE> stands for an empty line of the reply, and a backslash "
    "stands before a line of the reply that itself begins with '>>> ' or "
    "'... ' or is <BLANKLINE>. Any other text is prose.\n\n"
    "With --check, such a session is a test: the program must give the same "
    "replies again, its stdout and then its stderr; the stderr of a python "
    "command that succeeds may be missing.\n\n"
    "If stdin is a terminal, asyncproc prompts for commands; an empty "
    "line ends a command of several lines.";

constexpr int kDiffers = 1;

// A command with its reply, which is shown unchanged unless it is compared.
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

// A session that a signal ends needs no message.
void ComplainUnlessCanceled(const absl::Status& status) {
  if (!absl::IsCancelled(status)) Complain("repl", status.message());
}

// One session, from its first command to its exit status.
class Session {
 public:
  // `prompts`: whether the program writes prompts to its stdout.
  Session(std::unique_ptr<Repl> repl, bool prompts,
          const CancellationToken& token)
      : repl_(std::move(repl)), prompts_(prompts), token_(token) {}

  int Run(const SessionScript& script) {
    for (size_t i = 0; i < script.steps.size();) {
      const SessionStep& step = script.steps[i];
      size_t used = 1;
      absl::StatusOr<Outcome> outcome = Eval(step.statement);
      // The rest of the command may be in the lines that follow.
      while (!script.is_doctest && IsIncomplete(outcome.status()) &&
             i + used < script.steps.size()) {
        outcome = Eval(JoinSteps(script, i, ++used));
      }
      i += used;
      if (!outcome.ok()) {
        if (!GoesOn(outcome.status())) {
          return Failed(outcome.status(), step, i < script.steps.size());
        }
        ComplainAt(step, outcome.status().message());
        NoteFailure(outcome.status());
        continue;
      }
      const int differences = differences_;
      // FinishOutput reports the error.
      if (!Show(step, *outcome).ok()) return kOwnFailure;
      if (const int code = StopsWith(step, *outcome); code != kSuccess) {
        return code;
      }
      if (differences_ > differences && absl::GetFlag(FLAGS_stop_on_error)) {
        break;
      }
    }
    Close();
    return FinalCode(kSuccess);
  }

  // Prompts for one command after the other.
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
      // A command of several lines ends at an empty line.
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
        if (const int code = StopsWith(step, *outcome); code != kSuccess) {
          return code;
        }
      } else if (!GoesOn(outcome.status())) {
        return Failed(outcome.status(), step, /*more=*/false);
      } else {
        Complain("repl", outcome.status().message());
        NoteFailure(outcome.status());
      }
    }
    Close();
    return FinalCode(kSuccess);
  }

 private:
  static bool IsIncomplete(const absl::Status& status) {
    return absl::IsInvalidArgument(status);
  }

  // Whether the next command can be evaluated after one that failed by
  // `status`, and is to be.
  static bool GoesOn(const absl::Status& status) {
    return !absl::IsFailedPrecondition(status) && !absl::IsCancelled(status) &&
           !absl::GetFlag(FLAGS_stop_on_error);
  }

  // Notes that a command got no reply.
  void NoteFailure(const absl::Status& status) {
    if (code_ != kSuccess) return;
    code_ = absl::IsDeadlineExceeded(status) ? kTimedOut : kOwnFailure;
  }

  // The exit status of the session: that of the first command without a reply,
  // else kDiffers after a reply that differs, else `end`, the status with which
  // the program or a command ended the session.
  int FinalCode(int end) const {
    if (code_ != kSuccess) return code_;
    return differences_ > 0 ? kDiffers : end;
  }

  // Ends the session if --stop-on-error asks for that, and returns the exit
  // code; kSuccess if the session goes on.
  int StopsWith(const SessionStep& step, const Outcome& outcome) {
    const Reply& reply = outcome.reply;
    const int status = reply.status.value_or(reply.err.empty() ? 0 : 1);
    if (status == 0 || !absl::GetFlag(FLAGS_stop_on_error)) return kSuccess;
    ComplainAt(step, reply.status.has_value()
                         ? absl::StrCat("the command failed with status ",
                                        status, "; the session ends")
                         : "the command wrote to stderr; the session ends");
    Close();
    return FinalCode(status > 0 && status < 256 ? status : 1);
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
        !check || IsAsExpected(step, outcome.reply.out, outcome.reply.err,
                               StderrRule(outcome.reply));
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
      // Bytes that are not UTF-8 are replaced.
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

  static Stderr StderrRule(const Reply& reply) {
    const bool is_python =
        absl::StartsWith(absl::GetFlag(FLAGS_preset), "python");
    return is_python && reply.status == 0 ? Stderr::kMayBeMissing
                                          : Stderr::kCounts;
  }

  static std::string Indented(absl::string_view text) {
    if (text.empty()) return "    (nothing)\n";
    absl::ConsumeSuffix(&text, "\n");
    return absl::StrCat("    ", absl::StrReplaceAll(text, {{"\n", "\n    "}}),
                        "\n");
  }

  // The exit status after a command without a reply.
  int Failed(const absl::Status& status, const SessionStep& step, bool more) {
    if (absl::IsFailedPrecondition(status)) {
      const absl::StatusOr<ExitStatus> end = repl_->process().Wait(WNOHANG);
      // The last command may well end the program.
      if (end.ok() && (!more || !end->ok())) {
        const Reply rest = TakeRest();
        if (!rest.out.empty() || !rest.err.empty()) {
          Show(step, Outcome{step.statement, rest, absl::ZeroDuration()})
              .IgnoreError();
        }
        if (more || !end->exited()) ComplainAt(step, status.message());
        return FinalCode(ExitCodeOf(*end));
      }
    }
    if (!absl::IsCancelled(status)) ComplainAt(step, status.message());
    NoteFailure(status);
    // The destructor kills the program.
    return FinalCode(kSuccess);
  }

  static void ComplainAt(const SessionStep& step, absl::string_view message) {
    Complain("repl", absl::StrCat("line ", step.line, ": ", message));
  }

  void Close() {
    if (auto end = repl_->Close(); !end.ok()) {
      ComplainUnlessCanceled(end.status());
    }
    if (absl::GetFlag(FLAGS_check) || absl::GetFlag(FLAGS_json)) return;
    // An empty line keeps it apart from the reply to the last command.
    const Reply rest = TakeRest();
    if (rest.out.empty() && rest.err.empty()) return;
    Print(absl::StrCat("\n", FormatProse(absl::StrCat(rest.out, rest.err))))
        .IgnoreError();
  }

  // The output of the program, which has ended, that belongs to no reply.
  Reply TakeRest() {
    Reply rest;
    if (prompts_) return rest;
    for (auto [stream, text] : {std::pair{&repl_->child().out(), &rest.out},
                                std::pair{&repl_->child().err(), &rest.err}}) {
      stream->Sync(absl::Seconds(1)).IgnoreError();
      *text = stream->Read();
    }
    return rest;
  }

  // A line from the terminal; nullopt at the end of the input.
  absl::StatusOr<std::optional<std::string>> ReadLine() {
    for (;;) {
      const size_t newline = ahead_.find('\n');
      if (newline != std::string::npos) {
        std::string line = ahead_.substr(0, newline);
        ahead_.erase(0, newline + 1);
        return line;
      }
      const absl::StatusOr<std::string> more =
          ReadSome(STDIN_FILENO, "stdin", token_);
      if (!more.ok()) return more.status();
      if (more->empty()) return std::nullopt;
      ahead_ += *more;
    }
  }

  const std::unique_ptr<Repl> repl_;
  const bool prompts_;
  const CancellationToken token_;
  std::string ahead_;    // Typed, and not yet read as lines.
  int code_ = kSuccess;  // Of the first command that got no reply.
  int differences_ = 0;
};

int ExitCodeOfFailedRepl(const absl::Status& status) {
  if (absl::IsDeadlineExceeded(status)) return kTimedOut;
  return ExitCodeOfFailedStart(status);
}

// The function for --answer; null without it. Errors: kInvalidArgument.
absl::StatusOr<Repl::AnswerQuestion> AnswerFromFlag() {
  const std::string flag = absl::GetFlag(FLAGS_answer);
  if (flag.empty()) return Repl::AnswerQuestion();
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(flag, absl::MaxSplits('=', 1));
  if (flag == parts.first) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", flag,
                     "' is not a value of --answer: it is "
                     "REGEX=TEXT"));
  }
  const auto regex = std::make_shared<RE2>(parts.first, ByteRegexOptions());
  if (!regex->ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--answer: '", parts.first,
                     "' is not a regular expression: ", regex->error()));
  }
  return [regex, line = parts.second + "\n"](
             absl::string_view question) -> std::optional<std::string> {
    if (!RE2::PartialMatch(question, *regex)) return std::nullopt;
    return line;
  };
}

// From the start of the program to its end.
int Converse(ReplDialect dialect, const CancellationToken& token,
             bool at_terminal, const SessionScript& script, Orphans* orphans) {
  orphans->Mark(&dialect.command);
  absl::StatusOr<Repl::AnswerQuestion> answer = AnswerFromFlag();
  if (!answer.ok()) {
    Complain("repl", answer.status().message());
    return kOwnFailure;
  }
  if (*answer != nullptr) dialect.command.in = Stdio::Pipe();
  // A program that reads `typed` prompts for it.
  const bool prompts = !dialect.prompt.empty() || !dialect.typed.empty();
  absl::StatusOr<std::unique_ptr<Repl>> repl = [&] {
    Orphans::Birth birth(orphans);
    auto started = Repl::Start(std::move(dialect));
    if (started.ok()) birth.Started((*started)->process().pid());
    return started;
  }();
  if (!repl.ok()) {
    ComplainUnlessCanceled(repl.status());
    return ExitCodeOfFailedRepl(repl.status());
  }
  (*repl)->set_on_question(*std::move(answer));
  Session session(*std::move(repl), prompts, token);
  return at_terminal ? session.RunAtTerminal() : session.Run(script);
}

// The whole session, without the signals.
int Talk(const std::vector<std::string>& words, const CancellationToken& token,
         Orphans* orphans) {
  absl::StatusOr<ReplDialect> dialect = DialectFromFlags(words, token);
  if (!dialect.ok()) {
    ComplainUnlessCanceled(dialect.status());
    return kOwnFailure;
  }
  const std::string path = absl::GetFlag(FLAGS_file);
  const bool at_terminal = path.empty() && isatty(STDIN_FILENO) == 1 &&
                           !absl::GetFlag(FLAGS_check) &&
                           !absl::GetFlag(FLAGS_json);
  SessionScript script;
  if (!at_terminal) {
    const absl::StatusOr<std::string> text =
        path.empty() ? ReadAll(STDIN_FILENO, "stdin", token)
                     : ReadFile("--file", path, token);
    if (!text.ok()) {
      ComplainUnlessCanceled(text.status());
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
  auto group = ControlGroup::EnterIf(absl::GetFlag(FLAGS_cgroup));
  if (!group.ok()) {
    Complain("repl", group.status().message());
    return kOwnFailure;
  }
  Orphans orphans(*std::move(group));
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
  const int written = ExitCodeOfStdout();
  // A session that is cut short leaves nothing behind.
  if (signal != 0 || code == kTimedOut || written != kSuccess) {
    for (const Survivor& left : orphans.EndAll(absl::Seconds(5))) {
      Complain("repl", absl::StrCat("still running: ", left.command, " (pid ",
                                    left.pid, ")"));
    }
  }
  if (signal != 0) return kSignalBase + signal;
  return written == kSuccess ? code : written;
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
        {"terminal"},
        {"cgroup"}}},
      {"Session",
       {{"file", "FILE"},
        {"timeout", "TIME", 0,
         "How long each reply may take. A command that takes longer is "
         "interrupted, and the session goes on; the exit status is 124."},
        {"answer", "REGEX=TEXT"},
        {"stop_on_error"},
        {"json"},
        {"check"},
        {"record", "FILE", 0,
         "Record all input and output of the program, with times: for "
         "asyncproc replay and, if FILE ends in .cast, asciinema."}}}};
  repl.exit_codes = {
      {"0", "every command had a reply; with --check, the expected one"},
      {"1", "with --check: a reply differs"}};
  repl.examples = {
      {"A calculation:", "echo '2^100' | asyncproc repl --preset bc"},
      {"Write a session down, and check later that the replies are the same:",
       "asyncproc repl --preset sqlite3 --file commands.sql >session.txt; "
       "asyncproc repl --preset sqlite3 --check --file session.txt"},
      {"A program without a preset:",
       "asyncproc repl --prompt '\\(Pdb\\) ' --file commands -- python3 -m "
       "pdb program.py"}};
  repl.main = ReplMain;
  return repl;
}

}  // namespace asyncproc::cli
