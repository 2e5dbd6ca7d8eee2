#ifndef ASYNCPROC_DIAGNOSE_H_
#define ASYNCPROC_DIAGNOSE_H_

#include <sys/types.h>

#include <ostream>
#include <string>
#include <vector>

namespace asyncproc {

class Child;
class Process;

// A process that has the other end of a pipe open.
struct PipeHolder {
  pid_t pid = 0;
  // From /proc: at most 15 characters, with control characters made visible.
  std::string command;
};

// The activity of a process, as found by Diagnose.
enum class Activity {
  kUnknown,          // /proc does not show it.
  kRunning,          // Computing, or ready to.
  kReadingStdin,     // Waits for input: for Write, or for CloseStdin.
  kWritingOutput,    // Its stdout or stderr is a full pipe.
  kWaitingForChild,  // See Diagnosis::waits_for.
  kWaiting,          // For something else: time, a lock, a connection ...
  kStuck,            // In the kernel, say on a disk. No signal reaches it.
  kStopped,          // By SIGSTOP, SIGTSTP ...: SIGCONT makes it run on.
  kTraced,           // Stopped by a debugger.
  kZombie,           // Ended, but not released by its parent or debugger.
  kOutputHeldOpen,   // Ended, but another process has its output open.
  kEnded,
};

std::ostream& operator<<(std::ostream& out, Activity activity);

// A value.
struct Diagnosis {
  pid_t pid = 0;
  // From /proc: at most 15 characters, with control characters made visible.
  std::string command;
  Activity activity = Activity::kUnknown;

  // `activity` in words: "it waits for input on its stdin".
  std::string explanation;

  // kWaitingForChild: some of the children that it may wait for.
  std::vector<Diagnosis> waits_for;
  // kOutputHeldOpen: the processes that hold the output open. kReadingStdin, if
  // the host has closed stdin: the processes that keep it from end-of-file.
  std::vector<PipeHolder> holders;

  // It has written nothing at all, and its stdout is a pipe: its output may be
  // waiting in its own buffer. Most programs write line by line only to a
  // terminal: make the program flush, or give it a pty.
  bool silent = false;

  // From /proc. State: 'R', 'S', 'D', 'T', 'Z' ..., '?' when unknown.
  char state = '?';
  std::string wait_channel;  // The kernel function that it waits in.

  // One line: "bc (pid 4711): it waits for input on its stdin".
  std::string ToString() const;
};

std::ostream& operator<<(std::ostream& out, const Diagnosis& diagnosis);

// Explains why a child hangs: puts into words the state that /proc shows at
// this moment. For example, the child waits for input, is blocked because its
// output is not read, is stopped, or waits for a child of its own.
//
//   if (absl::IsDeadlineExceeded(status)) {
//     LOG(ERROR) << asyncproc::Diagnose(*process);
//     // "bc (pid 4711): it waits for input on its stdin"
//   }
//
// Process adds the diagnosis to the messages of its timeout errors. The
// diagnosis is for people: a program should not decide by it, since it may be
// outdated a moment later. It shows little of a process that belongs to another
// user or hides itself.
//
// Thread safety: as Process. Blocking: reads a few files in /proc, which takes
// about a millisecond and does not disturb the child.
Diagnosis Diagnose(Process& process);

// Diagnoses each process of `child` that has not ended: of a Pipeline, its
// stages. Empty when there is none, as for a recording.
std::vector<Diagnosis> DiagnoseAll(Child& child);

}  // namespace asyncproc

#endif  // ASYNCPROC_DIAGNOSE_H_
