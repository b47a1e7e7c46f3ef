"""Keys, one per purpose and owner, derived from the installation's secret by HKDF (RFC 5869).

Who runs the installation has its secret. A process of a service has no secret from which others
derive: it has the keys of what it seals and signs, and public keys of those whom it verifies.

While a secret is being replaced, the keys of the one before stay valid beside those of the new one.
"""

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.errors import SentinelIQError
from shared.secret_values import Secret
from shared.service_names import SERVICES, ServiceName

if TYPE_CHECKING:  # the command line derives a key in every call, and reads no settings for it
    from shared.settings import Settings


EVENTS: Final = "events"
"""Records of the log, which services sign."""
TASKS: Final = "tasks"
"""Messages of the queues, which services sign."""
TOKENS: Final = "tokens"
"""Tokens: the command line signs those of persons, the gateway those that it gives for a while."""
FEED_CREDENTIALS: Final = "feeds.auth"
FEED_TIMES: Final = "feeds.times"
CHANNEL_SECRETS: Final = "notifications.channels"
PROVIDER_KEYS: Final = "observables.enrichers"
CONSOLE_SESSIONS: Final = "gateway.console"
IDENTITY_SECRETS: Final = "gateway.identity"
API_KEYS: Final = "gateway.api_keys"
GATEWAY: Final = "gateway"
OPERATOR: Final = "operator"
"""The owner of keys that the command line alone has."""

SEALED: Final = (FEED_CREDENTIALS, CHANNEL_SECRETS, PROVIDER_KEYS, IDENTITY_SECRETS, API_KEYS)
"""Purposes whose keys must stay until everything that they sealed is sealed anew."""
SECRET_PURPOSES: Final[Mapping[ServiceName, tuple[str, ...]]] = {
    "feeds": (FEED_CREDENTIALS, FEED_TIMES),
    "observables": (PROVIDER_KEYS,),
    "notifications": (CHANNEL_SECRETS,),
    "mitre": (),
    "scheduler": (),
    "gateway": (CONSOLE_SESSIONS, IDENTITY_SECRETS, API_KEYS),
}
"""By service, what its secret keys are for."""

SIGNED_PURPOSES: Final = (EVENTS, TASKS)
"""What services and the command line sign, each with keys of its own."""
SIGNERS: Final = (*SERVICES, OPERATOR)

KeyKind = Literal["secret", "private", "public"]

_UNSIGNED: Final = "v1"
"""What stands in the place of an owner where secret keys are derived."""
_ID_LENGTH: Final = 12
_READ_SECONDS: Final = 1.0
_ENCODED: Final = "eyJ"
"""How JSON begins in Base64, in which it needs no quotes in `.env`."""


class MissingKey(SentinelIQError):
    """The process has no key for what it is asked to do."""

    code = "missing-key"


@dataclass(frozen=True, slots=True)
class Key:
    """A key.

    Attributes:
        purpose: what it is for.
        owner: the service that has the secret or private key, or `OPERATOR`.
        kind: `private` and `public` are the halves of an Ed25519 key.
        material: 32 bytes.
        since: when it was made, in seconds since 1970; None for the installation's first.
        until: when it ends; None for a key that is in use.
    """

    purpose: str
    owner: str
    kind: KeyKind
    material: bytes = field(repr=False)
    since: float | None = None
    until: float | None = None

    @property
    def id(self) -> str:
        """The key's name, which tells nothing of it; the same for both halves."""
        return _key_id(self.kind, self.material)

    @property
    def is_valid(self) -> bool:
        """Whether it has not ended."""
        return self.until is None or self.until > time.time()

    def public(self) -> "Key":
        """Return the public half of a private key.

        Raises:
            ValueError: it is no private key.
        """
        if self.kind != "private":
            raise ValueError(f"a {self.kind} key has no public half")
        private = Ed25519PrivateKey.from_private_bytes(self.material)
        return replace(self, kind="public", material=private.public_key().public_bytes_raw())

    def as_dict(self) -> dict[str, Any]:
        """Return what `from_dict` takes."""
        return {
            "purpose": self.purpose,
            "owner": self.owner,
            "kind": self.kind,
            "material": urlsafe_b64encode(self.material).decode(),
            "since": self.since,
            "until": self.until,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Key":
        """Return the key that `as_dict` has described."""
        return cls(**{**stored, "material": urlsafe_b64decode(stored["material"])})


class Keys(Protocol):
    """The keys of a process, or all keys of an installation."""

    def secret(self, purpose: str) -> tuple[Key, ...]:
        """Return the valid secret keys of a purpose, the one to use first.

        Raises:
            MissingKey: there is none.
        """

    def private(self, purpose: str, owner: str) -> Key:
        """Return the key that an owner signs with at present.

        Raises:
            MissingKey: this process does not have it.
        """

    def public(self, purpose: str, owner: str) -> tuple[Key, ...]:
        """Return the valid keys that verify an owner's signatures; none if none is known."""


def derive_key(secret: Secret, purpose: str, owner: str) -> bytes:
    """Derive a key of 32 bytes, from which neither the secret nor another key can be learned.

    Args:
        secret: the installation's.
        purpose: what the key is for, such as `events`.
        owner: the service that has it, such as `feeds`.
    """
    derivation = HKDF(SHA256(), length=32, salt=None, info=f"sentineliq/{purpose}/{owner}".encode())
    return derivation.derive(secret.get_secret_value().encode())


class DerivedKeys:
    """All keys of an installation.

    Args:
        secret: the installation's.
        former: keys of secrets before, which have not ended yet.
        since: when the secret was made; None for the installation's first.
    """

    def __init__(
        self, secret: Secret, former: Iterable[Key] = (), since: float | None = None
    ) -> None:
        self._secret = secret
        self._former = tuple(former)
        self._since = since
        self._cache: dict[tuple[KeyKind, str, str], Key] = {}

    def secret(self, purpose: str) -> tuple[Key, ...]:
        """Return the valid secret keys of a purpose, the one to use first."""
        owner = purpose.partition(".")[0]
        return self._with_former(self._derive("secret", purpose, owner))

    def private(self, purpose: str, owner: str) -> Key:
        """Return the key that an owner signs with at present."""
        return self._derive("private", purpose, owner)

    def public(self, purpose: str, owner: str) -> tuple[Key, ...]:
        """Return the valid keys that verify an owner's signatures."""
        return self._with_former(self._derive("public", purpose, owner))

    def _derive(self, kind: KeyKind, purpose: str, owner: str) -> Key:
        place = (kind, purpose, owner)
        if place not in self._cache:
            if kind == "public":
                self._cache[place] = self._derive("private", purpose, owner).public()
            else:
                label = _UNSIGNED if kind == "secret" else owner
                material = derive_key(self._secret, purpose, label)
                self._cache[place] = Key(purpose, owner, kind, material, self._since)
        return self._cache[place]

    def _with_former(self, current: Key) -> tuple[Key, ...]:
        place = _place(current)
        return (current, *(key for key in self._former if _place(key) == place and key.is_valid))


class KeyBundle:
    """The keys of one process.

    Args:
        keys: of several with the same purpose, owner and kind, the one to use comes first.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys: dict[tuple[KeyKind, str, str], tuple[Key, ...]] = {}
        for key in keys:
            place = _place(key)
            self._keys[place] = (*self._keys.get(place, ()), key)

    @classmethod
    def from_json(cls, text: str) -> "KeyBundle":
        """Read what `bundle_json` has written.

        Raises:
            ValueError: the text is another.
        """
        return cls(read_bundle(text))

    def secret(self, purpose: str) -> tuple[Key, ...]:
        """Return the valid secret keys of a purpose, the one to use first."""
        keys = self._valid("secret", purpose, purpose.partition(".")[0])
        if not keys:
            raise MissingKey(f"This process has no key for {purpose}.")
        return keys

    def private(self, purpose: str, owner: str) -> Key:
        """Return the key that an owner signs with at present."""
        keys = self._valid("private", purpose, owner)
        if not keys:
            raise MissingKey(f"This process does not sign {purpose} for {owner}.")
        return keys[0]

    def public(self, purpose: str, owner: str) -> tuple[Key, ...]:
        """Return the valid keys that verify an owner's signatures."""
        return self._valid("public", purpose, owner)

    def _valid(self, kind: KeyKind, purpose: str, owner: str) -> tuple[Key, ...]:
        keys = self._keys.get((kind, purpose, owner), ())
        return tuple(key for key in keys if key.is_valid)


class KeyFile:
    """The keys of one process in a file, which is read again within a second after it changed.

    The file may also name values that stand in the place of settings: the addresses of servers with
    their logins, and the login of Kafka.

    Args:
        path: the file, which is replaced as a whole.

    Raises:
        OSError, ValueError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = (0, 0)
        self._bundle = KeyBundle(())
        self._urls: dict[str, str] = {}
        self._read()
        self._looked_at = time.monotonic()

    def secret(self, purpose: str) -> tuple[Key, ...]:
        """Return the valid secret keys of a purpose, the one to use first."""
        return self._current().secret(purpose)

    def private(self, purpose: str, owner: str) -> Key:
        """Return the key that an owner signs with at present."""
        return self._current().private(purpose, owner)

    def public(self, purpose: str, owner: str) -> tuple[Key, ...]:
        """Return the valid keys that verify an owner's signatures."""
        return self._current().public(purpose, owner)

    def url(self, name: str) -> str | None:
        """Return what stands in the place of a setting, such as `database_url`; None: nothing."""
        self._current()
        return self._urls.get(name)

    def _current(self) -> KeyBundle:
        now = time.monotonic()
        if now - self._looked_at >= _READ_SECONDS:
            self._looked_at = now
            # A file that is missing or damaged revokes nothing: what was read before holds.
            with suppress(OSError, ValueError):
                self._read()
        return self._bundle

    def _read(self) -> None:
        state = self._look()
        if state != self._state:
            text = self._path.read_text()
            self._bundle = KeyBundle.from_json(text)
            self._urls = dict(json.loads(text).get("urls", {}))
            self._state = state

    def _look(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_ino, status.st_mtime_ns


def keys_of(settings: "Settings") -> Keys:
    """Return the keys of this process, or all of them where the installation's secret is set.

    `SENTINELIQ_KEYS` is a bundle, as it is or in Base64, or the path of a file that holds it.

    Raises:
        OSError, ValueError: `SENTINELIQ_KEYS` cannot be used.
    """
    if settings.secret_key is not None:
        return _derived(settings.secret_key)
    assert settings.keys is not None  # noqa: S101  # the settings require one of them
    return _bundled(settings.keys)


def current_url(settings: "Settings", name: Literal["database_url", "celery_broker_url"]) -> str:
    """Return the address of a server with the login that is valid at present.

    Args:
        settings: of the process.
        name: the setting.
    """
    keys = keys_of(settings)
    renewed = keys.url(name) if isinstance(keys, KeyFile) else None
    secret: Secret = getattr(settings, name)
    return renewed or secret.get_secret_value()


def granted_keys(service: ServiceName, keys: Keys) -> list[Key]:
    """Return the keys that the processes of a service need.

    Args:
        service: its name.
        keys: all of the installation.
    """
    granted = [*keys.public(TOKENS, OPERATOR), *keys.public(TOKENS, GATEWAY)]
    if service == GATEWAY:
        granted.append(keys.private(TOKENS, GATEWAY))
    for purpose in SIGNED_PURPOSES:
        granted.append(keys.private(purpose, service))
        for signer in SIGNERS:
            granted += keys.public(purpose, signer)
    for purpose in SECRET_PURPOSES[service]:
        granted += keys.secret(purpose)
    return granted


def read_bundle(text: str) -> list[Key]:
    """Return the keys of a bundle that `bundle_json` has written, in order.

    Raises:
        ValueError: the text is another.
    """
    try:
        return [Key.from_dict(stored) for stored in json.loads(text)["keys"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("SENTINELIQ_KEYS is no bundle of keys.") from error


def bundle_json(keys: Iterable[Key], urls: Mapping[str, str] | None = None) -> str:
    """Write keys as `SENTINELIQ_KEYS` takes them.

    Args:
        keys: of several with the same purpose, owner and kind, the one to use comes first.
        urls: addresses, and the login of Kafka, that stand in the place of settings.
    """
    addresses = {"urls": dict(urls)} if urls else {}
    return json.dumps({"keys": [key.as_dict() for key in keys], **addresses})


def _place(key: Key) -> tuple[KeyKind, str, str]:
    return key.kind, key.purpose, key.owner


@cache
def _key_id(kind: KeyKind, material: bytes) -> str:
    if kind == "private":
        private = Ed25519PrivateKey.from_private_bytes(material)
        material = private.public_key().public_bytes_raw()
    return sha256(material).hexdigest()[:_ID_LENGTH]


@cache
def _derived(secret: Secret) -> Keys:
    return DerivedKeys(secret)


@cache
def _bundled(keys: Secret) -> Keys:
    text = keys.get_secret_value()
    if text.startswith(_ENCODED):
        text = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    return KeyBundle.from_json(text) if text.startswith("{") else KeyFile(Path(text))
