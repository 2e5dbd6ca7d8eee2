// A conversation, line by line: python3 -i draws a number and answers each
// guess with "higher" or "lower". Each answer decides the next guess.
//
//   bazel run //tools/examples:guess

#include <iostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asyncproc/process.h"

namespace {

constexpr int kHighest = 1000;

// The input for the prompt of Python; the empty line ends the function.
std::string Game() {
  return absl::StrCat(
      "import random\n"
      "secret = random.randint(1, ",
      kHighest,
      ")\n"
      "def guess(n):\n"
      "    if n == secret: print('right')\n"
      "    else: print('higher' if n < secret else 'lower')\n"
      "\n");
}

absl::StatusOr<std::string> Guess(asyncproc::Process& python, int number) {
  absl::Status status = python.Write(absl::StrCat("guess(", number, ")\n"));
  if (!status.ok()) return status;
  absl::StatusOr<std::string> answer = python.out().ReadLine(absl::Seconds(20));
  if (answer.ok()) std::cout << number << "? " << *answer << "\n";
  return answer;
}

absl::Status Example() {
  auto python = asyncproc::Process::Spawn({"python3", "-i", "-q"});
  if (!python.ok()) return python.status();
  absl::Status status = (*python)->Write(Game());
  if (!status.ok()) return status;

  int lowest = 1;
  int highest = kHighest;
  for (int guesses = 1; lowest <= highest; ++guesses) {
    const int middle = lowest + (highest - lowest) / 2;
    absl::StatusOr<std::string> answer = Guess(**python, middle);
    if (!answer.ok()) return answer.status();
    if (*answer == "higher") {
      lowest = middle + 1;
    } else if (*answer == "lower") {
      highest = middle - 1;
    } else if (*answer == "right") {
      std::cout << "found after " << guesses << " guesses\n";
      return (*python)->Terminate().status();
    } else {
      break;
    }
  }
  return absl::InternalError("it has changed its mind");
}

}  // namespace

int main() {
  const absl::Status status = Example();
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
