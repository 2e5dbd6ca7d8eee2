#ifndef ASYNCPROC_TESTS_REPL_TESTING_H_
#define ASYNCPROC_TESTS_REPL_TESTING_H_

#include <stdlib.h>

#include <memory>
#include <utility>

#include "absl/strings/string_view.h"
#include "asyncproc/command.h"
#include "asyncproc/plain_terminal.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {

// Helpers of the tests of Repl.

inline std::unique_ptr<Repl> MustStart(ReplDialect dialect) {
  auto repl = Repl::Start(std::move(dialect));
  EXPECT_THAT(repl, IsOk());
  if (!repl.ok()) abort();
  return *std::move(repl);
}

inline Reply MustEval(Repl& repl, absl::string_view statement) {
  auto reply = repl.Eval(statement, kNeverReached);
  EXPECT_THAT(reply, IsOk()) << statement;
  return reply.ok() ? *reply : Reply();
}

inline ReplDialect ShAs(const char* executable) {
  ReplDialect dialect = ShDialect();
  dialect.command.executable = executable;
  return dialect;
}

inline ReplDialect BashAsSh() { return ShAs("/bin/bash"); }

// dash on a terminal, whose lines have at most 4,095 bytes.
inline ReplDialect PromptedDash() {
  ReplDialect dialect;
  dialect.command = OnPlainTerminal(Command({"dash", "-i"}));
  dialect.command.env.Set("PS1", "drdy> ").Set("PS2", "dmore> ");
  dialect.prompt = "drdy> ";
  dialect.continuation = "dmore> ";
  return dialect;
}

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTS_REPL_TESTING_H_
