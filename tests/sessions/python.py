# Extracts the doctests of Python's standard library from the installed modules:
# writes each doctest that passes as a session to the folder sys.argv[2], and
# prints the number of examples.
import contextlib
import doctest
import importlib
import io
import os
import sys

MODULES = """
    argparse ast base64 bdb bisect cmd collections colorsys copy dataclasses
    datetime decimal difflib doctest enum fractions functools heapq html
    http.cookies inspect ipaddress itertools json json.decoder json.encoder
    keyword locale math numbers operator optparse os pickle pickletools pprint
    queue random re reprlib sched secrets shlex statistics string struct
    textwrap timeit tokenize types typing unittest.mock urllib.parse uuid
    test.test_cmd test.test_deque test.test_descrtut test.test_extcall
    test.test_generators test.test_genexps test.test_heapq test.test_itertools
    test.test_listcomps test.test_metaclass test.test_operator test.test_random
    test.test_setcomps test.test_syntax test.test_threading_local
    test.test_unpack test.test_unpack_ex test.test_weakref
""".split()

# A doctest knows where each of its examples ends; test_syntax has an example
# that leaves a prompt for more input.
NOT_A_SESSION = {'test.test_syntax'}


def tests():
    for name in MODULES:
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                found = doctest.DocTestFinder().find(importlib.import_module(name))
            except Exception:
                continue
        for test in found:
            if test.examples and test.name not in NOT_A_SESSION:
                yield name, test


def session(module, test):
    """`test` with the names of its module, as text."""
    lines = [f'>>> import {module}', f'>>> globals().update(vars({module}))']
    for example in test.examples:
        source = example.source.rstrip('\n').replace('\n', '\n... ')
        lines += ['>>> ' + source, example.want.rstrip('\n')]
    return '\n'.join(line for line in lines if line) + '\n'


def passes(text, name):
    parsed = doctest.DocTestParser().get_doctest(
        text, {'__name__': '__main__'}, name, None, 0)
    with contextlib.redirect_stderr(io.StringIO()):
        return doctest.DocTestRunner(verbose=False).run(
            parsed, out=lambda _: None).failed == 0


count = 0
for module, test in list(tests()):
    text = session(module, test)
    if passes(text, test.name):
        count += len(test.examples)
        name = test.name.replace('/', '_')
        with open(os.path.join(sys.argv[2], name), 'w') as file:
            file.write(text)
print(count)
