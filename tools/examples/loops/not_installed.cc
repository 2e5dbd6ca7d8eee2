// In the place of an example whose library was not there when tools/bootstrap
// looked: tests skip it by this exit status, which Automake gave that meaning.

#include <iostream>

int main() {
  std::cerr << "skipped: built without the library; tools/bootstrap installs "
               "it, where apt has it, and says so to Bazel\n";
  return 77;
}
