"""The marking that a change carries: the strictest of sources and assertions that hold."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from services.observables.lookup.read_models import _assertion_view
from services.observables.scoring.inputs import ObservableState
from services.observables.store.changes import build_change, change_events
from services.observables.store.incoming import AssertingSource, AssertionData, IncomingAssertion
from services.observables.store.plan import build_plan
from shared.events.observables import Change
from shared.stix.markings import MARKINGS

NOW = datetime(2026, 11, 1, tzinfo=UTC)
IDENTITY = "10000000-0000-5000-8000-000000000000"


def source(tlp: str) -> AssertingSource:
    return AssertingSource(str(UUID(int=1)), "feed", 80, NOW, tenant="acme", tlp=tlp)


def data(*tags: str) -> AssertionData:
    return AssertionData(80, tags, None, NOW, None)


def state() -> ObservableState:
    return ObservableState("ipv4-addr", "192.0.2.1", 0, {})


@pytest.mark.parametrize(
    ("tlp", "tags", "marking"),
    [
        ("clear", (), "clear"),
        ("clear", ("tlp:red",), "red"),
        ("amber", ("tlp:clear",), "amber"),
        ("green", ("marking:unknown",), "closed"),
        ("", ("pap:amber",), "clear"),
    ],
)
def test_new_and_changed_observables_carry_the_stricter_marking(
    tlp: str, tags: tuple[str, ...], marking: str
) -> None:
    incoming = IncomingAssertion(IDENTITY, "ipv4-addr", "192.0.2.1", data(*tags))
    (new,) = build_plan(source(tlp), [incoming], [], {}).changes
    stored = source(tlp).stored(data(*tags))
    changed = build_change(IDENTITY, state(), state(), 50, [stored], NOW)
    assert (new.tlp, changed.tlp) == (marking, marking)
    assert _assertion_view(stored).tlp == (marking if tlp else "")


def test_the_strictest_of_all_assertions_counts() -> None:
    active = [source("clear").stored(data()), source("green").stored(data("tlp:amber"))]
    assert build_change(IDENTITY, None, state(), 50, active, NOW).tlp == "amber"


@pytest.mark.parametrize("marking", MARKINGS)
def test_an_event_says_the_marking_unless_it_is_clear(marking: str) -> None:
    change = Change(f"ipv4-addr--{IDENTITY}", "ipv4-addr", "192.0.2.1", "new", 50, tlp=marking)
    (event,) = change_events([change], "acme", UUID(int=1), "feed")
    (encoded,) = msgspec.json.decode(event.payload())["changes"]
    assert encoded.get("tlp", "clear") == marking
