"""Shell scripts with known output, as sessions."""

import os
import re

import extract

# A background job may write at any time; sleeping takes it.
ASYNCHRONOUS = re.compile(
    r'[^&>|<\\$]&[ \t]*(\n|$|;|[^&>\s])|>\(|\bcoproc\b|\bsleep\b')

# In a session there is no script with a name, arguments and lines, a dialect has
# traps of its own, and bash saves the channel as descriptors 10 and 11.
NOT_KEPT = re.compile(
    r'\$\{?0|exec "\$THIS_SH"|LINENO|BASH_SOURCE|DEBUG|\bcaller\b|^ *trap *$|'
    r'exec 1[01]|>&1[01]', re.M)

MARK = '\x1e'
# Keeps $?.
DEFINE_MARK = (f'asyncproc_mark() {{ set -- "$?"; printf "{MARK}\\n"; '
               'return "$1"; }; ')


def commands_of(shell, script):
    """The parts of a script, at most 8 or so: commands, each with the lines
    before it that are none."""
    lines = script.rstrip('\n').split('\n')
    commands = []
    command = []
    for line in lines:
        command.append(line)
        if len(command) <= len(lines) // 8 or re.match(r'\s*(#|$)', line):
            continue
        result = extract.run([*shell, '-n'], '\n'.join(command) + '\n')
        # A here-document without its end is a warning.
        if result.returncode == 0 and not result.stdout:
            commands.append('\n'.join(command))
            command = []
    if command:
        commands.append('\n'.join(command))
    return commands


def session(shell, folder, name, setup, expected):
    """The steps of a session that executes, in a copy of `folder`, `setup` and
    then the script `name`, whose stdout and stderr together are `expected`.
    None, if `shell`, the words of a command, does not write that, and if the
    replies depend on time. `setup` is a line that writes nothing."""
    with open(os.path.join(folder, name), encoding='latin-1') as file:
        script = file.read()
    # A command that ends in a backslash is incomplete.
    if script.endswith('\\\n') or ASYNCHRONOUS.search(script) or NOT_KEPT.search(script):
        return None

    def output_of(text):
        return extract.run(
            ['sh', '-c', f'cp -r {folder}/. .; cat >{name}; {setup}; exec "$@" </dev/null',
             'sh', *shell, f'./{name}'], text)

    plain = output_of(script)
    if plain.stdout != expected:
        return None
    commands = commands_of(shell, script)
    marked = output_of(
        DEFINE_MARK + '\nasyncproc_mark; '.join(commands) + '\nasyncproc_mark')
    replies = marked.stdout.split(MARK + '\n')
    if ''.join(replies) != expected or len(replies) <= len(commands):
        # The marks have an effect, or a command ends the shell.
        if plain.returncode:
            return None
        commands, replies = [script.rstrip('\n')], [expected]
    commands[0] = f'cp -r {folder}/. .; {setup}; exec 2>&1; {commands[0]}'
    return [step(command, reply, f'./{name}')
            for command, reply in zip(commands, replies)]


def step(command, reply, name):
    """A step; in a message, neither the name of the script nor the number of a
    line counts."""
    reply, messages = re.subn(
        f'^{re.escape(name)}: ?(line )?[0-9]+: ', '...', reply, flags=re.M)
    if messages:
        command += f'\n{extract.ELLIPSIS}'
    return command, extract.lines_of(reply)
