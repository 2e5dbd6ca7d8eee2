# Takes the doctests of Python's standard library out of the installed modules.
# For each module that passes its own doctests in a fresh interpreter, writes a
# session to the folder sys.argv[1].
import doctest, importlib, io, os, subprocess, sys, contextlib

NAMES = ['argparse', 'ast', 'base64', 'bisect', 'cmd', 'collections', 'colorsys',
         'copy', 'dataclasses', 'datetime', 'decimal', 'difflib', 'doctest', 'enum', 'fractions',
         'functools', 'heapq', 'html', 'http.cookies', 'inspect', 'ipaddress',
         'itertools', 'json', 'keyword', 'locale', 'math', 'numbers', 'operator', 'optparse',
         'os', 'pickle', 'pickletools', 'pprint', 'queue', 'random', 're', 'reprlib', 'sched', 'secrets', 'shlex', 'statistics', 'string',
         'struct', 'textwrap', 'timeit', 'tokenize', 'turtle', 'types', 'typing', 'unittest.mock',
         'urllib.parse', 'uuid', 'zipfile', 'json.encoder', 'json.decoder', 'smtplib', 'imaplib', 'bdb',
         'collections.abc', 'test.test_generators', 'test.test_genexps', 'test.test_listcomps',
         'test.test_setcomps', 'test.test_unpack', 'test.test_unpack_ex', 'test.test_extcall',
         'test.test_syntax', 'test.test_descrtut', 'test.test_metaclass', 'test.test_cmd', 'test.test_itertools',
         'test.test_deque', 'test.test_heapq', 'test.test_operator', 'test.test_random', 'test.test_dict_version', 'test.test_pep646_syntax', 'test.test_weakref', 'test.test_threading_local']

def sessions():
    for name in NAMES:
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                module = importlib.import_module(name)
            tests = doctest.DocTestFinder().find(module)
        except Exception:
            continue
        for test in tests:
            if test.examples:
                yield name, test

if __name__ == '__main__':
    wanted = {}
    for name, test in sessions():
        source = ''.join(
            '>>> ' + example.source.rstrip('\n').replace('\n', '\n... ') + '\n' +
            example.want for example in test.examples)
        # Names are those of the module, as in its doctests.
        head = '>>> from %s import *\n>>> import %s; globals().update(vars(%s))\n' % (name, name, name)
        wanted[test.name] = head + source
    count = 0
    for name, text in wanted.items():
        # What passes as a session of its own.
        run = doctest.DocTestRunner(verbose=False)
        parsed = doctest.DocTestParser().get_doctest(text, {'__name__': '__main__'}, name, None, 0)
        out = io.StringIO()
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                failed, tried = run.run(parsed, out=out.write)
        except BaseException:
            continue
        if failed == 0:
            with open(os.path.join(sys.argv[1], name), 'w') as file:
                file.write(text)
            count += tried
    print(count)
