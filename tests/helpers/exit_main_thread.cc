// exit_main_thread [COMMAND...]: starts a thread, and ends its main thread.
//
// The thread starts COMMAND, if there is one, as a child that inherits all
// descriptors, prints "ready", and waits for ever. The process lives on,
// although its main thread is shown as a zombie.
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static char** command;

static char MainThreadState() {
  char path[64];
  char state = '?';
  snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
  FILE* const file = fopen(path, "re");
  if (file == nullptr) return state;
  if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = '?';
  fclose(file);
  return state;
}

static void* Run(void*) {
  while (MainThreadState() != 'Z') usleep(1000);
  const pid_t child = command[0] == nullptr ? -1 : fork();
  if (child == 0) {
    execvp(command[0], command);
    _exit(127);
  }
  if (child > 0) printf("%d\n", child);
  puts("ready");
  fflush(stdout);
  for (;;) pause();
}

int main(int, char** argv) {
  command = argv + 1;
  pthread_t thread;
  if (pthread_create(&thread, nullptr, Run, nullptr) != 0) return 1;
  pthread_exit(nullptr);
}
