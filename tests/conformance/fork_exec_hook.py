"""Makes CPython's subprocess start its children with asyncproc's Spawn.

Popen calls the module's global _fork_exec, with the same 23 arguments in CPython
3.11 to 3.13, and wants a pid back. install() replaces that global, so that
Popen, run, check_output and asyncio's subprocesses all go through the hook.

The backends:
  asyncproc  fe_spawn of the library that FORK_EXEC_LIBRARY names; but what has a
             preexec_fn, Python code to run in the child, goes to CPython
  passthru   CPython's own routine, as a control

Every call appends its backend as a line to the file that FORK_EXEC_LOG names.
"""

import collections
import ctypes
import os
import subprocess
import sys

Request = collections.namedtuple(
    "Request",
    "args executable_list close_fds pass_fds cwd env_list"
    " p2cread p2cwrite c2pread c2pwrite errread errwrite errpipe_read errpipe_write"
    " restore_signals start_new_session process_group gid gids uid umask"
    " preexec_fn use_vfork",
)

_real_fork_exec = subprocess._fork_exec


# ---- fork_exec.h

CLOSE_FDS, RESTORE_SIGNALS, NEW_SESSION = 1, 2, 4
PARENT, SETUP, EXEC, CHDIR = 1, 2, 3, 4


class _Request(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("argv", ctypes.c_void_p),
        ("executables", ctypes.c_void_p),
        ("envp", ctypes.c_void_p),
        ("cwd", ctypes.c_char_p),
        ("std_fd", ctypes.c_int32 * 3),
        ("process_group", ctypes.c_int32),
        ("pass_fds", ctypes.c_void_p),
        ("pass_fd_count", ctypes.c_uint64),
        ("uid", ctypes.c_int64),
        ("gid", ctypes.c_int64),
        ("umask", ctypes.c_int64),
        ("groups", ctypes.c_void_p),
        ("group_count", ctypes.c_int64),
    ]


class _Result(ctypes.Structure):
    _fields_ = [("pid", ctypes.c_int32), ("error", ctypes.c_int32), ("stage", ctypes.c_int32)]


# ---- The steps of CPython's routine before the fork: conversions and checks.


def _bytes(value):
    value = os.fsencode(value)
    if b"\0" in value:
        raise ValueError("embedded null byte")
    return value


def _id(value, name):
    if value is None:
        return -1
    if not 0 <= value < 2**32 - 1:
        raise OverflowError(f"{name} is out of range")
    return value


def _check(request):
    if request.close_fds and request.errpipe_write < 3:
        raise ValueError("errpipe_write must be >= 3")
    previous = -1
    for fd in request.pass_fds:
        if not isinstance(fd, int) or not previous < fd < 2**31:
            raise ValueError("bad value(s) in fds_to_keep")
        previous = fd
    for gid in request.gids or ():
        if not 0 <= gid < 2**32 - 1:
            raise ValueError("invalid group id")


def _strings(values):
    values = [_bytes(value) for value in values]
    return (ctypes.c_char_p * (len(values) + 1))(*values, None)


def _pointer(array):
    return None if array is None else ctypes.cast(array, ctypes.c_void_p)


# ---- The backend.


def _report(request, error, stage):
    """Tells Popen of a failure as CPython's child does, by the pipe.

    Popen then waits for the pid that it is given, which must fail at once: our
    own is the one that can never be a child of ours.
    """
    # Before 3.13, "noexec" stands for chdir and all other steps before exec.
    what = "" if stage == EXEC else "noexec"
    if stage == CHDIR and sys.version_info >= (3, 13):
        what = "noexec:chdir"
    os.write(request.errpipe_write, f"OSError:{error:x}:{what}".encode())
    return os.getpid()


def _spawn(library, request):
    _check(request)
    # CPython's child reports through an inherited descriptor. Spawn does not
    # need it.
    pass_fds = [fd for fd in request.pass_fds if fd != request.errpipe_write]
    # The arrays must outlive the call.
    argv = _strings(request.args)
    executables = _strings(request.executable_list)
    envp = None if request.env_list is None else _strings(request.env_list)
    fds = (ctypes.c_int32 * len(pass_fds))(*pass_fds)
    gids = request.gids or ()
    groups = (ctypes.c_uint32 * len(gids))(*gids)
    asked = _Request(
        struct_size=ctypes.sizeof(_Request),
        flags=(CLOSE_FDS if request.close_fds else 0)
        | (RESTORE_SIGNALS if request.restore_signals else 0)
        | (NEW_SESSION if request.start_new_session else 0),
        argv=_pointer(argv),
        executables=_pointer(executables),
        envp=_pointer(envp),
        cwd=None if request.cwd is None else _bytes(request.cwd),
        std_fd=(request.p2cread, request.c2pwrite, request.errwrite),
        process_group=request.process_group,
        pass_fds=_pointer(fds),
        pass_fd_count=len(fds),
        uid=_id(request.uid, "uid"),
        gid=_id(request.gid, "gid"),
        umask=request.umask,
        groups=_pointer(groups),
        group_count=-1 if request.gids is None else len(groups),
    )
    result = _Result()
    if library.fe_spawn(ctypes.byref(asked), ctypes.byref(result)) == 0:
        return result.pid
    if result.stage == PARENT:
        raise OSError(result.error, os.strerror(result.error))
    return _report(request, result.error, result.stage)


def _log(backend):
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(os.environ["FORK_EXEC_LOG"], flags, 0o666)
    except (KeyError, OSError):  # The test has an environment of its own, or no free descriptor.
        return
    try:
        os.write(fd, backend.encode() + b"\n")
    finally:
        os.close(fd)


def install(backend):
    if backend == "asyncproc":
        library = ctypes.CDLL(os.environ["FORK_EXEC_LIBRARY"])

    def fork_exec(*args):
        request = Request(*args)
        if backend == "passthru" or request.preexec_fn is not None:
            _log("passthru")
            return _real_fork_exec(*args)
        _log(backend)
        return _spawn(library, request)

    subprocess._fork_exec = fork_exec
    # Otherwise Popen uses posix_spawn where possible, without the hook.
    subprocess._USE_POSIX_SPAWN = False
