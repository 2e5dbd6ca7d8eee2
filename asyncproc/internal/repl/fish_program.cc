#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

// An interrupt of a statement ends the -c of the command line that runs. The
// next one reports that statement, and serves those that follow. While there is
// a handler for the signal, an interrupt has no effect.
//
// The redirection is that of a block, because `read` takes more than a script
// from a stdin of its own. Statements find $asyncproc erased.
const absl::string_view kFishProgram = R"fish(
function _asyncproc_idle --on-signal INT; end
functions -q _asyncproc; and _asyncproc 130; or echo 0 done 0 >&9
while begin; read -gz asyncproc; end </dev/fd/8; eval $asyncproc (set -eg asyncproc); end
)fish";

// A command substitution without output gives the statement its $status.
//
// 123 is the status of a syntax error. Another fish has the message in English.
constexpr char kScript[] = R"fish(function _asyncproc
  count $argv >/dev/null; or return {status}
  function _asyncproc_idle --on-signal INT; end
  set -l fish (status fish-path)
  if test $argv = 123; and printf %s {quoted_fish} |
      env LANGUAGE=C $fish --no-config -n 2>&1 8<&- 9>&- |
      string match -qr 'fish: (Missing end to balance|Unexpected end of string|Expected .*, but found end of the input)'
    echo {id} incomplete >&9
  else
    echo {id} done $argv >&9
  end
end
functions -e _asyncproc_idle
eval {quoted_fish} (_asyncproc) 8<&- 9>&-
_asyncproc $status
)fish";
const absl::string_view kFishStatement(kScript, sizeof(kScript));  // With NUL.

}  // namespace asyncproc::internal
