// spawn_tree DEPTH WIDTH [--setsid]: starts a tree of processes, and prints
// their pids.
//
// Prints one pid per line, its own first, then "ready". All processes run until
// they are killed. Each process above the depth DEPTH has WIDTH children. With
// --setsid, the last child of each process starts a session of its own. All
// processes keep the standard streams.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct Tree {
  int depth;
  int width;
  bool setsid;
};

// Each descendant writes its pid to `pids` after its session is set up.
static void ForkDescendants(const Tree& tree, int depth, int pids) {
  if (depth == tree.depth) return;
  for (int i = 0; i < tree.width; ++i) {
    const pid_t child = fork();
    if (child < 0) _exit(1);
    if (child > 0) continue;
    if (tree.setsid && i == tree.width - 1) setsid();
    ForkDescendants(tree, depth + 1, pids);
    const pid_t self = getpid();
    if (write(pids, &self, sizeof(self)) != sizeof(self)) _exit(1);
    close(pids);
    for (;;) pause();
  }
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const Tree tree = {atoi(argv[1]), atoi(argv[2]),
                     argc > 3 && strcmp(argv[3], "--setsid") == 0};
  int pids[2];
  if (pipe(pids) != 0) return 1;
  ForkDescendants(tree, 0, pids[1]);
  close(pids[1]);
  printf("%d\n", getpid());
  pid_t descendant;
  while (read(pids[0], &descendant, sizeof(descendant)) > 0) {
    printf("%d\n", descendant);
  }
  close(pids[0]);
  puts("ready");
  fflush(stdout);
  for (;;) pause();
}
