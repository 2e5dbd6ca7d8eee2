#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

const absl::string_view kRubyProgram = R"ruby(
lambda do
  # Children of the user's code do not inherit the channel.
  statements = IO.for_fd(8, 'rb')
  completions = IO.for_fd(9, 'wb')
  completions.sync = true
  incomplete = /unexpected end-of-input|unterminated|meets end of file|embedded document|anywhere before EOF/
  idle = proc {}
  handler = 'DEFAULT'

  # Only the frames of the user's code.
  report = lambda do |error|
    frames = error.backtrace&.take_while { |frame| !frame.start_with?('-e:') }
    error.set_backtrace(frames) if frames
    STDERR.write(error.full_message(highlight: false, order: :top))
  end
  # While $stdout is closed, ruby raises an IOError instead of a SyntaxError.
  compile = lambda do |source|
    out, $stdout = $stdout, STDERR
    RubyVM::InstructionSequence.compile(source, '(statement)')
  ensure
    $stdout = out
  end
  execute = lambda do |source|
    begin
      compile.(source)
    rescue SyntaxError => error
      next 'incomplete' if error.message =~ incomplete
      STDERR.write("#{error.message.chomp} (SyntaxError)\n")
      next 'done 1'
    end
    value = TOPLEVEL_BINDING.eval(source, '(statement)', 1)
    $stdout.write("=> #{value.inspect}\n") unless value.nil?
    'done 0'
  rescue SystemExit
    raise
  rescue Exception => error
    report.(error)
    'done 1'
  end

  # Questions are written before their answer is read.
  input = STDIN.stat
  $stdout.sync = true if input.pipe? || input.socket? || STDIN.tty?
  Signal.trap('INT', idle)
  process = Process.pid
  answer = '0 done 0'
  loop do
    [$stdout, $stderr, STDOUT, STDERR].each { |stream| stream.flush rescue nil }
    exit!(true) if Process.pid != process  # A copy made by fork ends here.
    completions.write("#{answer}\n")
    header = statements.gets or exit
    id, length = header.split
    source = statements.read(length.to_i).force_encoding('UTF-8')
    begin
      Signal.trap('INT', handler)
      answer = "#{id} #{execute.(source)}"
      previous = Signal.trap('INT', idle)
    rescue Interrupt
      previous = Signal.trap('INT', idle)
      answer = "#{id} done 1"
    end
    handler = previous unless previous.equal?(idle)
  end
end.()
)ruby";

}  // namespace asyncproc::internal
