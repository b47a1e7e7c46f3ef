"""Digests: keep them for the API, and tell what is due."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from services.notifications.channels.patches import apply_patch
from services.notifications.channels.service import enabled_channel_names, require_channels
from services.notifications.deliveries.service import NewDelivery, add_deliveries, delivery_id
from services.notifications.digests import repository
from services.notifications.digests.highlights import Highlights, highlights_of
from services.notifications.digests.repository import Digest
from services.notifications.digests.schemas import DigestCreate, DigestPatch, DigestView
from services.notifications.groups.collecting import collect_batches
from services.notifications.quotas.limits import DIGESTS
from shared.audit import changes_between
from shared.auth import Principal
from shared.cron import next_by_cron, time_zone
from shared.database import PLATFORM, Database
from shared.errors import Conflict, InvalidInput, NotFound, Unavailable
from shared.kafka.outbox import audit
from shared.pagination import Page, decode_cursor, paginate
from shared.quotas import require_room
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_SHORTEST: Final = timedelta(minutes=60)
_MOST_ROUNDS: Final = 200


def send_due_digests(database: Database) -> int:
    """Tell the digests that are due, each in a transaction of its own; how many.

    Whoever has a digest's row moves its due time in the same transaction, so that each due time is
    told once. Due times that are over, after an outage, are told together.
    """
    sent = 0
    refused: list[UUID] = []
    while sent + len(refused) < _MOST_ROUNDS:
        digest = None
        try:
            with database.transaction(PLATFORM) as session:
                due = repository.take_due(session, refused)
                if due is None:
                    return sent
                now, digest = due
                _send(session, digest, now)
        except Unavailable:
            raise
        except Exception:
            if digest is None:
                raise
            # One that cannot be told, as of a zone that is no more, holds up no others.
            log.exception("digest.failed", id=str(digest.id))
            refused.append(digest.id)
        else:
            sent += 1
    return sent


def _send(session: Session, digest: Digest, now: datetime) -> None:
    names = enabled_channel_names(session)
    batches = collect_batches(session, digest.id, _window(digest.next_due_at))
    if batches:
        highlights = highlights_of(batches)
        add_deliveries(session, _deliveries(digest, highlights, names))
    zone = time_zone(digest.timezone)
    values = {
        "last_due_at": digest.next_due_at,
        "next_due_at": next_by_cron(digest.cron, zone, now),
    }
    repository.update(session, digest.id, values)
    log.info("digest.sent", id=str(digest.id), due=digest.next_due_at.isoformat())


def _window(due: datetime) -> int:
    """The number of a due time: its minute."""
    return int(due.timestamp()) // 60


def _deliveries(
    digest: Digest, highlights: Highlights, names: Mapping[UUID, str]
) -> list[NewDelivery]:
    due = digest.next_due_at
    event_id = f"{digest.id}.{_window(due)}"
    matches = msgspec.json.encode(highlights.matches).decode()
    labels = msgspec.json.encode(highlights.labels).decode()
    return [
        {
            "id": delivery_id(digest.id, channel_id, event_id, due),
            "tenant": digest.tenant,
            "rule_id": digest.id,
            "channel_id": channel_id,
            "rule": digest.name,
            "channel": names[channel_id],
            "event_id": event_id,
            "source": "",
            "matches": matches,
            "match_count": highlights.match_count,
            "event_at": due,
            "group_id": None,
            "window_number": _window(due),
            "kind": "digest",
            "total_count": highlights.match_count,
            "severity": "low",
            "labels": labels,
            "reason": None,
            "due_at": due,
            "state": "pending",
            "held_until": None,
            "held_by": None,
            "replay_of": None,
        }
        for channel_id in digest.channel_ids
        if channel_id in names
    ]


# For the API


def list_digests(
    database: Database, principal: Principal, after: str | None, limit: int
) -> Page[DigestView]:
    """Digests by name."""
    position = decode_cursor(after, tuple[str, UUID])
    with database.transaction(principal.tenant) as session:
        digests = repository.list_by_name(session, position, limit + 1)
    page = paginate(digests, limit, lambda digest: (digest.name, digest.id))
    return page.map(DigestView.model_validate)


def get_digest(database: Database, principal: Principal, digest_id: UUID) -> DigestView:
    """A digest.

    Raises:
        NotFound: the tenant has no such digest.
    """
    with database.transaction(principal.tenant) as session:
        return DigestView.model_validate(_get(session, digest_id))


def create_digest(database: Database, principal: Principal, body: DigestCreate) -> DigestView:
    """Create a digest.

    Raises:
        InvalidInput: the expression, the zone or a channel cannot be used.
        Conflict: the tenant has a digest of that name.
        QuotaExceeded: it has as many as it may have.
    """
    with database.transaction(principal.tenant) as session:
        require_room(session, principal.tenant, DIGESTS)
        values = _checked_values(session, body)
        digest = repository.insert(session, {"id": uuid7(), "tenant": principal.tenant, **values})
        _audit(session, principal, "create", None, digest)
    return DigestView.model_validate(digest)


def change_digest(
    database: Database, principal: Principal, digest_id: UUID, body: DigestPatch
) -> DigestView:
    """Change a digest. What has been matched is told at its next due time.

    Raises:
        NotFound: the tenant has no such digest.
        InvalidInput, Conflict: see `create_digest`.
    """
    with database.transaction(principal.tenant) as session:
        digest = _get(session, digest_id, lock=True)
        values = _checked_values(session, apply_patch(DigestCreate, digest, body))
        changed = repository.update(session, digest_id, values)
        _audit(session, principal, "update", digest, changed)
    return DigestView.model_validate(changed)


def delete_digest(database: Database, principal: Principal, digest_id: UUID) -> None:
    """Delete a digest that no rule waits for.

    Raises:
        NotFound: the tenant has no such digest.
        Conflict: rules wait for it; the message names them.
    """
    with database.transaction(principal.tenant) as session:
        digest = _get(session, digest_id, lock=True)
        if rules := repository.rules_of(session, digest_id):
            raise Conflict(f"Rules wait for this digest: {', '.join(rules)}. Change them first.")
        _audit(session, principal, "delete", digest, None)
        repository.delete(session, digest_id)


def require_digest(session: Session, digest_id: UUID) -> None:
    """Require that the tenant has a digest, and keep it until the transaction ends.

    Raises:
        InvalidInput: it does not exist.
    """
    if repository.find(session, digest_id, lock=True) is None:
        raise InvalidInput(f"There is no digest {digest_id}.", field="digest_id")


def _checked_values(session: Session, body: DigestCreate) -> dict[str, Any]:
    zone = time_zone(body.timezone)
    now = repository.database_time(session)
    due = next_by_cron(body.cron, zone, now)
    if next_by_cron(body.cron, zone, due) - due < _SHORTEST:
        raise InvalidInput("A digest is due once an hour at most.", field="cron")
    channel_ids = list(dict.fromkeys(body.channel_ids))
    require_channels(session, channel_ids)
    values = body.model_dump(exclude={"channel_ids"})
    return {**values, "channel_ids": channel_ids, "next_due_at": due}


def _get(session: Session, digest_id: UUID, *, lock: bool = False) -> Digest:
    digest = repository.find(session, digest_id, lock=lock)
    if digest is None:
        raise NotFound(f"There is no digest {digest_id}.")
    return digest


def _audit(
    session: Session,
    principal: Principal,
    verb: str,
    before: Digest | None,
    after: Digest | None,
) -> None:
    digest = after or before
    if digest is None:
        return
    audit(
        session,
        "notifications",
        principal.tenant,
        principal.actor,
        f"notifications.digest.{verb}",
        digest.id,
        changes_between(_audited(before), _audited(after)),
        name=digest.name,
    )


def _audited(digest: Digest | None) -> dict[str, Any]:
    if digest is None:
        return {}
    names: Sequence[str] = ("name", "cron", "timezone", "enabled")
    channels = [str(each) for each in digest.channel_ids]
    return {**{name: getattr(digest, name) for name in names}, "channel_ids": channels}
