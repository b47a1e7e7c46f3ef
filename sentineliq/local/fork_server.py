"""The process that all Python services are forked from, after it has imported what they need.

Run as `python -m sentineliq.local.fork_server MODULE`, where importing MODULE imports the rest. On
stdin, a Unix socket, it takes one request at a time: a line of JSON (the fields of `PythonProcess`)
with the descriptor to write to attached. On stdout it answers `started PID` and `ended PID CODE`.
When stdin closes it ends, and its children with it.

Multiprocessing's fork server does not fit: it lives as long as any of its *children* does, because
they hold its pipe open, so nothing would end after the supervisor was killed. It also imports the
caller's `__main__` into each child.
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

from sentineliq.local.server import dying_with_parent
from shared.runtime.process_title import set_process_title

_DEFAULT_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP)
"""Signals that a child handles as a fresh process does."""


def main() -> int | None:
    """Import, then serve; in each child, run the requested module. Returns the exit code."""
    set_process_title("fork", "server")
    replies = os.dup(1)
    os.dup2(2, 1)  # what a library prints while it is imported is no reply
    importlib.import_module(sys.argv[1])
    sys.stdout.flush()  # or each child would print it again
    request = _serve(replies)
    return None if request is None else _run(**request)


def _serve(replies: int) -> dict[str, Any] | None:
    """Fork a child for each request.

    Returns the request in the child, and None at the end in the parent.
    """
    children: set[int] = set()
    signal.signal(signal.SIGCHLD, lambda *_: _reap(children, replies))
    die = dying_with_parent(signal.SIGTERM)
    with socket.socket(fileno=0) as control:
        while message := _receive(control):
            request, output = message
            # A child may end before the reply that it has started.
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
    for number in _DEFAULT_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    empty_input = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((empty_input, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    for descriptor in (empty_input, output, replies):
        os.close(descriptor)


def _run(name: str, module: str, arguments: list[str], environment: dict[str, str]) -> int | None:
    service, _, kind = name.partition("-")
    set_process_title(service, kind)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [f"{sys.executable} -m {module}", *arguments]
    # The interpreter has made it a text stream.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    code: int | None = importlib.import_module(module).main(list(arguments))
    return code


if __name__ == "__main__":
    sys.exit(main())
