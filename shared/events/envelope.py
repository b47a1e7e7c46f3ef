"""CloudEvents 1.0 over Kafka in binary content mode.

Attributes are `ce_*` headers, the JSON payload is the record's value. `ce_tenant` and `traceparent`
are extension attributes. Source: CloudEvents 1.0.2, Kafka protocol binding 1.0.2 §3.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha1
from typing import Final, Generic, TypeVar
from uuid import UUID, uuid4, uuid5

import msgspec

from shared.errors import InvalidInput
from shared.telemetry.tracing import current_traceparent
from shared.tenants import is_tenant

T = TypeVar("T", bound=msgspec.Struct)
Headers = list[tuple[str, bytes]]
ConsumedHeaders = Sequence[tuple[str, bytes | None]]
"""Kafka allows a header without a value."""

_REQUIRED: Final = ("ce_id", "ce_type", "ce_source", "ce_tenant")
ATTRIBUTES: Final = frozenset({*_REQUIRED, "ce_time", "traceparent"})
"""The headers that an event is read from."""
_MAX_ATTRIBUTE_BYTES: Final = 1024

DEAD: Final = ".dead"
"""The end of the names of dead-letter topics."""

MAX_EVENT_BYTES = 512 * 1024
"""Limit of a payload; bulk is cut into events below it."""


_ID_SPACE: Final = UUID("6f1a0d4e-7b1c-5d52-9d0a-3e1f6a0c55e7")


def derived_id(*parts: object) -> str:
    """The id of an event that something stored causes: the same parts give the same id.

    Args:
        parts: the topic, and what names the cause: the key of a row and its version, or another
            event. No clock's time and no accident of processing belongs to them, so that a service
            whose database was restored repeats the ids, and receivers drop what they have seen.
    """
    return str(uuid5(_ID_SPACE, "\x1f".join(map(str, parts))))


def content_id(tenant: str, payload: bytes) -> str:
    """The id of an event that its tenant and its payload identify."""
    digest = sha1(_ID_SPACE.bytes + tenant.encode() + b"\x1f" + payload, usedforsecurity=False)
    return str(UUID(bytes=digest.digest()[:16], version=5))


def now() -> str:
    """Return the current time in RFC 3339, UTC.

    Microseconds show the order of events of one transaction.
    """
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Topic(Generic[T]):
    """One topic of the catalogue.

    Attributes:
        name: `<service>.<past participle>.v<version>`.
        payload: the model of its events.
        summary: the meaning of an event, in one sentence.
        key: the record key, in one word.
        compacted: whether Kafka keeps the newest event of each key without limit of time.
        kept_days: of a compacted topic: days after which an event goes although none is newer.
    """

    name: str
    payload: type[T]
    summary: str
    key: str
    compacted: bool = False
    kept_days: int | None = None

    @property
    def dead(self) -> str:
        """The dead-letter topic: records that could not be handled."""
        return f"{self.name}{DEAD}"


@dataclass(frozen=True, slots=True)
class ConsumedRecord:
    """A Kafka record as it was read; a dead letter repeats it.

    Attributes:
        timestamp: milliseconds since 1970, as Kafka keeps it.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: ConsumedHeaders
    timestamp: int = 0


@dataclass(frozen=True, slots=True)
class Event(Generic[T]):
    """One event: CloudEvents attributes and its payload.

    Attributes:
        id: unique per source; a repeated event repeats it. That of an event which a row or another
            event causes is derived from these (`derived_id`).
        tenant: the tenant that it belongs to.
        time: RFC 3339, UTC.
        record: of an event that was consumed, its record.
        encoded: the payload as JSON, where the producer has it already.
    """

    topic: Topic[T]
    data: T
    tenant: str
    source: str
    key: bytes | None = None
    id: str = field(default_factory=lambda: str(uuid4()))
    time: str = field(default_factory=now)
    traceparent: str | None = field(default_factory=current_traceparent)
    record: ConsumedRecord | None = None
    encoded: bytes | None = None

    def headers(self) -> Headers:
        """Return the attributes as Kafka headers."""
        pairs = [
            ("ce_specversion", "1.0"),
            ("ce_id", self.id),
            ("ce_type", self.topic.name),
            ("ce_source", self.source),
            ("ce_time", self.time),
            ("ce_tenant", self.tenant),
            ("content-type", "application/json"),
        ]
        if self.traceparent:
            pairs.append(("traceparent", self.traceparent))
        return [(name, value.encode()) for name, value in pairs]

    def payload(self) -> bytes:
        """The payload as JSON.

        Raises:
            InvalidInput: it exceeds `MAX_EVENT_BYTES`; see `chunks.cut_by_size` for bulk.
        """
        encoded = self.encoded
        if encoded is None:
            encoded = msgspec.json.encode(self.data)
        if len(encoded) > MAX_EVENT_BYTES:
            raise InvalidInput(
                f"An event on {self.topic.name} has {len(encoded)} bytes; "
                f"{MAX_EVENT_BYTES} is the limit."
            )
        return encoded


def parse(topic: Topic[T], record: ConsumedRecord, decoder: msgspec.json.Decoder[T]) -> Event[T]:
    """Decode a record of a topic. Any bytes may stand in a record.

    Raises:
        InvalidInput: an attribute is missing, repeated or no text; the tenant is none; or the
            payload does not fit the topic's model.
    """
    try:
        return _parse(topic, record, decoder)
    except (InvalidInput, MemoryError):
        raise
    except Exception as error:
        raise InvalidInput(
            f"The record cannot be read: {type(error).__name__}: {error}", field="payload"
        ) from error


def _parse(topic: Topic[T], record: ConsumedRecord, decoder: msgspec.json.Decoder[T]) -> Event[T]:
    attributes = _attributes(record.headers)
    missing = [name for name in _REQUIRED if not attributes.get(name)]
    if missing:
        raise InvalidInput(f"The record lacks the header {missing[0]}.", field=missing[0])
    if attributes["ce_type"] != topic.name:
        raise InvalidInput(
            f"The record is of type {attributes['ce_type']}, not {topic.name}.", field="ce_type"
        )
    # A record in the platform's name would be handled with its rights: there is no such event.
    if not is_tenant(attributes["ce_tenant"]):
        raise InvalidInput(
            f"{attributes['ce_tenant']!r} is no name of a tenant.", field="ce_tenant"
        )
    try:
        data = decoder.decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(
            f"The payload does not fit {topic.name}: {error}", field="payload"
        ) from error
    return Event(
        topic=topic,
        data=data,
        tenant=attributes["ce_tenant"],
        source=attributes["ce_source"],
        key=record.key,
        id=attributes["ce_id"],
        time=attributes.get("ce_time", ""),
        traceparent=attributes.get("traceparent"),
        record=record,
    )


def _attributes(headers: ConsumedHeaders) -> dict[str, str]:
    """Read the attributes of an event; other headers may hold anything.

    Raises:
        InvalidInput: an attribute is repeated, too long, or no text that can be stored.
    """
    attributes: dict[str, str] = {}
    for name, value in headers:
        if name not in ATTRIBUTES:
            continue
        if name in attributes:
            raise InvalidInput(f"The record repeats the header {name}.", field=name)
        if value is None or len(value) > _MAX_ATTRIBUTE_BYTES:
            size = "no value" if value is None else f"{len(value):,} bytes"
            raise InvalidInput(f"The header {name} has {size}.", field=name)
        try:
            text = value.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(f"The header {name} is no UTF-8: {error}", field=name) from error
        if "\0" in text:
            raise InvalidInput(f"The header {name} contains NUL.", field=name)
        attributes[name] = text
    return attributes


class FeedRef(msgspec.Struct, frozen=True):
    """The feed that an assertion comes from.

    Attributes:
        id: the feed's id.
        name: its name in its tenant.
        reliability: 0 to 100, how far the source is trusted.
        tlp: marking of its contents (clear, green, amber, amber+strict, red).
        kind: snapshot: its list is complete each time, so that it retracts what it no longer lists;
            stream: it lists only what is recent.
        origin: whose observations it publishes, mostly its provider; empty when nobody has named
            it.
        derived_from: the origins whose observations it repeats, of a list made of others.
    """

    id: UUID
    name: str
    reliability: int = 50
    tlp: str = "clear"
    kind: str = "stream"
    origin: str = ""
    derived_from: tuple[str, ...] = ()
