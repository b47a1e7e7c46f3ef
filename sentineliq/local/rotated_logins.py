"""Logins of the stack's own servers that are replaced while it runs.

Each part that has logins is one `RotatedLogins` in `LOGINS`. A rotation makes the new logins of all
parts, lets the processes move to them, and then ends those of before.
"""

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg import sql

from sentineliq.local.kafka_logins import login_settings, present_logins
from sentineliq.local.secrets import (
    Login,
    Secrets,
    fresh_kafka_logins,
    fresh_login,
    fresh_password,
)
from sentineliq.local.server import url_with_login
from shared.kafka.logins import Address, BrokerConnection, await_passwords
from shared.migrations.logins import drop_login, encrypted_password, make_login
from shared.postgres.conninfo import SessionLimits, connection_parameters
from shared.service_names import SERVICES, ServiceName

_LIMITS: Final = SessionLimits(statement=30, lock=10)
_IDLE_SECONDS: Final = 30.0
"""How long transactions of a former login may go on, unless it ends at once."""
_ACTIVE: Final = "SELECT count(*) FROM pg_stat_activity WHERE usename = ANY(%s) AND state <> 'idle'"
_LOGINS_LIKE: Final = (
    "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname ~ %s AND NOT rolname = ANY(%s)"
)
_GENERATIONS: Final = rf"^sentineliq_({'|'.join(SERVICES)})_login_[0-9]+$"


@dataclass(frozen=True)
class LoginState:
    """A login as it is listed.

    Attributes:
        name: what it is for.
        id: its name at the server.
        since: when it was made; None where that is not known.
    """

    name: str
    id: str
    since: float | None


class RotatedLogins(Protocol):
    """The logins of one part."""

    @property
    def name(self) -> str:
        """The part, for messages."""

    def renew(self, environment: Mapping[str, str], stored: Secrets) -> Secrets:
        """Make new logins, which are valid beside those of before.

        Args:
            environment: of who runs the installation.
            stored: the secrets of before.

        Returns:
            The secrets with the new logins.
        """

    def urls(
        self, environment: Mapping[str, str], stored: Secrets, service: ServiceName | None
    ) -> dict[str, str]:
        """What stands in the place of settings, with the logins of a service, by setting.

        Args:
            environment: of who runs the installation.
            stored: the secrets.
            service: its name; None for who runs the installation.
        """

    def retire(self, environment: Mapping[str, str], stored: Secrets, *, at_once: bool) -> None:
        """End all logins but those of the secrets.

        Args:
            environment: of who runs the installation, with the new logins.
            stored: the new secrets.
            at_once: end what uses the logins of before, too.
        """

    def states(self, stored: Secrets) -> list[LoginState]:
        """The logins that are valid."""


class DatabaseLogins:
    """PostgreSQL: a login per service, and the superuser's password."""

    name = "postgres"

    def renew(self, environment: Mapping[str, str], stored: Secrets) -> Secrets:
        """Make a login of the next generation for each service."""
        logins: dict[str, Login] = {}
        for service in SERVICES:
            before = stored.database_logins[service]
            login = fresh_login(f"sentineliq_{service}_login", before.generation + 1)
            url = url_with_login(environment["DATABASE_URL"], login.name, login.password)
            make_login(service, environment["DATABASE_URL"], url)
            logins[service] = login
        return replace(stored, database_logins=logins, database_password=fresh_password())

    def urls(
        self, environment: Mapping[str, str], stored: Secrets, service: ServiceName | None
    ) -> dict[str, str]:
        """The address for a service's processes; for who runs the installation the superuser's."""
        url = environment["DATABASE_URL"]
        if service is not None:
            login = stored.database_logins[service]
            return {"database_url": url_with_login(url, login.name, login.password)}
        owner = urlsplit(url).username or ""
        return {"database_url": url_with_login(url, owner, stored.database_password)}

    def retire(self, environment: Mapping[str, str], stored: Secrets, *, at_once: bool) -> None:
        """Drop the logins of other generations, when their transactions have ended."""
        url = environment["DATABASE_URL"]
        present = [login.name for login in stored.database_logins.values()]
        with psycopg.connect(**_parameters(url), autocommit=True) as connection:
            former = [row[0] for row in connection.execute(_LOGINS_LIKE, (_GENERATIONS, present))]
            deadline = time.monotonic() + (0 if at_once else _IDLE_SECONDS)
            while time.monotonic() < deadline and _count_active(connection, former):
                time.sleep(0.2)
        for name in former:
            drop_login(url, name)

    def states(self, stored: Secrets) -> list[LoginState]:
        """One for each service."""
        return [
            LoginState(f"postgres {service}", login.name, login.since)
            for service, login in stored.database_logins.items()
        ]


class BrokerPassword:
    """Valkey: one password, with another beside it during a rotation."""

    name = "valkey"

    def renew(self, environment: Mapping[str, str], stored: Secrets) -> Secrets:
        """Let the server take a new password as well."""
        password = fresh_password()
        with redis.Redis.from_url(environment["CELERY_BROKER_URL"]) as client:
            client.execute_command("ACL", "SETUSER", "default", f">{password}")
        return replace(stored, valkey_password=password)

    def urls(
        self,
        environment: Mapping[str, str],
        stored: Secrets,
        service: ServiceName | None,  # noqa: ARG002  # all share one
    ) -> dict[str, str]:
        """The address, which all share."""
        url = url_with_login(environment["CELERY_BROKER_URL"], "", stored.valkey_password)
        return {"celery_broker_url": url}

    def retire(self, environment: Mapping[str, str], stored: Secrets, *, at_once: bool) -> None:
        """Let the server take the new password alone."""
        with redis.Redis.from_url(environment["CELERY_BROKER_URL"]) as client:
            words = ("SETUSER", "default", "resetpass", f">{stored.valkey_password}")
            client.execute_command("ACL", *words)
            if at_once:
                # Whoever has logged in with the password of before stays logged in otherwise.
                for kind in ("normal", "pubsub"):
                    client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def states(self, stored: Secrets) -> list[LoginState]:
        """The one."""
        return [LoginState("valkey", "default", stored.since)]


class LogLogins:
    """Kafka: a login per service, those of the command line and of migrations.

    A login keeps its name and its rights. It has a second password during a rotation, for the
    other mechanism; clients ask for the present one at each connection.
    """

    name = "kafka"

    def renew(self, environment: Mapping[str, str], stored: Secrets) -> Secrets:
        """Give each login a password for the other mechanism."""
        logins = fresh_kafka_logins(stored.kafka_logins.generation + 1)
        renewed = replace(stored, kafka_logins=logins)
        following = present_logins(renewed)
        with closing(_broker(environment, stored)) as connection:
            connection.set_passwords(following.passwords, following.mechanism)
        await_passwords(_address(environment), following.passwords, following.mechanism)
        return renewed

    def urls(
        self, environment: Mapping[str, str], stored: Secrets, service: ServiceName | None
    ) -> dict[str, str]:
        """The password of a service's login, or of the command line's, and its mechanism."""
        return login_settings(stored, service or environment["KAFKA_USERNAME"])

    def retire(
        self,
        environment: Mapping[str, str],
        stored: Secrets,
        *,
        at_once: bool,  # noqa: ARG002  # Kafka ends no connection that has logged in
    ) -> None:
        """End the passwords of before."""
        logins = present_logins(stored)
        with closing(_broker(environment, stored)) as connection:
            connection.end_passwords(logins.passwords, logins.other_mechanism)

    def states(self, stored: Secrets) -> list[LoginState]:
        """One for each login."""
        logins = present_logins(stored)
        since = stored.kafka_logins.since
        return [LoginState(f"kafka {login}", logins.mechanism, since) for login in logins.passwords]


LOGINS: Final[tuple[RotatedLogins, ...]] = (DatabaseLogins(), BrokerPassword(), LogLogins())


def _broker(environment: Mapping[str, str], stored: Secrets) -> BrokerConnection:
    return BrokerConnection(_address(environment), stored.kafka_password)


def _address(environment: Mapping[str, str]) -> Address:
    host, _, port = environment["KAFKA_BOOTSTRAP_SERVERS"].rpartition(":")
    return Address(host, int(port))


def replace_owner_password(url: str, password: str) -> None:
    """Give the login of a URL another password; its sessions go on.

    Raises:
        psycopg.Error: the server does not answer.
    """
    with psycopg.connect(**_parameters(url)) as connection:
        name = connection.info.user
        verifier = encrypted_password(connection, name, password)
        connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(verifier))
        )


def _parameters(url: str) -> dict[str, Any]:
    return connection_parameters(url, "sentineliq-rotation", _LIMITS)


def _count_active(connection: psycopg.Connection[Any], names: list[str]) -> int:
    row = connection.execute(_ACTIVE, (names,)).fetchone()
    return int(row[0]) if row else 0
