"""Whether a server still answers while statements wait for it.

A frozen server, or a proxy before it, keeps its connections open, and its kernel acknowledges what
arrives: no time-out of TCP sees it. A statement that waits says nothing either, since some take
minutes. So a thread asks the server on a connection of its own, for as long as statements wait. If
there is no answer, the statements end, and later ones fail at once until the server answers again.
"""

import os
import select
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import psycopg

from shared.postgres.inheritance import note_server
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

PATIENCE_SECONDS: Final = 1.0
"""A statement that has waited for so long has its server asked."""
ANSWER_SECONDS: Final = 3.0
"""The longest a server may take for an answer."""
_PAUSE_SECONDS: Final = 2.0
_REST_SECONDS: Final = 10.0


def is_answered(connection: psycopg.Connection[Any], seconds: float) -> bool:
    """Whether the server answers an empty query on an idle connection in time.

    Raises:
        psycopg.OperationalError: the connection is lost.
    """
    end = time.monotonic() + seconds
    pgconn = connection.pgconn
    pgconn.send_query(b"SELECT 1")
    pgconn.flush()
    poll = select.poll()
    poll.register(pgconn.socket, select.POLLIN)
    while True:
        if not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:
                return True
            if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
                raise psycopg.OperationalError(result.error_message.decode(errors="replace"))
            continue
        if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
            return False
        pgconn.consume_input()


class ServerWatchdog:
    """Asks one server, in a thread that runs only while statements wait for it.

    Args:
        parameters: of connections to this server alone.

    Attributes:
        is_silent: whether the server does not answer at present.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.is_silent = False
        self._parameters = dict(parameters)
        self._answered_at = 0.0
        self._wanted_until = 0.0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: psycopg.Connection[Any] | None = None

    def ask(self, since: float) -> None:
        """Have the server asked, unless it has answered since a moment of the monotonic clock."""
        if self._answered_at < since:
            self._wake.set()
        self._start()

    def suspect(self) -> None:
        """Take the server for silent until it answers: it did not let somebody connect in time."""
        if not self.is_silent:
            self._note(is_silent=True)
        self._wake.set()
        self._start()

    def _start(self) -> None:
        self._wanted_until = time.monotonic() + _REST_SECONDS
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.clear()
            self._ask_server()
            with self._lock:
                if not self.is_silent and time.monotonic() > self._wanted_until:
                    self._hang_up()
                    self._thread = None
                    return
            self._wake.wait(_PAUSE_SECONDS)

    def _ask_server(self) -> None:
        asked_at = time.monotonic()
        try:
            if self._connection is None:
                self._connection = psycopg.connect(**self._parameters, autocommit=True)
                note_server(self._connection.pgconn)
            is_silent = not is_answered(self._connection, ANSWER_SECONDS)
        except psycopg.errors.ConnectionTimeout:
            is_silent = True
        except (psycopg.Error, OSError):
            # The host answers: it refuses, is full, or its server has restarted. Statements learn
            # that by themselves.
            is_silent = False
            self._hang_up()
        if is_silent:
            self._hang_up()
        else:
            self._answered_at = asked_at
        if is_silent != self.is_silent:
            self._note(is_silent=is_silent)

    def _note(self, *, is_silent: bool) -> None:
        self.is_silent = is_silent
        event = "database.silent" if is_silent else "database.answering"
        log.warning(event, host=self._parameters.get("host"), port=self._parameters.get("port"))

    def _hang_up(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error, OSError):
                self._connection.close()
            self._connection = None


_watchdogs: dict[tuple[str, str], ServerWatchdog] = {}
_registry_lock = threading.Lock()


def watchdog_of(host: str, port: str, parameters: Mapping[str, Any]) -> ServerWatchdog:
    """Return this process's watchdog of a server.

    Args:
        host: as the parameters of connections name it.
        port: likewise.
        parameters: of connections, maybe to other servers too.
    """
    with _registry_lock:
        watchdog = _watchdogs.get((host, port))
        if watchdog is None:
            own = {name: value for name, value in parameters.items() if name != "hostaddr"}
            own |= {"host": host, "port": port, "target_session_attrs": "any"}
            watchdog = ServerWatchdog({name: value for name, value in own.items() if value != ""})
            _watchdogs[host, port] = watchdog
        return watchdog


def _forget_in_child() -> None:
    # The threads live in the parent.
    global _registry_lock  # noqa: PLW0603  # another thread of the parent may have it
    _registry_lock = threading.Lock()
    _watchdogs.clear()


os.register_at_fork(after_in_child=_forget_in_child)
