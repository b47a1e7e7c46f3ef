"""CloudEvents 1.0 over Kafka in binary content mode.

Attributes are `ce_*` headers, the JSON payload is the record's value. `ce_tenant` and `traceparent`
are extension attributes. Source: CloudEvents 1.0.2, Kafka protocol binding 1.0.2 §3.2.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, TypeVar
from uuid import UUID, uuid4

import msgspec

from shared.errors import InvalidInput
from shared.telemetry.tracing import current_traceparent

T = TypeVar("T", bound=msgspec.Struct)
Headers = list[tuple[str, bytes]]

MAX_EVENT_BYTES = 512 * 1024
"""Limit of a payload; bulk is cut into events below it."""


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
    """

    name: str
    payload: type[T]
    summary: str
    key: str
    compacted: bool = False

    @property
    def dead(self) -> str:
        """The dead-letter topic: records that could not be handled."""
        return f"{self.name}.dead"


@dataclass(frozen=True, slots=True)
class ConsumedRecord:
    """A Kafka record as it was read; a dead letter repeats it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Event(Generic[T]):
    """One event: CloudEvents attributes and its payload.

    Attributes:
        id: unique per source; a repeated event repeats it.
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
    """Decode a record of a topic.

    Raises:
        InvalidInput: an attribute is missing, or the payload does not fit the topic's model.
    """
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    missing = [
        name for name in ("ce_id", "ce_type", "ce_source", "ce_tenant") if not headers.get(name)
    ]
    if missing:
        raise InvalidInput(f"The record lacks the header {missing[0]}.", field=missing[0])
    if headers["ce_type"] != topic.name:
        raise InvalidInput(
            f"The record is of type {headers['ce_type']}, not {topic.name}.", field="ce_type"
        )
    try:
        data = decoder.decode(record.value)
    except msgspec.DecodeError as error:
        raise InvalidInput(
            f"The payload does not fit {topic.name}: {error}", field="payload"
        ) from error
    return Event(
        topic=topic,
        data=data,
        tenant=headers["ce_tenant"],
        source=headers["ce_source"],
        key=record.key,
        id=headers["ce_id"],
        time=headers.get("ce_time", ""),
        traceparent=headers.get("traceparent"),
        record=record,
    )


class FeedRef(msgspec.Struct, frozen=True):
    """The feed that an assertion comes from.

    Attributes:
        id: the feed's id.
        name: its name in its tenant.
        reliability: 0 to 100, how far the source is trusted.
        tlp: marking of its contents (clear, green, amber, amber+strict, red).
        kind: snapshot: its list is complete each time, so that it retracts what it no longer lists;
            stream: it lists only what is recent.
    """

    id: UUID
    name: str
    reliability: int = 50
    tlp: str = "clear"
    kind: str = "stream"
