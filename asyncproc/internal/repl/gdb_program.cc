#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

const absl::string_view kGdbProgram = R"python(
def run():
    import fcntl, os, re, signal, sys, gdb
    statements = fcntl.fcntl(8, fcntl.F_DUPFD_CLOEXEC, 64)
    completions = fcntl.fcntl(9, fcntl.F_DUPFD_CLOEXEC, 64)
    os.close(8)
    os.close(9)
    pending = bytearray()

    def read_until(complete):
        while not complete():
            piece = os.read(statements, 1 << 16)
            if not piece:
                os._exit(0)
            pending.extend(piece)

    # An interrupt between two statements does nothing. It would also lose what
    # os.read has read.
    def hold_interrupts():
        while True:
            try:
                return signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            except KeyboardInterrupt:
                pass

    def forget_interrupts():
        while signal.sigtimedwait({signal.SIGINT}, 0):
            pass
        for _ in range(3):
            try:
                gdb.execute('echo')
                return
            except BaseException:
                pass

    # gdb takes the end of the text for every `end` that is missing.
    blocks = ('define', 'commands', 'if', 'while', 'actions', 'stepping',
              'while-stepping')
    def is_incomplete(source):
        depth, verbatim = 0, False
        for line in source.split('\n'):
            # gdb needs no blank after a word: `if($x)`.
            word = re.match(r'[\w-]*', line.strip()).group()
            rest = line.strip()[len(word):]
            if word == 'end':
                depth, verbatim = max(0, depth - 1), False
            elif verbatim:
                continue
            elif word == 'document' or not rest and word in ('python', 'py', 'guile', 'gu'):
                depth, verbatim = depth + 1, True
            elif word in blocks:
                depth += 1
        return depth > 0 or source.endswith('\\')

    def execute(source):
        if is_incomplete(source):
            return 'incomplete'
        if not source.strip():  # A blank line would repeat the last command.
            return 'done 0'
        try:
            gdb.execute(source, True)
            return 'done 0'
        except Exception as error:  # Of gdb, or for text that gdb does not take.
            print(error, file=sys.stderr, flush=True)
            return 'done 1'
        except KeyboardInterrupt:
            print('Quit', file=sys.stderr, flush=True)
            return 'done 1'

    hold_interrupts()
    process = os.getpid()
    answer = '0 done 0'
    while True:
        gdb.flush(gdb.STDOUT)
        gdb.flush(gdb.STDERR)
        os.write(completions, answer.encode() + b'\n')
        read_until(lambda: b'\n' in pending)
        header = bytes(pending.partition(b'\n')[0])
        number, length = header.split()
        del pending[:len(header) + 1]
        read_until(lambda: len(pending) >= int(length))
        source = bytes(pending[:int(length)]).decode('utf-8', 'surrogateescape')
        del pending[:int(length)]
        forget_interrupts()
        answer = 'done 1'
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            answer = execute(source)
            hold_interrupts()
        except KeyboardInterrupt:  # It came while an error was printed.
            hold_interrupts()
        if os.getpid() != process:  # A copy made by os.fork() ends here.
            gdb.flush(gdb.STDOUT)
            os._exit(0)
        answer = number.decode() + ' ' + answer

run()
)python";

}  // namespace asyncproc::internal
