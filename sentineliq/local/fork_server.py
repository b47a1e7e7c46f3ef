"""The process that all Python services are forked from, after it has imported what they need.

Run as `python -m sentineliq.local.fork_server MODULE`, where importing MODULE imports the rest. On stdin, a Unix
socket, it takes one request at a time: a line of JSON (the fields of `PythonProcess`) with the descriptor
to write to attached.
On stdout it says `started PID` and `ended PID CODE`. When stdin closes it ends, and its children with it.

Not multiprocessing's fork server: that one lives as long as any of its *children* does (they hold its pipe open), so
nothing would end after the supervisor was killed; it also imports the caller's `__main__` into each child.
"""

import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sentineliq.local.launcher import dying_with_parent, name_process

_DEFAULT_AGAIN = (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP)


def main() -> int | None:
    """Import, then serve; in each child, be what was asked for. Returns the process's exit code."""
    replies = os.dup(1)
    os.dup2(2, 1)  # what a library prints while it is imported is no reply
    importlib.import_module(sys.argv[1])
    sys.stdout.flush()  # or each child would say it again
    request = _serve(replies)
    return None if request is None else _become(**request)


def _serve(replies: int) -> dict[str, Any] | None:
    """Fork a child for each request. Returns the request in the child, None at the end in the parent."""
    children: set[int] = set()
    signal.signal(signal.SIGCHLD, lambda *_: _reap(children, replies))
    die = dying_with_parent(signal.SIGTERM)
    with socket.socket(fileno=0) as control:
        while received := _receive(control):
            request, output = received
            # A child may end before we have said that it started.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
            if (pid := os.fork()) == 0:
                control.detach()
                _settle(die, replies, output)
                return request
            os.close(output)
            children.add(pid)
            os.write(replies, f"started {pid}\n".encode())
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    for pid in children.copy():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    return None


def _receive(control: socket.socket) -> tuple[dict[str, Any], int] | None:
    data, descriptors, _flags, _address = socket.recv_fds(control, 1 << 16, 1)
    while data and not data.endswith(b"\n"):
        data += control.recv(1 << 16)
    return (json.loads(data), descriptors[0]) if data else None


def _reap(children: set[int], replies: int) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            children.discard(pid)
            os.write(replies, f"ended {pid} {os.waitstatus_to_exitcode(status)}\n".encode())


def _settle(die: Callable[[], None], replies: int, output: int) -> None:
    """Give a fresh child what a fresh process has: its session, signals and standard streams."""
    os.setsid()
    die()
    for number in _DEFAULT_AGAIN:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    for descriptor in (nothing, output, replies):
        os.close(descriptor)


def _become(
    name: str, module: str, arguments: list[str], environment: dict[str, str]
) -> int | None:
    name_process(name)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [f"{sys.executable} -m {module}", *arguments]
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a text stream, made by the interpreter
    code: int | None = importlib.import_module(module).main(list(arguments))
    return code


if __name__ == "__main__":
    sys.exit(main())
