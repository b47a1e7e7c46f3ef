"""What a process may not do any more: rlimits, no new privileges, seccomp and Landlock.

None of it needs a privilege. Where a kernel has no Landlock or no seccomp filters the rest holds;
`confine` tells what does.

Sources: setrlimit(2), prctl(2), the kernel's Documentation/userspace-api/landlock.rst.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from shared.sandbox.call_filter import filter_calls
from shared.sandbox.limits import SandboxLimits

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_MAX_FILE_BYTES: Final = 4 << 30

_LANDLOCK_CREATE: Final = 444
_LANDLOCK_ADD_RULE: Final = 445
_LANDLOCK_RESTRICT: Final = 446
_BIND: Final = 1
_CONNECT: Final = 1 << 1
_EXECUTE: Final = 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3


def confine(
    limits: SandboxLimits, readable: Iterable[Path], *, has_network: bool = False
) -> list[str]:
    """Confine this process and the threads that it starts from now on.

    Args:
        limits: of memory and open files.
        readable: folders whose files stay readable: Python's and ours.
        has_network: it opens connections, and starts processes of its own.

    Returns:
        What holds: "limits", "no-new-privileges", "landlock", "seccomp".
    """
    _set_limits(limits)
    if sys.platform != "linux":
        return ["limits"]
    libc = ctypes.CDLL(None, use_errno=True)
    # The parent's death ends a child that computes and does not look at its socket.
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    holds = ["limits"]
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        holds.append("no-new-privileges")
        if _restrict_files(libc, readable, has_network=has_network):
            holds.append("landlock")
        if not has_network and filter_calls(libc):
            holds.append("seccomp")
    return holds


def _set_limits(limits: SandboxLimits) -> None:
    """Bound this process."""
    for kind, limit in (
        (resource.RLIMIT_DATA, limits.memory),
        # Beside its data a process has its code, and the files that it maps.
        (resource.RLIMIT_AS, 2 * limits.memory + (2 << 30)),
        (resource.RLIMIT_NOFILE, limits.files),
        (resource.RLIMIT_FSIZE, _MAX_FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):  # a lower limit is set already
            resource.setrlimit(kind, (limit, limit))
    os.nice(limits.nice)


def _restrict_files(
    libc: ctypes.CDLL, readable: Iterable[Path], *, has_network: bool = False
) -> bool:
    """Let only some folders be read, and no file be opened for writing, by Landlock."""
    version = libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        return False
    rights = 13 if version < 2 else 14 if version == 2 else 15
    size = 8 if version < 4 else 16 if version < 6 else 24
    # All rights on files; from version 4 on TCP; from 6 on signals and abstract sockets.
    connections = _BIND if has_network else _BIND | _CONNECT
    attributes = struct.pack("QQQ", (1 << rights) - 1, connections, 3)[:size]
    ruleset = libc.syscall(_LANDLOCK_CREATE, attributes, size, 0)
    if ruleset < 0:
        return False
    try:
        for path in readable:
            _allow_reading(libc, ruleset, path)
        return bool(libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow_reading(libc: ctypes.CDLL, ruleset: int, path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_PATH)
    except OSError:  # a folder of the search path that does not exist
        return
    try:
        rights = _READ_FILE | _EXECUTE
        if path.is_dir():
            rights |= _READ_DIR
        libc.syscall(_LANDLOCK_ADD_RULE, ruleset, 1, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)
