"""CloudEvents 1.0 over Kafka, binary content mode: attributes in `ce_*` headers, the JSON payload as the value.

Source: CloudEvents 1.0.2, Kafka protocol binding 1.0.2 §3.2. `ce_tenant` and `traceparent` are extension attributes.
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
"""A payload is cut into events below this size."""


def now() -> str:
    """The present as RFC 3339 with microseconds, in UTC: events of one transaction are seen in their order."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Topic(Generic[T]):
    """One topic of the catalogue; the version is part of its name.

    Attributes:
        name: `<service>.<past participle>.v<version>`.
        payload: the model of its events.
        says: what an event on it means, in one sentence.
        key: what the record key is, in one word.
        compacted: whether only the newest event per key is kept for good.
    """

    name: str
    payload: type[T]
    summary: str
    key: str
    compacted: bool = False

    @property
    def dead(self) -> str:
        """The topic that takes records nobody could handle."""
        return f"{self.name}.dead"


@dataclass(frozen=True, slots=True)
class ConsumedRecord:
    """A Kafka record as it was read: what a dead letter repeats."""

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
        tenant: whose event it is.
        time: RFC 3339, UTC.
        record: where it was read, when it was.
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

    def headers(self) -> Headers:
        """The attributes as Kafka headers."""
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
            InvalidInput: it is larger than an event may be; a bug of the producer's chunking.
        """
        encoded = msgspec.json.encode(self.data)
        if len(encoded) > MAX_EVENT_BYTES:
            raise InvalidInput(
                f"An event on {self.topic.name} has {len(encoded)} bytes; {MAX_EVENT_BYTES} is the limit."
            )
        return encoded


def parse(topic: Topic[T], record: ConsumedRecord, decoder: msgspec.json.Decoder[T]) -> Event[T]:
    """A record as an event of its topic.

    Raises:
        InvalidInput: an attribute is missing, or the payload does not fit the topic's model; names which.
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
    """The source an assertion comes from.

    Attributes:
        id: the feed's id.
        name: its name in its tenant.
        reliability: 0 to 100, how far the source is trusted.
        tlp: marking of what it says (clear, green, amber, amber+strict, red).
        kind: snapshot: its list is complete each time, so that what it no longer lists it no longer says; stream:
            it only tells what is recent.
    """

    id: UUID
    name: str
    reliability: int = 50
    tlp: str = "clear"
    kind: str = "stream"
