// A program that starts a child and prints its first line.

#include <stdio.h>

#include "absl/time/time.h"
#include "asyncproc/process.h"

int main() {
  auto process = asyncproc::Process::Spawn({"echo", "hello"});
  if (!process.ok()) return 1;
  auto line = (*process)->out().ReadLine(absl::Seconds(5));
  if (!line.ok()) return 1;
  puts(line->c_str());
}
