"""Policies of tenants: listed, created, changed, deleted."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from services.observables import NAME as SERVICE
from services.observables.enrichment.policies import repository
from services.observables.enrichment.policies.models import Policy, PolicyRow, PolicyUse
from services.observables.enrichment.policies.schemas import PolicyCreate, PolicyView
from services.observables.providers.registry import enricher_named
from shared.audit import changes_between
from shared.database import Database
from shared.errors import InvalidInput, NotFound
from shared.kafka.outbox import audit
from shared.stix import ObservableType


def overview(database: Database, tenant: str) -> list[PolicyView]:
    """A tenant's policies, the oldest first."""
    with database.transaction(tenant) as session:
        uses = repository.use_on(session, tenant, datetime.now(UTC).date())
        rows = repository.by_tenant(session, tenant)
    return [_view(row, uses) for row in rows]


def _view(row: PolicyRow, uses: Mapping[UUID, PolicyUse]) -> PolicyView:
    use = uses.get(row.id, PolicyUse(0, 0))
    return PolicyView(**row._asdict(), queries_today=use.stored, over_budget_today=use.over_budget)


def create(database: Database, tenant: str, actor: str, policy: PolicyCreate) -> PolicyView:
    """Create a policy.

    Raises:
        InvalidInput: it names an enricher or a type that does not exist.
        Conflict: the tenant has one of that name.
    """
    values = policy.model_dump()
    _check(values)
    with database.transaction(tenant) as session:
        row = repository.add(session, tenant, uuid4(), values, actor)
        changes = changes_between({}, _audited(row))
        audit(
            session,
            SERVICE,
            tenant,
            actor,
            "policies.create",
            row.id,
            changes,
            name=row.name,
        )
    return _view(row, {})


def change(
    database: Database, tenant: str, actor: str, policy: UUID, values: Mapping[str, Any]
) -> PolicyView:
    """Change some fields of a policy.

    Raises:
        NotFound: the tenant has no such policy.
        InvalidInput, Conflict: as for `create`.
    """
    _check(values)
    fields = ", ".join(sorted(values))
    with database.transaction(tenant) as session:
        before = repository.lock(session, tenant, policy)
        row = repository.change(session, tenant, policy, values)
        if before is None or row is None:
            raise _not_found(policy)
        audit(
            session,
            SERVICE,
            tenant,
            actor,
            "policies.change",
            policy,
            changes_between(_audited(before), _audited(row)),
            fields=fields,
        )
        uses = repository.use_on(session, tenant, datetime.now(UTC).date())
    return _view(row, uses)


def delete(database: Database, tenant: str, actor: str, policy: UUID) -> None:
    """Delete a policy; its jobs stay.

    Raises:
        NotFound: the tenant has no such policy.
    """
    with database.transaction(tenant) as session:
        before = repository.lock(session, tenant, policy)
        if before is None or not repository.delete(session, tenant, policy):
            raise _not_found(policy)
        changes = changes_between(_audited(before), {})
        audit(session, SERVICE, tenant, actor, "policies.delete", policy, changes)


def get(database: Database, tenant: str, policy: UUID) -> Policy:
    """A stored policy.

    Raises:
        NotFound: the tenant has no such policy.
    """
    with database.transaction(tenant) as session:
        row = repository.get(session, tenant, policy)
    if row is None:
        raise _not_found(policy)
    return row.policy()


def draft(policy: PolicyCreate) -> Policy:
    """A policy that is not stored, for a dry run.

    Raises:
        InvalidInput: as for `create`.
    """
    _check(policy.model_dump())
    return Policy(
        uuid4(),
        policy.name,
        frozenset(policy.enrichers),
        frozenset(policy.types),
        frozenset(policy.sources),
        frozenset(policy.tags),
        policy.min_score,
        policy.depth,
        policy.daily_budget,
    )


def _audited(row: PolicyRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in PolicyCreate.model_fields}


def _check(values: Mapping[str, Any]) -> None:
    for place, name in enumerate(values.get("enrichers") or ()):
        try:
            enricher_named(name)
        except NotFound as error:
            raise InvalidInput(error.message, field=f"enrichers.{place}") from None
    for place, type_ in enumerate(values.get("types") or ()):
        if type_ not in set(ObservableType):
            raise InvalidInput(f"There is no type of observable {type_!r}.", field=f"types.{place}")


def _not_found(policy: UUID) -> NotFound:
    return NotFound(f"There is no policy {policy} in this tenant.")
