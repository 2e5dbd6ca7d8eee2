#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

const absl::string_view kPerlProgram = R"perl(
package asyncproc;
# Defined before all lexical variables, so that statements see none of them.
sub execute { package main; eval $asyncproc::source }
{
  my ($statements, $completions, $handler, $answer);
  # Descriptors above $^F are not inherited by children of the user's code.
  open $statements, '<&=', 8 or die;
  open $completions, '>&=', 9 or die;
  fcntl $_, 2, 1 for $statements, $completions;  # F_SETFD, FD_CLOEXEC
  my $pending = '';
  my $fill = sub {
    until ($_[0]->()) {
      my $size = sysread $statements, $pending, 1 << 16, length $pending;
      next if !defined $size && $! == 4;  # EINTR; %! would load Errno.
      exit 0 unless $size;
    }
  };
  my $flush = sub {
    for (*STDOUT{IO}, *STDERR{IO}, *{select()}{IO}) { $_->flush if defined $_ }
  };
  require IO::Handle;
  # Questions are written before their answer is read.
  $| = 1 if -p STDIN || -S STDIN || -t STDIN;
  $handler = sub { die "interrupted\n" };
  my $idle = sub {};
  $SIG{INT} = $idle;
  my $process = $$;
  $answer = '0 done 0';
  for (;;) {
    { local ($@, $!); eval { $flush->() } }
    if ($$ != $process) {  # A copy made by fork ends here.
      require POSIX;
      POSIX::_exit(0);
    }
    syswrite $completions, "$answer\n";
    $fill->(sub { $pending =~ /\n/ });
    $pending =~ s/^(\d+) (\d+)\n//;
    my ($id, $length) = ($1, $2);
    $fill->(sub { length $pending >= $length });
    # The first statement of the source runs once all of it has been compiled.
    $asyncproc::source =
        "\$asyncproc::compiled = 1;\n#line 1 \"(statement)\"\n" .
        substr($pending, 0, $length, '');
    $asyncproc::compiled = 0;
    my $error = '';
    eval {
      local $SIG{INT} = $handler;
      my $entered = 0;
      {  # The loop that `last`, `next` and `redo` leave.
        last if $entered++;
        execute();
        $error = $@;
      }
      $handler = $SIG{INT};
      1;
    } or $error = $@;
    # The first error counts: after a wrong bracket, perl also misses the right one.
    if (!$asyncproc::compiled && $error =~ /\A[^\n]*(?:at EOF\b|Missing right|Can't find string terminator|not terminated)/) {
      $answer = "$id incomplete";
    } else {
      $answer = "$id done " . ($error eq '' ? 0 : 1);
      print STDERR $error unless $error eq '';
    }
  }
}
)perl";

}  // namespace asyncproc::internal
