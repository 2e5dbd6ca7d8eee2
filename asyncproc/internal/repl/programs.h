#ifndef ASYNCPROC_INTERNAL_REPL_PROGRAMS_H_
#define ASYNCPROC_INTERNAL_REPL_PROGRAMS_H_

#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// The programs that interpreters run at the child's end of a Repl's private
// channel, each in a file of its own (python_program.cc ...). For the protocol,
// see repl_dialects.h.
extern const absl::string_view kPythonProgram;
extern const absl::string_view kNodeProgram;
extern const absl::string_view kGdbProgram;
extern const absl::string_view kGuileProgram;
extern const absl::string_view kLuaProgram;
extern const absl::string_view kOcamlProgram;
extern const absl::string_view kPerlProgram;
extern const absl::string_view kPrologProgram;
extern const absl::string_view kRProgram;
extern const absl::string_view kRubyProgram;
extern const absl::string_view kTclProgram;
// Evaluates the scripts that arrive, each of which ends with a NUL.
extern const absl::string_view kFishProgram;
extern const absl::string_view kFishStatement;
// Other shells run no program: these are the texts around each statement.
// kShStart is the argument of -c that reads them.
extern const absl::string_view kShStart;
extern const absl::string_view kShSetup;
extern const absl::string_view kShStatement;
extern const absl::string_view kBashSetup;
extern const absl::string_view kBashStatement;
extern const absl::string_view kZshSetup;
extern const absl::string_view kZshStatement;

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_REPL_PROGRAMS_H_
