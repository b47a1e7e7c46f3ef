"""Enrichers as tenants see them, and changes of their settings."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from services.observables import NAME as SERVICE
from services.observables.enrichment.enrichers.schemas import EnricherView, QueueBlock, QueueView
from services.observables.enrichment.queues.estimates import QueueState, queue_states
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.queues.service import ensure_queues
from services.observables.enrichment.queues.wakeup import wake_after_commit
from services.observables.enrichment.settings import repository as settings
from services.observables.enrichment.settings.access import Access
from services.observables.enrichment.settings.keys import seal
from services.observables.enrichment.settings.models import EnricherSetting
from services.observables.enrichment.settings.service import accesses_of
from services.observables.providers.base import RemoteEnricher
from services.observables.providers.registry import enricher_named
from shared.audit import changes_between
from shared.clock import database_now
from shared.database import PLATFORM, PUBLIC, Database, set_tenant
from shared.errors import InvalidInput
from shared.kafka.outbox import audit
from shared.keys import keys_of
from shared.settings import Settings
from shared.stix import ObservableType


class SettingChange(NamedTuple):
    """A change of an enricher's settings.

    Attributes:
        values: columns and their new values.
        key: a new key, by field; empty to remove it, None to leave it as it is.
    """

    values: dict[str, Any]
    key: Mapping[str, str] | None = None


def overview(database: Database, tenant: str) -> list[EnricherView]:
    """All enrichers, with their queues."""
    with database.transaction(tenant) as session:
        accesses = accesses_of(session, tenant)
        enabled = {
            setting.enricher: setting.enabled
            for setting in settings.by_tenant(session, tenant)
            if setting.tenant == tenant
        }
        ids = [access.queue_id for access in accesses.values()]
        states = queue_states(session, ids)
        now = database_now(session).timestamp()
        # A lent key's queue has jobs of other tenants too. Their number may be seen.
        set_tenant(session, SERVICE, PLATFORM)
        counts = jobs.count_open(session, ids)
        set_tenant(session, SERVICE, tenant)
    views = []
    for name, access in sorted(accesses.items()):
        state = states.get(access.queue_id)
        queue = _queue_view(state, counts.get(access.queue_id, {}), now) if state else None
        views.append(_enricher_view(access, enabled.get(name, True), queue, tenant))
    return views


def _enricher_view(
    access: Access, enabled: bool, queue: QueueView | None, tenant: str
) -> EnricherView:
    enricher = access.enricher
    limits = access.limits
    return EnricherView(
        name=enricher.name,
        title=enricher.title,
        documentation=enricher.documentation,
        types=[ObservableType(type_) for type_ in sorted(enricher.types)],
        key_fields=list(enricher.key_fields),
        key_optional=enricher.key_optional,
        has_key=access.key_id is not None and access.owner == tenant,
        lent_key=access.key_id is not None and access.owner == PUBLIC,
        enabled=enabled,
        obstacle=access.obstacle,
        max_tlp=access.max_tlp,
        calls=limits.rate.calls,
        seconds=limits.rate.seconds,
        daily=limits.daily,
        concurrency=limits.concurrency,
        lifetime=enricher.lifetime.total_seconds(),
        queue=queue,
    )


def _queue_view(state: QueueState, counts: Mapping[str, int], now: float) -> QueueView:
    limiter = state.limiter
    limits = state.limits
    waiting = counts.get("waiting", 0)
    used = limiter.used_on(now)
    blocked = None
    if limiter.blocked_for is not None and limiter.blocked_until > now:
        until = datetime.fromtimestamp(limiter.blocked_until, UTC)
        blocked = QueueBlock(limiter.blocked_for, until, limiter.reason)
    finished = None
    if waiting:
        finished = datetime.fromtimestamp(limiter.finish_at(limits, now, waiting), UTC)
    return QueueView(
        owner=state.owner,
        waiting=waiting,
        running=counts.get("running", 0),
        used_today=used,
        left_today=None if limits.daily is None else max(0, limits.daily - used),
        pace=limiter.calls_per_second(limits),
        blocked=blocked,
        finished=finished,
    )


def change_settings(
    database: Database,
    environment: Settings,
    tenant: str,
    actor: str,
    name: str,
    change: SettingChange,
) -> EnricherView:
    """Change a tenant's settings of an enricher; waiting jobs go on with the new key.

    Raises:
        NotFound: there is no such enricher.
        InvalidInput: the key does not have the fields that it should have.
    """
    enricher = enricher_named(name)
    values = dict(change.values)
    fields = sorted(change.values)
    if change.key is not None:
        values |= _key_columns(enricher, environment, tenant, change.key)
        fields = sorted({*fields, "key"})
    with database.transaction(tenant) as session:
        settings.lock(session, name)
        before = accesses_of(session, tenant)[name]
        old = settings.by_owner(session, tenant, name)
        settings.put(session, tenant, name, actor, datetime.now(UTC), values)
        after = accesses_of(session, tenant)[name]
        _move_jobs(session, tenant, before, after)
        new = settings.by_owner(session, tenant, name)
        audit(
            session,
            SERVICE,
            tenant,
            actor,
            "enrichers.change",
            name,
            changes_between(_audited(old), _audited(new), {"sealed_key"}),
            fields=", ".join(fields),
        )
    return next(view for view in overview(database, tenant) if view.name == name)


def _audited(setting: EnricherSetting | None) -> dict[str, Any]:
    if setting is None:
        return {}
    hidden = {"tenant", "enricher", "key_id"}
    return {name: value for name, value in setting._asdict().items() if name not in hidden}


def _key_columns(
    enricher: RemoteEnricher, environment: Settings, tenant: str, key: Mapping[str, str]
) -> dict[str, UUID | bytes | None]:
    """The columns of a new key, or of none.

    Raises:
        InvalidInput: the key does not have the enricher's fields.
    """
    if not key:
        return {"key_id": None, "sealed_key": None}
    if set(key) != set(enricher.key_fields):
        if not enricher.key_fields:
            raise InvalidInput(f"{enricher.title} needs no key.", field="key")
        fields = ", ".join(enricher.key_fields)
        raise InvalidInput(f"A key of {enricher.title} consists of {fields}.", field="key")
    key_id = uuid4()
    url = environment.enricher_urls.get(enricher.name, enricher.base_url)
    sealed = seal(keys_of(environment), tenant, key_id, key, url)
    return {"key_id": key_id, "sealed_key": sealed}


def _move_jobs(session: Session, tenant: str, before: Access, after: Access) -> None:
    """Move waiting jobs to the queue of the current key, whose limits may differ.

    The operators' key is that of many tenants.
    """
    ensure_queues(session, tenant, [after])
    set_tenant(session, SERVICE, PLATFORM)
    if before.queue_id != after.queue_id:
        tenants = None if tenant == PUBLIC else [tenant]
        jobs.move(session, tenants, after.enricher.name, before.queue_id, after.queue_id)
    if after.owner == tenant:
        provider_queues.recheck(session, after.queue_id)
    set_tenant(session, SERVICE, tenant)
    wake_after_commit(session)
