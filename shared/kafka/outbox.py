"""The transactional outbox: an event is a row of the transaction that causes it.

The relay (`shared.kafka.relay`) publishes the rows.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from shared.audit import append_record
from shared.database import PLATFORM, PUBLIC
from shared.errors import InvalidInput
from shared.events import ConsumedRecord, Event, Headers
from shared.events.audit import RECORDED, FieldChange, Recorded
from shared.kafka.letters import compose_letter
from shared.kafka.topics import MAX_MESSAGE_BYTES
from shared.tenants import is_tenant

OUTBOX = sa.table(
    "outbox",
    sa.column("id", sa.BigInteger),
    sa.column("topic", sa.Text),
    sa.column("key", sa.LargeBinary),
    sa.column("headers", sa.JSON),
    sa.column("payload", sa.LargeBinary),
    sa.column("tenant", sa.Text),
)
MAX_RECORD_BYTES: Final = MAX_MESSAGE_BYTES - 16 * 1024
"""Limit of a record's key, headers and payload together; Kafka adds a few bytes to each."""


def publish(session: Session, events: Iterable[Event[Any]]) -> None:
    """Write events to the outbox: they are published if, and only if, the transaction commits.

    Raises:
        InvalidInput: an event is larger than its topic takes. The relay never meets such a one.
    """
    rows = []
    for event in events:
        payload = event.payload()
        headers = event.headers()
        size = record_size(event.key, headers, payload)
        if size > MAX_RECORD_BYTES:
            raise InvalidInput(
                f"An event on {event.topic.name} has {size:,} bytes with its headers; "
                f"{MAX_RECORD_BYTES:,} is the limit."
            )
        rows.append(_row(event.topic.name, event.key, payload, headers, event.tenant))
    if rows:
        session.execute(sa.insert(OUTBOX), rows)


def record_size(key: bytes | None, headers: Headers, payload: bytes) -> int:
    """The bytes of a record's key, headers and payload."""
    texts = sum(len(name) + len(value) for name, value in headers)
    return len(key or b"") + texts + len(payload)


def audit(
    session: Session,
    service: str,
    tenant: str,
    actor: str,
    action: str,
    target: object,
    changes: Mapping[str, FieldChange] | None = None,
    /,
    **details: str,
) -> None:
    """Record who changed what: a row of the audit and `audit.recorded.v1`, if it commits.

    Args:
        session: the transaction that makes the change.
        service: the service's name.
        tenant: the tenant in which it happens. No event is the platform's: what concerns no
            tenant is told as the operators', who write in `public`.
        actor: the subject of the token.
        action: for instance `feeds.create`.
        target: the id of what was changed.
        changes: the fields that changed, from `shared.audit.changes_between`.
        details: what is worth keeping; never a secret.
    """
    data = Recorded(actor, action, str(target), details, dict(changes or {}))
    link = append_record(session, tenant, data)
    data.position = link.position
    data.digest = link.digest.hex()
    owner = PUBLIC if tenant == PLATFORM else tenant
    publish(session, [Event(RECORDED, data, owner, f"/services/{service}", owner.encode())])


def dead_letter(
    session: Session, record: ConsumedRecord, reason: str, *, tenant: str, topic: str
) -> None:
    """Send a record that cannot be handled to its dead-letter topic, with the reason.

    Args:
        session: the transaction that passes over the record.
        record: may hold anything; `shared.kafka.letters` says what becomes of it.
        reason: what is wrong with it.
        tenant: whose it is. What names no tenant belongs to the platform.
        topic: the topic's name in the catalogue.
    """
    letter = compose_letter(record, reason)
    owner = tenant if is_tenant(tenant) else PLATFORM
    row = _row(f"{topic}.dead", letter.key, letter.value, letter.headers, owner)
    session.execute(sa.insert(OUTBOX), [row])


def _row(
    topic: str, key: bytes | None, payload: bytes, headers: Headers, tenant: str
) -> dict[str, Any]:
    # Headers are bytes, and those of a dead letter may be any: latin-1 keeps each byte in JSON.
    text = [[name, value.decode("latin-1")] for name, value in headers]
    return {"topic": topic, "key": key, "headers": text, "payload": payload, "tenant": tenant}
