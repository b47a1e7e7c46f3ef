"""A tenant's access to an enricher: whose key, which queue, which limits, which markings."""

from typing import Any
from uuid import UUID

import pytest

from services.observables.enrichment.rate_limiter import QuotaLimits
from services.observables.enrichment.settings.access import Access, accesses, queue_id
from services.observables.enrichment.settings.models import EnricherSetting
from services.observables.providers.base import RateLimit
from shared.database import PUBLIC
from tests.observables.enrichment.enrichers import probe

KEYED = probe("keyed", key_fields=("key",), rate=RateLimit(4, 60), daily=500, concurrency=3)
OPTIONAL = probe("optional", key_fields=("key",), key_optional=True)
OPEN = probe("open", max_tlp="amber")
ENRICHERS = {enricher.name: enricher for enricher in (KEYED, OPTIONAL, OPEN)}
OWN_KEY = UUID(int=1)
LENT_KEY = UUID(int=2)


def setting(
    tenant: str, enricher: str = "keyed", key_id: UUID | None = None, **values: Any
) -> EnricherSetting:
    return EnricherSetting(tenant, enricher, key_id=key_id, **values)


def access(*settings: EnricherSetting, name: str = "keyed", tenant: str = "acme") -> Access:
    return accesses(tenant, settings, ENRICHERS)[name]


def test_every_enricher_has_an_access() -> None:
    assert accesses("acme", [], ENRICHERS).keys() == ENRICHERS.keys()


def test_an_enricher_that_needs_a_key_has_an_obstacle_without_one() -> None:
    result = access()
    assert result.obstacle == "Keyed needs a key, and none is set."
    assert access(name="optional").obstacle is None
    assert access(name="open").obstacle is None


def test_the_tenants_own_key_comes_before_the_one_that_is_lent() -> None:
    own = setting("acme", key_id=OWN_KEY)
    lent = setting(PUBLIC, key_id=LENT_KEY)
    result = access(lent, own)
    assert (result.owner, result.key_id, result.obstacle) == ("acme", OWN_KEY, None)
    result = access(lent, setting("acme", max_tlp="red"))
    assert (result.owner, result.key_id, result.obstacle) == (PUBLIC, LENT_KEY, None)


def test_a_key_of_another_tenant_gives_no_access() -> None:
    assert access(setting("rival", key_id=OWN_KEY)).obstacle is not None


def test_the_obstacle_says_who_switched_the_enricher_off() -> None:
    own = setting("acme", key_id=OWN_KEY)
    lent = setting(PUBLIC, key_id=LENT_KEY)
    off = setting("acme", key_id=OWN_KEY, enabled=False)
    assert access(off, lent).obstacle == "Keyed is switched off in this tenant."
    assert access(own, setting(PUBLIC, enabled=False)).obstacle == "Keyed is switched off."
    assert access(off, setting(PUBLIC, enabled=False)).obstacle == "Keyed is switched off."


def test_a_queue_is_what_the_provider_counts_by() -> None:
    lent = setting(PUBLIC, key_id=LENT_KEY)
    assert access(lent).queue_id == access(lent, tenant="rival").queue_id
    assert access(name="open").queue_id == access(name="open", tenant="rival").queue_id
    queues = {
        access(lent).queue_id,
        access().queue_id,
        access(setting("acme", key_id=OWN_KEY)).queue_id,
        access(setting("acme", key_id=LENT_KEY)).queue_id,
        access(setting("rival", key_id=OWN_KEY), tenant="rival").queue_id,
        access(name="open").queue_id,
    }
    assert len(queues) == 6
    assert access(setting("acme", key_id=OWN_KEY)).queue_id == queue_id("keyed", "acme", OWN_KEY)


def test_without_a_key_the_queue_is_the_operators_whatever_the_tenant_sets() -> None:
    assert (
        access(setting("acme", "open", max_tlp="clear"), name="open").queue_id
        == access(name="open").queue_id
    )


def test_the_limits_are_those_of_the_key() -> None:
    free = QuotaLimits(RateLimit(4, 60), 500, 3)
    paid = {"rate_calls": 100, "rate_seconds": 1.0, "daily": 20_000}
    assert access().limits == free
    assert access(setting("acme", key_id=OWN_KEY)).limits == free
    assert access(setting("acme", key_id=OWN_KEY, **paid)).limits == QuotaLimits(
        RateLimit(100, 1.0), 20_000, 3
    )
    assert access(setting("acme", key_id=OWN_KEY, daily=900)).limits == QuotaLimits(
        RateLimit(4, 60), 900, 3
    )
    assert access(setting(PUBLIC, key_id=LENT_KEY, **paid)).limits == QuotaLimits(
        RateLimit(100, 1.0), 20_000, 3
    )
    assert (
        access(setting("acme", key_id=OWN_KEY), setting(PUBLIC, key_id=LENT_KEY, **paid)).limits
        == free
    )


def test_a_tenant_does_not_set_the_limits_of_a_key_that_is_lent_to_it() -> None:
    paid = {"rate_calls": 100, "rate_seconds": 1.0, "daily": 20_000}
    assert access(setting("acme", **paid), setting(PUBLIC, key_id=LENT_KEY)).limits == QuotaLimits(
        RateLimit(4, 60), 500, 3
    )
    assert access(setting("acme", "open", **paid), name="open").limits.rate == OPEN.rate


@pytest.mark.parametrize(
    ("own", "lent", "expected"),
    [
        (None, None, "amber"),
        ("red", None, "red"),
        (None, "clear", "clear"),
        ("green", "clear", "green"),
    ],
)
def test_the_tenants_max_tlp_comes_before_the_operators(
    own: str | None, lent: str | None, expected: str
) -> None:
    rows = [setting("acme", "open", max_tlp=own), setting(PUBLIC, "open", max_tlp=lent)]
    assert access(*rows, name="open").max_tlp == expected
