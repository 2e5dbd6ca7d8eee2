#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

const absl::string_view kTclProgram = R"tcl(
set argv0 tclsh
apply {{} {
  set statements [open /dev/fd/8 rb]
  set completions [open /dev/fd/9 wb]
  set answer "0 done 0"
  while 1 {
    foreach channel {stdout stderr} { catch {flush $channel} }
    puts $completions $answer
    flush $completions
    if {[gets $statements header] < 0} exit
    lassign $header id length
    set source [encoding convertfrom utf-8 [read $statements $length]]
    if {![info complete $source\n]} {
      set answer "$id incomplete"
      continue
    }
    set failed [catch {uplevel #0 $source} value options]
    if {$failed == 1} {
      # Without the frames of this program.
      regsub {\n    \("uplevel" body line \d+\)\n    invoked from within\n"uplevel #0 \$source"$} \
        [dict get $options -errorinfo] "" trace
      catch {puts stderr $trace}
    } elseif {$value ne ""} {
      catch {puts stdout $value}
    }
    set answer "$id done [expr {$failed == 1}]"
  }
}}
)tcl";

}  // namespace asyncproc::internal
