#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

const absl::string_view kPythonProgram = R"python(
def run():
    # tokenize: linecache imports it late, when the user may have no `exec`.
    import ast, builtins, codeop, fcntl, os, signal, sys, tokenize, traceback, warnings

    # Children of the user's code must not hold the channel.
    statements = fcntl.fcntl(8, fcntl.F_DUPFD_CLOEXEC, 64)
    completions = fcntl.fcntl(9, fcntl.F_DUPFD_CLOEXEC, 64)
    os.close(8)
    os.close(9)
    received = []  # Bytes.

    # A signal handler of the user may raise an error after each call: no call
    # may hold bytes that are not in `received`.
    def read_statement():
        end = 0  # Of the statement, when its header has come.
        while True:
            if sum(map(len, received)) >= end:
                text = b''.join(received)
                header, newline, _ = text.partition(b'\n')
                if newline:
                    number, length = header.split()
                    start = len(header) + 1
                    end = start + int(length)
                    if len(text) >= end:
                        received[:] = text[end:],
                        return number, text[start:end]
            received.extend(map(os.read, [statements], [1 << 20]))
            if not received[-1]:
                sys.exit(0)

    # An interrupt that comes between two statements does nothing.
    def idle(*_):
        pass

    def set_interrupt(handler):
        while True:
            try:
                return signal.signal(signal.SIGINT, handler)
            except KeyboardInterrupt:
                pass

    scope = sys.modules['__main__'].__dict__
    flags = codeop.CommandCompiler()  # Remembers `from __future__`.

    def compiled(source):
        """The statements of `source`, in turn; None: incomplete."""
        text = source.decode()
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            try:
                if flags(text + '\n', '<stdin>', 'exec') is None:
                    return None
            except SyntaxError:
                # codeop does not know a line that is to be continued.
                if text.endswith('\\'):
                    return None
                raise
        tree = compile(text + '\n', '<stdin>', 'exec',
                       ast.PyCF_ONLY_AST | flags.compiler.flags & ~0x4200, True)
        return [ast.Interactive([node]) for node in tree.body]

    def without_this_program(trace):
        while trace is not None and trace.tb_frame.f_globals is globals():
            trace = trace.tb_next
        return trace

    def show(error, trace, before='', after=''):
        try:
            text = ''.join(traceback.format_exception(type(error), error, trace))
        except Exception:  # The user has changed what it needs.
            text = type(error).__name__ + '\n'
        try:
            sys.stderr.write(before + text + after)
        except Exception:  # It has been closed or deleted.
            pass

    def report(error, trace):
        sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
        try:
            if sys.excepthook is not sys.__excepthook__:
                sys.excepthook(type(error), error, trace)
                return
        except Exception as failure:
            show(failure, without_this_program(failure.__traceback__),
                 'Error in sys.excepthook:\n', '\nOriginal exception was:\n')
        show(error, trace)

    def execute(source):
        nodes = None
        try:
            nodes = compiled(source)
            if nodes is None:
                return b'incomplete'
            for node in nodes:
                code = compile(node, '<stdin>', 'single',
                               flags.compiler.flags & ~0x4200, True)
                scope.setdefault('__builtins__', builtins)
                exec(code, scope)
            return b'done 0'
        except SystemExit:
            raise
        except BaseException as error:
            failure = error
        # Now that the error has been handled, no other one occurs during it.
        report(failure, without_this_program(failure.__traceback__) if nodes else None)
        return b'done 1'

    def flush():
        for name in 'stdout', 'stderr', '__stdout__', '__stderr__':
            try:
                getattr(sys, name).flush()
            except (AttributeError, OSError, ValueError):
                pass

    handler = set_interrupt(idle)
    process = os.getpid()
    answer = b'0 done 0'
    while True:
        # While the user's handler is set, an interrupt may end each step.
        try:
            previous = set_interrupt(idle)
            if previous is not idle:
                handler = previous
            flush()
            if os.getpid() != process:  # A copy made by os.fork() ends here.
                os._exit(0)
            os.write(completions, answer + b'\n')
            number, source = read_statement()
            answer = number + b' done 1'
            set_interrupt(handler)
            answer = number + b' ' + execute(source)
        except KeyboardInterrupt:
            pass
        except Exception as error:  # Of the user's handler of another signal.
            report(error, without_this_program(error.__traceback__))

# In a namespace of its own, the program does not see the names of the user.
import builtins, sys
program = type(run)(run.__code__, {'__builtins__': dict(vars(builtins))})
sys.argv[:] = ['']
del run, builtins, sys
locals().pop('program')()
)python";

}  // namespace asyncproc::internal
