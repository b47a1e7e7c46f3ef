"""Only the service that owns a type can make its records, and nobody can change one."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.events import CATALOGUE, ConsumedRecord, Event
from shared.events.audit import RECORDED, Recorded
from shared.events.feeds import HEALTH
from shared.events.mitre import TECHNIQUES
from shared.events.signature import SIGNATURE, EventSigner, EventVerifier
from shared.keys import OPERATOR
from shared.settings import SERVICES, Settings
from shared.signing import Unauthentic

SETTINGS = Settings.model_construct(
    secret_key=SecretStr("a-secret-key-for-tests-of-more-than-32-characters")
)
VERIFIER = EventVerifier(SETTINGS)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def record(topic: Any = RECORDED, signer: str = "feeds") -> ConsumedRecord:
    data = Recorded("kim", "feeds.create", "42")
    event = Event(topic, data, "acme", "/services/feeds", b"acme", id="1", traceparent=TRACE)
    payload = event.payload()
    headers = EventSigner(SETTINGS, signer).sign(topic.name, event.key, payload, event.headers())
    return ConsumedRecord(topic.name, 0, 7, event.key, payload, headers, 1_000)


@pytest.mark.parametrize("topic", CATALOGUE, ids=lambda topic: topic.name)
@pytest.mark.parametrize("signer", SERVICES)
def test_a_type_comes_from_its_owner_alone(topic: Any, signer: str) -> None:
    """The audit is everybody's."""
    if topic.name.startswith((f"{signer}.", "audit.")):
        assert VERIFIER.verify(topic, record(topic, signer)) == signer
    else:
        with pytest.raises(Unauthentic, match=f"{signer} may not send"):
            VERIFIER.verify(topic, record(topic, signer))


def test_an_operator_sends_any_record_again() -> None:
    assert VERIFIER.verify(TECHNIQUES, record(TECHNIQUES, OPERATOR)) == OPERATOR


def test_a_record_is_of_one_topic() -> None:
    good = record(HEALTH)
    with pytest.raises(Unauthentic):
        VERIFIER.verify(RECORDED, replace(good, topic=RECORDED.name))


HEADERS = ("ce_id", "ce_type", "ce_source", "ce_time", "ce_tenant", "traceparent")


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("change", ["other", "missing", "repeated", "empty"])
def test_no_attribute_can_be_changed(name: str, change: str) -> None:
    headers = list(record().headers)
    place = [header for header, _ in headers].index(name)
    if change == "other":
        headers[place] = (name, b"public")
    elif change == "missing":
        del headers[place]
    elif change == "repeated":
        headers.append(headers[place])
    else:
        headers[place] = (name, None)
    with pytest.raises(Unauthentic):
        VERIFIER.verify(RECORDED, replace(record(), headers=headers))


def test_neither_payload_nor_key_can_be_changed() -> None:
    for change in ({"value": b"{}"}, {"key": b"other"}, {"key": None}, {"key": b""}):
        with pytest.raises(Unauthentic):
            VERIFIER.verify(RECORDED, replace(record(), **change))


def test_two_signatures_are_none() -> None:
    good = record()
    doubled = [*good.headers, (SIGNATURE, dict(good.headers)[SIGNATURE])]
    with pytest.raises(Unauthentic, match="no such form"):
        VERIFIER.verify(RECORDED, replace(good, headers=doubled))


def test_unsigned_records_are_read_from_before_the_migration_alone() -> None:
    good = record()
    unsigned = replace(good, headers=[pair for pair in good.headers if pair[0] != SIGNATURE])
    assert VERIFIER.verify(RECORDED, unsigned, 1_001) == ""
    for until, timestamp in ((0, 1_000), (1_000, 1_000), (1_001, 0), (1_001, -1)):
        with pytest.raises(Unauthentic, match="Nobody has signed"):
            VERIFIER.verify(RECORDED, replace(unsigned, timestamp=timestamp), until)
    # A signature that is wrong is worse than none.
    with pytest.raises(Unauthentic):
        VERIFIER.verify(RECORDED, replace(good, value=b"{}"), 1_001)


names = st.sampled_from([*HEADERS, SIGNATURE]) | st.text(max_size=5)


@given(
    headers=st.lists(st.tuples(names, st.none() | st.binary(max_size=300)), max_size=9),
    key=st.none() | st.binary(max_size=5),
    value=st.binary(max_size=50),
)
def test_whatever_a_stranger_writes_is_refused_and_raises_nothing_else(
    headers: list[tuple[str, bytes | None]], key: bytes | None, value: bytes
) -> None:
    with pytest.raises(Unauthentic):
        VERIFIER.verify(RECORDED, ConsumedRecord(RECORDED.name, 0, 0, key, value, headers, 1))
