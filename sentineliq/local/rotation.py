"""Replacing the installation's secret and its logins while the stack runs.

Processes read their keys again within a second. A rotation therefore goes in steps, so that nobody
meets a key or login that he does not know yet: first all know the new keys and use those of before,
then all use the new ones, then the command line signs with the new one. Those of before stay valid
until they end; what was sealed under them is sealed anew.
"""

import fcntl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql
from pydantic import SecretStr

from sentineliq.local.environment import store_environment, stored_environment
from sentineliq.local.errors import StackError
from sentineliq.local.key_files import read_key_file, stored_urls, write_key_file
from sentineliq.local.orphans import running_processes
from sentineliq.local.rotated_logins import (
    LOGINS,
    DatabaseLogins,
    RotatedLogins,
    replace_owner_password,
)
from sentineliq.local.secrets import Secrets, fresh_password, load_secrets, store_secrets
from shared.crypto import Sealer
from shared.keys import (
    CHANNEL_SECRETS,
    FEED_CREDENTIALS,
    IDENTITY_SECRETS,
    OPERATOR,
    PROVIDER_KEYS,
    SEALED,
    TOKENS,
    DerivedKeys,
    Key,
    granted_keys,
)
from shared.service_names import SERVICES, ServiceName

MOVE_SECONDS: Final = 2.5
"""Seconds after which all processes have read their keys again."""
_RESEAL_SECONDS: Final = 60.0
_AT_ONCE_SECONDS: Final = 300.0
_SIGNED_SECONDS: Final = 8 * 86_400.0
"""How long signatures other than tokens verify: the log keeps events for seven days."""
SEALED_COLUMNS: Final = (
    (FEED_CREDENTIALS, "feeds", "feed", "secret"),
    (CHANNEL_SECRETS, "notifications", "channel", "secret"),
    (PROVIDER_KEYS, "observables", "enricher_setting", "sealed_key"),
    (PROVIDER_KEYS, "observables", "push", "credentials"),
    (IDENTITY_SECRETS, "gateway", "one_time_code", "secret"),
    (IDENTITY_SECRETS, "gateway", "provider", "client_secret"),
)
"""Purpose, schema, table and column of all stored secrets; a rotation waits for each of them."""
_WAITING: Final = "SELECT count(*) FROM {} WHERE {} IS NOT NULL AND substring({}, 1, %s) <> %s"

Report = Callable[[str], None]


@dataclass
class Rotation:
    """The secrets of a running stack, which one command at a time replaces.

    Args:
        data_dir: of the stack.
        environment: of who runs it, with the logins that are valid.
        secrets: the present ones.
        parts: the servers that the stack itself runs, which have logins.
        report: called with each step, for a person.
    """

    data_dir: Path
    environment: dict[str, str]
    secrets: Secrets
    parts: Sequence[RotatedLogins]
    report: Report

    def rotate(self, token_seconds: float, *, at_once: bool) -> int:
        """Replace the installation's secret and all logins of the stack's servers.

        Args:
            token_seconds: how long tokens that were signed before stay valid.
            at_once: end all signatures and logins of before now.

        Returns:
            The number of stored secrets that are still sealed under a former key.

        Raises:
            psycopg.Error, redis.RedisError, Unavailable: a server does not answer; what was done
                stays, and another rotation goes on from there.
        """
        self._finish_former()
        before = self.secrets
        # Keys that end at once do so when everybody uses the new ones.
        after = _renewed(
            before,
            _AT_ONCE_SECONDS if at_once else token_seconds,
            _AT_ONCE_SECONDS if at_once else _SIGNED_SECONDS,
        )
        for part in self.parts:
            self.report(f"making new logins of {part.name}")
            after = part.renew(self.environment, after)
        # The superuser's password changes last: there is none beside it.
        owner_password = after.database_password
        self.secrets = replace(after, database_password=before.database_password)
        store_secrets(self.data_dir, self.secrets)
        self._move_processes(before)
        self._replace_owner_password(owner_password)
        self._store_environment()
        if at_once:
            self._end_former_keys(lambda key: key.purpose not in SEALED)
        for part in self.parts:
            self.report(f"ending the former logins of {part.name}")
            part.retire(self.environment, self.secrets, at_once=at_once)
        waiting = self._await_resealed()
        if not waiting:
            self._end_former_keys(lambda key: key.purpose in SEALED)
        return waiting

    def revoke(self, key_id: str) -> None:
        """End a former key now.

        Raises:
            StackError: there is no such key, or it is in use.
        """
        if key_id not in {key.id for key in self.secrets.former_keys}:
            is_used = key_id in {key.id for key in all_keys(self.secrets)}
            reason = "is in use: `sentineliq secrets rotate --now` replaces it"
            raise StackError(f"{key_id} {reason if is_used else 'is no key of this installation'}")
        self._end_former_keys(lambda key: key.id == key_id)

    def _move_processes(self, before: Secrets) -> None:
        """Let all processes know the new keys, and then use them."""
        self.report("all services learn the new keys")
        self._add_keys(before)
        time.sleep(MOVE_SECONDS)
        self.report("all services use the new keys and logins")
        self._write_key_files()
        time.sleep(MOVE_SECONDS)

    def _finish_former(self) -> None:
        """Let processes leave logins that a rotation, which was cut short, has replaced.

        The next passwords of Kafka's logins stand in the place of those before the present ones.
        """
        if any(self._urls(service) != stored_urls(self.data_dir, service) for service in SERVICES):
            self.report("all services learn what was replaced before")
            self._add_keys(self.secrets)
            time.sleep(MOVE_SECONDS)

    def _add_keys(self, before: Secrets) -> None:
        """Let all processes know all keys, and use the logins of the present secrets."""
        for service in SERVICES:
            # Of a purpose, the first is the one in use: as in the present file. A rotation that was
            # cut short may have stored keys that no process has heard of.
            keys = [
                *read_key_file(self.data_dir, service),
                *granted_keys(service, before.keys),
                *granted_keys(service, self.secrets.keys),
            ]
            write_key_file(self.data_dir, service, _unique(keys), self._urls(service))

    def _write_key_files(self) -> None:
        for service in SERVICES:
            keys = granted_keys(service, self.secrets.keys)
            write_key_file(self.data_dir, service, keys, self._urls(service))

    def _urls(self, service: ServiceName | None) -> dict[str, str]:
        urls: dict[str, str] = {}
        for part in self.parts:
            urls |= part.urls(self.environment, self.secrets, service)
        return urls

    def _end_former_keys(self, is_over: Callable[[Key], bool]) -> None:
        former = tuple(key for key in self.secrets.former_keys if not is_over(key))
        self.secrets = replace(self.secrets, former_keys=former)
        store_secrets(self.data_dir, self.secrets)
        self._write_key_files()

    def _replace_owner_password(self, password: str) -> None:
        if any(isinstance(part, DatabaseLogins) for part in self.parts):
            replace_owner_password(self.environment["DATABASE_URL"], password)
            self.secrets = replace(self.secrets, database_password=password)
            store_secrets(self.data_dir, self.secrets)

    def _store_environment(self) -> None:
        """Let the command line use the new secret and logins."""
        urls = {name.upper(): url for name, url in self._urls(None).items()}
        secret = {"SENTINELIQ_SECRET_KEY": self.secrets.secret_key}
        self.environment = {**self.environment, **urls, **secret}
        store_environment(self.data_dir, self.environment)

    def _await_resealed(self) -> int:
        """Wait until the services have sealed everything anew; how much is left."""
        self.report("stored secrets are sealed anew")
        deadline = time.monotonic() + _RESEAL_SECONDS
        while (waiting := self._count_waiting()) and time.monotonic() < deadline:
            time.sleep(0.5)
        return waiting

    def _count_waiting(self) -> int:
        count = 0
        with psycopg.connect(self.environment["DATABASE_URL"], connect_timeout=5) as connection:
            connection.execute("SELECT set_config('sentineliq.tenant', '*', false)")
            for purpose, schema, table, column in SEALED_COLUMNS:
                prefix = Sealer(self.secrets.keys, purpose).prefix
                name = sql.Identifier(column)
                query = sql.SQL(_WAITING).format(sql.Identifier(schema, table), name, name)
                row = connection.execute(query, (len(prefix), prefix)).fetchone()
                count += row[0] if row else 0
        return count


@contextmanager
def open_rotation(data_dir: Path, report: Report) -> Iterator[Rotation]:
    """Open the secrets of a running stack for one command.

    Raises:
        StackError: it does not run, its secret is not its own, or another command changes it.
    """
    environment = stored_environment(data_dir)
    stored = load_secrets(data_dir)
    # A rotation that was cut short has left the command line with the secret of before.
    own = {key.id for key in (*all_keys(stored), *stored.former_keys)}
    used = DerivedKeys(SecretStr(environment["SENTINELIQ_SECRET_KEY"]))
    if used.private(TOKENS, OPERATOR).id not in own:
        raise StackError(
            "the secret comes from SENTINELIQ_SECRET_KEY in the environment of `sentineliq up`: "
            "change it there"
        )
    running = running_processes(data_dir)
    if not running:
        raise StackError("the stack does not run: start it with `sentineliq up`")
    parts = [part for part in LOGINS if part.name in running]
    with _alone(data_dir):
        yield Rotation(data_dir, environment, stored, parts, report)


def all_keys(stored: Secrets) -> list[Key]:
    """The keys of all services, former ones included; each once."""
    keys = stored.keys
    granted = [key for service in SERVICES for key in granted_keys(service, keys)]
    # A signer has both halves of its key, which have one id.
    return _unique(key.public() if key.kind == "private" else key for key in granted)


def _renewed(before: Secrets, token_seconds: float, signed_seconds: float) -> Secrets:
    """The secrets with a new one, and the keys of the one before as former keys."""
    now = time.time()
    former = []
    for key in all_keys(before):
        if key.until is not None or key.purpose in SEALED:
            former.append(key)
        elif key.kind == "public":
            seconds = token_seconds if key.purpose == TOKENS else signed_seconds
            former.append(replace(key, until=now + seconds))
    return replace(before, secret_key=fresh_password(), former_keys=tuple(former), since=now)


def _unique(keys: Iterable[Key]) -> list[Key]:
    """Keys without repetitions; the first of two counts."""
    unique: dict[tuple[str, str, str, str], Key] = {}
    for key in keys:
        unique.setdefault((key.kind, key.purpose, key.owner, key.id), key)
    return list(unique.values())


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    with (data_dir / "rotation.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError("another command replaces the secrets at this moment") from None
        yield
