#include "tools/asyncproc/repl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/process.h"
#include "asyncproc/recorder.h"
#include "asyncproc/repl.h"
#include "asyncproc/terminal.h"
#include "nlohmann/json.hpp"
#include "re2/re2.h"
#include "tools/asyncproc/byte_regex.h"
#include "tools/asyncproc/control_group.h"
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/flags.h"
#include "tools/asyncproc/input.h"
#include "tools/asyncproc/orphans.h"
#include "tools/asyncproc/os/open_file.h"
#include "tools/asyncproc/os/unique_fd.h"
#include "tools/asyncproc/output.h"
#include "tools/asyncproc/repl_language.h"
#include "tools/asyncproc/repl_program.h"
#include "tools/asyncproc/session.h"
#include "tools/asyncproc/signal_watcher.h"

namespace asyncproc::cli {
namespace {

// The values of --answer, in their order.
std::vector<std::string>& Answers() {
  static auto* const answers = new std::vector<std::string>;
  return *answers;
}

// Also called with the default, which is empty.
void AddAnswer(const std::string& answer) {
  if (!answer.empty()) Answers().push_back(answer);
}

}  // namespace
}  // namespace asyncproc::cli

ABSL_FLAG(std::string, answer, "",
          "The answer to a question in the middle of a command, REGEX=TEXT: "
          "the line TEXT is written to the program's stdin when the command "
          "waits for it, and its output since its start or the last answer "
          "matches the regular expression (RE2), in which \\x3d stands for "
          "'='. For several questions, give the option several times: the "
          "first REGEX that matches counts. Any other question ends the "
          "command, with an error.")
    .OnUpdate([] { asyncproc::cli::AddAnswer(absl::GetFlag(FLAGS_answer)); });
ABSL_FLAG(std::string, file, "", "Read the session from this file, not stdin.");
ABSL_FLAG(
    bool, json, false,
    "Print a line of JSON for each command: command, out, err, status (if "
    "the program reports one), seconds, line. A command without a reply has "
    "an error, which quotes the end of its output; it has out and err only if "
    "the program has ended.");
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
    "the program reports as incomplete. For sqlite3 and psql, a command is a "
    "line "
    "that begins with '.' (sqlite3) or '\\' (psql), or a whole statement: all "
    "lines up to the one with the ';' that ends it, or up to the end of the "
    "session. For python, a line that "
    "begins with else, elif, except or finally continues the command before. "
    "The second form is that of the output, and of Python's doctest: commands "
    "after '>>> ', their further lines after '... ', then the reply up to an "
    "empty line; "
    "<BLANKLINE> stands for an empty line of the reply, and a backslash "
    "stands before a line of the reply that itself begins with '>>> ' or "
    "'... ' or is <BLANKLINE>. Any other text is prose. A command, with its "
    "reply in the session, may have 64 MiB, and so may the reply of the "
    "program.\n\n"
    "The commands of a session that comes from a pipe or terminal are "
    "executed as they come: a line that is a complete command does not wait "
    "for a line that has not arrived, which begins a new command even if it "
    "begins with a blank. Such a session has the second form if '>>> ' begins "
    "its first line that is not empty, or one that has arrived with it, or "
    "with --check. These commands wait for the next line that is not empty: "
    "of several lines, if the last one begins with a blank; of python, if "
    "they begin with a word such as if or def, or with '@'; of ocaml without "
    "';;' and of prolog without '.' at the end; in the second form, all.\n\n"
    "With --prompt, each line of a command must be answered by a prompt, or by "
    "the prompt of --continuation; with --whole, only the command, which waits "
    "for the next line of the session. With --continuation, the program tells "
    "which lines belong to a command: a line after this prompt, empty or not, "
    "is a part of it. After a block of Python, an empty line is added, unless "
    "the session has one.\n\n"
    "With --check, such a session is a test: the program must give the same "
    "replies again, its stdout and then its stderr; the stderr of a python "
    "command that succeeds may be missing.\n\n"
    "A command that is refused or takes too long has no reply: stderr has the "
    "reason, and the session goes on. The last command may end the program. "
    "The exit status is the first of these: 124 or 125 for the first command "
    "without a reply; 1 for a reply that differs; the status of the program, "
    "if a command ended it. A program that ends before the last command ends "
    "the session, with 125 in place of 0.\n\n"
    "If stdin is a terminal, asyncproc prompts for commands; an empty "
    "line ends a command of several lines, and an SQL statement that has no "
    "';'.\n\n"
    "Ctrl-C, and any other signal that ends programs and reports no crash, "
    "ends the session, the program, and all processes that it has started, "
    "also while a command runs; --timeout interrupts the command alone.";

constexpr int kDiffers = 1;

// A command with its reply, which is shown unchanged unless it is compared.
struct Outcome {
  std::string statement;
  absl::Duration elapsed;
  absl::Status status;         // The reason why there is no whole reply, or OK.
  std::optional<Reply> reply;  // After an error: the known part, if any.

  // As a person would see it.
  std::string Shown() const {
    if (!reply.has_value()) return "";
    return absl::StrReplaceAll(absl::StrCat(reply->out, reply->err),
                               {{"\r\n", "\n"}});
  }
};

// Where the session comes from.
struct Input {
  UniqueFd file;  // Of --file.
  int fd = STDIN_FILENO;
  std::string name = "stdin";
  bool is_stream = true;
  SessionReader::Form form = SessionReader::Form::kByFirstLines;
};

// Finds out the form of the session in a regular file. Errors: as read(2);
// kResourceExhausted.
absl::Status FindForm(Input* input, const CancellationToken& token) {
  const off_t begin = lseek(input->fd, 0, SEEK_CUR);
  SessionReader reader([&] { return ReadSome(input->fd, input->name, token); },
                       SessionReader::Form::kDoctest, /*is_stream=*/false,
                       Language::kOther);
  const auto step = reader.Next();
  if (!step.ok()) return step.status();
  input->form = step->has_value() ? SessionReader::Form::kDoctest
                                  : SessionReader::Form::kLines;
  if (lseek(input->fd, begin, SEEK_SET) < 0) {
    return absl::ErrnoToStatus(errno, input->name);
  }
  return absl::OkStatus();
}

// `path`: the value of --file. Errors: as open(2) and FindForm; kCancelled.
absl::StatusOr<Input> OpenInput(const std::string& path,
                                const CancellationToken& token) {
  Input input;
  if (!path.empty()) {
    input.name = absl::StrCat("--file ", path);
    input.file = OpenFile(path.c_str(), O_RDONLY);
    if (!input.file.valid()) return absl::ErrnoToStatus(errno, input.name);
    input.fd = input.file.get();
  }
  struct stat status;
  input.is_stream = fstat(input.fd, &status) != 0 || !S_ISREG(status.st_mode);
  if (absl::GetFlag(FLAGS_check)) {
    input.form = SessionReader::Form::kDoctest;
  } else if (!input.is_stream) {
    absl::Status found = FindForm(&input, token);
    if (!found.ok()) return found;
  }
  return input;
}

// A session that a signal ends needs no message.
void ComplainUnlessCanceled(const absl::Status& status) {
  if (!absl::IsCancelled(status)) Complain("repl", status.message());
}

// One session, from its first command to its exit status.
class Session {
 public:
  // `dialect`: that of `repl`. `at_terminal`: whether a person types the
  // commands, in `language`.
  Session(std::unique_ptr<Repl> repl, const ReplDialect& dialect,
          bool at_terminal, Language language, const CancellationToken& token)
      : repl_(std::move(repl)),
        prompts_(!dialect.prompt.empty()),
        prompts_for_lines_(!dialect.continuation.empty()),
        whole_(dialect.whole),
        prompts_at_end_(!dialect.typed.empty()),
        at_terminal_(at_terminal),
        language_(language),
        token_(token) {}

  int Run(const Input& input) {
    bool ended = false;  // The program, while no line had come.
    const auto stops = [&] { return ended = ProgramEnd().has_value(); };
    SessionReader reader(
        [&] { return ReadSome(input.fd, input.name, token_, stops); },
        input.form, input.is_stream && !whole_, language_);
    SessionStep step;
    if (prompts_for_lines_) {
      reader.set_by_line();
      repl_->set_on_incomplete([&] { return NextLine(&reader, &step); });
    }
    bool empty = true;
    for (;; empty = false) {
      auto next = reader.Next();
      if (!next.ok()) return EndAt(next.status());
      if (!next->has_value()) break;
      step = **std::move(next);
      Outcome outcome = EvalStep(&reader, &step);
      if (const auto code = Take(step, std::move(outcome), &reader)) {
        return *code;
      }
    }
    if (ended) return EndWithProgram(*ProgramEnd());
    Close();
    if (empty && absl::GetFlag(FLAGS_check)) {
      Complain("repl", "nothing to check: there is no '>>> ' in the session");
      return kOwnFailure;
    }
    return FinalCode(kSuccess);
  }

  // Prompts for one command after the other.
  int RunAtTerminal() {
    std::string typed;  // Not yet evaluated.
    bool complete = true;
    if (prompts_for_lines_) {
      repl_->set_on_incomplete(
          [this]() -> absl::StatusOr<std::optional<std::string>> {
            absl::Status printed = Print("... ");
            if (!printed.ok()) return printed;
            return ReadLine();
          });
    }
    SqlReader sql(language_);
    SessionStep step;
    for (;;) {
      if (!Print(complete ? ">>> " : "... ").ok()) return kOwnFailure;
      const absl::StatusOr<std::optional<std::string>> line = ReadLine();
      if (!line.ok() || !line->has_value()) break;
      if (complete && (*line)->empty()) continue;
      absl::StrAppend(&typed, typed.empty() ? "" : "\n", **line);
      sql.Read(absl::StrCat(**line, "\n"));
      // A command of several lines ends at an empty line; one of SQL, also at
      // its own end.
      const bool ends = (*line)->empty();
      const bool goes_on = IsSql(language_) ? sql.IsInStatement() : !complete;
      if (!ends && goes_on) {
        complete = false;
        continue;
      }
      Outcome outcome = Eval(typed);
      if (!ends && IsIncomplete(outcome.status)) {
        complete = false;
        continue;
      }
      typed.clear();
      complete = true;
      sql = SqlReader(language_);
      if (const auto code = Take(step, std::move(outcome), nullptr)) {
        return *code;
      }
    }
    Close();
    return FinalCode(kSuccess);
  }

 private:
  // Evaluates `step`, with the lines that complete it.
  Outcome EvalStep(SessionReader* reader, SessionStep* step) {
    Outcome outcome = Eval(step->statement);
    while (IsIncomplete(outcome.status)) {
      // Next returns the error.
      if (!reader->Extend(step).value_or(false)) break;
      outcome = Eval(step->statement);
    }
    // Empty lines at the end only ended it.
    absl::string_view statement = step->statement;
    while (absl::ConsumeSuffix(&statement, "\n")) {
    }
    outcome.statement = std::string(statement);
    return outcome;
  }

  absl::StatusOr<std::optional<std::string>> NextLine(SessionReader* reader,
                                                      SessionStep* step) {
    const absl::Time start = absl::Now();
    auto line = reader->NextLine(step);
    waited_ += absl::Now() - start;
    if (!line.ok() || !line->has_value()) return line;
    if (absl::Status status = CheckTabs(**line); !status.ok()) return status;
    return line;
  }

  // The exit status of a session that cannot be read further.
  int EndAt(const absl::Status& status) {
    if (absl::IsCancelled(status)) return FinalCode(kOwnFailure);
    Complain("repl", status.message());
    NoteFailure(status);
    Close();
    return FinalCode(kSuccess);
  }

  // The exit status after the end of the program while no command ran.
  int EndWithProgram(const ExitStatus& end) {
    Complain("repl",
             absl::StrCat("the program has ended while no command ran: ",
                          end.ToString()));
    return FinalCode(end.ok() ? kOwnFailure : ExitCodeOf(end));
  }

  std::optional<ExitStatus> ProgramEnd() {
    const absl::StatusOr<ExitStatus> end = repl_->process().Wait(WNOHANG);
    if (!end.ok()) return std::nullopt;
    return *end;
  }

  // Shows a command that has been evaluated. Returns the exit status if the
  // session ends here. `reader`: has the further commands, if any; or null.
  std::optional<int> Take(const SessionStep& step, Outcome outcome,
                          SessionReader* reader) {
    if (absl::IsCancelled(outcome.status)) return FinalCode(kOwnFailure);
    const std::optional<ExitStatus> end = EndAfter(outcome.status);
    bool more = false;
    const bool interrupted =
        end.has_value() && !absl::IsFailedPrecondition(outcome.status);
    if (end.has_value()) {
      // No longer waits for a command, since the program has ended.
      if (reader != nullptr) {
        const auto next = reader->Next();
        more = next.ok() && next->has_value();
      }
      if (!prompts_at_end_) outcome.reply = repl_->TakeRest();
      // The last command may well end the program.
      if (!more && !interrupted && end->exited()) {
        outcome.status = absl::OkStatus();
      }
    }
    const int differences = differences_;
    // FinishOutput reports the error.
    if (!Show(step, outcome).ok()) return kOwnFailure;
    if (!outcome.status.ok()) ComplainAt(step, outcome.status.message());
    if (end.has_value()) {
      if (interrupted || (more && end->ok())) NoteFailure(outcome.status);
      return FinalCode(ExitCodeOf(*end));
    }
    const bool stops = absl::GetFlag(FLAGS_stop_on_error);
    if (!outcome.status.ok()) {
      NoteFailure(outcome.status);
      if (!stops && !absl::IsFailedPrecondition(outcome.status)) {
        return std::nullopt;
      }
      return FinalCode(kSuccess);  // The destructor kills the program.
    }
    if (!stops) return std::nullopt;
    if (const int code = CodeOf(step, *outcome.reply); code != kSuccess) {
      Close();
      return FinalCode(code);
    }
    if (differences_ == differences) return std::nullopt;
    Close();
    return FinalCode(kSuccess);
  }

  // How the program ended, if it is the reason of `status`, or ended at an
  // interrupt.
  std::optional<ExitStatus> EndAfter(const absl::Status& status) {
    if (status.ok()) return std::nullopt;
    return ProgramEnd();
  }

  // The exit status of a session that ends because a command has failed, which
  // is reported; kSuccess if it has not.
  int CodeOf(const SessionStep& step, const Reply& reply) {
    const int status = reply.status.value_or(reply.err.empty() ? 0 : 1);
    if (status == 0) return kSuccess;
    ComplainAt(step, reply.status.has_value()
                         ? absl::StrCat("the command failed with status ",
                                        status, "; the session ends")
                         : "the command wrote to stderr; the session ends");
    return status > 0 && status < 256 ? status : 1;
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

  // Errors: kUnimplemented for a tab where the COMMAND of --prompt edits its
  // lines. The terminal does not echo then.
  absl::Status CheckTabs(absl::string_view statement) {
    const size_t at = statement.find('\t');
    if (at == statement.npos || absl::GetFlag(FLAGS_prompt).empty()) {
      return absl::OkStatus();
    }
    Process& program = repl_->process();
    const Terminal* const terminal = program.pty();
    if (terminal == nullptr || terminal->Echo().value_or(true)) {
      return absl::OkStatus();
    }
    return absl::UnimplementedError(absl::StrCat(
        program.command().argv[0], " cannot take the tab at offset ", at,
        ": it edits its lines, and would complete a word"));
  }

  Outcome Eval(std::string statement) {
    const absl::Time start = absl::Now();
    waited_ = absl::ZeroDuration();
    const absl::Status refused = CheckTabs(statement);
    absl::StatusOr<Reply> reply =
        refused.ok()
            ? repl_->Eval(statement, absl::GetFlag(FLAGS_timeout).value)
            : absl::Status(
                  refused.code(),
                  absl::StrCat(refused.message(), "; the session goes on"));
    Outcome outcome{std::move(statement),
                    absl::Now() - start - waited_,
                    InOptions(reply.status()),
                    {}};
    if (reply.ok()) outcome.reply = *std::move(reply);
    return outcome;
  }

  // The error as it concerns a user of the options.
  static absl::Status InOptions(const absl::Status& status) {
    if (absl::GetFlag(FLAGS_prompt).empty()) return status;
    const std::string message = absl::StrReplaceAll(
        status.message(),
        {{"use a pipe, or a raw terminal", "use --no-terminal"},
         {"it waited for its stdin",
          "it waited for its stdin without a prompt: see --whole, "
          "--continuation and --answer"}});
    if (message == status.message()) return status;
    return absl::Status(status.code(), message);
  }

  static absl::Status Print(absl::string_view text) {
    return WriteAll(STDOUT_FILENO, text);
  }

  absl::Status Show(const SessionStep& step, const Outcome& outcome) {
    if (at_terminal_) return Print(outcome.Shown());
    const bool check = absl::GetFlag(FLAGS_check);
    const bool differs =
        check && outcome.reply.has_value() &&
        !IsAsExpected(step, outcome.reply->out, outcome.reply->err,
                      StderrRule(*outcome.reply));
    if (differs) ++differences_;
    if (absl::GetFlag(FLAGS_json)) {
      return PrintJson(step, outcome, !differs && outcome.status.ok());
    }
    if (!check) return Print(FormatStep(outcome.statement, outcome.Shown()));
    if (!differs) return absl::OkStatus();
    const std::string path = absl::GetFlag(FLAGS_file);
    return Print(absl::StrCat(path.empty() ? "stdin" : path, ":", step.line,
                              ":\n", FormatStep(outcome.statement, ""),
                              "expected:\n",
                              Indented(step.expected.value_or("")), "got:\n",
                              Indented(outcome.Shown())));
  }

  static absl::Status PrintJson(const SessionStep& step, const Outcome& outcome,
                                bool same) {
    nlohmann::ordered_json line = {{"line", step.line},
                                   {"command", outcome.statement}};
    if (outcome.reply.has_value()) {
      line["out"] = outcome.reply->out;
      line["err"] = outcome.reply->err;
      if (outcome.reply->status.has_value()) {
        line["status"] = *outcome.reply->status;
      }
    }
    if (!outcome.status.ok())
      line["error"] = std::string(outcome.status.message());
    line["seconds"] = absl::ToDoubleSeconds(outcome.elapsed);
    if (absl::GetFlag(FLAGS_check)) {
      line["expected"] = step.expected.value_or("");
      line["same"] = same;
    }
    // Bytes that are not UTF-8 are replaced.
    return Print(absl::StrCat(
        line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
        "\n"));
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

  void ComplainAt(const SessionStep& step, absl::string_view message) const {
    Complain("repl", at_terminal_
                         ? std::string(message)
                         : absl::StrCat("line ", step.line, ": ", message));
  }

  void Close() {
    if (auto end = repl_->Close(); !end.ok()) {
      ComplainUnlessCanceled(end.status());
    }
    if (absl::GetFlag(FLAGS_check) || absl::GetFlag(FLAGS_json)) return;
    if (prompts_ || prompts_at_end_) return;
    // An empty line keeps it apart from the reply to the last command.
    const Reply rest = repl_->TakeRest();
    if (rest.out.empty() && rest.err.empty()) return;
    Print(absl::StrCat("\n", FormatProse(absl::StrCat(rest.out, rest.err))))
        .IgnoreError();
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
  // Whether the program prompts for each command; or only when it leaves the
  // channel.
  const bool prompts_;
  const bool prompts_for_lines_;  // After the first of a command.
  const bool whole_;              // Commands are written at once.
  const bool prompts_at_end_;
  const bool at_terminal_;
  const Language language_;
  const CancellationToken token_;
  absl::Duration waited_;  // For the further lines of the last command.
  std::string ahead_;      // Typed, and not yet read as lines.
  int code_ = kSuccess;    // Of the first command that got no reply.
  int differences_ = 0;
};

// The time that the program has to become ready: 20 s, or --timeout if that is
// longer. Without a limit, a --prompt that never comes would wait for ever.
absl::Duration StartLimit() {
  constexpr absl::Duration kLeast = absl::Seconds(20);
  const absl::Duration timeout = absl::GetFlag(FLAGS_timeout).value;
  return timeout == absl::InfiniteDuration() ? kLeast
                                             : std::max(kLeast, timeout);
}

void ComplainOfStart(const absl::Status& status) {
  if (!absl::IsDeadlineExceeded(status)) return ComplainUnlessCanceled(status);
  Complain("repl",
           absl::StrCat(status.message(), "; the limit is ",
                        absl::FormatDuration(StartLimit()), ": see --timeout"));
}

int ExitCodeOfFailedRepl(const absl::Status& status) {
  if (absl::IsDeadlineExceeded(status)) return kTimedOut;
  return ExitCodeOfFailedStart(status);
}

// A value of --answer.
struct Answer {
  std::unique_ptr<RE2> question;
  std::string line;
};

// Errors: kInvalidArgument.
absl::StatusOr<Answer> ParseAnswer(const std::string& value) {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(value, absl::MaxSplits('=', 1));
  if (value == parts.first) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", value,
                     "' is not a value of --answer: it is "
                     "REGEX=TEXT"));
  }
  auto regex = std::make_unique<RE2>(parts.first, ByteRegexOptions());
  if (!regex->ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--answer: '", parts.first,
                     "' is not a regular expression: ", regex->error()));
  }
  return Answer{std::move(regex), parts.second + "\n"};
}

// The function for all --answer; null without any. Errors: kInvalidArgument.
absl::StatusOr<Repl::AnswerQuestion> AnswersFromFlag() {
  const auto answers = std::make_shared<std::vector<Answer>>();
  for (const std::string& value : Answers()) {
    absl::StatusOr<Answer> answer = ParseAnswer(value);
    if (!answer.ok()) return answer.status();
    answers->push_back(*std::move(answer));
  }
  if (answers->empty()) return Repl::AnswerQuestion();
  return [answers](absl::string_view question) -> std::optional<std::string> {
    for (const Answer& answer : *answers) {
      if (RE2::PartialMatch(question, *answer.question)) return answer.line;
    }
    return std::nullopt;
  };
}

// From the start of the program to its end.
int Converse(ReplDialect dialect, const CancellationToken& token,
             bool at_terminal, const Input& input, Orphans* orphans) {
  orphans->Mark(&dialect.command);
  absl::StatusOr<Repl::AnswerQuestion> answer = AnswersFromFlag();
  if (!answer.ok()) {
    Complain("repl", answer.status().message());
    return kOwnFailure;
  }
  if (*answer != nullptr) dialect.command.in = Stdio::Pipe();
  absl::StatusOr<std::unique_ptr<Repl>> repl = [&] {
    Orphans::Birth birth(orphans);
    auto started = Repl::Start(dialect, StartLimit());
    if (started.ok()) birth.Started((*started)->process().pid());
    return started;
  }();
  if (!repl.ok()) {
    ComplainOfStart(repl.status());
    return ExitCodeOfFailedRepl(repl.status());
  }
  (*repl)->set_on_question(*std::move(answer));
  Session session(*std::move(repl), dialect, at_terminal,
                  LanguageOf(absl::GetFlag(FLAGS_preset)), token);
  return at_terminal ? session.RunAtTerminal() : session.Run(input);
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
  const absl::StatusOr<Input> input = OpenInput(path, token);
  if (!input.ok()) {
    ComplainUnlessCanceled(input.status());
    return kOwnFailure;
  }
  const std::string record = absl::GetFlag(FLAGS_record);
  if (record.empty())
    return Converse(*std::move(dialect), token, at_terminal, *input, orphans);
  absl::StatusOr<std::shared_ptr<Recorder>> recorder = Recorder::ToFile(record);
  if (!recorder.ok()) {
    Complain("repl", recorder.status().message());
    return kOwnFailure;
  }
  dialect->command.observer = *recorder;
  const int code =
      Converse(*std::move(dialect), token, at_terminal, *input, orphans);
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
        {"continuation", "REGEX"},
        {"whole"},
        {"terminal"},
        {"cgroup"}}},
      {"Session",
       {{"file", "FILE"},
        {"timeout", "TIME", 0,
         "How long each reply may take. A command that takes longer is "
         "interrupted, and the session goes on; the exit status is 124. The "
         "program has 20 s to become ready, or this time if it is longer."},
        {"answer", "REGEX=TEXT"},
        {"stop_on_error"},
        {"json"},
        {"check"},
        {"record", "FILE", 0,
         "Record all input and output of the program, with times: for "
         "asyncproc replay and, if FILE ends in .cast, asciinema."}}}};
  repl.exit_codes = {
      {"0", "every command had a reply; with --check, the expected one"},
      {"1",
       "with --check: a reply differs; with --stop-on-error: a command failed "
       "without a status of its own"},
      {"124", "a reply, or the start of the program, took too long"},
      {"125",
       "asyncproc itself failed: a wrong option, no room for a process, "
       "output that cannot be written; or a command had no reply"},
      {"126", "the program exists, but cannot be run"},
      {"127", "the program does not exist"},
      {"128+n", "signal n killed the program, or ended asyncproc"},
      {"other",
       "the status of the program, if the session ended it; with "
       "--stop-on-error, of the command that failed"}};
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
