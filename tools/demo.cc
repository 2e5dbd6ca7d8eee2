// The main uses of asyncproc, with real programs: `bazel run //tools:demo`, or
// with the names of some parts: bc python server escalation.

#include <signal.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/nonblocking_process.h"
#include "asyncproc/process.h"

namespace {

using asyncproc::Command;
using asyncproc::Process;

constexpr absl::Duration kPatience = absl::Seconds(20);

void Say(absl::string_view who, absl::string_view what) {
  std::cout << absl::StrFormat("  %-10s %s\n", who, what);
}

// Prints the lines of `text`, each with `who` before it.
void SayLines(absl::string_view who, absl::string_view text) {
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    Say(who, line);
  }
}

// bc through the wrapper that never blocks.
absl::Status DriveBc() {
  auto bc = asyncproc::NonblockingProcess::Spawn({"bc", "-q"});
  if (!bc.ok()) return bc.status();
  Say("(line?)", (*bc)->ReadLine().value_or("nothing yet, and no waiting"));
  for (int i : {0, 7, 21, 2147483647}) {
    const std::string sum = absl::StrCat(i, "+", i);
    Say("bc <", sum);
    if (absl::Status status = (*bc)->Write(sum + "\n"); !status.ok()) {
      return status;
    }
    std::optional<std::string> line;
    int polls = 0;
    while (!(line = (*bc)->ReadLine()).has_value() && (*bc)->IsAlive()) {
      ++polls;  // Here a program would do its other work.
      absl::SleepFor(absl::Microseconds(100));
    }
    Say("bc >",
        absl::StrCat(line.value_or("(it has ended)"), "   (asked ", polls,
                     polls == 1 ? " time" : " times", " in vain)"));
  }
  auto status = (*bc)->process().Terminate();
  if (!status.ok()) return status.status();
  Say("(end)", status->ToString());
  return absl::OkStatus();
}

// Writes one statement to the interpreter and prints the reply: a line on
// stdout or, with `error`, a traceback on stderr.
absl::Status Ask(Process& python, absl::string_view statement, bool error) {
  SayLines("python <", statement);
  if (absl::Status status = python.Write(absl::StrCat(statement, "\n"));
      !status.ok()) {
    return status;
  }
  if (!error) {
    auto line = python.out().ReadLine(kPatience);
    if (!line.ok()) return line.status();
    Say("stdout >", *line);
    return absl::OkStatus();
  }
  auto traceback = python.err().ReadUntil("Error: ", kPatience);
  if (!traceback.ok()) return traceback.status();
  auto message = python.err().ReadLine(kPatience);
  if (!message.ok()) return message.status();
  SayLines("stderr >", absl::StrCat(*traceback, "Error: ", *message));
  return absl::OkStatus();
}

absl::Status DrivePython() {
  auto python = Process::Spawn(Command({"python3", "-i", "-q"}));
  if (!python.ok()) return python.status();
  for (absl::string_view statement :
       {"2+2", "len(\"foobar\")",
        "def double(x):\n    return 2 * x\n\ndouble(21)"}) {
    if (absl::Status status = Ask(**python, statement, false); !status.ok()) {
      return status;
    }
  }
  if (absl::Status status = Ask(**python, "1/0", true); !status.ok()) {
    return status;
  }
  Say("python <", "exit(3)");
  if (absl::Status status = (*python)->Write("exit(3)\n"); !status.ok()) {
    return status;
  }
  auto status = (*python)->WaitFor(kPatience);
  if (!status.ok()) return status.status();
  Say("(end)", status->ToString());
  return absl::OkStatus();
}

// Fetches a page by a program that is a child itself.
absl::StatusOr<std::string> Fetch(const std::string& url) {
  auto fetch = Process::Spawn(
      Command({"python3", "-c",
               "import sys, urllib.request as r; "
               "sys.stdout.write(r.urlopen(sys.argv[1]).read().decode())",
               url}));
  if (!fetch.ok()) return fetch.status();
  auto status = (*fetch)->WaitFor(kPatience);
  if (!status.ok()) return status.status();
  if (!status->ok()) {
    return absl::UnavailableError(
        absl::StrCat(url, ": ", status->ToString(), ": ", (*fetch)->ReadErr()));
  }
  return (*fetch)->Read();
}

absl::Status DriveServer() {
  Command command(
      {"python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"});
  command.err = asyncproc::Stdio::ToStdout();
  auto server = Process::Spawn(command);
  if (!server.ok()) return server.status();
  // From here on, each line is shown as it comes, whoever else reads.
  auto log = (*server)->out().AddTap(
      [](absl::string_view line) { Say("(log)", line); },
      asyncproc::TapUnit::kLine);
  if (!log.ok()) return log.status();

  // "Serving HTTP on 127.0.0.1 port 43211 (http://127.0.0.1:43211/) ..."
  auto first = (*server)->out().ReadLine(kPatience);
  if (!first.ok()) return first.status();
  const std::vector<std::string> words = absl::StrSplit(*first, ' ');
  int port;
  if (words.size() < 6 || !absl::SimpleAtoi(words[5], &port)) {
    return absl::InternalError(absl::StrCat("no port in: ", *first));
  }
  auto page = Fetch(absl::StrCat("http://127.0.0.1:", port, "/"));
  if (!page.ok()) return page.status();
  const bool listing = absl::StrContains(*page, "Directory listing");
  Say("(page)", absl::StrCat(page->size(), " bytes, ", listing ? "a" : "not a",
                             " directory listing"));

  auto status = (*server)->Terminate();
  if (!status.ok()) return status.status();
  log->Finish();
  Say("(end)", status->ToString());
  Say("(said)", "");
  SayLines("", absl::StrCat(*first, "\n", (*server)->Read()));
  return absl::OkStatus();
}

absl::Status DriveEscalation() {
  auto child =
      Process::Spawn(Command::Shell("trap 'echo not yet' TERM; echo ready; "
                                    "while :; do sleep 0.05; done"));
  if (!child.ok()) return child.status();
  auto ready = (*child)->out().ReadLine(kPatience);
  if (!ready.ok()) return ready.status();
  Say("child >", *ready);

  const asyncproc::Escalation escalation =
      asyncproc::Escalation::Standard(absl::Milliseconds(400));
  for (const asyncproc::EscalationStep& step : escalation.steps) {
    Say("(plan)", absl::StrCat(step.ToString(), ", then up to ",
                               absl::FormatDuration(step.grace)));
  }
  const absl::Time start = absl::Now();
  auto tap = (*child)->out().AddTap(
      [start](absl::string_view line) {
        Say("child >",
            absl::StrCat(line, "   (after ",
                         absl::FormatDuration(absl::Trunc(
                             absl::Now() - start, absl::Milliseconds(1))),
                         ")"));
      },
      asyncproc::TapUnit::kLine);
  if (!tap.ok()) return tap.status();
  auto end = (*child)->Terminate(escalation);
  if (!end.ok()) return end.status();
  tap->Finish();
  Say("(end)", absl::StrCat(end->status.ToString(), " after ",
                            absl::FormatDuration(absl::Trunc(
                                end->elapsed, absl::Milliseconds(1))),
                            ", by step ", *end->ended_by_step + 1, ": ",
                            escalation.steps[*end->ended_by_step].ToString()));
  return absl::OkStatus();
}

struct Part {
  absl::string_view name;
  absl::string_view title;
  absl::Status (*run)();
};

constexpr Part kParts[] = {
    {"bc", "bc, asked without ever waiting", DriveBc},
    {"python", "python3 -i: answers, a function, an exception", DrivePython},
    {"server", "a web server: started, used, terminated", DriveServer},
    {"escalation", "a child that ignores its stdin and SIGTERM",
     DriveEscalation},
};

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "Drives real programs: demo [bc] [python] [server] [escalation]");
  std::vector<char*> args = absl::ParseCommandLine(argc, argv);
  const std::vector<std::string> wanted(args.begin() + 1, args.end());
  bool ok = true;
  for (const Part& part : kParts) {
    if (!wanted.empty() &&
        std::find(wanted.begin(), wanted.end(), part.name) == wanted.end()) {
      continue;
    }
    std::cout << part.title << "\n";
    const absl::Status status = part.run();
    if (!status.ok()) Say("(failed)", status.ToString());
    ok = ok && status.ok();
    std::cout << std::endl;
  }
  return ok ? 0 : 1;
}
