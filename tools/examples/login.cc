// Terminals and Expect: answers the password prompt of a program on a terminal,
// and tells whether the program accepted the password.
//
//   bazel run //tools/examples:login            the password is "secret"
//   bazel run //tools/examples:login -- guess

#include <iostream>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/expect.h"
#include "asyncproc/process.h"
#include "asyncproc/terminal.h"

namespace {

using asyncproc::Pattern;

// In place of ssh or sudo. Like them, it reads the password with echo off.
constexpr char kLogin[] = R"(
import getpass
word = getpass.getpass("Password: ")
print("Welcome" if word == "secret" else "Sorry")
)";

absl::Status Example(const std::string& password) {
  asyncproc::Command command({"python3", "-c", kLogin});
  command.pty = asyncproc::Pty();
  auto child = asyncproc::Process::Spawn(command);
  if (!child.ok()) return child.status();

  asyncproc::Expect expect(child->get());
  auto found = expect.Await(Pattern::Literal("Password: "), absl::Seconds(20));
  if (!found.ok()) return found.status();
  // Programs drop the input that came before they turned echo off.
  absl::Status status = (*child)->pty()->AwaitEcho(false, absl::Seconds(20));
  if (!status.ok()) return status;
  status = (*child)->Write(password + "\n");
  if (!status.ok()) return status;

  found = expect.Await({Pattern::Literal("Welcome"), Pattern::Literal("Sorry")},
                       absl::Seconds(20));
  if (!found.ok()) return found.status();
  std::cout << (found->index == 0 ? "accepted" : "refused") << "\n";
  return (*child)->Wait().status();
}

}  // namespace

int main(int argc, char** argv) {
  const absl::Status status = Example(argc > 1 ? argv[1] : "secret");
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
