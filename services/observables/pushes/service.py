"""Pushes: configured by a tenant."""

import asyncio
from typing import Any, Final
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables import NAME
from services.observables.pushes import repository
from services.observables.pushes.models import PushRow
from services.observables.pushes.schemas import PushCreate, PushPatch, PushView
from services.observables.pushes.secrets import places_of_credentials, seal
from services.observables.pushes.targets.registry import push_target_named, push_targets
from services.observables.pushes.validation import validated
from services.observables.quotas.limits import PUSHES
from services.observables.taxii.repository import collections
from services.observables.worker import celery
from shared.audit import changes_between
from shared.crypto import Sealer
from shared.database import PLATFORM, Database
from shared.errors import Conflict, InvalidInput, Unavailable
from shared.http.outbound import outbound_of
from shared.kafka.outbox import audit
from shared.keys import PROVIDER_KEYS, keys_of
from shared.quotas import require_room
from shared.runtime.celery import send_hint
from shared.sealed_rows import reseal_rows
from shared.settings import Settings, load_settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

TASK: Final = "observables.tasks.push_collection"
SWEEP_SECONDS: Final = 2.0
_MOST_HINTS: Final = 100
_AUDITED: Final = ("name", "collection_id", "kind", "config", "enabled", "credentials")
_SECRETS: Final = ("credentials",)


def create(
    database: Database,
    settings: Settings,
    tenant: str,
    actor: str,
    body: PushCreate,
) -> tuple[PushRow, int]:
    """Create a push, which begins with all that the collection has; also its collection's end.

    Args:
        database: the service's.
        settings: of the process.
        tenant: whose it is.
        actor: who creates it.
        body: the request.

    Raises:
        InvalidInput: a field is wrong, the target may not be reached, or the tenant has no such
            collection, or nothing of it may leave.
        Conflict: the tenant has a push of that name.
        QuotaExceeded: the tenant has as many as it may have.
    """
    identity = uuid4()
    target = push_target_named(body.kind)
    config = validated(target.config, body.config, "config")
    secrets = validated(target.credentials, body.credentials or {}, "credentials")
    asyncio.run(target.check(config, outbound_of(settings, tenant)))
    values = body.model_dump(include={"name", "collection_id", "kind", "enabled"})
    values |= {"id": identity, "created_by": actor, "config": config.model_dump(mode="json")}
    if body.credentials is not None:
        values["credentials"] = seal(keys_of(settings), identity, target, config, secrets)
    with database.transaction(tenant) as session:
        require_room(session, tenant, PUSHES)
        source = collections.get_collection(session, tenant, body.collection_id, is_locked=True)
        if source is None:
            raise InvalidInput("The tenant has no such collection.", field="collection_id")
        if source.tlp == "red":
            raise InvalidInput(
                "The collection takes TLP:RED, which is for its readers alone.",
                field="collection_id",
            )
        values["begun_number"] = source.last_number
        row = repository.add_push(session, tenant, values)
        if row is None:
            raise _name_conflict(body.name)
        changes = changes_between({}, _audited(row), _SECRETS)
        audit(session, NAME, tenant, actor, "pushes.create", identity, changes)
    return row, source.last_number


def overview(database: Database, tenant: str) -> list[tuple[PushRow, int]]:
    """A tenant's pushes, the oldest first, each with the end of its collection."""
    with database.transaction(tenant) as session:
        rows = repository.list_pushes(session, tenant)
        ends = repository.ends_of(session, {row.collection_id for row in rows})
    return [(row, ends.get(row.collection_id, 0)) for row in rows]


def get(database: Database, tenant: str, identity: UUID) -> tuple[PushRow, int]:
    """A push, and the end of its collection.

    Raises:
        NotFound: the tenant has no such.
    """
    with database.transaction(tenant) as session:
        return _with_end(session, repository.get_push(session, tenant, identity))


def change(
    database: Database,
    settings: Settings,
    tenant: str,
    actor: str,
    identity: UUID,
    patch: PushPatch,
) -> tuple[PushRow, int]:
    """Change a push.

    A push with another target begins anew: the target has nothing yet. A worker that is at work
    for the one before notes nothing any more.

    Raises:
        NotFound: the tenant has no such.
        Conflict: another push has the name.
        InvalidInput: a field is wrong, the target may not be reached, or it is another one than
            that which the credentials are for.
    """
    _check_target(database, settings, tenant, identity, patch)
    sent = patch.model_dump(exclude_unset=True, exclude_none=True)
    with database.transaction(tenant) as session:
        before = repository.get_push(session, tenant, identity, is_locked=True)
        name = sent.get("name")
        if name is not None and repository.has_name(session, tenant, name, identity):
            raise _name_conflict(name)
        values: dict[str, Any] = {key: sent[key] for key in ("name", "enabled") if key in sent}
        values |= _target_values(session, settings, before, sent)
        if values:
            values |= {"attempts": 0, "next_attempt_at": sa.func.now()}
        row = repository.change_push(session, tenant, identity, values) if values else before
        changes = changes_between(_audited(before), _audited(row), _SECRETS)
        audit(session, NAME, tenant, actor, "pushes.change", identity, changes)
        return _with_end(session, row)


def _check_target(
    database: Database, settings: Settings, tenant: str, identity: UUID, patch: PushPatch
) -> None:
    """Refuse another target that may not be reached; it is asked outside of transactions."""
    row = get(database, tenant, identity)[0]
    if patch.config is not None:
        target = push_target_named(row.kind)
        config = validated(target.config, patch.config, "config")
        asyncio.run(target.check(config, outbound_of(settings, tenant)))


def _target_values(
    session: Session, settings: Settings, before: PushRow, sent: dict[str, Any]
) -> dict[str, Any]:
    """The columns that follow from another target, or from other credentials."""
    target = push_target_named(before.kind)
    stored = validated(target.config, before.config, "config")
    config = validated(target.config, sent["config"], "config") if "config" in sent else stored
    values: dict[str, Any] = {}
    if config != stored:
        is_elsewhere = target.place_of(config) != target.place_of(stored)
        if is_elsewhere and before.credentials is not None and "credentials" not in sent:
            raise InvalidInput(
                "The stored credentials are for another server: send them anew.",
                field="credentials",
            )
        end = repository.ends_of(session, [before.collection_id])[before.collection_id]
        values = {
            "config": config.model_dump(mode="json"),
            "begun_number": end,
            "pushed_added": None,
            "pushed_number": 0,
            "holder": None,
            "lease_until": None,
            "state": "waiting",
        }
    if "credentials" in sent:
        secrets = validated(target.credentials, sent["credentials"], "credentials")
        values["credentials"] = seal(keys_of(settings), before.id, target, config, secrets)
    return values


def delete(database: Database, tenant: str, actor: str, identity: UUID) -> None:
    """Delete a push; its target keeps what it has.

    Raises:
        NotFound: the tenant has no such.
    """
    with database.transaction(tenant) as session:
        before = repository.get_push(session, tenant, identity, is_locked=True)
        repository.delete_push(session, tenant, identity)
        changes = changes_between(_audited(before), {}, _SECRETS)
        audit(session, NAME, tenant, actor, "pushes.delete", identity, changes)


def view_of(row: PushRow, end: int) -> PushView:
    """A push as the API answers it."""
    fields = {name: getattr(row, name) for name in row._fields if name in PushView.model_fields}
    behind = max(0, end - row.pushed_number)
    return PushView(**fields, has_credentials=row.credentials is not None, behind=behind)


def wake_due(database: Database) -> int:
    """Tell the workers which pushes have something to send; how many hints were sent."""
    with database.transaction(PLATFORM) as session:
        due = repository.due_pushes(session, _MOST_HINTS)
    count = 0
    for tenant, identity in due:
        try:
            count += send_hint(celery, TASK, str(identity), tenant=tenant)
        except Unavailable as error:
            log.warning("push.not_enqueued", push=str(identity), reason=error.message)
    return count


def reseal_credentials(database: Database) -> int:
    """Seal credentials under the present key, if a former one has sealed them; how many."""
    installed = push_targets()

    def places(row: sa.Row[Any]) -> tuple[str, ...]:
        target = installed.get(row.kind)
        if target is None:
            return ()
        config = validated(target.config, row.config, "config")
        return places_of_credentials(row.id, target, config)

    sealer = Sealer(keys_of(load_settings()), PROVIDER_KEYS)
    return reseal_rows(database, sealer, repository.sealed_credentials(places))


def _with_end(session: Session, row: PushRow) -> tuple[PushRow, int]:
    return row, repository.ends_of(session, [row.collection_id])[row.collection_id]


def _audited(row: PushRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _AUDITED}


def _name_conflict(name: str) -> Conflict:
    return Conflict(f"There is a push {name!r} already.", field="name")
