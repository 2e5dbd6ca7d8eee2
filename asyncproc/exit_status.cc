#include "asyncproc/exit_status.h"

#include <signal.h>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"

namespace asyncproc {
namespace {

struct KnownSignal {
  int number;
  const char* name;
  const char* meaning;
};

// The words of glibc, which knows them by a call only since 2.32.
constexpr KnownSignal kKnownSignals[] = {
    {SIGHUP, "SIGHUP", "hangup"},
    {SIGINT, "SIGINT", "interrupt"},
    {SIGQUIT, "SIGQUIT", "quit"},
    {SIGILL, "SIGILL", "illegal instruction"},
    {SIGTRAP, "SIGTRAP", "trace/breakpoint trap"},
    {SIGABRT, "SIGABRT", "aborted"},
    {SIGBUS, "SIGBUS", "bus error"},
    {SIGFPE, "SIGFPE", "floating point exception"},
    {SIGKILL, "SIGKILL", "killed"},
    {SIGUSR1, "SIGUSR1", "user defined signal 1"},
    {SIGSEGV, "SIGSEGV", "segmentation fault"},
    {SIGUSR2, "SIGUSR2", "user defined signal 2"},
    {SIGPIPE, "SIGPIPE", "broken pipe"},
    {SIGALRM, "SIGALRM", "alarm clock"},
    {SIGTERM, "SIGTERM", "terminated"},
    {SIGSTKFLT, "SIGSTKFLT", "stack fault"},
    {SIGCHLD, "SIGCHLD", "child exited"},
    {SIGCONT, "SIGCONT", "continued"},
    {SIGSTOP, "SIGSTOP", "stopped, signal"},
    {SIGTSTP, "SIGTSTP", "stopped"},
    {SIGTTIN, "SIGTTIN", "stopped, tty input"},
    {SIGTTOU, "SIGTTOU", "stopped, tty output"},
    {SIGURG, "SIGURG", "urgent I/O condition"},
    {SIGXCPU, "SIGXCPU", "CPU time limit exceeded"},
    {SIGXFSZ, "SIGXFSZ", "file size limit exceeded"},
    {SIGVTALRM, "SIGVTALRM", "virtual timer expired"},
    {SIGPROF, "SIGPROF", "profiling timer expired"},
    {SIGWINCH, "SIGWINCH", "window changed"},
    {SIGPOLL, "SIGPOLL", "I/O possible"},
    {SIGPWR, "SIGPWR", "power failure"},
    {SIGSYS, "SIGSYS", "bad system call"},
};

const KnownSignal* Find(int signal) {
  for (const KnownSignal& known : kKnownSignals) {
    if (known.number == signal) return &known;
  }
  return nullptr;
}

}  // namespace

ExitStatus ExitStatus::Exited(int code) { return ExitStatus(code, 0, false); }

ExitStatus ExitStatus::Signaled(int signal, bool core_dumped) {
  return ExitStatus(0, signal, core_dumped);
}

int ExitStatus::exit_code() const {
  CHECK(exited()) << "no exit code: " << ToString();
  return code_;
}

int ExitStatus::term_signal() const {
  CHECK(signaled()) << "no signal: " << ToString();
  return signal_;
}

std::string ExitStatus::ToString() const {
  if (exited()) return absl::StrCat("exited with status ", code_);
  return absl::StrCat("killed by ", SignalName(signal_),
                      core_dumped_ ? ", core dumped" : "");
}

std::string SignalName(int signal) {
  if (const KnownSignal* const known = Find(signal)) return known->name;
  // The C library's SIGRTMIN is a call, and leaves out two signals of the
  // kernel.
  if (signal < SIGRTMIN || signal > SIGRTMAX) {
    return absl::StrCat("signal ", signal);
  }
  return signal == SIGRTMIN ? "SIGRTMIN"
                            : absl::StrCat("SIGRTMIN+", signal - SIGRTMIN);
}

std::string SignalDescription(int signal) {
  const KnownSignal* const known = Find(signal);
  return known == nullptr
             ? SignalName(signal)
             : absl::StrCat(known->name, " (", known->meaning, ")");
}

}  // namespace asyncproc
