"""A detector of calls that block an event loop: a database, a socket, a sleep, a child process.

    with blocking_calls() as calls:
        ...
    assert calls == []

While a loop runs in the calling thread, such a call holds up everything else on it. The detector
notes the call and its place, and lets it go on. uvloop and asyncio use sockets that do not block.

    python tests/shared/runtime/blocking_detector.py FILE services.observables consumer

runs a service's process with the detector, and writes the calls to a file.
"""

import asyncio
import functools
import importlib
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg

from shared.postgres.connection import WatchedConnection

_ROOT = str(Path(__file__).parents[3])
_SOCKET_CALLS = ("connect", "recv", "recv_into", "send", "sendall")


@contextmanager
def blocking_calls(note: Callable[[str], None] | None = None) -> Iterator[list[str]]:
    """Collect the blocking calls on event loops while a block runs.

    Args:
        note: also receives each call, as `name at file:line function`.
    """
    calls: list[str] = []

    def report(name: str) -> None:
        call = f"{name} at {_place()}"
        calls.append(call)
        if note is not None:
            note(call)

    with ExitStack() as stack:
        for owner, name in (
            (WatchedConnection, "wait"),
            (WatchedConnection, "connect"),
            (psycopg.Connection, "connect"),
            (time, "sleep"),
            (subprocess.Popen, "wait"),
            (subprocess.Popen, "communicate"),
        ):
            stack.enter_context(_watched(owner, name, report, lambda _arguments: True))
        for name in _SOCKET_CALLS:
            stack.enter_context(_watched(socket.socket, name, report, _is_blocking_socket))
        yield calls


def _watched(
    owner: Any,
    name: str,
    report: Callable[[str], None],
    blocks: Callable[[tuple[Any, ...]], bool],
) -> Any:
    original = getattr(owner, name)
    label = f"{getattr(owner, '__name__', owner)}.{name}"

    @functools.wraps(original)
    def call(*arguments: Any, **options: Any) -> Any:
        if _is_on_loop() and blocks(arguments):
            report(label)
        return original(*arguments, **options)

    is_bound = hasattr(original, "__self__") and owner is not time
    return patch.object(owner, name, staticmethod(call) if is_bound else call)


def _is_on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _is_blocking_socket(arguments: tuple[Any, ...]) -> bool:
    return arguments[0].gettimeout() != 0 and arguments[0].family != socket.AF_UNIX


def _place() -> str:
    """The innermost line of this project outside the shared database code."""
    for frame in reversed(traceback.extract_stack()):
        is_own = frame.filename.startswith(_ROOT) and "/.venv/" not in frame.filename
        if is_own and not frame.filename.endswith(("blocking_detector.py", "/connection.py")):
            return f"{Path(frame.filename).relative_to(_ROOT)}:{frame.lineno} {frame.name}"
    return "a library"


def main() -> None:
    """Run a service's process; the arguments are the file, the package and the kind."""
    path, package, kind = sys.argv[1:]
    process = importlib.import_module("shared.runtime.process")
    service = importlib.import_module(f"{package}.__main__").SERVICE
    with Path(path).open("a") as file:

        def note(call: str) -> None:
            file.write(f"{call}\n")
            file.flush()

        with blocking_calls(note):
            process.main(service, [kind])


if __name__ == "__main__":
    main()
