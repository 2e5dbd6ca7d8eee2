// The whole text of each error message that a user can meet: the failure, the
// command, the reason, and a remedy where one is known.

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/command.h"
#include "asyncproc/diagnose.h"
#include "asyncproc/expect.h"
#include "asyncproc/framing.h"
#include "asyncproc/interact.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/pipeline.h"
#include "asyncproc/process.h"
#include "asyncproc/process_poller.h"
#include "asyncproc/process_protocol.h"
#include "asyncproc/readiness.h"
#include "asyncproc/recorder.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "asyncproc/run.h"
#include "asyncproc/termination.h"
#include "asyncproc/testing/replay_process.h"
#include "asyncproc/transcript.h"
#include "asyncproc/transcript_event.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "re2/re2.h"
#include "tests/cli_testing.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using absl::StatusCode;

struct Message {
  const char* name;  // Of the call that fails.
  StatusCode code;
  const char* text;  // See Steady.
};

constexpr Message kMessages[] = {
    {"MissingProgram", StatusCode::kNotFound,
     "cannot start no-such-program: exec of no-such-program, searched for in "
     "PATH=/usr/bin:/bin: No such file or directory; install it, or add its "
     "folder to PATH"},
    {"MissingPath", StatusCode::kNotFound,
     "cannot start /no/such/program: exec of /no/such/program: No such file or "
     "directory"},
    {"MissingInterpreter", StatusCode::kNotFound,
     "cannot start /folder/script: exec of /folder/script (/folder/script is "
     "there, but its interpreter \"/no/such/sh\" is not): No such file or "
     "directory"},
    {"NoInterpreter", StatusCode::kUnknown,
     "cannot start /folder/script: exec of /folder/script: Exec format error; "
     "if it is a script, give it a first line like #!/bin/sh"},
    {"NotExecutable", StatusCode::kPermissionDenied,
     "cannot start /etc/passwd: exec of /etc/passwd: Permission denied; is it "
     "an executable file (chmod +x)?"},
    {"MissingDirectory", StatusCode::kNotFound,
     "cannot start ls: chdir to /no/such/folder: No such file or directory"},
    {"MissingFile", StatusCode::kNotFound,
     "cannot start sort: open /no/such/words: No such file or directory"},
    {"EmptyArgv", StatusCode::kInvalidArgument,
     "cannot start a command: argv is empty"},
    {"BadVariable", StatusCode::kInvalidArgument,
     "cannot start env: the name of variable \"A=B\" has a '='"},
    {"BadSignal", StatusCode::kInvalidArgument,
     "cannot start cat: blocked_signals has SIGKILL, which is no signal that "
     "can be blocked"},
    {"NoDescriptor", StatusCode::kResourceExhausted,
     "cannot start cat: cannot make a pipe: Too many open files; close other "
     "descriptors, or raise the limit of them (ulimit -n)"},
    {"NoThread", StatusCode::kResourceExhausted,
     "cannot start cat: cannot start a thread: pthread_create: Resource "
     "temporarily unavailable; end other processes or threads, or raise the "
     "limit of them (ulimit -u)"},
    {"Wait", StatusCode::kDeadlineExceeded,
     "sleep 1000 (pid N) still runs after TIME: it sleeps for a set time"},
    {"WaitNoHang", StatusCode::kUnavailable, "sleep 1000 (pid N) still runs"},
    {"WaitFlags", StatusCode::kInvalidArgument,
     "cannot wait for sleep 1000 (pid N): the flags are 2, not 0 or WNOHANG"},
    {"WaitAny", StatusCode::kDeadlineExceeded,
     "none of these has ended after TIME: sleep 1000 (pid N), cat (pid N)"},
    {"SignalAfterEnd", StatusCode::kNotFound,
     "cannot send SIGTERM (terminated) to true (pid N): it has ended"},
    {"SignalNumber", StatusCode::kInvalidArgument,
     "cannot send signal 99 to sleep 1000 (pid N): kill: Invalid argument"},
    {"EmptyEscalation", StatusCode::kInvalidArgument,
     "cannot end sleep 1000 (pid N): an escalation needs a step"},
    {"BadEscalation", StatusCode::kInvalidArgument,
     "cannot end sleep 1000 (pid N): step 0 of the escalation: the grace of "
     "-50ms is negative"},
    {"EscalationTooWeak", StatusCode::kDeadlineExceeded,
     "sleep 1000 (pid N) could not be ended by SIGWINCH (window changed) after "
     "TIME: it sleeps for a set time"},
    {"WriteAfterClose", StatusCode::kFailedPrecondition,
     "cannot write to sleep 1000 (pid N): stdin has been closed"},
    {"WriteAfterEnd", StatusCode::kFailedPrecondition,
     "cannot write to true (pid N): the child no longer reads its stdin: 4 "
     "bytes were not delivered: Broken pipe"},
    {"WriteWithoutPipe", StatusCode::kFailedPrecondition,
     "cannot write to sleep 1000 (pid N): its stdin is not a pipe: it is "
     "/dev/null"},
    {"WriteTooMuch", StatusCode::kResourceExhausted,
     "cannot write to sleep 1000 (pid N): N bytes wait to be written to stdin; "
     "90000 more would exceed the limit of 100000 (Command::input_limit)"},
    {"Flush", StatusCode::kDeadlineExceeded,
     "sleep 1000 (pid N) has not read its stdin, of which N bytes wait, after "
     "TIME: it sleeps for a set time"},
    {"ReadLine", StatusCode::kDeadlineExceeded,
     "cannot read a line from stdout of sleep: only 0 unread bytes after TIME"},
    {"ReadPartOfLine", StatusCode::kDeadlineExceeded,
     "cannot read a line from stdout of /bin/sh: only 4 unread bytes after "
     "TIME: \"more\""},
    {"TryReadLine", StatusCode::kUnavailable,
     "cannot read a line from stdout of sleep: only 0 unread bytes yet"},
    {"ReadSome", StatusCode::kDeadlineExceeded,
     "cannot read any bytes from stderr of sleep: only 0 unread bytes after "
     "TIME"},
    {"ReadInPlace", StatusCode::kDeadlineExceeded,
     "cannot read any bytes from stderr of sleep: only 0 unread bytes after "
     "TIME"},
    {"ReadExactly", StatusCode::kDeadlineExceeded,
     "cannot read 10 bytes from stdout of sleep: only 0 unread bytes after "
     "TIME"},
    {"ReadUntil", StatusCode::kOutOfRange,
     "cannot read up to the delimiter from stdout of true: end of the output"},
    {"ReadLineTooLong", StatusCode::kResourceExhausted,
     "cannot read a line from stdout of yes: it does not fit into the 1000 "
     "bytes that are kept (Command::output_buffer)"},
    {"ReadMessage", StatusCode::kInvalidArgument,
     "cannot read a message from stdout of echo: a header of a message was "
     "expected, not \"hello\""},
    {"ReadMessageAtEnd", StatusCode::kOutOfRange,
     "cannot read a message: cannot read a line from stdout of true: end of "
     "the output"},
    {"ReadLineAtEnd", StatusCode::kOutOfRange,
     "cannot read a line from stdout of true: end of the output"},
    {"Expect", StatusCode::kDeadlineExceeded,
     "cat (pid N): no match of \"login:\" after TIME; cat (pid N): it waits "
     "for "
     "input on its stdin; 0 unmatched bytes: \"\""},
    {"ExpectAtEnd", StatusCode::kOutOfRange,
     "/bin/sh -c 'echo hello; exit 3' (pid N): no match of \"login:\" before "
     "the end of the output; it has ended: exited with status 3; 6 unmatched "
     "bytes: \"hello\\n\""},
    {"ExpectInCursor", StatusCode::kDeadlineExceeded,
     "stderr of sleep: no match of /x+/, \"y\" after TIME; 0 unmatched bytes: "
     "\"\""},
    {"ExpectLimit", StatusCode::kResourceExhausted,
     "yes (pid N): no match of \"login:\": the limit of 4 bytes is reached; it "
     "is running; 4 unmatched bytes: \"y\\ny\\n\""},
    {"ExpectCanceled", StatusCode::kCancelled,
     "sleep 1000 (pid N): no match of \"login:\" after TIME: canceled; it is "
     "running; 0 unmatched bytes: \"\""},
    {"ExpectBadPattern", StatusCode::kInvalidArgument,
     "sleep 1000 (pid N): cannot wait for /(a/: missing ): (a"},
    {"ReplProgramMissing", StatusCode::kNotFound,
     "cannot start no-such-calculator: exec of no-such-calculator, searched "
     "for in PATH=/usr/bin:/bin: No such file or directory; install it, or add "
     "its folder to PATH"},
    {"ReplProgramFails", StatusCode::kFailedPrecondition,
     "/bin/sh (pid N) has ended at its start: exited with status 3; last of "
     "stderr: 'no license'"},
    {"ReplPromptMissing", StatusCode::kDeadlineExceeded,
     "cat (pid N) is not ready: its prompt /> / did not come in time; it had "
     "written nothing"},
    {"EvalTimeout", StatusCode::kDeadlineExceeded,
     "python3 (pid N): \"while True: pass\" was not done after TIME; it had "
     "written nothing; it was interrupted, and the session goes on"},
    {"EvalIncomplete", StatusCode::kInvalidArgument,
     "python3 (pid N): \"print(\" is not complete; the session goes on"},
    {"EvalEnds", StatusCode::kFailedPrecondition,
     "sh (pid N) has ended at \"kill -KILL $$\": killed by SIGKILL"},
    {"EvalEndsLater", StatusCode::kFailedPrecondition,
     "bc (pid N) has ended at \"quit\": exited with status 0"},
    {"EvalCanceled", StatusCode::kCancelled,
     "/bin/sh (pid N): \"hello\" was not done when the wait was canceled; it "
     "had "
     "written nothing; the session goes on with the next statement"},
    {"CloseCanceled", StatusCode::kCancelled,
     "bc (pid N) has not been ended: the wait was canceled"},
    {"EvalAfterClose", StatusCode::kFailedPrecondition,
     "sh (pid N): the session has been closed"},
    {"ReplBadDialect", StatusCode::kInvalidArgument,
     "cannot drive bc: \"(a\" is not a regular expression: missing ): (a"},
    {"EvalRefusedByte", StatusCode::kUnimplemented,
     "bc cannot take the byte \"\\x00\", which is at offset 1 of "
     "\"1\\x002\"; the session goes on"},
    {"ReadyTimeout", StatusCode::kDeadlineExceeded,
     "/bin/sh -c 'echo hello; exec cat' (pid N) is not ready (a line that "
     "matches /listening/ on stdout or stderr): not after TIME; cat (pid N): "
     "it waits for input on its stdin; last of stdout: 'hello'"},
    {"ReadyEnded", StatusCode::kAborted,
     "/bin/sh -c 'echo '\\''port in use'\\'' >&2; exit 3' (pid N) is not ready "
     "(a line that matches /listening/ on stdout or stderr): it has ended: "
     "exited with status 3; last of stderr: 'port in use'"},
    {"RunTimeout", StatusCode::kDeadlineExceeded,
     "sleep 1000 did not end within its timeout of 50ms; it has ended: killed "
     "by SIGTERM after TIME"},
    {"RunIdle", StatusCode::kDeadlineExceeded,
     "sleep 1000 wrote nothing for its idle timeout of 50ms; it has ended: "
     "killed by SIGTERM after TIME"},
    {"RunExit", StatusCode::kAborted,
     "/bin/sh -c 'echo '\\''no disk'\\'' >&2; exit 3': exited with status 3 "
     "after TIME; last of stderr: 'no disk'"},
    {"RunSignal", StatusCode::kAborted,
     "/bin/sh -c 'kill -TERM $$': killed by SIGTERM after TIME"},
    {"RunInput", StatusCode::kInvalidArgument,
     "cannot run sort: there is input for a stdin that is not a pipe: it is "
     "/dev/null"},
    {"RunEscalation", StatusCode::kInvalidArgument,
     "cannot run sleep 1000: an escalation needs a step"},
    {"StatusLost", StatusCode::kDataLoss,
     "the exit status of true (pid N) is lost: this program ignores SIGCHLD, "
     "or waits for any child (waitpid(-1))"},
    {"RunStatusLost", StatusCode::kDataLoss,
     "the exit status of true (pid N) is lost: this program ignores SIGCHLD, "
     "or waits for any child (waitpid(-1)) after TIME"},
    {"SignalGroupAfterEnd", StatusCode::kNotFound,
     "cannot send SIGTERM (terminated) to true (pid N): it has ended, like all "
     "others of its group"},
    {"OnEnd", StatusCode::kInvalidArgument,
     "cannot watch the end of sleep 1000 (pid N): the callback is null"},
    {"OnDestroy", StatusCode::kInvalidArgument,
     "cannot set on_destroy of sleep 1000 (pid N): an escalation needs a step"},
    {"RecordTwice", StatusCode::kFailedPrecondition,
     "cannot record sleep 1000 (pid N): its recorder has recorded another "
     "child: cat"},
    {"TerminalSize", StatusCode::kInvalidArgument,
     "cannot set the size of the terminal of cat (pid N) to -1 rows and 80 "
     "columns: both must be from 0 to 65535"},
    {"TerminalEcho", StatusCode::kDeadlineExceeded,
     "the echo of the terminal of cat (pid N) is still on after TIME"},
    {"InteractWithoutTerminal", StatusCode::kFailedPrecondition,
     "cannot hand over cat (pid N): it has no terminal (Command::pty)"},
    {"PollerRunTwice", StatusCode::kAlreadyExists,
     "cannot run sleep 1000: the last child of this key has not ended"},
    {"PollerInput", StatusCode::kInvalidArgument,
     "cannot run sort: there is input for a stdin that is not a pipe: it is "
     "/dev/null"},
    {"PollerLimits", StatusCode::kDeadlineExceeded,
     "cannot start sleep: its timeout is -1s"},
    {"PollerPoll", StatusCode::kDeadlineExceeded,
     "sleep 1000 (pid N) still runs after TIME"},
    {"PollerPollMore", StatusCode::kDeadlineExceeded,
     "sleep 1000 (pid N) and 1 more still run after TIME"},
    {"PollerResult", StatusCode::kUnavailable,
     "sleep 1000 (pid N) has not ended"},
    {"PollerSignalQueued", StatusCode::kFailedPrecondition,
     "cannot send SIGTERM (terminated) to cat: it has not been started yet"},
    {"PollerTerminateQueued", StatusCode::kCancelled,
     "cat was terminated before it was started"},
    {"PollerSendWithoutInput", StatusCode::kFailedPrecondition,
     "cannot write to sleep 1000 (pid N): its stdin is not a pipe"},
    {"PollerSendAfterClose", StatusCode::kFailedPrecondition,
     "cannot write to cat (pid N): stdin has been closed"},
    {"PollerTermination", StatusCode::kNotFound,
     "sleep 1000 (pid N) was not ended by an escalation"},
    {"PollerTimeout", StatusCode::kDeadlineExceeded,
     "sleep 1000 (pid N) still runs after TIME: it sleeps for a set time"},
    {"PollerUnknownKey", StatusCode::kNotFound,
     "there is no child of this key"},
    {"ReactorWriteBeforeStart", StatusCode::kFailedPrecondition,
     "cannot write to the child of this protocol: it has not been started "
     "(Reactor::Spawn)"},
    {"ReactorWriteAfterEnd", StatusCode::kNotFound,
     "cannot write to true (pid N): it has ended"},
    {"ReactorCloseTwice", StatusCode::kNotFound,
     "cannot close descriptor 7 of sleep 1000 (pid N): it is not a pipe, or "
     "has "
     "been closed"},
    {"ReactorSpawnTwice", StatusCode::kFailedPrecondition,
     "cannot start cat: its protocol already had a child, sleep 1000 (pid N)"},
    {"ReactorRun", StatusCode::kDeadlineExceeded,
     "sleep 1000 (pid N) still runs after TIME"},
    {"ReplayWrite", StatusCode::kFailedPrecondition,
     "cannot write to the replay of true: the child has closed its stdin"},
    {"PipelineEmpty", StatusCode::kInvalidArgument,
     "cannot start a pipeline: it has no command"},
    {"PipelineSignal", StatusCode::kNotFound,
     "cannot send SIGTERM (terminated) to true | true: it has ended"},
    {"PipelineEscalation", StatusCode::kInvalidArgument,
     "cannot end sleep 1000 | cat: an escalation needs a step"},
    {"Pipeline", StatusCode::kNotFound,
     "stage 2 of sleep 1000 | /no/such/filter: cannot start /no/such/filter: "
     "exec of /no/such/filter: No such file or directory"},
    {"WithTimeout", StatusCode::kDeadlineExceeded,
     "sleep 1000 (pid N) still runs after TIME: it sleeps for a set time"},
};

struct ToolMessage {
  const char* words;  // After "asyncproc".
  int code;
  const char* text;  // On stderr.
};

constexpr ToolMessage kToolMessages[] = {
    {"", 125, "asyncproc: no subcommand is given; see asyncproc --help"},
    {"frob", 125,
     "asyncproc: there is no subcommand 'frob'; see asyncproc --help, and "
     "asyncproc run to run a command"},
    {"run", 125,
     "asyncproc run: no command is given; see asyncproc run --help"},
    {"run --timout 3 true", 125,
     "asyncproc run: there is no option --timout; did you mean --timeout? See "
     "asyncproc run --help"},
    {"run --timeout soon true", 125,
     "asyncproc run: 'soon' is not a value of --timeout: a time is a number of "
     "seconds, or like 500ms, 30s, 1h30m, 2d; 0 is no limit"},
    {"run --timeout", 125,
     "asyncproc run: --timeout needs a value; see asyncproc run --help"},
    {"run --signal NOPE true", 125,
     "asyncproc run: 'NOPE' is not a value of --signal: it is a signal, like "
     "TERM, SIGTERM or 15"},
    {"run --escalate NOPE true", 125,
     "asyncproc run: 'NOPE' is not a value of --escalate: 'NOPE' is neither "
     "'close' nor a signal"},
    {"run --report jason true", 125,
     "asyncproc run: 'jason' is not a value of --report: it is json or text; "
     "did you mean json?"},
    {"run no-such-program", 127,
     "asyncproc run: cannot start no-such-program: exec of no-such-program, "
     "searched for in PATH=/usr/bin:/bin: No such file or directory; install "
     "it, or add its folder to PATH"},
    {"run --record /no/such/folder/a.cast true", 125,
     "asyncproc run: cannot record to /no/such/folder/a.cast: No such file or "
     "directory"},
    {"run --via nice --hosts a,b true", 125,
     "asyncproc run: --via has no {host} for --hosts"},
    {"pool --joblog /no/such/folder/log true ::: 1", 125,
     "asyncproc pool: cannot open /no/such/folder/log: No such file or "
     "directory"},
    {"pool --jobs many true ::: 1", 125,
     "asyncproc pool: 'many' is not a value of --jobs: it is N, +N, -N, N% or "
     "0"},
    {"repl", 125,
     "asyncproc repl: no program is given: use --preset, --dialect, or "
     "--prompt and a command"},
    {"repl --dialect /no/such/file", 125,
     "asyncproc repl: --dialect /no/such/file: No such file or directory"},
    {"repl --preset bc --file /etc", 125,
     "asyncproc repl: --file /etc: Is a directory"},
    {"run --pty=maybe true", 125,
     "asyncproc run: 'maybe' is not a value of --pty: it is true or false"},
    {"pool --retries x true ::: 1", 125,
     "asyncproc pool: 'x' is not a value of --retries: it is a whole number"},
    {"pool --arg-file /etc true", 125,
     "asyncproc pool: cannot read /etc: Is a directory"},
    {"pool true{2} ::: 1", 125,
     "asyncproc pool: {2}: the number of values of each job is 1"},
    {"replay --speed fast x", 125,
     "asyncproc replay: 'fast' is not a value of --speed: it is a number"},
    {"replay /no/such/file", 125,
     "asyncproc replay: cannot open /no/such/file: No such file or directory"},
};

// Replaces the parts that differ from one run to the next.
std::string Steady(absl::string_view message) {
  std::string text(message);
  RE2::GlobalReplace(&text, "\\(pid [0-9]+\\)", "(pid N)");
  RE2::GlobalReplace(&text, "after [0-9.]+(us|ms|s)\\b", "after TIME");
  RE2::GlobalReplace(&text, "\\b[0-9]+ bytes wait", "N bytes wait");
  RE2::GlobalReplace(&text, "/[^ ]*/script\\b", "/folder/script");
  return text;
}

Command Late() { return Command({"sleep", "1000"}); }

constexpr absl::string_view kSleeps = "it sleeps for a set time";
constexpr absl::string_view kReadsStdin = "it waits for input on its stdin";

// A child of `command` in the state of `explanation`.
std::unique_ptr<Process> Settled(const Command& command,
                                 absl::string_view explanation) {
  std::unique_ptr<Process> process = MustSpawn(command);
  const absl::Time deadline = absl::Now() + kNeverReached;
  while (Diagnose(*process).explanation != explanation &&
         absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  return process;
}

absl::Status Spawned(const Command& command) {
  return Process::Spawn(command).status();
}

// A kernel that has no descriptor or no thread left.
class PoorOs : public internal::Os {
 public:
  int Pipe2(int* fds, int flags) override {
    if (descriptors) return Os::Pipe2(fds, flags);
    errno = EMFILE;
    return -1;
  }
  int ThreadCreate(pthread_t* thread, const pthread_attr_t* attributes,
                   void* (*entry)(void*), void* arg) override {
    return threads ? Os::ThreadCreate(thread, attributes, entry, arg) : EAGAIN;
  }

  bool descriptors = true;
  bool threads = true;
};

absl::Status SpawnedWithout(bool PoorOs::*resource) {
  PoorOs os;
  os.*resource = false;
  const internal::ScopedOs scoped(&os);
  return Spawned(Command({"cat"}));
}

// For as long as it lives, the kernel keeps no exit status of a child.
class IgnoredChildren {
 public:
  IgnoredChildren() {
    struct sigaction ignore = {};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGCHLD, &ignore, &before_);
  }
  ~IgnoredChildren() { sigaction(SIGCHLD, &before_, nullptr); }

 private:
  struct sigaction before_;
};

Command InTerminal(std::vector<std::string> argv) {
  Command command(std::move(argv));
  command.pty = Pty();
  return command;
}

// A poller that keeps the reason of the last OnTimeout.
struct Poller : public ProcessPoller<int> {
  using ProcessPoller<int>::ProcessPoller;
  absl::Status OnTimeout(const int& /*key*/,
                         const absl::Status& reason) override {
    why = reason;
    return absl::OkStatus();
  }

  absl::Status why;
};

// A reactor with one child.
struct Reacting {
  explicit Reacting(const Command& command) {
    reactor->Spawn(protocol, command).IgnoreError();
  }

  const std::unique_ptr<Reactor> reactor = Reactor::Create().value();
  const std::shared_ptr<ProcessProtocol> protocol =
      std::make_shared<ProcessProtocol>();
};

using Call = std::function<absl::Status()>;

const std::map<absl::string_view, Call>& Calls() {
  static const auto* const kCalls = new std::map<absl::string_view, Call>{
      {"MissingProgram",
       [] {
         Command command({"no-such-program", "--fast"});
         command.env = Environment::Only({{"PATH", "/usr/bin:/bin"}});
         return Spawned(command);
       }},
      {"MissingPath", [] { return Spawned(Command({"/no/such/program"})); }},
      {"MissingInterpreter",
       [] {
         const TemporaryDirectory directory;
         Command command({directory.Write("script", "#!/no/such/sh\n", 0755)});
         return Spawned(command);
       }},
      {"NoInterpreter",
       [] {
         const TemporaryDirectory directory;
         return Spawned(
             Command({directory.Write("script", "echo hello\n", 0755)}));
       }},
      {"NotExecutable", [] { return Spawned(Command({"/etc/passwd"})); }},
      {"MissingDirectory",
       [] {
         Command command({"ls"});
         command.working_directory = "/no/such/folder";
         return Spawned(command);
       }},
      {"MissingFile",
       [] {
         Command command({"sort"});
         command.in = Stdio::File("/no/such/words", Stdio::FileMode::kRead);
         return Spawned(command);
       }},
      {"EmptyArgv", [] { return Spawned(Command({})); }},
      {"BadVariable",
       [] {
         Command command({"env"});
         command.env.Set("A=B", "c");
         return Spawned(command);
       }},
      {"BadSignal",
       [] {
         Command command({"cat"});
         command.blocked_signals = {SIGKILL};
         return Spawned(command);
       }},
      {"NoDescriptor", [] { return SpawnedWithout(&PoorOs::descriptors); }},
      {"NoThread", [] { return SpawnedWithout(&PoorOs::threads); }},
      {"Wait",
       [] { return Settled(Late(), kSleeps)->WaitFor(kShort).status(); }},
      {"WaitNoHang", [] { return MustSpawn(Late())->Wait(WNOHANG).status(); }},
      {"WaitFlags", [] { return MustSpawn(Late())->Wait(WUNTRACED).status(); }},
      {"WaitAny",
       [] {
         auto one = MustSpawn(Late());
         auto two = MustSpawn(Command({"cat"}));
         return WaitAny({one.get(), two.get()}, kShort).status();
       }},
      {"SignalAfterEnd",
       [] {
         auto process = MustSpawn(Command({"true"}));
         process->Wait().IgnoreError();
         return process->Signal(SIGTERM);
       }},
      {"SignalNumber", [] { return MustSpawn(Late())->Signal(99); }},
      {"EmptyEscalation",
       [] { return MustSpawn(Late())->Terminate(Escalation()).status(); }},
      {"BadEscalation",
       [] {
         Escalation escalation;
         escalation.steps = {EscalationStep::Signal(SIGTERM, -kShort)};
         return MustSpawn(Late())->Terminate(escalation).status();
       }},
      {"EscalationTooWeak",
       [] {
         Escalation escalation;
         escalation.steps = {EscalationStep::Signal(SIGWINCH, kShort)};
         return Settled(Late(), kSleeps)->Terminate(escalation).status();
       }},
      {"WriteAfterClose",
       [] {
         auto process = MustSpawn(Late());
         process->CloseStdin().IgnoreError();
         return process->Write("more");
       }},
      {"WriteAfterEnd",
       [] {
         auto process = MustSpawn(Command({"true"}));
         process->Wait().IgnoreError();
         return process->Write("more");
       }},
      {"WriteWithoutPipe",
       [] {
         Command command = Late();
         command.in = Stdio::Null();
         return MustSpawn(command)->Write("more");
       }},
      {"WriteTooMuch",
       [] {
         Command command = Late();
         command.input_limit = 100000;
         auto process = MustSpawn(command);
         process->Write(std::string(90000, 'x')).IgnoreError();
         return process->Write(std::string(90000, 'x'));
       }},
      {"Flush",
       [] {
         auto process = Settled(Late(), kSleeps);
         process->Write(std::string(1000000, 'x')).IgnoreError();
         return process->Flush(kShort);
       }},
      {"ReadLine",
       [] { return MustSpawn(Late())->out().ReadLine(kShort).status(); }},
      {"ReadPartOfLine",
       [] {
         auto process = MustSpawn(Command::Shell("printf more; sleep 1000"));
         absl::Status some = process->out().AwaitSome(kNeverReached);
         if (!some.ok()) return some;
         return process->out().ReadLine(kShort).status();
       }},
      {"TryReadLine",
       [] { return MustSpawn(Late())->out().TryReadLine().status(); }},
      {"ReadSome",
       [] { return MustSpawn(Late())->err().ReadSome(kShort).status(); }},
      {"ReadInPlace",
       [] {
         return MustSpawn(Late())->err().ReadInPlace([](absl::string_view) {},
                                                     kShort);
       }},
      {"ReadExactly",
       [] {
         return MustSpawn(Late())->out().ReadExactly(10, kShort).status();
       }},
      {"ReadUntil",
       [] {
         return MustSpawn(Command({"true"}))
             ->out()
             .ReadUntil(":", kNeverReached)
             .status();
       }},
      {"ReadLineTooLong",
       [] {
         Command command({"yes", "-"});
         command.argv = {"yes", std::string(2000, 'x')};
         command.output_buffer = OutputBound::BlockChild(1000);
         return MustSpawn(command)->out().ReadLine(kNeverReached).status();
       }},
      {"ReadMessage",
       [] {
         auto process = MustSpawn(Command({"echo", "hello"}));
         MessageReader reader(&process->out());
         return reader.Read(kNeverReached).status();
       }},
      {"ReadMessageAtEnd",
       [] {
         auto process = MustSpawn(Command({"true"}));
         MessageReader reader(&process->out());
         return reader.Read(kNeverReached).status();
       }},
      {"ReadLineAtEnd",
       [] {
         return MustSpawn(Command({"true"}))
             ->out()
             .ReadLine(kNeverReached)
             .status();
       }},
      {"Expect",
       [] {
         auto process = MustSpawn(Command({"cat"}));
         process->Write("hello\n").IgnoreError();
         AwaitLine(*process, "hello");
         Expect expect(process.get());
         return expect.Await(Pattern::Literal("login:"), kShort).status();
       }},
      {"ExpectAtEnd",
       [] {
         auto process = MustSpawn(Command::Shell("echo hello; exit 3"));
         process->Wait().IgnoreError();
         Expect expect(process.get());
         return expect.Await(Pattern::Literal("login:"), kNeverReached)
             .status();
       }},
      {"ExpectInCursor",
       [] {
         auto process = MustSpawn(Late());
         Expect expect(&process->err());
         return expect
             .Await({Pattern::Regex("x+"), Pattern::Literal("y")}, kShort)
             .status();
       }},
      {"ExpectLimit",
       [] {
         auto process = MustSpawn(Command({"yes"}));
         Expect expect(process.get());
         expect.set_limit(4);
         return expect.Await(Pattern::Literal("login:"), kNeverReached)
             .status();
       }},
      {"ExpectCanceled",
       [] {
         auto process = MustSpawn(Late());
         Expect expect(process.get());
         const CancellationToken token;
         token.Cancel();
         const CancellationScope scope(token);
         return expect.Await(Pattern::Literal("login:"), kNeverReached)
             .status();
       }},
      {"ExpectBadPattern",
       [] {
         auto process = MustSpawn(Late());
         Expect expect(process.get());
         return expect.Await(Pattern::Regex("(a"), kShort).status();
       }},
      {"ReplProgramMissing",
       [] {
         ReplDialect dialect = BcDialect();
         dialect.command.argv[0] = "no-such-calculator";
         dialect.command.env.Set("PATH", "/usr/bin:/bin");
         return Repl::Start(dialect, kNeverReached).status();
       }},
      {"ReplProgramFails",
       [] {
         ReplDialect dialect = ShDialect();
         dialect.command = Command::Shell("echo 'no license' >&2; exit 3");
         return Repl::Start(dialect, kNeverReached).status();
       }},
      {"ReplPromptMissing",
       [] {
         ReplDialect dialect;
         dialect.command = Command({"cat"});
         dialect.prompt = "> ";
         return Repl::Start(dialect, kShort).status();
       }},
      {"EvalTimeout",
       [] {
         auto repl = Repl::Start(PythonDialect(), kNeverReached);
         if (!repl.ok()) return repl.status();
         return (*repl)->Eval("while True: pass", kShort).status();
       }},
      {"EvalIncomplete",
       [] {
         auto repl = Repl::Start(PythonDialect(), kNeverReached);
         if (!repl.ok()) return repl.status();
         return (*repl)->Eval("print(", kNeverReached).status();
       }},
      {"EvalEnds",
       [] {
         auto repl = Repl::Start(ShDialect(), kNeverReached);
         if (!repl.ok()) return repl.status();
         return (*repl)->Eval("kill -KILL $$", kNeverReached).status();
       }},
      {"EvalEndsLater",
       [] {
         auto repl = Repl::Start(BcDialect(), kNeverReached);
         if (!repl.ok()) return repl.status();
         (*repl)->Eval("1+1", kNeverReached).IgnoreError();
         return (*repl)->Eval("quit", kNeverReached).status();
       }},
      {"EvalCanceled",
       [] {
         const TemporaryDirectory directory;
         const std::string has_read = directory.path() + "/has_read";
         ReplDialect dialect;
         dialect.command = Command::Shell(absl::StrCat(
             "printf '> '; read line; : >", has_read, "; exec sleep 1000"));
         dialect.prompt = "> ";
         auto repl = Repl::Start(dialect, kNeverReached);
         if (!repl.ok()) return repl.status();
         CancellationToken token;
         std::thread canceler([&] {
           while (!std::filesystem::exists(has_read)) {
             absl::SleepFor(absl::Milliseconds(1));
           }
           token.Cancel();
         });
         const CancellationScope scope(token);
         absl::Status status = (*repl)->Eval("hello", kNeverReached).status();
         canceler.join();
         return status;
       }},
      {"CloseCanceled",
       [] {
         auto repl = Repl::Start(BcDialect(), kNeverReached);
         if (!repl.ok()) return repl.status();
         CancellationToken token;
         token.Cancel();
         const CancellationScope scope(token);
         return (*repl)->Close().status();
       }},
      {"EvalAfterClose",
       [] {
         auto repl = Repl::Start(ShDialect(), kNeverReached);
         if (!repl.ok()) return repl.status();
         (*repl)->Close().IgnoreError();
         return (*repl)->Eval("echo", kNeverReached).status();
       }},
      {"ReplBadDialect",
       [] {
         ReplDialect dialect = BcDialect();
         dialect.incomplete = "(a";
         return Repl::Start(dialect, kNeverReached).status();
       }},
      {"EvalRefusedByte",
       [] {
         auto repl = Repl::Start(BcDialect(), kNeverReached);
         if (!repl.ok()) return repl.status();
         return (*repl)
             ->Eval(absl::string_view("1\0002", 3), kNeverReached)
             .status();
       }},
      {"ReadyTimeout",
       [] {
         auto process =
             Settled(Command::Shell("echo hello; exec cat"), kReadsStdin);
         return WaitUntilReady(*process, ReadyCondition::Line("listening"),
                               kShort)
             .status();
       }},
      {"ReadyEnded",
       [] {
         auto process =
             MustSpawn(Command::Shell("echo 'port in use' >&2; exit 3"));
         return WaitUntilReady(*process, ReadyCondition::Line("listening"),
                               kNeverReached)
             .status();
       }},
      {"RunTimeout",
       [] {
         RunOptions options;
         options.timeout = kShort;
         return Run(Late(), options).status();
       }},
      {"RunIdle",
       [] {
         RunOptions options;
         options.idle_timeout = kShort;
         return Run(Late(), options).status();
       }},
      {"RunExit",
       [] { return Check(Command::Shell("echo 'no disk' >&2; exit 3")); }},
      {"RunSignal", [] { return Check(Command::Shell("kill -TERM $$")); }},
      {"RunInput",
       [] {
         RunOptions options;
         options.input = "words";
         Command command({"sort"});
         command.in = Stdio::Null();
         return Run(command, options).status();
       }},
      {"RunEscalation",
       [] {
         RunOptions options;
         options.escalation = Escalation();
         return Run(Late(), options).status();
       }},
      {"StatusLost",
       [] {
         const IgnoredChildren ignored;
         return MustSpawn(Command({"true"}))->Wait().status();
       }},
      {"RunStatusLost",
       [] {
         const IgnoredChildren ignored;
         return Run(Command({"true"})).status();
       }},
      {"SignalGroupAfterEnd",
       [] {
         Command command({"true"});
         command.process_group = ProcessGroup::New();
         auto process = MustSpawn(command);
         process->Wait().IgnoreError();
         return process->Signal(SIGTERM, TerminationScope::kGroup);
       }},
      {"OnEnd", [] { return MustSpawn(Late())->OnEnd(nullptr); }},
      {"OnDestroy",
       [] {
         return MustSpawn(Late())->set_on_destroy(
             OnDestroy::Terminate(Escalation()));
       }},
      {"RecordTwice",
       [] {
         auto recorder = Recorder::InMemory();
         auto other = MustSpawn(Command({"cat"}));
         recorder->Attach(*other).IgnoreError();
         return recorder->Attach(*MustSpawn(Late()));
       }},
      {"TerminalSize",
       [] { return MustSpawn(InTerminal({"cat"}))->pty()->SetSize(-1, 80); }},
      {"TerminalEcho",
       [] {
         return MustSpawn(InTerminal({"cat"}))
             ->pty()
             ->AwaitEcho(/*echo=*/false, kShort);
       }},
      {"InteractWithoutTerminal",
       [] {
         auto process = MustSpawn(Command({"cat"}));
         Expect expect(process.get());
         return Interact(expect, InteractOptions()).status();
       }},
      {"PollerRunTwice",
       [] {
         Poller poller;
         poller.Run(1, Late()).IgnoreError();
         return poller.Run(1, Late());
       }},
      {"PollerInput",
       [] {
         Command command({"sort"});
         command.in = Stdio::Null();
         return Poller().Run(1, command, "words");
       }},
      {"PollerLimits",
       [] {
         ChildLimits limits;
         limits.timeout = absl::Seconds(-1);
         return Poller().Run(1, Late(), std::nullopt, limits);
       }},
      {"PollerPoll",
       [] {
         Poller poller;
         poller.Run(1, Late()).IgnoreError();
         return poller.Poll(kShort);
       }},
      {"PollerPollMore",
       [] {
         Poller poller;
         poller.Run(1, Late()).IgnoreError();
         poller.Run(2, Late()).IgnoreError();
         return WithTimeout(kShort, [&] { return poller.Poll(); });
       }},
      {"PollerResult",
       [] {
         Poller poller;
         poller.Run(1, Late()).IgnoreError();
         return poller.result(1).status();
       }},
      {"PollerSignalQueued",
       [] {
         Poller poller(PollerOptions{/*max_running=*/1});
         poller.Run(1, Late()).IgnoreError();
         poller.Run(2, Command({"cat"})).IgnoreError();
         return poller.SendSignal(2, SIGTERM);
       }},
      {"PollerTerminateQueued",
       [] {
         Poller poller(PollerOptions{/*max_running=*/1});
         poller.Run(1, Late()).IgnoreError();
         poller.Run(2, Command({"cat"})).IgnoreError();
         poller.Terminate(2).IgnoreError();
         poller.Poll(absl::ZeroDuration()).IgnoreError();
         return poller.result(2).status();
       }},
      {"PollerSendWithoutInput",
       [] {
         Poller poller;
         poller.Run(1, Late()).IgnoreError();
         return poller.SendInput(1, "more");
       }},
      {"PollerSendAfterClose",
       [] {
         Poller poller;
         poller.Run(1, Command({"cat"}), "").IgnoreError();
         poller.CloseInput(1).IgnoreError();
         return poller.SendInput(1, "more");
       }},
      {"PollerTermination",
       [] {
         Poller poller;
         poller.Run(1, Late()).IgnoreError();
         return poller.termination(1).status();
       }},
      {"PollerTimeout",
       [] {
         Poller poller;
         ChildLimits limits;
         limits.timeout = absl::Milliseconds(200);  // Enough for the exec.
         poller.Run(1, Late(), std::nullopt, limits).IgnoreError();
         poller.Poll(kNeverReached).IgnoreError();
         return poller.why;
       }},
      {"PollerUnknownKey", [] { return Poller().CloseInput(1); }},
      {"ReactorWriteBeforeStart",
       [] { return ProcessProtocol().transport().Write("more"); }},
      {"ReactorWriteAfterEnd",
       [] {
         const Reacting reacting(Command({"true"}));
         reacting.reactor->RunUntilAllEnded(kNeverReached).IgnoreError();
         return reacting.protocol->transport().Write("more");
       }},
      {"ReactorCloseTwice",
       [] { return Reacting(Late()).protocol->transport().CloseChildFd(7); }},
      {"ReactorSpawnTwice",
       [] {
         const Reacting reacting(Late());
         return reacting.reactor->Spawn(reacting.protocol, Command({"cat"}));
       }},
      {"ReactorRun",
       [] { return Reacting(Late()).reactor->RunUntilAllEnded(kShort); }},
      {"ReplayWrite",
       [] {
         Transcript transcript;
         transcript.header.command = "true";
         TranscriptEvent broken;
         broken.kind = TranscriptEvent::Kind::kInBroken;
         transcript.events = {broken};
         return ReplayProcess::Start(transcript).value()->Write("more");
       }},
      {"PipelineEmpty", [] { return Pipeline::Spawn({}).status(); }},
      {"PipelineSignal",
       [] {
         auto pipeline =
             Pipeline::Spawn({Command({"true"}), Command({"true"})});
         if (!pipeline.ok()) return pipeline.status();
         (*pipeline)->Wait().IgnoreError();
         return (*pipeline)->Signal(SIGTERM);
       }},
      {"PipelineEscalation",
       [] {
         auto pipeline = Pipeline::Spawn({Late(), Command({"cat"})});
         if (!pipeline.ok()) return pipeline.status();
         return (*pipeline)->Terminate(Escalation()).status();
       }},
      {"Pipeline",
       [] {
         return Pipeline::Spawn({Late(), Command({"/no/such/filter"})})
             .status();
       }},
      {"WithTimeout",
       [] {
         auto process = Settled(Late(), kSleeps);
         return WithTimeout(kShort, [&] { return process->Wait().status(); });
       }},
  };
  return *kCalls;
}

class MessagesTest : public testing::TestWithParam<Message> {};

TEST_P(MessagesTest, NameTheFailureTheCommandAndTheReason) {
  const absl::Status status = Calls().at(GetParam().name)();

  EXPECT_EQ(status.code(), GetParam().code);
  EXPECT_EQ(Steady(status.message()), GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(All, MessagesTest, testing::ValuesIn(kMessages),
                         [](const testing::TestParamInfo<Message>& info) {
                           return std::string(info.param.name);
                         });

TEST(ToolMessagesTest, NameTheFailureAndTheReason) {
  for (const ToolMessage& message : kToolMessages) {
    Command tool = Tool(absl::StrSplit(message.words, ' ', absl::SkipEmpty()));
    tool.env.Set("PATH", "/usr/bin:/bin");

    const ToolResult result = ResultOf(tool);

    EXPECT_EQ(result.code, message.code) << message.words;
    EXPECT_EQ(result.err, absl::StrCat(message.text, "\n")) << message.words;
  }
}

}  // namespace
}  // namespace asyncproc
