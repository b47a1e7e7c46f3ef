"""Connection parameters: libpq's own reading of a URL, and limits on both sides of a connection.

A URL may name several hosts, each with its port: `postgresql://u:p@a:5432,b:5433/db`. libpq reads
it; what a user writes into it is stronger than the limits here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

CONNECT_SECONDS: Final = 3
"""For one host, the log-in included."""

_CLIENT: Final = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": 3,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8_000,
}
"""Libpq's side: a host that vanished is given up within 9 seconds, in milliseconds and seconds."""

_SERVER: Final = {
    "tcp_keepalives_idle": "5s",
    "tcp_keepalives_interval": "2s",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
    "client_connection_check_interval": "2s",
}
"""PostgreSQL's side: the session of a host that vanished, or that does not read, ends as soon."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What PostgreSQL lets a session do; seconds, 0 for no limit.

    Attributes:
        statement: the longest statement.
        lock: the longest wait for a lock.
        idle_in_transaction: the longest pause between two statements of a transaction. The session
            of a process that is frozen in a transaction ends then, and its locks with it.
        idle: the longest pause outside a transaction, for sessions that hold a lock.
    """

    statement: float = 300
    lock: float = 10
    idle_in_transaction: float = 10
    idle: float = 0

    def settings(self) -> dict[str, str]:
        """Return PostgreSQL's settings."""
        return {
            "statement_timeout": _milliseconds(self.statement),
            "lock_timeout": _milliseconds(self.lock),
            "idle_in_transaction_session_timeout": _milliseconds(self.idle_in_transaction),
            "idle_session_timeout": _milliseconds(self.idle),
        }


MIGRATION_LIMITS: Final = SessionLimits(statement=0, lock=0, idle_in_transaction=0)
"""Migrations rewrite tables, and wait for each other; each says itself how long it waits."""


def connection_parameters(
    url: str, application: str, limits: SessionLimits, settings: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the parameters of a connection.

    Args:
        url: libpq URL, or `name=value` pairs.
        application: the name that PostgreSQL shows.
        limits: of the session.
        settings: of PostgreSQL, for the session.

    Raises:
        psycopg.ProgrammingError: libpq cannot read the URL.
    """
    from_url = conninfo_to_dict(url)
    server = {**_SERVER, **limits.settings(), **(settings or {})}
    options = [f"-c {name}={value}" for name, value in server.items()]
    # PostgreSQL takes the last of two values: the user's.
    options.append(str(from_url.pop("options", "")))
    parameters = {**_CLIENT, "application_name": application, **from_url}
    return {**parameters, "options": " ".join(filter(None, options))}


def split_hosts(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return host and port of each server that the parameters name.

    Raises:
        psycopg.ProgrammingError: there are neither one port nor as many as hosts.
    """
    hosts = str(parameters.get("host", "")).split(",")
    ports = str(parameters.get("port", "")).split(",")
    if len(ports) == 1:
        ports = ports * len(hosts)
    if len(ports) != len(hosts):
        raise psycopg.ProgrammingError(
            f"The database URL names {len(hosts)} hosts and {len(ports)} ports."
        )
    return list(zip(hosts, ports, strict=True))


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f}"
