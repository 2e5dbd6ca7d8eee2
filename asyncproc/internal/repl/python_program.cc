#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

const absl::string_view kPythonProgram = R"python(
def run():
    import ast, builtins, codeop, fcntl, os, signal, sys, traceback

    # Children of the user's code must not hold the channel.
    statements = fcntl.fcntl(8, fcntl.F_DUPFD_CLOEXEC, 64)
    completions = fcntl.fcntl(9, fcntl.F_DUPFD_CLOEXEC, 64)
    os.close(8)
    os.close(9)
    pending = bytearray()

    def read_until(complete):
        while not complete():
            piece = os.read(statements, 1 << 16)
            if not piece:
                sys.exit(0)
            pending.extend(piece)

    def read_statement():
        read_until(lambda: b'\n' in pending)
        header, _, _ = pending.partition(b'\n')
        number, length = header.split()
        del pending[:len(header) + 1]
        read_until(lambda: len(pending) >= int(length))
        source = bytes(pending[:int(length)])
        del pending[:int(length)]
        return number, source

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
        import warnings
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

    def execute(source):
        nodes = None
        try:
            nodes = compiled(source)
            if nodes is None:
                return b'incomplete'
            for node in nodes:
                code = compile(node, '<stdin>', 'single',
                               flags.compiler.flags & ~0x4200, True)
                exec(code, scope)
            return b'done 0'
        except SystemExit:
            raise
        except BaseException as error:
            # Only the frames of the user's code.
            trace = error.__traceback__.tb_next if nodes else None
            sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
            if sys.excepthook is sys.__excepthook__:
                if sys.stderr is not None:
                    traceback.print_exception(type(error), error, trace)
            else:
                sys.excepthook(type(error), error, trace)
            return b'done 1'

    def flush():
        for stream in sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__:
            try:
                stream.flush()
            except (AttributeError, OSError, ValueError):
                pass

    handler = set_interrupt(idle)
    answer = b'0 done 0'
    while True:
        flush()
        os.write(completions, answer + b'\n')
        number, source = read_statement()
        answer = b'done 1'
        try:
            set_interrupt(handler)
            answer = execute(source)
            handler = set_interrupt(idle)
        except KeyboardInterrupt:  # It came while an error was printed.
            handler = set_interrupt(idle)
        if handler is idle:
            handler = signal.default_int_handler
        answer = number + b' ' + answer

import sys
program, sys.argv[:] = run, ['']
del run, sys
locals().pop('program')()
)python";

}  // namespace asyncproc::internal
