#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

const absl::string_view kTclProgram = R"tcl(
set argv0 tclsh
# The program runs in an interpreter of its own: statements may replace commands.
interp create asyncproc
interp hide {} asyncproc
interp alias asyncproc execute {} uplevel #0
interp alias asyncproc flush_output {} flush
interp alias asyncproc print {} puts
flush stdout
interp eval asyncproc {
  # A statement that closes a stream closes the last reference to it.
  foreach channel {stdin stdout stderr} { catch {close $channel} }
  set statements [open /dev/fd/8 rb]
  set completions [open /dev/fd/9 wb]
  set answer "0 done 0"
  while 1 {
    foreach channel {stdout stderr} { catch {flush_output $channel} }
    puts $completions $answer
    flush $completions
    if {[gets $statements header] < 0} exit
    lassign $header id length
    set source [encoding convertfrom utf-8 [read $statements $length]]
    if {![info complete $source\n]} {
      set answer "$id incomplete"
      continue
    }
    set failed [catch {execute $source} value options]
    if {$failed == 1} {
      # Without the frames of this program.
      regsub {\n    \("uplevel" body line \d+\)\n    invoked from within\n"execute \$source"$} \
        [dict get $options -errorinfo] "" trace
      catch {print stderr $trace}
    } elseif {$value ne ""} {
      catch {print stdout $value}
    }
    set answer "$id done [expr {$failed == 1}]"
  }
}
)tcl";

}  // namespace asyncproc::internal
