"""What the extractors share: each writes one file per session, in the form that
`asyncproc repl --check` reads, and prints the number of statements."""

import contextlib
import os
import re
import signal
import subprocess
import tempfile


# Directives in a comment: "..." in the reply stands for any text; the reply is
# not compared.
ELLIPSIS = '# doctest: +ELLIPSIS'
SKIP = '# doctest: +SKIP'


def fits(statement, reply):
    """Whether the form can hold the statement and the lines of its reply."""
    text = '\n'.join([statement, *reply])
    return (
        '\0' not in text
        and '\r' not in text
        and 'doctest:' not in statement.replace(ELLIPSIS, '').replace(SKIP, '')
        # "... " after a statement continues it, and ">>> " ends the reply.
        and not (reply and re.match(r' *\.\.\.( |$)', reply[0]))
        and not any(re.match(r' *>>>( |$)', line) for line in reply)
        and '<BLANKLINE>' not in reply
        # The stack of a traceback is not compared.
        and not any(line.startswith('Traceback (') for line in reply))


def read(path):
    with open(path, encoding='latin-1', newline='') as file:
        return file.read()


def lines_of(text):
    """The lines of an output, whose last newline may be missing."""
    return text.removesuffix('\n').split('\n') if text else []


def run(command, text='', timeout=5, **options):
    """The result of a program that reads `text`, in an empty folder unless `cwd`
    is given: its stdout and stderr together in .stdout, as latin-1. Raises
    subprocess.TimeoutExpired after `timeout` seconds."""
    with tempfile.TemporaryDirectory() as folder, \
            tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as out:
        source.write(text.encode('latin-1'))
        source.seek(0)
        process = subprocess.Popen(
            command, **{'cwd': folder, **options}, stdin=source, stdout=out,
            stderr=subprocess.STDOUT, start_new_session=True)
        try:
            process.wait(timeout=timeout)
        finally:
            # Its children too. The group may be gone.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        out.seek(0)
        return subprocess.CompletedProcess(
            command, process.returncode, out.read().decode('latin-1'))


class Sessions:
    """Text is latin-1, so that every byte is a character."""

    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    def write(self, name, steps):
        """Writes a session of `steps`: statements with the lines of their
        replies. Statements that do not fit are left out. Counts those whose
        replies are compared."""
        steps = [step for step in steps if fits(*step)]
        self.count += sum(SKIP not in statement for statement, _ in steps)
        if not steps:
            return
        path = os.path.join(self.folder, name.replace('/', '_'))
        assert not os.path.exists(path), path
        with open(path, 'w', encoding='latin-1') as file:
            for statement, reply in steps:
                prompt = '>>>'
                for line in statement.split('\n'):
                    file.write(f'{prompt} {line}\n' if line else f'{prompt}\n')
                    prompt = '...'
                for line in reply:
                    file.write(line if line.strip() else '<BLANKLINE>')
                    file.write('\n')
