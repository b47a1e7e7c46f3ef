"""Changes are announced, whatever labels they have: every event stays below the limit."""

from uuid import UUID, uuid5

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from services.observables.store.changes import change_events
from shared.database import PLATFORM, Database
from shared.events import MAX_EVENT_BYTES
from shared.events.chunks import MAX_ITEMS
from shared.events.feeds import Indicator, IndicatorsObserved
from shared.events.observables import Change, ObservablesChanged
from shared.stix import bucket
from shared.stix.ids import observable_id
from tests.observables.conftest import chunk, handle, outbox

RUN = UUID(int=7)
FIVE_LONG = tuple(f"{number}{'x' * 99}" for number in range(5))
TEN_SHORTER = tuple(f"{number}{'y' * 59}" for number in range(10))


def decoded(payloads: list[bytes]) -> list[ObservablesChanged]:
    assert all(len(payload) <= MAX_EVENT_BYTES for payload in payloads)
    return [msgspec.json.decode(payload, type=ObservablesChanged) for payload in payloads]


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(
        st.lists(st.text(min_size=1, max_size=120), max_size=8).map(tuple), min_size=1, max_size=8
    ),
    count=st.integers(1, 2_500),
    source=st.text(max_size=200),
)
def test_any_changes_become_events_below_the_limit(
    labels: list[tuple[str, ...]], count: int, source: str
) -> None:
    changes = [
        Change(
            f"ipv4-addr--{uuid5(RUN, str(number))}",
            "ipv4-addr",
            f"v{number}",
            "new",
            50,
            tags=labels[number % len(labels)],
        )
        for number in range(count)
    ]
    events = list(change_events(changes, "acme", RUN, source, RUN))
    by_bucket: dict[int, list[Change]] = {}
    for payload, event in zip(decoded([event.payload() for event in events]), events, strict=True):
        assert payload == event.data
        assert len(payload.changes) <= MAX_ITEMS
        assert event.key is not None
        by_bucket.setdefault(int(event.key), []).extend(payload.changes)
    expected: dict[int, list[Change]] = {}
    for change in changes:
        expected.setdefault(bucket(change.id[-36:]), []).append(change)
    assert by_bucket == expected


def test_an_observable_with_more_labels_than_an_event_takes_is_announced_with_those_that_fit() -> (
    None
):
    tags = tuple(f"{number:06}{'z' * 1_000}" for number in range(1_000))
    change = Change(f"ipv4-addr--{RUN}", "ipv4-addr", "192.0.2.1", "new", 50, tags=tags)
    (event,) = change_events([change], "acme", RUN, "s")
    (payload,) = decoded([event.payload()])
    shown = payload.changes[0].tags
    assert 0 < len(shown) < len(tags)
    assert shown == tags[: len(shown)]


@pytest.mark.parametrize("tags", [FIVE_LONG, TEN_SHORTER])
@pytest.mark.parametrize("total", [1_000, 40_000])
def test_indicators_with_long_tags_are_all_stored_and_announced(
    own: Database, tags: tuple[str, ...], total: int
) -> None:
    # As the feeds service sends them: the feed's tags once for each chunk.
    for start in range(0, total, 1_000):
        listed = [_address(start + number) for number in range(1_000)]
        event = chunk(*listed, run=RUN, number=start // 1_000)
        _set_tags(event.data, tags)
        handle(own, event)
    announced = decoded(outbox(own))
    assert len({change.id for payload in announced for change in payload.changes}) == total
    assert all(set(tags) <= set(change.tags) for data in announced for change in data.changes)
    with own.transaction(PLATFORM) as session:
        count = sa.text("SELECT count(*) FROM assertion WHERE tags @> :tags")
        assert session.execute(count, {"tags": list(tags)}).scalar_one() == total


def test_an_indicator_that_is_too_large_is_a_dead_letter_and_the_rest_is_stored(
    own: Database,
) -> None:
    large = Indicator("ipv4-addr", "192.0.2.1", tags=tuple("t" * 1_000 for _ in range(200)))
    event = chunk(large, Indicator("ipv4-addr", "192.0.2.2"))
    handle(own, event)
    with own.transaction(PLATFORM) as session:
        query = sa.text("SELECT headers FROM outbox WHERE topic = 'feeds.observed.v1.dead'")
        (headers,) = session.scalars(query)
    assert "seen[0]: its tags have more than" in dict(headers)["dead-reason"]
    (payload,) = decoded(outbox(own))
    assert [change.id for change in payload.changes] == [
        f"ipv4-addr--{observable_id('ipv4-addr', '192.0.2.2')}"
    ]


def _address(number: int) -> Indicator:
    return Indicator("ipv4-addr", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")


def _set_tags(data: IndicatorsObserved, tags: tuple[str, ...]) -> None:
    data.tags = tags
