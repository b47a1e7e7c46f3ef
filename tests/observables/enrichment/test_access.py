"""How a tenant reaches an enricher: whose key, which lane, which limits, which markings, and what is in the way."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from services.observables.enrichment.rate_limiter import QuotaLimits
from services.observables.enrichment.settings.access import Access, accesses, queue_id
from services.observables.providers.base import RateLimit
from shared.database import PUBLIC
from tests.observables.enrichment.enrichers import probe

KEYED = probe("keyed", key_fields=("key",), rate=RateLimit(4, 60), daily=500, concurrency=3)
OPTIONAL = probe("optional", key_fields=("key",), key_optional=True)
OPEN = probe("open", max_tlp="amber")
KNOWN = {one.name: one for one in (KEYED, OPTIONAL, OPEN)}
OURS, THEIRS = UUID(int=1), UUID(int=2)


def setting(
    tenant: str, enricher: str = "keyed", key_id: UUID | None = None, **values: Any
) -> SimpleNamespace:
    limits = {
        "rate_calls": None,
        "rate_seconds": None,
        "daily": None,
        "max_tlp": None,
        "enabled": True,
    }
    return SimpleNamespace(tenant=tenant, enricher=enricher, key_id=key_id, **{**limits, **values})


def way(*settings: Any, name: str = "keyed", tenant: str = "acme") -> Access:
    return accesses(tenant, settings, KNOWN)[name]


def test_there_is_a_way_for_every_enricher() -> None:
    assert accesses("acme", [], KNOWN).keys() == KNOWN.keys()


def test_without_a_key_there_is_no_way_where_one_is_wanted() -> None:
    found = way()
    assert found.obstacle == "Keyed wants a key, and none is set."
    assert way(name="optional").obstacle is None
    assert way(name="open").obstacle is None


def test_the_tenants_own_key_comes_before_the_one_that_is_lent() -> None:
    own, lent = setting("acme", key_id=OURS), setting(PUBLIC, key_id=THEIRS)
    found = way(lent, own)
    assert (found.owner, found.key_id, found.obstacle) == ("acme", OURS, None)
    found = way(lent, setting("acme", max_tlp="red"))
    assert (found.owner, found.key_id, found.obstacle) == (PUBLIC, THEIRS, None)


def test_a_key_of_another_tenant_is_no_way() -> None:
    assert way(setting("rival", key_id=OURS)).obstacle is not None


def test_whoever_switches_it_off_is_named() -> None:
    own, lent = setting("acme", key_id=OURS), setting(PUBLIC, key_id=THEIRS)
    off = setting("acme", key_id=OURS, enabled=False)
    assert way(off, lent).obstacle == "Keyed is switched off in this tenant."
    assert way(own, setting(PUBLIC, enabled=False)).obstacle == "Keyed is switched off."
    assert way(off, setting(PUBLIC, enabled=False)).obstacle == "Keyed is switched off."


def test_a_lane_is_what_the_provider_counts_by() -> None:
    lent = setting(PUBLIC, key_id=THEIRS)
    assert way(lent).lane == way(lent, tenant="rival").lane
    assert way(name="open").lane == way(name="open", tenant="rival").lane
    lanes = {
        way(lent).lane,
        way().lane,
        way(setting("acme", key_id=OURS)).lane,
        way(setting("acme", key_id=THEIRS)).lane,
        way(setting("rival", key_id=OURS), tenant="rival").lane,
        way(name="open").lane,
    }
    assert len(lanes) == 6
    assert way(setting("acme", key_id=OURS)).lane == queue_id("keyed", "acme", OURS)


def test_what_has_no_key_has_the_operators_lane_whatever_the_tenant_sets() -> None:
    assert way(setting("acme", "open", max_tlp="clear"), name="open").lane == way(name="open").lane


def test_the_limits_are_those_of_the_key() -> None:
    free = QuotaLimits(RateLimit(4, 60), 500, 3)
    paid = {"rate_calls": 100, "rate_seconds": 1.0, "daily": 20_000}
    assert way().plan == free
    assert way(setting("acme", key_id=OURS)).plan == free
    assert way(setting("acme", key_id=OURS, **paid)).plan == QuotaLimits(
        RateLimit(100, 1.0), 20_000, 3
    )
    assert way(setting("acme", key_id=OURS, daily=900)).plan == QuotaLimits(
        RateLimit(4, 60), 900, 3
    )
    assert way(setting(PUBLIC, key_id=THEIRS, **paid)).plan == QuotaLimits(
        RateLimit(100, 1.0), 20_000, 3
    )
    assert way(setting("acme", key_id=OURS), setting(PUBLIC, key_id=THEIRS, **paid)).plan == free


def test_a_tenant_does_not_set_the_limits_of_a_key_that_is_lent_to_it() -> None:
    paid = {"rate_calls": 100, "rate_seconds": 1.0, "daily": 20_000}
    assert way(setting("acme", **paid), setting(PUBLIC, key_id=THEIRS)).plan == QuotaLimits(
        RateLimit(4, 60), 500, 3
    )
    assert way(setting("acme", "open", **paid), name="open").plan.rate == OPEN.rate


@pytest.mark.parametrize(
    ("own", "lent", "expected"),
    [
        (None, None, "amber"),
        ("red", None, "red"),
        (None, "clear", "clear"),
        ("green", "clear", "green"),
    ],
)
def test_how_far_markings_go_is_first_for_the_tenant_to_say(
    own: str | None, lent: str | None, expected: str
) -> None:
    rows = [setting("acme", "open", max_tlp=own), setting(PUBLIC, "open", max_tlp=lent)]
    assert way(*rows, name="open").max_tlp == expected
