"""How a tenant reaches each enricher: whose key, which limits, which markings. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast
from uuid import UUID, uuid5

from services.observables.enrichment.rate_limiter import QuotaLimits
from services.observables.providers.base import RateLimit, RemoteEnricher, Tlp
from shared.database import PUBLIC
from shared.stix.ids import SENTINELIQ_NAMESPACE


class Access(NamedTuple):
    """A tenant's way to one enricher.

    Attributes:
        obstacle: why there is none; None when there is one.
        owner: whose key it is; `public` where there is no key, or the operators lend theirs.
        key_id: of the key; None where none is needed.
        plan: what may be asked with it.
        max_tlp: the strictest marking that may be told.
    """

    enricher: RemoteEnricher
    obstacle: str | None
    owner: str
    key_id: UUID | None
    plan: QuotaLimits
    max_tlp: Tlp

    @property
    def lane(self) -> UUID:
        """The id of the lane that its questions wait in."""
        return queue_id(self.enricher.name, self.owner, self.key_id)


def queue_id(enricher: str, owner: str, key_id: UUID | None) -> UUID:
    """The id of a lane: what a provider counts by."""
    return uuid5(SENTINELIQ_NAMESPACE, f"lane\x1f{owner}\x1f{enricher}\x1f{key_id or ''}")


def accesses(
    tenant: str, settings: Sequence[Any], known: Mapping[str, RemoteEnricher]
) -> dict[str, Access]:
    """A tenant's ways to all enrichers, by name.

    Args:
        tenant: the tenant.
        settings: its own rows and those of `public`.
        known: the enrichers of this installation.
    """
    rows = {(row.tenant, row.enricher): row for row in settings}
    return {
        name: _access(one, rows.get((tenant, name)), rows.get((PUBLIC, name)))
        for name, one in known.items()
    }


def _access(enricher: RemoteEnricher, own: Any, lent: Any) -> Access:
    keyed = next((row for row in (own, lent) if row is not None and row.key_id is not None), None)
    obstacle = None
    if lent is not None and not lent.enabled:
        obstacle = f"{enricher.title} is switched off."
    elif own is not None and not own.enabled:
        obstacle = f"{enricher.title} is switched off in this tenant."
    elif enricher.key_fields and not enricher.key_optional and keyed is None:
        obstacle = f"{enricher.title} wants a key, and none is set."
    markings = (row.max_tlp for row in (own, lent) if row is not None and row.max_tlp is not None)
    max_tlp = cast("Tlp", next(markings, enricher.max_tlp))
    owner = keyed.tenant if keyed else PUBLIC
    return Access(
        enricher,
        obstacle,
        owner,
        keyed.key_id if keyed else None,
        limits_of(enricher, keyed or lent),
        max_tlp,
    )


def limits_of(enricher: RemoteEnricher, row: Any) -> QuotaLimits:
    """The limits of a key: those that its owner has set, else the provider's free ones."""
    if row is None:
        return QuotaLimits(enricher.rate, enricher.daily, enricher.concurrency)
    rate = enricher.rate if row.rate_calls is None else RateLimit(row.rate_calls, row.rate_seconds)
    return QuotaLimits(rate, row.daily or enricher.daily, enricher.concurrency)
