// A child that misbehaves on command, for tests of programs that drive
// children:
//
//   misbehave 'say=ready' ignore=15 await 'dribble=10,caf\303\251' die=11
//
// performs each argument as a step, one after the other, and then ends with
// exit status 0. TEXT may have the escapes of C. Times are in milliseconds.
//
//   say=TEXT         TEXT and a newline, on stdout
//   print=TEXT       TEXT alone
//   complain=TEXT    TEXT and a newline, on stderr
//   dribble=MS,TEXT  TEXT, a byte at a time
//   split=MS,TEXT    TEXT, cut within each character that is not ASCII
//   flood=BYTES      BYTES bytes, in lines of 64
//   await            waits for a line or end-of-file on stdin: the cue
//   echo             repeats its input, until end-of-file on stdin
//   close=FD         closes 0, 1 or 2
//   ignore=SIGNAL    from now on; inherited by exec and by children
//   hold=MS          leaves a process that holds stdout and stderr open
//   sleep=MS
//   hang             forever
//   exit=CODE        at once
//   die=SIGNAL       dies of it, whether or not it was ignored before

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace {

constexpr size_t kFloodLine = 64;
constexpr int kCannot = 125;  // The exit status for invalid arguments.

[[noreturn]] void Refuse(absl::string_view action) {
  fprintf(stderr, "misbehave: cannot do \"%.*s\"\n",
          static_cast<int>(action.size()), action.data());
  exit(kCannot);
}

void Print(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) exit(kCannot);  // For example, it was closed.
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

std::string Unescaped(absl::string_view action, absl::string_view text) {
  std::string bytes;
  if (!absl::CUnescape(text, &bytes)) Refuse(action);
  return bytes;
}

int Number(absl::string_view action, absl::string_view text, int max) {
  int number;
  if (!absl::SimpleAtoi(text, &number) || number < 0 || number > max) {
    Refuse(action);
  }
  return number;
}

// The number of `bytes` to write in one piece.
size_t Piece(absl::string_view bytes, bool split) {
  if (!split) return 1;
  for (size_t i = 0; i < bytes.size(); ++i) {
    // After the first byte of a multibyte character.
    if (static_cast<unsigned char>(bytes[i]) >= 0xC0) return i + 1;
  }
  return bytes.size();
}

void PrintInPieces(absl::string_view action, absl::string_view argument,
                   bool split) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(argument, absl::MaxSplits(',', 1));
  const absl::Duration pause =
      absl::Milliseconds(Number(action, parts.first, INT32_MAX));
  const std::string text = Unescaped(action, parts.second);
  for (absl::string_view rest = text; !rest.empty();) {
    const size_t piece = Piece(rest, split);
    Print(STDOUT_FILENO, rest.substr(0, piece));
    rest.remove_prefix(piece);
    if (!rest.empty()) absl::SleepFor(pause);
  }
}

void Flood(size_t bytes) {
  std::string line(kFloodLine - 1, 'x');
  line.push_back('\n');
  std::string lines;
  while (lines.size() < 1024 * kFloodLine) lines += line;
  while (bytes > 0) {
    const size_t count = std::min(bytes, lines.size());
    Print(STDOUT_FILENO, absl::string_view(lines).substr(0, count));
    bytes -= count;
  }
}

// Without stdio, which would read beyond the line.
void AwaitLine() {
  char byte = '\0';
  while (byte != '\n') {
    const ssize_t count = read(STDIN_FILENO, &byte, 1);
    if (count == 0 || (count < 0 && errno != EINTR)) return;
  }
}

void Echo() {
  char bytes[4096];
  for (;;) {
    const ssize_t count = read(STDIN_FILENO, bytes, sizeof(bytes));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    Print(STDOUT_FILENO, {bytes, static_cast<size_t>(count)});
  }
}

void LeaveHolder(absl::Duration time) {
  const pid_t pid = fork();
  if (pid < 0) exit(kCannot);
  if (pid > 0) return;
  close(STDIN_FILENO);
  absl::SleepFor(time);
  _exit(0);
}

void DieOf(int signal_number) {
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  signal(signal_number, SIG_DFL);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_UNBLOCK, &all, nullptr);
  raise(signal_number);
}

void Do(absl::string_view action) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(action, absl::MaxSplits('=', 1));
  const auto& [name, argument] = parts;
  if (name == "say") {
    Print(STDOUT_FILENO, Unescaped(action, argument) + "\n");
  } else if (name == "print") {
    Print(STDOUT_FILENO, Unescaped(action, argument));
  } else if (name == "complain") {
    Print(STDERR_FILENO, Unescaped(action, argument) + "\n");
  } else if (name == "dribble" || name == "split") {
    PrintInPieces(action, argument, name == "split");
  } else if (name == "flood") {
    Flood(static_cast<size_t>(Number(action, argument, INT32_MAX)));
  } else if (name == "await") {
    AwaitLine();
  } else if (name == "echo") {
    Echo();
  } else if (name == "close") {
    close(Number(action, argument, STDERR_FILENO));
  } else if (name == "ignore") {
    signal(Number(action, argument, SIGRTMAX), SIG_IGN);
  } else if (name == "hold") {
    LeaveHolder(absl::Milliseconds(Number(action, argument, INT32_MAX)));
  } else if (name == "sleep") {
    absl::SleepFor(absl::Milliseconds(Number(action, argument, INT32_MAX)));
  } else if (name == "hang") {
    for (;;) pause();
  } else if (name == "exit") {
    exit(Number(action, argument, 255));
  } else if (name == "die") {
    DieOf(Number(action, argument, SIGRTMAX));
  } else {
    Refuse(action);
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) Do(argv[i]);
  return 0;
}
