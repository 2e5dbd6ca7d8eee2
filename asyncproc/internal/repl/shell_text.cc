#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

// A shell reads its script from the channel, so nothing of it needs a name. The
// redirections of `eval` keep the channel from the user's code.

// An interrupt between two statements does nothing. In a statement descriptor 9
// is closed: that the redirection of a special built-in fails ends the `command
// eval` around it, with all loops and functions.
const absl::string_view kShSetup = R"sh(trap '{ : >&9; } 2>/dev/null' INT
)sh";

const absl::string_view kShStatement =
    R"sh(command test {status} = 0 || (exit {status})
command eval {quoted} 8<&- 9>&-
command printf '{id} done %d\n' "$?" >&9
)sh";

// bash goes on after a failed redirection. So an interrupt in a statement ends
// its loops, and sets a DEBUG trap that skips all further commands until the
// statement has ended and descriptor 9 is there again.
const absl::string_view kBashSetup =
    R"sh(trap '{ : >&9; } 2>/dev/null || { shopt -s extdebug; trap "if { : >&9; } 2>/dev/null; then shopt -u extdebug; trap - DEBUG; else [[ \$BASH_COMMAND == break\ 1000 ]]; fi" DEBUG; break 1000; } 2>/dev/null' INT
)sh";

// $_ and PIPESTATUS are known only behind the statement's last command, inside
// the same `eval`. What is no body of a function is not complete or not right:
// nothing may stand behind it. (A subshell finds out, because a bad `$(` ends
// one.) {state} is what the line before says that a
// statement must find.
const absl::string_view kBashStatement =
    R"sh(if (eval {quoted_function}) 2>/dev/null; then {state}
command eval {quoted_capture} 8<&- 9>&-
else {state}
command eval {quoted} 8<&- 9>&-
asyncproc=("$?" "$_" "${PIPESTATUS[@]}"); fi
builtin printf '{id} done %d : %q' "${asyncproc[0]-130}" "${asyncproc[1]}" >&9; if [[ "${asyncproc[*]:2}" != 0 ]]; then builtin printf '; (exit %d)' "${asyncproc[2]}" >&9; [[ ${#asyncproc[@]} -gt 3 ]] && builtin printf ' | (exit %d)' "${asyncproc[@]:3}" >&9; fi; unset asyncproc; builtin echo >&9
)sh";

// An error or an interrupt ends the statement, and the `always` block lets the
// script go on.
const absl::string_view kZshSetup = R"sh(TRAPINT() { { : >&9 } 2>/dev/null || return 130 }
)sh";

const absl::string_view kZshStatement = R"sh((exit {status})
{ builtin eval {quoted} 8<&- 9>&- } always { TRY_BLOCK_ERROR=0 TRY_BLOCK_INTERRUPT=0 }
builtin printf '{id} done %d\n' "$?" >&9
)sh";

}  // namespace asyncproc::internal
