"""The system calls that a child may make: those that Python and readers need, and no other.

A filter of the kernel answers EPERM to every call that is not listed here, and to listed ones
whose arguments reach beyond the process.

Sources: seccomp(2), bpf(4); numbers: arch/x86/entry/syscalls/syscall_64.tbl,
include/uapi/asm-generic/unistd.h; constants: include/uapi of the kernel.
"""

import ctypes
import os
import platform
import struct
from collections.abc import Iterator
from typing import Final

_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
_EPERM: Final = 1
_ENOSYS: Final = 38
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_KILL: Final = 0x80000000
_CLONE_THREAD: Final = 0x00010000
_X32: Final = 0x40000000

_LOAD: Final = 0x20
_EQUAL: Final = 0x15
_ANY_BIT: Final = 0x45
_AT_LEAST: Final = 0x35
_ANSWER: Final = 0x06
"""Steps of a filter: load a word, compare it, look for a bit in it, answer."""

_ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE: Final = {"x86_64": 56, "aarch64": 220}
_TGKILL: Final = {"x86_64": 234, "aarch64": 131}
_IOCTL: Final = {"x86_64": 16, "aarch64": 29}
_FCNTL: Final = {"x86_64": 72, "aarch64": 25}
_PRLIMIT: Final = {"x86_64": 302, "aarch64": 261}
_SETITIMER: Final = {"x86_64": 38, "aarch64": 103}
_CLONE3: Final = 435

_TERMINAL_FREE_IOCTLS: Final = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: none writes to a terminal."""
_OWN_FCNTLS: Final = (0, 1, 2, 3, 4, 1030)
"""Duplicates and flags of a descriptor; no locks, leases or signals."""
_ITIMER_PROF: Final = 2

_ALLOWED_CALLS: Final = {
    "x86_64": (
        *(0, 1, 17, 18, 19, 20, 295, 296, 327, 328),  # read write and their variants
        *(2, 257, 3, 436, 8, 32, 33, 292, 77),  # open openat close close_range lseek dup ftruncate
        *(4, 5, 6, 262, 332, 21, 269, 439, 137, 138),  # stat and access, which change nothing
        *(78, 217, 79, 89, 267, 221),  # getdents getcwd readlink fadvise64
        *(9, 10, 11, 12, 25, 26, 27, 28),  # mmap mprotect munmap brk mremap msync mincore madvise
        *(13, 14, 15, 131, 34),  # signals of its own; pause
        *(7, 23, 270, 271, 22, 293),  # poll select ppoll pipe
        *(213, 291, 232, 281, 233, 284, 290),  # epoll eventfd
        *(44, 45, 46, 47, 48, 51, 52, 54, 55),  # the socket that it has
        *(39, 102, 104, 107, 108, 110, 111, 121, 186),  # numbers of the process and its account
        *(24, 35, 202, 219, 230, 273, 274, 218, 324, 334),  # threads and waiting
        *(36, 96, 98, 99, 100, 201, 228, 229),  # times and figures
        *(97, 140, 143, 145, 146, 147, 204, 309),  # limits and scheduling, to read
        *(60, 231, 63, 318),  # exit uname getrandom
    ),
    "aarch64": (
        *(63, 64, 67, 68, 65, 66, 69, 70, 286, 287),
        *(56, 57, 436, 62, 23, 24, 46),
        *(80, 79, 291, 48, 439, 43, 44),
        *(61, 17, 78, 223),
        *(222, 226, 215, 214, 216, 227, 232, 233),
        *(134, 135, 139, 132),
        *(73, 72, 59),
        *(20, 22, 21, 19),
        *(206, 207, 211, 212, 210, 204, 205, 208, 209),
        *(172, 174, 176, 175, 177, 173, 155, 178),
        *(124, 101, 98, 128, 115, 99, 100, 96, 283, 293),
        *(102, 169, 165, 179, 153, 113, 114),
        *(163, 141, 121, 120, 125, 126, 123, 168),
        *(93, 94, 160, 278),
    ),
}


def filter_calls(libc: ctypes.CDLL) -> bool:
    """Let this process make no other system calls from now on; whether that holds."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        return False
    program = _program(machine)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0) == 0)


def _program(machine: str) -> bytes:
    """The filter in classic BPF: a load, comparisons that jump over an answer, an answer."""
    steps = [
        _step(_LOAD, 4),  # the architecture
        _step(_EQUAL, _ARCHITECTURES[machine], 1, 0),
        _step(_ANSWER, _KILL),
        _step(_LOAD, 0),  # the number of the call
        # Numbers of the x32 ABI, which would pass the others by.
        _step(_AT_LEAST, _X32, 0, 1),
        _step(_ANSWER, _ERRNO | _EPERM),
    ]
    for call in _ALLOWED_CALLS[machine]:
        steps += [_step(_EQUAL, call, 0, 1), _step(_ANSWER, _ALLOW)]
    # The library falls back to clone, whose flags can be seen: threads are allowed, processes not.
    steps += [_step(_EQUAL, _CLONE3, 0, 1), _step(_ANSWER, _ERRNO | _ENOSYS)]
    for call, condition in _conditions(machine):
        steps += [_step(_EQUAL, call, 0, len(condition)), *condition]
    steps.append(_step(_ANSWER, _ERRNO | _EPERM))
    return b"".join(steps)


def _conditions(machine: str) -> Iterator[tuple[int, list[bytes]]]:
    """Calls that are allowed with some arguments only: each with the steps that decide."""
    yield _CLONE[machine], _answers([_step(_LOAD, 16), _step(_ANY_BIT, _CLONE_THREAD, 0, 1)])
    # Signals to itself, as abort(3) sends one.
    yield _TGKILL[machine], _one_of(0, (os.getpid(),))
    yield _IOCTL[machine], _one_of(1, _TERMINAL_FREE_IOCTLS)
    yield _FCNTL[machine], _one_of(1, _OWN_FCNTLS)
    # The timer of its jobs; the parent counts their processor time, too.
    yield _SETITIMER[machine], _one_of(0, (_ITIMER_PROF,))
    # Limits can be read: a new one is no null pointer.
    new_limit = [_step(_LOAD, 32), _step(_EQUAL, 0, 0, 3), _step(_LOAD, 36), _step(_EQUAL, 0, 0, 1)]
    yield _PRLIMIT[machine], _answers(new_limit)


def _one_of(argument: int, values: tuple[int, ...]) -> list[bytes]:
    """Steps that allow a call if the lower word of an argument is one of some values."""
    count = len(values)
    compared = [_step(_EQUAL, value, count - 1 - place, 0) for place, value in enumerate(values)]
    compared[-1] = _step(_EQUAL, values[-1], 0, 1)
    return _answers([_step(_LOAD, 16 + 8 * argument), *compared])


def _answers(comparison: list[bytes]) -> list[bytes]:
    """A comparison that goes on to allow the call, or jumps over that to refuse it."""
    return [*comparison, _step(_ANSWER, _ALLOW), _step(_ANSWER, _ERRNO | _EPERM)]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
