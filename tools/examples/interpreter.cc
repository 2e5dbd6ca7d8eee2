// A conversation, line by line: sends expressions to python3 -i. Each answer is
// a part of the next expression.
//
//   bazel run //tools/examples:interpreter

#include <iostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asyncproc/process.h"

namespace {

absl::StatusOr<std::string> Ask(asyncproc::Process& python,
                                absl::string_view expression) {
  // An interpreter waits for the end of the line.
  absl::Status status = python.Write(absl::StrCat(expression, "\n"));
  if (!status.ok()) return status;
  absl::StatusOr<std::string> answer = python.out().ReadLine(absl::Seconds(20));
  if (answer.ok()) std::cout << expression << " = " << *answer << "\n";
  return answer;
}

absl::Status Example() {
  // Python prints its prompts to stderr, so that stdout has the answers alone.
  auto python = asyncproc::Process::Spawn({"python3", "-i", "-q"});
  if (!python.ok()) return python.status();

  absl::StatusOr<std::string> answer = Ask(**python, "3 * 14");
  for (int i = 0; i < 3 && answer.ok(); ++i) {
    answer = Ask(**python, absl::StrCat(*answer, " + len('", *answer, "')"));
  }
  if (!answer.ok()) return answer.status();

  // The end of the input ends Python. No signal is necessary.
  auto status = (*python)->Terminate();
  if (!status.ok()) return status.status();
  std::cout << "the end: " << *status << "\n";
  return absl::OkStatus();
}

}  // namespace

int main() {
  const absl::Status status = Example();
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
