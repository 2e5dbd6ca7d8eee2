// Prints the greeting that `echo` writes: the smallest use of Process.
#include <iostream>

#include "absl/time/time.h"
#include "asyncproc/process.h"

int main() {
  auto echo = asyncproc::Process::Spawn(asyncproc::Command({"echo", "hello"}));
  if (!echo.ok()) return 1;
  auto line = (*echo)->out().ReadLine(absl::Minutes(1));
  if (!line.ok()) return 1;
  std::cout << *line << "\n";
}
