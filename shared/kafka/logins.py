"""Makes the logins and rights of a cluster, as its broker's own login, over Kafka's protocol.

`python -m shared.kafka.logins` does it for the cluster of compose.yaml: the broker's login is in
`KAFKA_USERNAME` and `KAFKA_PASSWORD`, those to make in `KAFKA_PASSWORD_<LOGIN>`. Whatever exists is
kept, but for passwords, which are set anew for the mechanism `KAFKA_SASL_MECHANISM`. With the
argument `end` it ends those for the other mechanism.

aiokafka knows no request for SCRAM. Sources: https://kafka.apache.org/protocol.html (requests 17,
36, 3, 51, 30 and 31), KIP-554.
"""

import asyncio
import hashlib
import os
import secrets
import socket
import struct
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Final, NamedTuple

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError, SaslAuthenticationFailed

from shared.errors import Unavailable
from shared.kafka.rights import LOGINS, Right, rights

BROKER: Final = "broker"
"""The login of the broker itself, which its own settings have; it may do everything."""
ITERATIONS: Final = 4096
"""The least that Kafka takes. Passwords are random and long: more would slow down nobody else."""

MECHANISMS: Final = ("SCRAM-SHA-256", "SCRAM-SHA-512")
"""A login has a password for each, so that there are two of it while one replaces the other."""

_TIMEOUT_SECONDS: Final = 5.0
_WAIT_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 0.1
_NO_SUCH_CREDENTIAL: Final = 91
_LITERAL: Final = 3
_ALLOW: Final = 3


class Address(NamedTuple):
    """Where a cluster listens for clients."""

    host: str
    port: int


class BrokerConnection:
    """A connection to a broker, under a login that the broker's own settings have (PLAIN).

    Args:
        address: of the broker.
        password: of `BROKER`.

    Raises:
        Unavailable: there is no answer, or the login is refused.
    """

    def __init__(self, address: Address, password: str) -> None:
        try:
            self._socket = socket.create_connection(address, timeout=_TIMEOUT_SECONDS)
        except OSError as error:
            raise Unavailable(f"Kafka does not answer: {error}") from error
        try:
            self._log_in(password)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection without a reset, which the broker would log."""
        self._socket.close()

    def brokers(self) -> int:
        """Return how many brokers the cluster has at present."""
        response = self._ask(3, 1, struct.pack("!i", 0))
        return int.from_bytes(response[:4], "big", signed=True)

    def set_passwords(self, passwords: Mapping[str, str], mechanism: str = MECHANISMS[0]) -> None:
        """Make logins, or give them other passwords.

        Args:
            passwords: by login.
            mechanism: which of its passwords a login gets; the other one stays.
        """
        if passwords:
            upserts = b"".join(_credential(*entry, mechanism) for entry in passwords.items())
            self._change_passwords(_count(0) + _count(len(passwords)) + upserts)

    def end_passwords(self, names: Iterable[str], mechanism: str) -> None:
        """End the passwords that logins have for a mechanism; the other ones stay."""
        entries = [_compact(name.encode()) + _mechanism_byte(mechanism) for name in names]
        deletions = b"".join(entry + b"\0" for entry in entries)
        self._change_passwords(_count(len(entries)) + deletions + _count(0))

    def _change_passwords(self, changes: bytes) -> None:
        body = changes + b"\0"
        # No tags end the head of a flexible request, and begin that of its response.
        response = self._ask(51, 0, b"\0" + body)
        # The tags, the time of throttling, the number of results plus one, and the results.
        reader = _Reader(response[5:])
        for _ in range(reader.byte() - 1):
            name = reader.compact_text()
            code = reader.short()
            reason = reader.compact_text()
            reader.byte()
            if code not in {0, _NO_SUCH_CREDENTIAL}:
                raise Unavailable(f"Kafka does not change the login {name}: {reason or code}")

    def add_rights(self, entries: Iterable[Right]) -> None:
        """Give rights; those that exist stay."""
        rows = [_acl(entry) for entry in entries]
        response = self._ask(30, 1, struct.pack("!i", len(rows)) + b"".join(rows))
        reader = _Reader(response[8:])
        for _ in rows:
            code = reader.short()
            reason = reader.text()
            if code:
                raise Unavailable(f"Kafka does not give a right: {reason or code}")

    def _log_in(self, password: str) -> None:
        handshake = self._ask(17, 1, _text("PLAIN"))
        token = f"\0{BROKER}\0{password}".encode()
        answer = b""
        if handshake[:2] == b"\0\0":
            answer = self._ask(36, 0, struct.pack("!i", len(token)) + token)
        if answer[:2] != b"\0\0":
            raise Unavailable("Kafka refuses the login of its own broker.")

    def _ask(self, key: int, version: int, body: bytes) -> bytes:
        """Send a request; return the response without its correlation id."""
        head = struct.pack("!hhi", key, version, 1) + _text("sentineliq-logins")
        request = head + body
        try:
            self._socket.sendall(struct.pack("!i", len(request)) + request)
            size = struct.unpack("!i", self._receive(4))[0]
            return self._receive(size)[4:]
        except OSError as error:
            raise Unavailable(f"Kafka does not answer: {error}") from error

    def _receive(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            chunk = self._socket.recv(size - len(received))
            if not chunk:
                raise Unavailable("Kafka closed the connection.")
            received += chunk
        return bytes(received)


class _Reader:
    """Reads parts of a response."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def byte(self) -> int:
        """One byte; a count below 127 takes no more."""
        return self._take(1)[0]

    def short(self) -> int:
        """A code."""
        return int.from_bytes(self._take(2), "big", signed=True)

    def text(self) -> str:
        """A text with its length, which may be none."""
        return self._take(max(0, self.short())).decode()

    def compact_text(self) -> str:
        """A text with its length plus one, which may be none."""
        return self._take(max(0, self._varint() - 1)).decode()

    def _varint(self) -> int:
        value = 0
        shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def _take(self, size: int) -> bytes:
        part = self._data[self._place : self._place + size]
        self._place += size
        return part


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("!h", len(encoded)) + encoded


def _count(items: int) -> bytes:
    if items >= 127:
        raise ValueError("one byte counts up to 126")
    return bytes([items + 1])


def _compact(content: bytes) -> bytes:
    return _count(len(content)) + content


def _credential(name: str, password: str, mechanism: str) -> bytes:
    salt = secrets.token_bytes(16)
    digest = mechanism.removeprefix("SCRAM-").replace("-", "").lower()
    salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, ITERATIONS)
    numbers = _mechanism_byte(mechanism) + struct.pack("!i", ITERATIONS)
    return _compact(name.encode()) + numbers + _compact(salt) + _compact(salted) + b"\0"


def _mechanism_byte(mechanism: str) -> bytes:
    return bytes([MECHANISMS.index(mechanism) + 1])


def _acl(right: Right) -> bytes:
    return (
        struct.pack("!b", right.resource)
        + _text(right.name)
        + struct.pack("!b", _LITERAL)
        + _text(f"User:{right.login}")
        + _text("*")
        + struct.pack("!bb", right.operation, _ALLOW)
    )


def make_logins(
    address: Address,
    broker_password: str,
    passwords: Mapping[str, str],
    prefix: str = "",
    mechanism: str = MECHANISMS[0],
) -> bool:
    """Make logins and rights; return whether the cluster has a broker to make them in.

    Args:
        address: of the cluster.
        broker_password: of `BROKER`.
        passwords: by login.
        prefix: of the names of the installation's topics and groups.
        mechanism: that of the passwords.

    Raises:
        Unavailable: there is no answer, or it is a refusal.
    """
    connection = BrokerConnection(address, broker_password)
    try:
        if not connection.brokers():
            return False
        connection.set_passwords(passwords, mechanism)
        connection.add_rights(rights(prefix))
    finally:
        connection.close()
    return True


def await_passwords(address: Address, passwords: Mapping[str, str], mechanism: str) -> None:
    """Wait until the broker takes passwords: it answers before it has applied what it was given.

    Args:
        address: of the broker.
        passwords: by login.
        mechanism: that of the passwords.

    Raises:
        Unavailable: there is no answer, or a password is still refused after a minute.
    """
    asyncio.run(_await_passwords(address, passwords, mechanism))


async def _await_passwords(address: Address, passwords: Mapping[str, str], mechanism: str) -> None:
    ends = time.monotonic() + _WAIT_SECONDS
    for login, password in passwords.items():
        while not await _is_valid(address, login, password, mechanism):
            if time.monotonic() > ends:
                raise Unavailable(f"Kafka does not take the new password of {login}.")
            await asyncio.sleep(_RETRY_SECONDS)


async def _is_valid(address: Address, login: str, password: str, mechanism: str) -> bool:
    try:
        connection = await create_conn(
            *address,
            client_id="sentineliq-logins",
            request_timeout_ms=int(_TIMEOUT_SECONDS * 1_000),
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism=mechanism,
            sasl_plain_username=login,
            sasl_plain_password=password,
        )
    except SaslAuthenticationFailed:
        return False
    except (OSError, KafkaError) as error:
        raise Unavailable(f"Kafka does not answer: {error}") from error
    await connection.close()
    return True


def _passwords() -> dict[str, str]:
    names = {login: f"KAFKA_PASSWORD_{login.upper()}" for login in LOGINS}
    missing = [name for name in names.values() if not os.environ.get(name)]
    if missing:
        sys.exit(f"{missing[0]} is missing")
    return {login: os.environ[name] for login, name in names.items()}


def main(arguments: Sequence[str] = ()) -> None:
    """Wait for the cluster of the environment, and make its logins and rights.

    Args:
        arguments: `end` ends the passwords that the logins have for the other mechanism instead.
    """
    server = os.environ["KAFKA_BOOTSTRAP_SERVERS"].partition(",")[0]
    host, _, port = server.rpartition(":")
    prefix = os.environ.get("SENTINELIQ_KAFKA_TOPIC_PREFIX", "")
    password = os.environ["KAFKA_PASSWORD"]
    mechanism = os.environ.get("KAFKA_SASL_MECHANISM") or MECHANISMS[0]
    if list(arguments) == ["end"]:
        other = MECHANISMS[1 - MECHANISMS.index(mechanism)]
        with closing(BrokerConnection(Address(host, int(port)), password)) as connection:
            connection.end_passwords(LOGINS, other)
        sys.stdout.write(f"the passwords for {other} have ended\n")
        return
    passwords = _passwords()
    ends = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            if make_logins(Address(host, int(port)), password, passwords, prefix, mechanism):
                await_passwords(Address(host, int(port)), passwords, mechanism)
                break
        except Unavailable as error:
            if time.monotonic() > ends:
                sys.exit(error.message)
        time.sleep(1)
    sys.stdout.write(f"{len(passwords)} logins, {len(rights(prefix))} rights\n")


if __name__ == "__main__":
    main(sys.argv[1:])
