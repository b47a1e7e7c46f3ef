"""A dead letter can be made of whatever a record holds, and fits its topic."""

import os

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from shared.database import PLATFORM, database
from shared.events import MAX_EVENT_BYTES, ConsumedHeaders, ConsumedRecord
from shared.events.audit import RECORDED
from shared.kafka.letters import MAX_LETTER_BYTES, Letter, compose_letter
from shared.kafka.outbox import dead_letter
from shared.settings import Settings


def record(
    value: bytes = b"{}", headers: ConsumedHeaders = (), key: bytes | None = None
) -> ConsumedRecord:
    return ConsumedRecord("audit.recorded.v1", 3, 41, key, value, headers)


def size(letter: Letter) -> int:
    headers = sum(len(name.encode()) + len(value) + 16 for name, value in letter.headers)
    return len(letter.key or b"") + len(letter.value) + headers


def test_a_record_at_the_limit_of_its_topic_stays_whole() -> None:
    whole = record(os.urandom(2 * MAX_EVENT_BYTES - 16 * 2 - 2), [("a", b""), ("b", b"")])
    letter = compose_letter(whole, "x" * 100_000)
    headers = dict(letter.headers)
    assert letter.value == whole.value
    assert "dead-cut" not in headers
    assert headers["dead-origin"] == b"audit.recorded.v1/3/41"
    assert headers["dead-reason"] == b"x" * 2000
    assert size(letter) <= MAX_LETTER_BYTES


def test_what_does_not_fit_is_cut_and_the_letter_says_so() -> None:
    headers = [("ce_tenant", b"acme"), ("big", b"x" * 3_000_000), ("none", None)]
    letter = compose_letter(record(b"v" * 5_000_000, headers, b"k" * 5_000_000), "bad")
    assert size(letter) <= MAX_LETTER_BYTES
    added = dict(letter.headers)
    assert added["ce_tenant"] == b"acme"
    assert added["dead-cut"] == (
        b"1 headers are left out; the key had 5000000 bytes; the value had 5000000 bytes"
    )
    assert added["dead-empty"] == b"none"


@given(
    st.binary(),
    st.lists(st.tuples(st.text(st.characters(categories=None)), st.none() | st.binary())),
    st.none() | st.binary(),
    st.text(st.characters(categories=None)),
)
def test_any_record_becomes_a_letter_that_kafka_takes(
    value: bytes, headers: ConsumedHeaders, key: bytes | None, reason: str
) -> None:
    letter = compose_letter(record(value, headers, key), reason)
    assert (letter.key, letter.value) == (key, value)
    assert all(name.encode() is not None for name, _ in letter.headers)
    assert size(letter) <= MAX_LETTER_BYTES


@pytest.mark.parametrize("tenant", ["acme", "*", "", "a\0b", "Not A Tenant", "\ud800"])
def test_a_letter_of_any_tenant_is_stored(environment: Settings, tenant: str) -> None:
    own = database("observables")
    bad = record(b"\0\xff", [("a\0", b"\0"), ("n", None)], b"\0")
    with own.transaction(PLATFORM) as session:
        dead_letter(session, bad, "\0 \ud800", tenant=tenant, topic=RECORDED.name)
    with own.transaction(PLATFORM) as session:
        query = "DELETE FROM outbox RETURNING tenant, topic, payload, key"
        row = session.execute(sa.text(query)).one()
    owner = tenant if tenant == "acme" else PLATFORM
    assert tuple(row) == (owner, "audit.recorded.v1.dead", b"\0\xff", b"\0")
