"""A tenant's access to each enricher: whose key, which limits, which markings. Pure functions."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast
from uuid import UUID, uuid5

from services.observables.enrichment.rate_limiter import QuotaLimits
from services.observables.enrichment.settings.models import EnricherSetting
from services.observables.providers.base import RateLimit, RemoteEnricher, Tlp
from shared.database import PUBLIC
from shared.stix.ids import SENTINELIQ_NAMESPACE


class Access(NamedTuple):
    """A tenant's access to one enricher.

    Attributes:
        obstacle: why the tenant has none; None when it has.
        owner: of the key; `public` where there is none, or where the operators lend theirs.
        key_id: None where no key is needed.
        limits: of the key.
        max_tlp: the strictest marking that the provider may receive.
    """

    enricher: RemoteEnricher
    obstacle: str | None
    owner: str
    key_id: UUID | None
    limits: QuotaLimits
    max_tlp: Tlp

    @property
    def queue_id(self) -> UUID:
        """The id of the provider queue that the tenant's jobs wait in."""
        return queue_id(self.enricher.name, self.owner, self.key_id)


def queue_id(enricher: str, owner: str, key_id: UUID | None) -> UUID:
    """The id of a provider queue: derived from what the provider counts by."""
    # "lane" is the former name of a provider queue; stored ids depend on it.
    return uuid5(SENTINELIQ_NAMESPACE, f"lane\x1f{owner}\x1f{enricher}\x1f{key_id or ''}")


def accesses(
    tenant: str, settings: Sequence[EnricherSetting], enrichers: Mapping[str, RemoteEnricher]
) -> dict[str, Access]:
    """A tenant's access to all enrichers, by name.

    Args:
        tenant: the tenant.
        settings: its own and those of `public`.
        enrichers: those that are installed.
    """
    by_owner = {(setting.tenant, setting.enricher): setting for setting in settings}
    return {
        name: _access(enricher, by_owner.get((tenant, name)), by_owner.get((PUBLIC, name)))
        for name, enricher in enrichers.items()
    }


def _access(
    enricher: RemoteEnricher, own: EnricherSetting | None, lent: EnricherSetting | None
) -> Access:
    # The tenant's own setting comes first, the operators' second.
    settings = [setting for setting in (own, lent) if setting is not None]
    keyed = next((setting for setting in settings if setting.key_id is not None), None)
    obstacle = None
    if lent is not None and not lent.enabled:
        obstacle = f"{enricher.title} is switched off."
    elif own is not None and not own.enabled:
        obstacle = f"{enricher.title} is switched off in this tenant."
    elif enricher.key_fields and not enricher.key_optional and keyed is None:
        obstacle = f"{enricher.title} needs a key, and none is set."
    markings = (setting.max_tlp for setting in settings if setting.max_tlp is not None)
    return Access(
        enricher,
        obstacle,
        keyed.tenant if keyed else PUBLIC,
        keyed.key_id if keyed else None,
        limits_of(enricher, keyed or lent),
        cast("Tlp", next(markings, enricher.max_tlp)),
    )


def limits_of(enricher: RemoteEnricher, setting: EnricherSetting | None) -> QuotaLimits:
    """The limits of a key: those that its owner has set, or else the provider's free ones."""
    if setting is None:
        return QuotaLimits(enricher.rate, enricher.daily, enricher.concurrency)
    rate = enricher.rate
    if setting.rate_calls is not None and setting.rate_seconds is not None:
        rate = RateLimit(setting.rate_calls, setting.rate_seconds)
    return QuotaLimits(rate, setting.daily or enricher.daily, enricher.concurrency)
