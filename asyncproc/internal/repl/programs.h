#ifndef ASYNCPROC_INTERNAL_REPL_PROGRAMS_H_
#define ASYNCPROC_INTERNAL_REPL_PROGRAMS_H_

#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// What interpreters run at the far end of a Repl's private channel; see repl.h
// for the protocol. One file for each: python_program.cc ...
extern const absl::string_view kPythonProgram;
extern const absl::string_view kNodeProgram;
extern const absl::string_view kGdbProgram;
extern const absl::string_view kPerlProgram;
extern const absl::string_view kPrologProgram;
extern const absl::string_view kRProgram;
extern const absl::string_view kRubyProgram;
extern const absl::string_view kTclProgram;
// The shells have none: these are the text around each statement.
extern const absl::string_view kShSetup;
extern const absl::string_view kShStatement;
extern const absl::string_view kBashSetup;
extern const absl::string_view kBashStatement;
extern const absl::string_view kZshSetup;
extern const absl::string_view kZshStatement;

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_REPL_PROGRAMS_H_
