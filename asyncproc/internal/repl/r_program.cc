#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

const absl::string_view kRProgram = R"r(
options(warn = 1)
local({
  statements <- file("/dev/fd/8", "rb", raw = TRUE)
  completions <- file("/dev/fd/9", "wb", raw = TRUE)
  serve <- function(answer) {
    flush(stdout()); flush(stderr())
    writeLines(answer, completions); flush(completions)
    header <- readLines(statements, 1)
    if (length(header) == 0) quit("no")
    header <- as.numeric(strsplit(header, " ")[[1]])
    source <- readChar(statements, header[2], useBytes = TRUE)
    if (length(source) == 0) source <- ""
    Encoding(source) <- "UTF-8"
    # An interrupt that came before the statement does nothing.
    tryCatch(allowInterrupts(Sys.sleep(0)), interrupt = function(condition) NULL)
    status <- tryCatch(allowInterrupts({
      parsed <- parse(text = source, keep.source = TRUE)
      for (expression in parsed) {
        value <- withVisible(eval(expression, globalenv()))
        if (value$visible) print(value$value)
      }
      "done 0"
    }), interrupt = function(condition) "done 1",
    error = function(condition) {
      message <- conditionMessage(condition)
      caller <- deparse(conditionCall(condition))[1]
      if (grepl("^parse\\(", caller)) {
        caller <- "NULL"
        if (grepl("unexpected (end of input|INCOMPLETE_STRING)", message)) {
          return("incomplete")
        }
      }
      where <- if (grepl("^(NULL|eval\\(expression|doTryCatch\\()", caller)) "" else paste(" in", caller, ":")
      cat("Error", where, if (where == "") ": " else " ", message, "\n", sep = "", file = stderr())
      "done 1"
    })
    paste(format(header[1], scientific = FALSE), status)
  }
  suspendInterrupts({
    answer <- "0 done 0"
    repeat answer <- serve(answer)
  })
})
)r";

}  // namespace asyncproc::internal
