"""What is decided once for all that are alike is what each of them would come to by itself."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from services.observables.scoring.inputs import (
    ObservableState,
    RepeatedAssertion,
    SightingRow,
    StoredAssertion,
)
from services.observables.store import plan as plan_module
from services.observables.store.incoming import (
    AssertingSource,
    AssertionData,
    IncomingAssertion,
    IngestPlan,
)
from services.observables.store.plan import build_plan
from shared.stix.ids import observable_id

START = datetime(2026, 12, 1, 8, tzinfo=UTC)
RUN = START + timedelta(minutes=10)
SOURCE = AssertingSource("11111111-1111-1111-1111-111111111111", "mine", 50, RUN, tenant="acme")
OTHER = "22222222-2222-2222-2222-222222222222"
COUNT = 40
"""Observables of each kind; each kind is decided once."""

Assertions = dict[str, StoredAssertion]


def stored(source: str = SOURCE.id, **values: Any) -> StoredAssertion:
    return StoredAssertion(
        "acme", source, source, "", START, 50, 90, ("c2",), (), None, START, None, None, "stream",
        None, START,
    )._replace(**values)  # fmt: skip


def kinds() -> list[Assertions]:
    """What may be stored about an observable: each a kind that many share."""
    active = stored()
    over = stored(retracted_at=START + timedelta(minutes=5))
    repeated = RepeatedAssertion._make(stored(observed_at=RUN + timedelta(minutes=1)))
    late = stored(observed_at=RUN + timedelta(minutes=1))
    other = stored(OTHER, confidence=30, tags=("scan",))
    return [
        {},
        {SOURCE.id: active},
        {SOURCE.id: over},
        {SOURCE.id: repeated},
        {SOURCE.id: late},
        {OTHER: other},
        {SOURCE.id: active, OTHER: other},
    ]


def states() -> dict[str, ObservableState]:
    """Observables of every kind, some of whom something was seen as well."""
    sighting = SightingRow("s", "seen", 3, "dmz", "", START, START, "sensor")
    rows: dict[str, ObservableState] = {}
    for kind, (assertions, type_) in enumerate(product(kinds(), ("domain-name", "url"))):
        for number in range(COUNT):
            value = f"host{number}.kind{kind}.example"
            value = value if type_ == "domain-name" else f"https://{value}/"
            sightings = (sighting,) if number == 7 else ()
            rows[observable_id(type_, value)] = ObservableState(
                type_,
                value,
                45 if any(row.active(START) for row in assertions.values()) else 0,
                dict(assertions),
                scored_at=START,
                due=START + timedelta(days=3),
                reported=bool(sightings),
                sightings=sightings,
            )
    return rows


def plan_of(rows: dict[str, ObservableState], reports: Sequence[IncomingAssertion]) -> IngestPlan:
    asserted = [report for report in reports if not report.data.retracted]
    return build_plan(SOURCE, asserted, [row for row in reports if row.data.retracted], rows)


SAID = AssertionData(90, ("c2",), None, RUN, None)
REPORTS = {
    "the same": SAID,
    "stronger": SAID._replace(confidence=95, malware="emotet"),
    "seen earlier": SAID._replace(first_seen=START - timedelta(days=1)),
    "over": AssertionData(0, (), None, RUN, None, retracted=True),
}


@pytest.mark.parametrize("name", list(REPORTS))
def test_many_come_to_what_each_comes_to(name: str) -> None:
    rows = states()
    reports = [
        IncomingAssertion(identity, row.type, row.value, REPORTS[name])
        for identity, row in rows.items()
    ]
    together = plan_of(rows, reports)
    alone = [plan_of({report.id: rows[report.id]}, [report]) for report in reports]
    for field in IngestPlan._fields:
        each = [entry for plan in alone for entry in getattr(plan, field)]
        assert getattr(together, field) == each, field
    assert together != plan_of({}, [])


def test_a_take_back_computes_no_score_per_observable(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = stored()
    rows = {
        observable_id("domain-name", f"host{number}.example"): ObservableState(
            "domain-name", f"host{number}.example", 45, {SOURCE.id: shared}, scored_at=START
        )
        for number in range(2_000)
    }
    evaluate = plan_module.evaluate
    calls = []

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return evaluate(*arguments)

    monkeypatch.setattr(plan_module, "evaluate", counted)
    over = REPORTS["over"]
    reports = [IncomingAssertion(identity, "", "", over) for identity in rows]
    plan = plan_of(rows, reports)
    assert len(plan.retracted) == len(plan.changes) == len(plan.rescored) == len(rows)
    assert {change.value for change in plan.changes} == {row.value for row in rows.values()}
    assert len(calls) == 1
