// exit_with CODE | exit_with signal N: ends with this status, without a core
// dump.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc == 2) _exit(atoi(argv[1]));
  if (argc != 3 || strcmp(argv[1], "signal") != 0) return 2;
  const int signal_number = atoi(argv[2]);
  // RLIMIT_CORE does not apply to programs that collect core dumps.
  prctl(PR_SET_DUMPABLE, 0);
  signal(signal_number, SIG_DFL);
  raise(signal_number);
  return 2;
}
