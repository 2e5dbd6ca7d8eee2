#ifndef ASYNCPROC_DIAGNOSE_H_
#define ASYNCPROC_DIAGNOSE_H_

#include <sys/types.h>

#include <ostream>
#include <string>
#include <vector>

namespace asyncproc {

class Process;

// A process that has the other end of a pipe open.
struct PipeHolder {
  pid_t pid = 0;
  // As /proc has it: 15 characters at most, control characters made visible.
  std::string command;
};

// What a process was found to be doing; see Diagnose.
enum class Activity {
  kUnknown,          // /proc does not say.
  kRunning,          // Computing, or about to.
  kReadingStdin,     // Waits for input: for Write, or for CloseStdin.
  kWritingOutput,    // Its stdout or stderr is a full pipe.
  kWaitingForChild,  // Diagnosis::waits_for says what that does.
  kWaiting,          // For something else: time, a lock, a connection ...
  kStuck,            // In the kernel, for a disk say. No signal gets through.
  kStopped,          // By SIGSTOP, SIGTSTP ...: SIGCONT makes it run on.
  kTraced,           // Stopped by a debugger.
  kZombie,           // Ended, but someone has yet to let go of it.
  kOutputHeldOpen,   // Ended, but someone else has its output open.
  kEnded,
};

std::ostream& operator<<(std::ostream& out, Activity activity);

// A value.
struct Diagnosis {
  pid_t pid = 0;
  // As /proc has it: 15 characters at most, control characters made visible.
  std::string command;
  Activity activity = Activity::kUnknown;

  // The same in words: "it waits for input on its stdin".
  std::string explanation;

  // kWaitingForChild: the children that it may wait for, a few of them.
  std::vector<Diagnosis> waits_for;
  // kOutputHeldOpen: who has it. kReadingStdin, when stdin has been closed
  // here: who keeps it from its end.
  std::vector<PipeHolder> holders;

  // It has written nothing at all, and its stdout is a pipe: what it has said
  // may wait in a buffer of its own. Most programs write line by line only to a
  // terminal: let it flush, or give it a pty.
  bool silent = false;

  // What /proc says. State: 'R', 'S', 'D', 'T', 'Z' ..., '?' when unknown.
  char state = '?';
  std::string wait_channel;  // The kernel's name for what it waits for.

  // One line: "bc (pid 4711): it waits for input on its stdin".
  std::string ToString() const;
};

std::ostream& operator<<(std::ostream& out, const Diagnosis& diagnosis);

// Why does it hang? What /proc says of the child at this moment, put into
// words: that it waits for input, that it is blocked because nobody reads its
// output, that it is stopped, or waits for a child of its own, and so on.
//
//   if (absl::IsDeadlineExceeded(status)) {
//     LOG(ERROR) << asyncproc::Diagnose(*process);
//     // "bc (pid 4711): it waits for input on its stdin"
//   }
//
// The errors of Process for time that ran out have it in their message. It is
// for people: a program should not decide by it, since it may be over the next
// moment. Of a process of another user, or one that hides itself, it sees
// little.
//
// Thread safety: as Process. Blocking: it reads a few files in /proc, which
// takes about a millisecond; nothing it does disturbs the child.
Diagnosis Diagnose(Process& process);

}  // namespace asyncproc

#endif  // ASYNCPROC_DIAGNOSE_H_
