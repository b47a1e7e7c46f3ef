"""The stack's secrets: made at the first start, readable by the data folder's owner alone."""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from sentineliq.local.errors import StackError
from shared.keys import DerivedKeys, Key
from shared.private_files import write_private
from shared.service_names import SERVICES

_FILE: Final = "secrets.json"
_NAMES: Final = (
    "database_password",
    "valkey_password",
    "secret_key",
    "kafka_password",
    "flower_password",
)


@dataclass(frozen=True)
class Login:
    """A login of a server. A new one has another name, so that both are valid for a while.

    Attributes:
        name: as the server knows it.
        password: 43 URL-safe characters (256 bits).
        generation: counts from 1.
        since: when it was made, in seconds since 1970.
    """

    name: str
    password: str
    generation: int
    since: float

    def __repr__(self) -> str:
        return f"Login({self.name})"


@dataclass(frozen=True, repr=False)
class Secrets:
    """Passwords and keys, 43 URL-safe characters each (256 bits).

    Attributes:
        database_password: of PostgreSQL's superuser, which migrates.
        valkey_password: of Valkey.
        secret_key: the installation's, from which keys are derived.
        kafka_password: of Kafka's broker itself.
        database_logins: by service, the login that its processes use.
        flower_password: of Flower.
        kafka_logins: of Kafka: the secret from which the passwords of all its logins are derived.
        former_keys: of secrets before, which have not ended yet.
        since: when the installation's secret was made; None for the first.
    """

    database_password: str
    valkey_password: str
    secret_key: str
    kafka_password: str
    database_logins: Mapping[str, Login]
    kafka_logins: Login
    former_keys: tuple[Key, ...] = ()
    since: float | None = None
    flower_password: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def keys(self) -> DerivedKeys:
        """All keys of the installation."""
        return DerivedKeys(SecretStr(self.secret_key), self.former_keys, self.since)


def load_secrets(data_dir: Path) -> Secrets:
    """The secrets of a data folder; makes those that are missing.

    Raises:
        StackError: the file exists and cannot be used.
    """
    path = data_dir / _FILE
    if not path.exists():
        fresh = Secrets(
            secrets.token_urlsafe(32),
            secrets.token_urlsafe(32),
            secrets.token_urlsafe(32),
            secrets.token_urlsafe(32),
            _database_logins(),
            fresh_kafka_logins(),
        )
        store_secrets(data_dir, fresh)
        return fresh
    try:
        stored = json.loads(path.read_text())
        kafka_password = str(stored.get("kafka_password") or secrets.token_urlsafe(32))
        loaded = Secrets(
            str(stored["database_password"]),
            str(stored["valkey_password"]),
            str(stored["secret_key"]),
            kafka_password,
            _logins(stored),
            _kafka_logins(stored, kafka_password),
            tuple(Key.from_dict(key) for key in stored.get("former_keys", ())),
            stored.get("since"),
            str(stored.get("flower_password") or secrets.token_urlsafe(32)),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StackError(
            f"{path} cannot be used ({error!r}): restore it from a backup; the stored data needs "
            "its passwords"
        ) from error
    missing = {
        service: login
        for service, login in _database_logins().items()
        if service not in loaded.database_logins
    }
    if missing or not {"kafka_password", "kafka_logins", "flower_password"} <= set(stored):
        # Made by a version before services, or Flower, had logins.
        loaded = replace(loaded, database_logins={**loaded.database_logins, **missing})
        store_secrets(data_dir, loaded)
    return loaded


def store_secrets(data_dir: Path, stored: Secrets) -> None:
    """Replace the secrets of a data folder."""
    document: dict[str, Any] = {name: getattr(stored, name) for name in _NAMES}
    document["database_logins"] = {
        service: vars(login) for service, login in stored.database_logins.items()
    }
    document["kafka_logins"] = vars(stored.kafka_logins)
    document["former_keys"] = [key.as_dict() for key in stored.former_keys]
    document["since"] = stored.since
    write_private(data_dir / _FILE, json.dumps(document, indent=2) + "\n")


def fresh_login(prefix: str, generation: int = 1) -> Login:
    """A login with a password of its own.

    Args:
        prefix: the name without its generation.
        generation: one more than that of the login which it replaces.
    """
    return Login(f"{prefix}_{generation}", secrets.token_urlsafe(32), generation, time.time())


def fresh_kafka_logins(generation: int = 1) -> Login:
    """A secret for the logins of Kafka.

    Args:
        generation: one more than that of the secret which it replaces.
    """
    return fresh_login("kafka", generation)


def fresh_password() -> str:
    """A password or secret of 43 URL-safe characters."""
    return secrets.token_urlsafe(32)


def _database_logins() -> dict[str, Login]:
    return {service: fresh_login(f"sentineliq_{service}_login") for service in SERVICES}


def _logins(stored: Mapping[str, Any]) -> dict[str, Login]:
    logins = stored.get("database_logins", {})
    return {service: Login(**login) for service, login in logins.items()}


def _kafka_logins(stored: Mapping[str, Any], broker_password: str) -> Login:
    """The stored secret; earlier versions derived the logins from the broker's password."""
    entry = stored.get("kafka_logins")
    return Login(**entry) if entry else Login("kafka_1", broker_password, 1, time.time())
