"""A full statement is all that a source asserts, whatever arrives when and however often.

The property compares the real handler on a real PostgreSQL with a model that knows, of each run,
what it lists.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shared.database import Database
from shared.events import Event, FeedRef
from shared.events.feeds import Indicator, IndicatorsObserved
from shared.stix import bucket
from shared.stix.ids import BUCKETS, bucket_range, observable_id
from tests.observables.conftest import FEED, OTHER, TABLES, after, changes, chunk, handle

VALUES = [f"45.77.{number}.7" for number in range(120)]
BY_BUCKET: dict[int, list[str]] = defaultdict(list)
for address in VALUES:
    BY_BUCKET[bucket(observable_id("ipv4-addr", address))].append(address)
STREAM = FeedRef(FEED.id, FEED.name, FEED.reliability, kind="stream")
"""Its repetitions of one day are noted, and not written."""
FIRST, SECOND = sorted(BY_BUCKET, key=lambda number: len(BY_BUCKET[number]))[-2:]


def indicators(values: Iterable[str], confidence: int | None = None) -> list[Indicator]:
    return [Indicator("ipv4-addr", value, confidence=confidence) for value in values]


def live(own: Database, feed: FeedRef = FEED, tenant: str = "acme") -> set[str]:
    """The values that a source asserts."""
    query = sa.text(
        "SELECT value FROM assertion a JOIN observable o ON o.tenant = a.tenant AND "
        "o.id = a.observable_id WHERE a.tenant = :tenant AND a.source_id = :source "
        "AND a.retracted_at IS NULL"
    )
    with own.transaction(tenant) as session:
        return set(session.scalars(query, {"tenant": tenant, "source": feed.id}))


def corrected(own: Database, run: UUID) -> list[int | None]:
    query = sa.text(
        "SELECT corrected FROM run_chunk WHERE run_id = :run AND statement_chunks IS NOT NULL "
        "ORDER BY bucket"
    )
    with own.transaction("acme") as session:
        return list(session.scalars(query, {"run": run}))


@pytest.mark.parametrize("number", range(BUCKETS))
def test_a_bucket_is_a_range_of_ids(number: int) -> None:
    first, last = bucket_range(number)
    assert bucket(first) == bucket(last) == number
    assert number == 0 or bucket_range(number - 1)[1] < first
    assert int(UUID(first)) == (int(UUID(bucket_range(number - 1)[1])) + 1 if number else 0)
    assert number < BUCKETS - 1 or int(UUID(last)) == 2**128 - 1


def test_a_full_statement_retracts_what_it_does_not_list(own: Database) -> None:
    first, *dropped = BY_BUCKET[FIRST]
    elsewhere = BY_BUCKET[SECOND]
    handle(own, chunk(*indicators([first, *dropped]), into=FIRST))
    handle(own, chunk(*indicators(elsewhere), into=SECOND))
    handle(own, chunk(*indicators(dropped), into=FIRST, feed=OTHER))
    changes(own)
    run = uuid4()
    handle(own, chunk(*indicators([first]), into=FIRST, at=after(60), run=run, statement=1))
    assert live(own) == {first, *elsewhere}
    assert live(own, OTHER) == set(dropped)
    assert changes(own) == sorted((value, "changed", 45, 85) for value in dropped)
    assert corrected(own, run) == [len(dropped)]
    with own.transaction("acme") as session:
        past = session.scalar(sa.text("SELECT count(*) FROM assertion_past"))
        retracted = set(session.scalars(sa.text("SELECT retracted_at FROM assertion")))
    assert past == len(dropped) + 1  # the one that is listed is written again
    assert len(retracted) == 2


def test_an_empty_chunk_states_that_nothing_is_listed(own: Database) -> None:
    values = BY_BUCKET[FIRST]
    handle(own, chunk(*indicators(values), into=FIRST))
    changes(own)
    handle(own, chunk(into=FIRST, at=after(60), statement=1))
    assert live(own) == set()
    assert changes(own) == sorted((value, "expired", 0, 72) for value in values)


def test_a_statement_waits_for_its_missing_chunk(own: Database) -> None:
    values = BY_BUCKET[FIRST]
    handle(own, chunk(*indicators(values), into=FIRST))
    run = uuid4()
    first = chunk(*indicators(values[:1]), into=FIRST, at=after(60), run=run)
    last = chunk(*indicators(values[1:2]), into=FIRST, at=after(60), run=run, number=1, statement=2)
    handle(own, last)
    assert live(own) == set(values)
    assert corrected(own, run) == [None]
    handle(own, last)
    assert corrected(own, run) == [None]
    handle(own, first)
    assert live(own) == set(values[:2])
    assert corrected(own, run) == [len(values) - 2]


def test_a_statement_that_is_repeated_changes_nothing(own: Database) -> None:
    values = BY_BUCKET[FIRST]
    handle(own, chunk(*indicators(values), into=FIRST))
    run = uuid4()
    statement = chunk(*indicators(values[:1]), into=FIRST, at=after(60), run=run, statement=1)
    handle(own, statement)
    handle(own, chunk(*indicators(values), into=FIRST, at=after(90)))
    changes(own)
    handle(own, statement)
    assert live(own) == set(values)
    assert changes(own) == []
    assert corrected(own, run) == [len(values) - 1]


def test_an_older_statement_retracts_nothing_that_a_newer_run_lists(own: Database) -> None:
    values = BY_BUCKET[FIRST]
    handle(own, chunk(*indicators(values[:2]), into=FIRST))
    handle(own, chunk(*indicators(values[1:]), into=FIRST, at=after(60)))
    handle(own, chunk(into=FIRST, at=after(30), statement=1))
    assert live(own) == set(values[1:])


def test_what_an_older_run_lists_is_over_when_it_comes_after_the_statement(own: Database) -> None:
    values = BY_BUCKET[FIRST]
    handle(own, chunk(*indicators(values[:1]), into=FIRST, at=after(60), statement=1))
    changes(own)
    handle(own, chunk(*indicators(values), into=FIRST, at=after(30)))
    assert live(own) == {values[0]}
    assert changes(own) == []
    handle(own, chunk(*indicators(values), into=FIRST, at=after(90)))
    assert live(own) == set(values)


def test_what_is_listed_with_properties_that_cannot_be_stored_is_not_retracted(
    own: Database,
) -> None:
    intact, refused, dropped = BY_BUCKET[FIRST][:3]
    handle(own, chunk(*indicators([intact, refused, dropped]), into=FIRST))
    changes(own)
    listed = [*indicators([intact]), *indicators([refused], 101)]
    run = uuid4()
    handle(own, chunk(*listed, into=FIRST, at=after(60), run=run, statement=1))
    assert live(own) == {intact, refused}
    assert corrected(own, run) == [1]
    # A run before it that arrives late retracts it no more either.
    handle(own, chunk(gone=indicators([refused]), into=FIRST, at=after(30)))
    assert live(own) == {intact, refused}
    handle(own, chunk(*indicators([intact]), into=FIRST, at=after(90), statement=1))
    assert live(own) == {intact}


def test_what_a_stream_only_repeated_is_listed(own: Database) -> None:
    values = BY_BUCKET[FIRST]
    handle(own, chunk(*indicators(values), into=FIRST, feed=STREAM, at=after(0)))
    repeats = indicators(values[1:])
    handle(own, chunk(*repeats, into=FIRST, feed=STREAM, at=after(1), statement=1))
    assert live(own, STREAM) == set(values[1:])


def test_a_repetition_of_a_list_writes_only_what_differs(own: Database) -> None:
    values = BY_BUCKET[FIRST]
    handle(own, chunk(*indicators(values), into=FIRST))
    repeated = [*indicators(values[:1], 30), *indicators(values[1:-1])]
    statement = chunk(*repeated, into=FIRST, at=after(60), statement=1, is_repetition=True)
    changes(own)
    handle(own, statement)
    assert live(own) == {*values[:-1]}
    expected = [(values[0], "changed", 24, 72), (values[-1], "expired", 0, 72)]
    assert changes(own) == sorted(expected)
    with own.transaction("acme") as session:
        past = session.scalar(sa.text("SELECT count(*) FROM assertion_past"))
        noted = session.scalar(sa.text("SELECT sum(length(repeated)) / 16 FROM run_chunk"))
    assert (past, noted) == (2, len(values) - 2)
    # What was noted counts: an older retraction comes too late.
    handle(own, chunk(gone=indicators(values[1:2]), into=FIRST, at=after(30)))
    assert live(own) == {*values[:-1]}


def test_a_public_statement_marks_the_rows_of_other_tenants_due(own: Database) -> None:
    value = BY_BUCKET[FIRST][0]
    for tenant, feed in (("public", FEED), ("acme", OTHER)):
        event = chunk(*indicators([value]), feed=feed, into=FIRST, tenant=tenant)
        handle(own, event, tenant=tenant)
    with own.transaction("acme") as session:
        session.execute(sa.text("UPDATE observable SET due_at = NULL WHERE tenant = 'acme'"))
    handle(own, chunk(into=FIRST, at=after(5), tenant="public", statement=1), tenant="public")
    assert live(own, tenant="public") == set()
    with own.transaction("acme") as session:
        query = sa.text("SELECT due_at <= now() FROM observable WHERE tenant = 'acme'")
        assert session.scalar(query) is True


class ModelRun(NamedTuple):
    """A run: when, how much it lists of each bucket, and whether that is all."""

    minute: int
    listed: dict[int, tuple[tuple[str, ...], ...]]
    is_full: bool
    is_repetition: bool


@st.composite
def _runs(draw: st.DrawFn) -> list[ModelRun]:
    runs = []
    for minute in draw(st.lists(st.integers(1, 50), min_size=1, max_size=5, unique=True)):
        listed = {}
        for number in (FIRST, SECOND):
            values = st.sampled_from(BY_BUCKET[number][:5])
            chunk_values = st.lists(values, max_size=3, unique=True).map(tuple)
            listed[number] = tuple(draw(st.lists(chunk_values, min_size=1, max_size=3)))
        runs.append(ModelRun(minute, listed, draw(st.booleans()), draw(st.booleans())))
    return runs


def _events(run: ModelRun, feed: FeedRef) -> list[Event[IndicatorsObserved]]:
    identity = uuid4()
    events = []
    for number, lists in run.listed.items():
        for place, values in enumerate(lists):
            is_last = run.is_full and place == len(lists) - 1
            events.append(
                chunk(
                    *indicators(values),
                    feed=feed,
                    at=after(run.minute),
                    run=identity,
                    into=number,
                    number=place,
                    statement=len(lists) if is_last else None,
                    is_repetition=run.is_repetition,
                )
            )
    return events


def _expected(runs: list[ModelRun]) -> set[str]:
    """All that was listed since the newest full statement, it included."""
    full = max((run.minute for run in runs if run.is_full), default=0)
    return {
        value
        for run in runs
        if run.minute >= full
        for lists in run.listed.values()
        for values in lists
        for value in values
    }


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), runs=_runs(), feed=st.sampled_from([FEED, STREAM]))
def test_in_any_order_a_source_asserts_what_its_newest_statement_and_later_runs_list(
    own: Database, data: st.DataObject, runs: list[ModelRun], feed: FeedRef
) -> None:
    with own.engine.begin() as connection:
        for table in TABLES:
            connection.execute(sa.text(f"DELETE FROM observables.{table}"))
    events = [event for run in runs for event in _events(run, feed)]
    repeated = data.draw(st.lists(st.sampled_from(events), max_size=4))
    order = data.draw(st.permutations([*events, *repeated]))
    cuts = data.draw(st.sets(st.integers(1, max(1, len(order) - 1)), max_size=6))
    start = 0
    for cut in sorted({*cuts, len(order)}):
        if part := order[start:cut]:
            handle(own, *part)
        start = cut
    assert live(own) == _expected(runs)


@hypothesis_settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), runs=_runs(), feed=st.sampled_from([FEED, STREAM]))
def test_with_chunks_missing_nothing_is_retracted_that_the_newest_statement_lists(
    own: Database, data: st.DataObject, runs: list[ModelRun], feed: FeedRef
) -> None:
    with own.engine.begin() as connection:
        for table in TABLES:
            connection.execute(sa.text(f"DELETE FROM observables.{table}"))
    newest = max(runs, key=lambda run: run.minute)
    others = [event for run in runs if run is not newest for event in _events(run, feed)]
    delivered = [event for event in others if data.draw(st.booleans())]
    handle(own, *data.draw(st.permutations([*delivered, *_events(newest, feed)])))
    listed = {value for lists in newest.listed.values() for part in lists for value in part}
    assert live(own) >= listed
    if newest.is_full:
        assert live(own) == listed
