"""What a process may not do any more: rlimits, no new privileges, seccomp and Landlock.

None of it needs a privilege. Where a kernel has no Landlock or no seccomp filters the rest holds;
`confine` tells what does.

Sources: setrlimit(2), prctl(2), seccomp(2), the kernel's Documentation/userspace-api/landlock.rst;
numbers of system calls: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from shared.sandbox.limits import SandboxLimits

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_MODE_FILTER: Final = 2
_MAX_FILE_BYTES: Final = 4 << 30

_EPERM: Final = 1
_ENOSYS: Final = 38
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_KILL: Final = 0x80000000
_CLONE_THREAD: Final = 0x00010000

_LOAD: Final = 0x20
_EQUAL: Final = 0x15
_ANY_BIT: Final = 0x45
_AT_LEAST: Final = 0x35
_ANSWER: Final = 0x06
"""Steps of a filter: load a word, compare it, look for a bit in it, answer."""

_ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE: Final = {"x86_64": 56, "aarch64": 220}
_CLONE3: Final = 435
_REFUSED_CALLS: Final = {
    "x86_64": (
        *(41, 42, 43, 49, 50, 53, 288),  # socket connect accept bind listen socketpair accept4
        *(57, 58, 59, 322),  # fork vfork execve execveat
        *(62, 200, 424, 434, 438),  # kill tkill pidfd_send_signal pidfd_open pidfd_getfd
        *(101, 310, 311),  # ptrace process_vm_readv process_vm_writev
        *(165, 166, 155, 161, 272, 308),  # mount umount2 pivot_root chroot unshare setns
        *(160, 302),  # setrlimit prlimit64
        *(248, 249, 250, 298, 321),  # keys perf bpf
        *(323, 425, 304),  # userfaultfd io_uring_setup open_by_handle_at
    ),
    "aarch64": (
        *(198, 199, 200, 201, 202, 203, 242),
        *(221, 281),
        *(129, 130, 424, 434, 438),
        *(117, 270, 271),
        *(40, 39, 41, 51, 97, 268),
        *(164, 261),
        *(217, 218, 219, 241, 280, 282, 425, 265),
    ),
}
"""Calls by which a process reaches the network, another program or another process."""

_LANDLOCK_CREATE: Final = 444
_LANDLOCK_ADD_RULE: Final = 445
_LANDLOCK_RESTRICT: Final = 446
_EXECUTE: Final = 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3


def confine(limits: SandboxLimits, readable: Iterable[Path]) -> list[str]:
    """Confine this process and the threads that it starts from now on.

    Args:
        limits: of memory and open files.
        readable: folders whose files stay readable: Python's and ours.

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
        if _restrict_files(libc, readable):
            holds.append("landlock")
        if _filter_calls(libc):
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


def _restrict_files(libc: ctypes.CDLL, readable: Iterable[Path]) -> bool:
    """Let only some folders be read, and no file be opened for writing, by Landlock."""
    version = libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        return False
    rights = 13 if version < 2 else 14 if version == 2 else 15
    size = 8 if version < 4 else 16 if version < 6 else 24
    # All rights on files; from version 4 on TCP; from 6 on signals and abstract sockets.
    attributes = struct.pack("QQQ", (1 << rights) - 1, 3, 3)[:size]
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


def _filter_calls(libc: ctypes.CDLL) -> bool:
    """Refuse system calls that no reader needs."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        return False
    program = _program(machine)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0) == 0)


def _program(machine: str) -> bytes:
    """The filter in classic BPF: a load, comparisons that jump over a return, a return."""
    steps = [
        _step(_LOAD, 4),  # the architecture
        _step(_EQUAL, _ARCHITECTURES[machine], 1, 0),
        _step(_ANSWER, _KILL),
        _step(_LOAD, 0),  # the number of the call
        # Numbers of the x32 ABI, which would pass the others by.
        _step(_AT_LEAST, 0x40000000, 0, 1),
        _step(_ANSWER, _ERRNO | _EPERM),
    ]
    for call in _REFUSED_CALLS[machine]:
        steps += [_step(_EQUAL, call, 0, 1), _step(_ANSWER, _ERRNO | _EPERM)]
    # The library falls back to clone, whose flags can be seen: threads are allowed, processes not.
    steps += [_step(_EQUAL, _CLONE3, 0, 1), _step(_ANSWER, _ERRNO | _ENOSYS)]
    steps += [
        _step(_EQUAL, _CLONE[machine], 0, 3),
        _step(_LOAD, 16),  # its first argument
        _step(_ANY_BIT, _CLONE_THREAD, 1, 0),
        _step(_ANSWER, _ERRNO | _EPERM),
        _step(_ANSWER, _ALLOW),
    ]
    return b"".join(steps)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
