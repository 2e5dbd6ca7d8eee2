#ifndef ASYNCPROC_INTERNAL_REPL_CONVERSATION_H_
#define ASYNCPROC_INTERNAL_REPL_CONVERSATION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/child.h"
#include "asyncproc/expect.h"
#include "asyncproc/internal/repl/channel.h"
#include "asyncproc/internal/repl/statement_template.h"
#include "asyncproc/process.h"
#include "asyncproc/repl_dialects.h"
#include "re2/re2.h"

namespace asyncproc::internal {

// How a statement ended.
struct Completion {
  bool incomplete = false;
  std::string status;  // As the program wrote it.
  std::string out;     // Of a mark or prompt dialect: the output before it.
  std::string prompt;
  // Why stdin did not take the statement, or the rest of it after `lines`.
  absl::Status refused;
  size_t lines = 0;
};

// The exchange with an interactive program: sends a statement in the form of
// its dialect, answers its questions, and waits for its end. See ReplDialect.
//
// Thread safety: one thread at a time.
class Conversation {
 public:
  // The statement that was sent last.
  struct Statement {
    absl::Time sent;
    // The number of interrupts that the program took, and the time of the last.
    int interrupts = 0;
    absl::Time interrupted = absl::InfinitePast();
    bool unfinished = false;  // The program waits for the rest of it.
    // Of a prompt dialect: the lines that were sent, of those known.
    size_t lines_sent = 0;
    size_t lines = 0;
    // The time in which it waited for its further lines.
    absl::Duration waited;
    // The bytes of its output before the last answer to a question.
    size_t answered_out = 0;
    size_t answered_err = 0;
  };

  using AnswerQuestion =
      std::function<std::optional<std::string>(absl::string_view question)>;
  using NextLine = std::function<absl::StatusOr<std::optional<std::string>>()>;

  // `process`: `child`, if that is a Process; else null. `channel`: null if the
  // dialect has none, or if there is no program, in a replay. The other
  // arguments outlive this object.
  Conversation(const ReplDialect& dialect, Child& child, Process* process,
               std::unique_ptr<Channel> channel);
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  const ReplDialect& dialect() const { return dialect_; }
  Child& child() { return child_; }
  Process* process() { return process_; }
  bool by_marks() const { return by_marks_; }
  Statement& statement() { return statement_; }

  // See Repl::set_on_question.
  void set_answer_question(AnswerQuestion answer) {
    answer_question_ = std::move(answer);
  }
  // See Repl::set_on_incomplete.
  void set_next_line(NextLine next) { next_line_ = std::move(next); }
  // Whether the last question has no answer; and why, once.
  bool lacks_answer() const { return !no_answer_.empty(); }
  std::string TakeNoAnswer() { return std::exchange(no_answer_, ""); }

  // Sends `statement`, and waits until the program has executed it. Errors:
  // kDeadlineExceeded and kCancelled; kResourceExhausted when the reply is too
  // long; kAborted when there is no answer to a question; others when the
  // program cannot be reached.
  absl::StatusOr<Completion> Execute(absl::string_view statement,
                                     absl::Time deadline);

  // ---- The steps of Execute.

  // Sends the dialect's text for `statement`.
  absl::Status Send(absl::string_view statement);
  // Writes `text` to the channel if there is one, else to stdin.
  absl::Status SendText(absl::string_view text);
  // Writes `text` to stdin.
  absl::Status Type(absl::string_view text);
  // Waits for the first completion, which belongs to no statement.
  absl::Status AwaitStart(absl::Time deadline);
  // Waits for the end of the statement: of a prompt dialect, for the next
  // prompt.
  absl::StatusOr<Completion> AwaitCompletion(absl::Time deadline);
  // Of a prompt dialect: waits for a prompt that is followed by silence.
  absl::Status AwaitLastPrompt(absl::Time deadline);

  // Sends the dialect's interrupt.
  absl::Status Interrupt();
  // From now on, output is dropped, not kept for a reply. Returns the former
  // value.
  bool SetDropping(bool drops) { return std::exchange(drops_, drops); }

  // ---- The output.

  // As OutputStream::Sync. Errors: also kResourceExhausted when the reply is
  // too long already; output to be dropped is dropped then.
  absl::Status Sync(OutputStream& stream, absl::Time deadline);
  // Drops the output until now.
  absl::Status DropOutput(absl::Time deadline);
  // Takes the unread output, without marks and the echo of the last line.
  std::string TakeUnread();
  // For messages: the unread output, quoted.
  std::string Written();
  std::string WrittenOrNothing();

  // ---- The state of the program.

  // Whether the statement waits for its stdin, as far as statements have one.
  bool WaitsForStdin();
  // Whether a program that was told on its stdin to read the channel has
  // stopped reading it, for example at a ".exit".
  bool HasLeft();
  // End-of-file for the program on its channel.
  void CloseChannel() { channel_ = nullptr; }

 private:
  // A prompt at the end of the output so far. The first group is empty for the
  // prompt of a continued line.
  class PromptAtEnd {
   public:
    PromptAtEnd(const std::string& prompt, const std::string& continuation,
                bool on_terminal);

    // The prompt, and the text that a line editor may write after it.
    const std::vector<Pattern>& patterns() const { return patterns_; }
    // Whether `found`, a match of patterns() before `rest`, has a prompt at its
    // end; it becomes the match of this prompt.
    bool Accept(Expected* found, absl::string_view rest) const;

   private:
    const RE2 regex_;
    std::vector<Pattern> patterns_;
  };

  // How long a program has, after its prompt, to begin to read its terminal.
  static constexpr absl::Duration kReaderPatience = absl::Milliseconds(200);

  absl::StatusOr<Completion> ExecuteLines(absl::string_view statement,
                                          absl::Time deadline);
  // A wait for the program has slices, to look at its state between them: the
  // end of the next one, and the result of a wait that ended at the end of one
  // with `status`; OK if the wait is to go on. Output that arrived before the
  // end of the program counts: kOutOfRange comes one slice later.
  absl::Time NextSlice(absl::Time deadline, absl::Duration pause) const;
  absl::Status AfterSlice(const absl::Status& status, absl::Time deadline);
  absl::StatusOr<Completion> AwaitLine(absl::Time deadline);
  absl::StatusOr<Completion> AwaitMark(absl::Time deadline);
  absl::StatusOr<Completion> AwaitPrompt(const PromptAtEnd& at_end,
                                         absl::Time deadline);
  // Errors: kResourceExhausted when the reply is too long already. Drops output
  // that is to be dropped instead.
  absl::Status CheckLength();
  // Whether the child waits for more of a statement, on its stdin or channel.
  bool AsksForMore();
  // Counts in `asked` how often in a row the statement waited for its stdin. At
  // the second time, it answers the question. Errors: kAborted: no answer.
  absl::Status AnswerIfAsked(int* asked, absl::Time deadline);
  // The output of the statement since its start, or since the last answer.
  std::string Question();
  // Waits until the program reads its terminal, but no longer than `patience_`.
  // Errors: kCancelled, kDeadlineExceeded, from a WaitScope.
  absl::Status AwaitReader(absl::Time deadline);
  // Whether a line editor has written the prompt again, in the echo of the last
  // line.
  bool IsRedrawn(const Expected& found) const;
  // Removes the echo of the last line, if any, at the start of the output.
  void ConsumeEcho(absl::string_view* out) const;
  // Removes the halves of the last mark.
  void RemoveMarks(std::string* out) const;
  // Drops the bytes that have arrived.
  void DropUnread();

  const ReplDialect& dialect_;
  Child& child_;
  Process* const process_;
  const bool by_marks_;
  std::unique_ptr<Channel> channel_;
  const StatementTemplate template_;
  // Of a prompt dialect: its prompt at the end of the output; or the prompt of
  // a continued line.
  const PromptAtEnd at_prompt_;
  const PromptAtEnd at_end_;
  Expect out_;
  AnswerQuestion answer_question_;  // Or null.
  NextLine next_line_;              // Or null.

  Statement statement_;
  uint64_t id_ = 0;                  // Of the last statement.
  std::string head_;                 // Its mark.
  std::string tail_;                 //
  std::string received_;             // From the channel; not a whole line yet.
  std::string taken_;                // From stdout; not a whole reply yet.
  std::optional<std::string> echo_;  // The last line, if it is repeated.
  // Of a prompt dialect: the text before the echo on its line, and the line of
  // the last prompt.
  std::string line_start_;
  std::string prompt_line_;
  // The text before the first prompt, on its line.
  std::string prompt_prefix_;
  absl::Duration patience_ = kReaderPatience;
  std::string status_ = "0";
  std::string state_ = ":";
  std::string no_answer_;  // Why the last question has no answer, or empty.
  bool drops_ = false;
  // Other processes may hold its streams and its channel open.
  bool has_ended_ = false;
};

// Whether stdin did not take a text, and nothing of it is sent.
bool IsRefusal(const absl::Status& status);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_REPL_CONVERSATION_H_
