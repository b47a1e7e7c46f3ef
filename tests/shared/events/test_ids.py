"""Ids of events are derived from their cause, and the ids of changes from theirs."""

import ast
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from shared.events import Event, content_id, derived_id
from shared.events.observables import CHANGED, Change, ObservablesChanged, change_id

SERVICES = Path(__file__).parents[3] / "services"
ID_POSITION = 5
CHANGE = Change("ipv4-addr--1", "ipv4-addr", "192.0.2.1", "changed", 80, 40)


def test_every_event_of_a_service_names_its_id() -> None:
    unnamed = []
    for path in sorted(SERVICES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            is_event = isinstance(node, ast.Call) and ast.unparse(node.func) == "Event"
            if is_event and len(node.args) <= ID_POSITION:
                names = {keyword.arg for keyword in node.keywords}
                if "id" not in names and "id_" not in names:
                    unnamed.append(f"{path.relative_to(SERVICES)}:{node.lineno}")
    assert unnamed == []


def test_the_same_cause_gives_the_same_id_and_another_another() -> None:
    assert derived_id("topic", UUID(int=1), 2) == derived_id("topic", str(UUID(int=1)), "2")
    assert derived_id("a", "bc") != derived_id("ab", "c")
    assert UUID(derived_id("a")).version == UUID(content_id("acme", b"{}")).version == 5
    assert content_id("acme", b"{}") != content_id("other", b"{}")


def event(*, run: UUID | None, source: str = "feed", tenant: str = "acme") -> Event:
    data = ObservablesChanged(UUID(int=0), source, [CHANGE], run)
    return Event(CHANGED, data, tenant, "/services/observables", id="e1")


def test_a_change_of_a_run_is_the_same_in_whatever_event_it_comes() -> None:
    first = event(run=UUID(int=1))
    # Restored to an earlier state, the service may see it as new, or as a smaller step.
    variants = [replace_change(kind="new", score_before=None), replace_change(score_before=60)]
    again = replace(first, id="e2")
    assert {change_id(again, variant) for variant in variants} == {change_id(first, CHANGE)}
    others = [
        change_id(event(run=UUID(int=2)), CHANGE),
        change_id(event(run=UUID(int=1), tenant="other"), CHANGE),
        change_id(first, replace_change(kind="expired")),
        change_id(first, replace_change(id="ipv4-addr--2")),
    ]
    assert len({change_id(first, CHANGE), *others}) == 5


def test_a_change_without_a_run_is_identified_by_its_cause_and_an_old_one_by_its_event() -> None:
    first = event(run=None, source="time")
    again = replace(first, id="e2")
    due = replace_change(cause="due 2026-11-30")
    assert change_id(first, due) == change_id(again, due)
    assert change_id(first, due) != change_id(first, replace_change(cause="due 2026-12-01"))
    assert change_id(first, CHANGE) != change_id(again, CHANGE)


def replace_change(**values: object) -> Change:
    fields = {name: getattr(CHANGE, name) for name in Change.__struct_fields__}
    return Change(**(fields | values))
