"""Any bytes may stand in a record: parsing ends in an event, or in a refusal of that record."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidInput
from shared.events import ConsumedHeaders, ConsumedRecord, Event, parse
from shared.events.audit import RECORDED, Recorded

DECODER = msgspec.json.Decoder(Recorded)
GOOD = Event(RECORDED, Recorded("kim", "feeds.create", "x"), "acme", "/services/feeds")


def record(value: bytes = GOOD.payload(), headers: ConsumedHeaders = ()) -> ConsumedRecord:
    replaced = {name for name, _ in headers}
    others = [(name, text) for name, text in GOOD.headers() if name not in replaced]
    return ConsumedRecord(RECORDED.name, 0, 0, None, value, [*others, *headers])


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (record(b'{"actor": "\xff", "action": "", "target": ""}'), "does not fit"),
        (record(b"[" * 100_000), "does not fit"),
        (record(b'{"x":' * 100_000), "does not fit"),
        (record(b""), "does not fit"),
        (record(headers=[("ce_id", None)]), "ce_id has no value"),
        (record(headers=[("ce_id", b"\xff\xfe")]), "ce_id is no UTF-8"),
        (record(headers=[("ce_id", b"a\x00b")]), "ce_id contains NUL"),
        (record(headers=[("ce_id", b"x" * 5000)]), "ce_id has 5,000 bytes"),
        (record(headers=[("ce_id", b"1"), ("ce_id", b"2")]), "repeats the header ce_id"),
        (record(headers=[("ce_tenant", b"acme"), ("ce_tenant", b"other")]), "repeats"),
        (record(headers=[("ce_tenant", b"*")]), "no name of a tenant"),
        (record(headers=[("ce_tenant", b"")]), "lacks the header ce_tenant"),
        (record(headers=[("ce_tenant", b"Acme Ltd")]), "no name of a tenant"),
        (record(headers=[("ce_tenant", b"x" * 64)]), "no name of a tenant"),
        (record(headers=[("ce_tenant", b"a\x00")]), "contains NUL"),
        (record(headers=[("traceparent", None)]), "traceparent has no value"),
    ],
)
def test_a_bad_record_is_refused(bad: ConsumedRecord, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        parse(RECORDED, bad, DECODER)


def test_other_headers_may_hold_anything() -> None:
    others: ConsumedHeaders = [("x", None), ("x", b"\xff"), ("y", b"\0" * 100_000)]
    assert parse(RECORDED, record(headers=others), DECODER).data == GOOD.data


names = st.sampled_from([name for name, _ in GOOD.headers()]) | st.text(max_size=5)


@given(
    st.binary() | st.just(GOOD.payload()),
    st.lists(st.tuples(names, st.none() | st.binary(max_size=40))),
)
def test_parsing_never_fails_otherwise(value: bytes, headers: ConsumedHeaders) -> None:
    try:
        event = parse(RECORDED, record(value, headers), DECODER)
    except InvalidInput:
        return
    assert event.tenant == "acme" or event.tenant in {
        (text or b"").decode() for name, text in headers if name == "ce_tenant"
    }
    assert event.tenant != "*"
