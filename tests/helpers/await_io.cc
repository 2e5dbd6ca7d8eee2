// Waits for input or output, although none was submitted, in a system call that
// few programs use.

#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <unistd.h>

int main() {
  aio_context_t context = 0;
  if (syscall(SYS_io_setup, 1, &context) != 0) return 1;
  io_event event;
  syscall(SYS_io_getevents, context, 1, 1, &event, nullptr);
}
