# Extracts the tests of perl (the folder t of its source) as sessions: a file is
# a statement, and its reply is the output of the file. perl itself must pass
# all tests of the file, and print the same when it evaluates the file's text.
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import tempfile

import extract

# Prints \x1e after the file, before END blocks run.
EVALUATE = r'''
  $asyncproc::source = do { local (@ARGV, $/) = shift; <> };
  eval $asyncproc::source;
  print STDERR $@;
  print STDOUT "\x1e";
'''


def output(arguments):
    try:
        result = subprocess.run(
            ['perl', *arguments], cwd=folder, stdin=subprocess.DEVNULL,
            capture_output=True, encoding='latin-1', timeout=10)
    except subprocess.TimeoutExpired:
        return None
    return (result.stdout.split('\x1e')[0] + result.stderr
            if result.returncode == 0 else None)


def session(path):
    """A file, whose modules are the installed ones, and its output."""
    with open(path, encoding='latin-1') as file:
        statement = re.sub(r'set_up_inc\([^)]*\)|@INC = [^;]*', '0', file.read())
    with tempfile.NamedTemporaryFile('w', encoding='latin-1') as file:
        file.write(statement)
        file.flush()
        out = output([file.name])
        # exit ends the program, and some files count their evals.
        if (not out or '\nok ' not in out or re.search('^not ok', out, re.MULTILINE)
                or re.search(r'\bexit\b|_<', statement)
                or output(['-e', EVALUATE, file.name]) != out):
            return []
    return [(f'chdir "{folder}"', []),
            (statement.rstrip('\n'), extract.lines_of(out))]


folder = os.path.join(os.path.abspath(sys.argv[1]), 't')
sessions = extract.Sessions(sys.argv[2])
paths = sorted(path for part in ('base/*', 'cmd/*', 'comp/*', 'op/[a-h]*')
               for path in glob.glob(f'{folder}/{part}.t'))
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    for path, steps in zip(paths, pool.map(session, paths)):
        sessions.write(os.path.relpath(path, folder), steps)
print(sessions.count)
