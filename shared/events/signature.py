"""Signed events: the header `ce_signature` shows which service made a record.

It covers the topic, the record's key, all attributes and the payload. A type comes from the service
that owns it, and from nobody else: only an operator may send a record again in its name.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from shared.errors import InvalidInput
from shared.events.envelope import ATTRIBUTES, ConsumedHeaders, ConsumedRecord, Headers, Topic
from shared.keys import EVENTS, OPERATOR
from shared.settings import SERVICES, Settings
from shared.signing import MAX_SIGNATURE_LENGTH, Unauthentic, sign, verify

SIGNATURE: Final = "ce_signature"

_OF_ALL: Final = "audit"
"""The owner in the name of the topic that every service writes to."""


@dataclass(frozen=True, slots=True)
class EventSigner:
    """Signs the records of one service.

    Attributes:
        settings: name this process's keys.
        signer: the service, or `OPERATOR`.
    """

    settings: Settings
    signer: str

    def sign(self, topic: str, key: bytes | None, value: bytes, headers: Headers) -> Headers:
        """Return a record's headers with its signature, in place of an earlier one.

        Args:
            topic: its name in the catalogue.
            key: the record's key.
            value: the payload.
            headers: the attributes.

        Raises:
            InvalidInput: an attribute stands there twice.
        """
        unsigned = [(name, text) for name, text in headers if name != SIGNATURE]
        content = _content(topic, key, value, unsigned)
        signature = sign(self.settings, EVENTS, self.signer, content)
        return [*unsigned, (SIGNATURE, signature.encode())]


@dataclass(frozen=True, slots=True)
class EventVerifier:
    """Verifies who made a record.

    Attributes:
        settings: name this process's keys.
    """

    settings: Settings

    def verify(self, topic: Topic[Any], record: ConsumedRecord, unsigned_until: int = 0) -> str:
        """Return the signer of a record, which may send it; empty for an unsigned one of before.

        Args:
            topic: where it was read.
            record: may hold anything.
            unsigned_until: milliseconds since 1970. What the broker took before it needs no
                signature: no producer signed yet.

        Raises:
            Unauthentic: nobody who may send it has signed it.
        """
        signatures = [value for name, value in record.headers if name == SIGNATURE]
        if not signatures:
            if 0 < record.timestamp < unsigned_until:
                return ""
            raise Unauthentic("Nobody has signed the record.", field=SIGNATURE)
        signature = signatures[0] or b""
        if len(signatures) > 1 or len(signature) > MAX_SIGNATURE_LENGTH:
            raise Unauthentic("The record's signature has no such form.", field=SIGNATURE)
        try:
            content = _content(topic.name, record.key, record.value, record.headers)
        except InvalidInput as error:
            raise Unauthentic(error.message, field=SIGNATURE) from error
        signer = verify(self.settings, EVENTS, signature.decode("latin-1"), content)
        if not _may_send(signer, topic):
            raise Unauthentic(f"{signer} may not send {topic.name}.", field=SIGNATURE)
        return signer


def _may_send(signer: str, topic: Topic[Any]) -> bool:
    owner = topic.name.partition(".")[0]
    return signer in {owner, OPERATOR} or (owner == _OF_ALL and signer in SERVICES)


def _content(topic: str, key: bytes | None, value: bytes, headers: ConsumedHeaders) -> bytes:
    """What is signed: each part with its length, so that no other parts give the same bytes.

    Raises:
        InvalidInput: an attribute stands there twice; readers could choose.
    """
    attributes = [header for header in headers if header[0] in ATTRIBUTES]
    names = sorted(name for name, _ in attributes)
    if len({*names}) < len(names):
        raise InvalidInput("The record repeats an attribute.")
    parts = [topic.encode(), key, sha256(value).digest()]
    values = dict(attributes)
    for name in names:
        parts += [name.encode(), values[name]]
    return b"".join(_measured(part) for part in parts)


def _measured(part: bytes | None) -> bytes:
    if part is None:
        return b"-"
    return b"%d:%b" % (len(part), part)
