"""The ids that a change and an assertion in an answer carry: of ATT&CK, and of STIX."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from services.observables.lookup.read_models import _assertion_view
from services.observables.scoring.inputs import ObservableState
from services.observables.store.changes import build_change
from services.observables.store.incoming import AssertingSource, AssertionData, IncomingAssertion
from services.observables.store.plan import build_plan
from shared.events.observables import Change
from shared.stix import standard_id, stix_id

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SOURCE = AssertingSource(str(UUID(int=1)), "feed", 80, NOW, tenant="acme", tlp="clear")
DATA = AssertionData(
    80, ("T1486", "cobaltstrike"), None, NOW, None, attack=("S0154", "T1059", "T1486")
)


def new_and_changed(type_: str, value: str) -> tuple[Change, Change]:
    identity = stix_id(type_, value)[-36:]
    incoming = IncomingAssertion(identity, type_, value, DATA)
    (new,) = build_plan(SOURCE, [incoming], [], {}).changes
    state = ObservableState(type_, value, 0, {})
    return new, build_change(identity, state, state, 50, [SOURCE.stored(DATA)], NOW)


def test_techniques_of_named_software_are_not_stated() -> None:
    for change in new_and_changed("ipv4-addr", "192.0.2.1"):
        assert change.attack == ("S0154", "T1059", "T1486")
        assert change.attack_stated == ("S0154", "T1486")
    view = _assertion_view(SOURCE.stored(DATA))
    assert (view.attack_stated, view.attack_inherited) == (("S0154", "T1486"), ("T1059",))


@pytest.mark.parametrize(
    ("type_", "value", "differs"),
    [("mutex", "Global\\x", True), ("x509-sha1", "a" * 40, True), ("url", "http://a.com/", False)],
)
def test_the_standards_id_is_told_where_the_key_is_another(
    type_: str, value: str, differs: bool
) -> None:
    for change in new_and_changed(type_, value):
        assert change.id == stix_id(type_, value)
        assert change.standard_id == (standard_id(type_, value) if differs else None)
        assert differs == (change.id != standard_id(type_, value))
