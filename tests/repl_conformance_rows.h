#ifndef ASYNCPROC_TESTS_REPL_CONFORMANCE_ROWS_H_
#define ASYNCPROC_TESTS_REPL_CONFORMANCE_ROWS_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "asyncproc/repl.h"
#include "gtest/gtest.h"
#include "tests/database_servers.h"

namespace asyncproc {

// A statement that contains a given text.
using StatementOf = std::function<std::string(absl::string_view text)>;

// A dialect, and the statements of its language that the tests need. A null
// statement is one that the program does not have: the row has the reason.
struct Row {
  std::string name;
  std::function<ReplDialect()> dialect;
  // Starts the server of a client, which `dialect` needs; null if there is
  // none.
  std::unique_ptr<DatabaseServer> (*server)(std::string* why) = nullptr;

  // A variable that names a start file, and its value.
  std::pair<std::string, std::string> start_file;

  // Prints its argument, a number of digits, and a newline. The program writes
  // `after` after this output.
  StatementOf print;
  std::string after;
  // Writes letters, spaces, ">" and newlines, and no newline at their end.
  StatementOf write;
  // Prints a line of a million bytes.
  const char* megabyte = nullptr;
  // Is a string or comment of any bytes, except `refused`, and prints nothing.
  StatementOf string;
  std::string refused;
  // Has several lines, and prints 4711 and a newline.
  const char* lines = nullptr;

  const char* wrong = nullptr;       // A syntax error.
  const char* incomplete = nullptr;  // Lacks its end.

  const char* computes = nullptr;     // Runs without end, and writes nothing.
  const char* floods = nullptr;       // Writes without end.
  const char* reads_stdin = nullptr;  // Reads stdin to its end, or a line.

  const char* closes_stdout = nullptr;
  const char* discards_stdout = nullptr;  // Redirects it to /dev/null.
  const char* stops = nullptr;            // Sends SIGSTOP to the program.
  const char* forks = nullptr;  // Makes a copy of the program, by fork().
  const char* pid = nullptr;    // Prints the process id, and a newline.
  // Gives other values to names of the language's library.
  const char* shadows = nullptr;

  // Runs a command line of sh, which has no quotes or backslashes.
  StatementOf shell;
  // Whether the interrupt of a statement is harmless if the statement has not
  // begun, or has ended.
  bool survives_late_interrupt = true;
  // Whether an interrupt while the program is idle is harmless.
  bool idle_interrupt = true;
  // Whether an interrupt ends a read of stdin.
  bool interrupts_reads = true;
  // Whether an interrupt ends a statement, and not the program.
  bool interrupts = true;
};

std::vector<Row> ConformanceRows();
void PrintTo(const Row& row, std::ostream* out);

// Starts the program of its row. A program that is not installed is skipped.
class ConformanceTest : public testing::TestWithParam<Row> {
 protected:
  void SetUp() override;

  // The dialect of the row, with its server's address.
  ReplDialect Dialect() const;

  void ExpectToWork() { ExpectToWork(*repl_); }
  static void ExpectToWork(Repl& repl);

  std::unique_ptr<DatabaseServer> server_;
  std::unique_ptr<Repl> repl_;
};

std::string RowName(const testing::TestParamInfo<Row>& info);

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTS_REPL_CONFORMANCE_ROWS_H_
