// Repl: builds a small program, runs it in gdb, stops it at the fault, and
// prints the stack and the variables there.
//
//   bazel run //tools/examples:debugger

#include <errno.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "asyncproc/run.h"

namespace {

constexpr absl::string_view kProgram = R"cc(
#include <cstdio>
  int divide(int sum, int count) {
    return count == 0 ? -1 : sum / count;
  }
  int average(const int* values, int count) {
    int sum = 0;
    for (int i = 0; i < count; ++i) sum += values[i];
    return divide(sum, count);
  }
  int main() {
    const int values[] = {40, 42, 44};
    std::printf("%d\n", average(values, 3));
    std::printf("%d\n", average(values, 0));
  }
)cc";

// The program with its debugging information, in `folder`.
absl::StatusOr<std::string> Build(const std::string& folder) {
  const std::string source = absl::StrCat(folder, "/average.cc");
  const std::string program = absl::StrCat(folder, "/average");
  std::ofstream(source) << kProgram;
  asyncproc::RunOptions options;
  options.check = true;  // A failure is an error, with the output of g++.
  options.timeout = absl::Minutes(1);
  auto built =
      asyncproc::Run({"g++", "-g", "-O0", "-o", program, source}, options);
  if (!built.ok()) return built.status();
  return program;
}

absl::Status Debug(const std::string& program) {
  auto gdb = asyncproc::Repl::Start(asyncproc::GdbDialect({program}));
  if (!gdb.ok()) return gdb.status();
  for (const char* command : {"break divide if count == 0", "run", "backtrace",
                              "print sum", "print count", "continue"}) {
    // As long as the program takes.
    auto reply = (*gdb)->Eval(command, absl::Minutes(1));
    if (!reply.ok()) return reply.status();
    std::cout << "(gdb) " << command << "\n" << reply->out;
  }
  auto status = (*gdb)->Close();
  if (!status.ok()) return status.status();
  std::cout << "gdb: " << *status << "\n";
  return absl::OkStatus();
}

absl::Status Example() {
  std::string folder =
      (std::filesystem::temp_directory_path() / "debugger-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    return absl::ErrnoToStatus(errno, folder);
  }
  const absl::Cleanup remove([&] { std::filesystem::remove_all(folder); });
  absl::StatusOr<std::string> program = Build(folder);
  if (!program.ok()) return program.status();
  return Debug(*program);
}

}  // namespace

int main() {
  const absl::Status status = Example();
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
