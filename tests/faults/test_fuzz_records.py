"""A fuzz of everything that a record passes: parsing, dead letters, and every service's handlers.

Each record is applied or becomes a dead letter; none is lost, and none stops a consumer. The long
form has a million records::

    SENTINELIQ_FUZZ_RECORDS=1000000 SENTINELIQ_FUZZ_HANDLED=100000 \
        python -m pytest -n0 -s tests/faults/test_fuzz_records.py
"""

import importlib
import logging
import os
import sys
import time
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import msgspec
import pytest
import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from shared.database import PLATFORM, Database, database
from shared.errors import InvalidInput
from shared.events import CATALOGUE, ConsumedRecord, Event, Topic, parse
from shared.kafka import refusals
from shared.kafka.batch_handler import BatchHandler, Subscription
from shared.kafka.letters import MAX_LETTER_BYTES, compose_letter
from shared.kafka.offsets import OffsetRow, PartitionKey
from shared.settings import SERVICES, Settings
from shared.tenants import is_tenant
from tests.faults.record_mutation import RecordMutator
from tests.signed_events import sign_headers

SEED: Final = int(os.environ.get("SENTINELIQ_FUZZ_SEED", "15"))
RECORDS: Final = int(os.environ.get("SENTINELIQ_FUZZ_RECORDS", "6000"))
HANDLED: Final = int(os.environ.get("SENTINELIQ_FUZZ_HANDLED", "2100"))
BATCH: Final = 25

pytestmark = pytest.mark.timeout(24 * 3600)


def subscriptions() -> list[tuple[str, Subscription[Any]]]:
    pairs = []
    for service in SERVICES:
        module = importlib.import_module(f"services.{service}.consumers")
        pairs += [(service, subscription) for subscription in module.SUBSCRIPTIONS]
    return pairs


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """No log: a line with a traceback for each bad record takes longer than handling it."""
    logging.disable(logging.CRITICAL)
    before = structlog.get_config()
    structlog.configure(processors=[_drop], cache_logger_on_first_use=False, context_class=dict)
    yield
    structlog.configure(**before)
    logging.disable(logging.NOTSET)


def _drop(*_: object) -> MutableMapping[str, Any]:
    raise structlog.DropEvent


def test_every_record_is_parsed_or_becomes_a_letter_that_fits() -> None:
    share = RECORDS // len(CATALOGUE) + 1
    events = 0
    letters = 0
    started = time.perf_counter()
    for topic in CATALOGUE:
        mutator = RecordMutator(topic, SEED)
        decoder = msgspec.json.Decoder(topic.payload)
        for offset in range(share):
            record = mutator.record(offset)
            reason = parsing_error(topic, record, decoder)
            events += reason is None
            letters += reason is not None
            check_letter(record, reason or "its handler failed")
    seconds = time.perf_counter() - started
    sys.stdout.write(
        f"\nparsed {events + letters:,} records in {seconds:,.1f} s: "
        f"{events:,} events, {letters:,} dead letters\n"
    )
    assert events + letters == share * len(CATALOGUE)
    assert events > share
    assert letters > share


def parsing_error(
    topic: Topic[Any], record: ConsumedRecord, decoder: msgspec.json.Decoder[Any]
) -> str | None:
    try:
        event = parse(topic, record, decoder)
    except InvalidInput as error:
        return error.message
    assert is_tenant(event.tenant)
    return None


def check_letter(record: ConsumedRecord, reason: str) -> None:
    letter = compose_letter(record, reason)
    size = len(letter.key or b"") + len(letter.value)
    size += sum(len(name.encode()) + len(value) + 16 for name, value in letter.headers)
    assert size <= MAX_LETTER_BYTES
    assert dict(letter.headers)["dead-origin"].startswith(record.topic.encode())


class Applied:
    """A subscription's handler, which notes the offsets of what it applied."""

    def __init__(self, subscription: Subscription[Any]) -> None:
        self._handle = subscription.handle
        self.offsets: list[int] = []

    def __call__(self, session: Session, events: Sequence[Event[Any]]) -> None:
        self._handle(session, events)
        self.offsets += [event.record.offset for event in events if event.record is not None]


@pytest.mark.parametrize(
    ("service", "subscription"),
    [pytest.param(*pair, id=f"{pair[0]}-{pair[1].topic.name}") for pair in subscriptions()],
)
def test_every_record_is_applied_or_a_dead_letter(
    environment: Settings,
    monkeypatch: pytest.MonkeyPatch,
    service: str,
    subscription: Subscription[Any],
) -> None:
    # So has that on letters of records that nobody could sign.
    monkeypatch.setattr(refusals, "MAX_LETTERS", 1_000_000)
    own = database(service)
    applied = Applied(subscription)
    handler = BatchHandler(own, environment, replace(subscription, handle=applied))
    mutator = RecordMutator(subscription.topic, SEED)
    key = PartitionKey("fuzz", "fuzz", subscription.topic.name, 0)
    with own.transaction(PLATFORM) as session:
        # The limit on dead letters has tests of its own.
        OffsetRow(session, key)  # makes the row
        session.execute(sa.text("UPDATE consumer_offset SET dead_allowance = 1000000000"))
        session.execute(sa.text("DELETE FROM outbox"))
    total = HANDLED // len(subscriptions()) // BATCH * BATCH
    dead = 0
    started = time.perf_counter()
    for start in range(0, total, BATCH):
        batch = [
            sign(environment, mutator.record(offset)) for offset in range(start, start + BATCH)
        ]
        applied.offsets.clear()
        handler.commit(key, batch, start)
        letters = dead_offsets(own)
        dead += len(letters)
        assert sorted([*letters, *applied.offsets]) == list(range(start, start + BATCH))
        assert last_offset(own, key) == start + BATCH - 1
    seconds = time.perf_counter() - started
    sys.stdout.write(
        f"\n{service} handled {total:,} records of {subscription.topic.name} in {seconds:,.1f} s: "
        f"{total - dead:,} applied, {dead:,} dead letters, 0 lost\n"
    )
    assert 0 < dead < total


def sign(settings: Settings, record: ConsumedRecord) -> ConsumedRecord:
    """The record as its topic's owner signs it; as it is if nobody can."""
    with suppress(InvalidInput):
        headers = sign_headers(settings, record.topic, record.key, record.value, record.headers)
        return replace(record, headers=headers)
    return record


def dead_offsets(own: Database) -> list[int]:
    """The offsets of whole records among the dead letters, which leave the outbox by this."""
    with own.transaction(PLATFORM) as session:
        query = "DELETE FROM outbox RETURNING topic, headers"
        rows = list(session.execute(sa.text(query)))
    offsets = []
    for topic, pairs in rows:
        headers = dict(pairs)
        is_part = "the rest of the chunk was" in headers.get("dead-reason", "")
        if topic.endswith(".dead") and not is_part:
            offsets.append(int(headers["dead-origin"].rpartition("/")[2]))
    return offsets


def last_offset(own: Database, key: PartitionKey) -> int:
    with own.transaction(PLATFORM) as session:
        return OffsetRow(session, key).last
