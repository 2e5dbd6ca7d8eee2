#ifndef ASYNCPROC_TESTS_CONFORMANCE_FORK_EXEC_H_
#define ASYNCPROC_TESTS_CONFORMANCE_FORK_EXEC_H_

#include <stdint.h>

// A C interface to internal::Spawn that takes the arguments of CPython's
// subprocess._fork_exec. fork_exec_hook.py calls it by ctypes. The two files
// must agree on every field.

#ifdef __cplusplus
extern "C" {
#endif

enum fe_flag {
  FE_CLOSE_FDS = 1,
  FE_RESTORE_SIGNALS = 2,
  FE_NEW_SESSION = 4,
};

// All strings end with NUL, and all arrays of strings with null.
struct fe_request {
  uint32_t struct_size;  // sizeof(struct fe_request).
  uint32_t flags;        // A set of fe_flag.
  const char* const* argv;
  const char* const* executables;  // To try in order.
  const char* const* envp;         // Null: the host's environment.
  const char* cwd;                 // Null: the host's directory.
  int32_t std_fd[3];               // -1: the host's stream, if it is open.
  int32_t process_group;           // -1: the host's. 0: a new one.
  const int32_t* pass_fds;         // The same numbers in the child.
  uint64_t pass_fd_count;
  int64_t uid;    // -1: the host's.
  int64_t gid;    // -1: the host's.
  int64_t umask;  // -1: the host's.
  const uint32_t* groups;
  int64_t group_count;  // -1: the host's groups.
};

enum fe_stage {
  FE_NONE = 0,
  FE_PARENT = 1,  // There is no child.
  FE_SETUP = 2,   // The child could not be set up as requested.
  FE_EXEC = 3,    // None of the executables could be executed.
  FE_CHDIR = 4,
};

struct fe_result {
  int32_t pid;
  int32_t error;  // An errno.
  int32_t stage;  // An fe_stage.
};

// Starts a child and returns 0. On failure returns -1, and no child remains.
// The child blocks the signals that the calling thread blocks, and ignores the
// signals that the host ignores, except for SIGPIPE and SIGXFSZ with
// FE_RESTORE_SIGNALS.
int fe_spawn(const struct fe_request* request, struct fe_result* result);

#ifdef __cplusplus
}
#endif

#endif  // ASYNCPROC_TESTS_CONFORMANCE_FORK_EXEC_H_
