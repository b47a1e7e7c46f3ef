"""Silences: plan, change, end and try them for the API; give those of now to the rules."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from services.notifications.fields import is_readable
from services.notifications.groups.service import (
    count_silenced,
    end_silence_groups,
    recent_matches,
)
from services.notifications.quotas.limits import SILENCES
from services.notifications.silences import repository
from services.notifications.silences.activity import (
    MatchEnvironment,
    PlannedSilence,
    owned_expression,
    parse_silence,
)
from services.notifications.silences.repository import Silence
from services.notifications.silences.schemas import (
    SilenceCreate,
    SilenceDetail,
    SilencePatch,
    SilencePreview,
    SilencePreviewBody,
    SilenceView,
)
from services.notifications.watchlists.service import require_watchlists, tenant_watchlists
from shared.audit import changes_between
from shared.auth import Principal
from shared.database import Database
from shared.errors import Conflict, InvalidInput, NotFound
from shared.kafka.outbox import audit
from shared.pagination import Page, decode_cursor, paginate
from shared.quotas import require_room

_LONGEST: Final = timedelta(days=366)
_AUDITED: Final = ("filter", "reason", "starts_at", "ends_at")
_MOST_EXAMPLES: Final = 10


def planned_silences(session: Session, past: timedelta = timedelta(0)) -> list[PlannedSilence]:
    """The silences that the transaction may read and that have not ended.

    Those that come are included, and those that have ended within the `past`.
    """
    return [
        PlannedSilence(
            each.id,
            each.tenant,
            each.reason,
            each.starts_at,
            each.ends_at,
            owned_expression(each.filter, each.tenant),
        )
        for each in repository.list_unended(session, past)
    ]


def list_silences(
    database: Database,
    principal: Principal,
    after: str | None,
    limit: int,
    *,
    is_active: bool | None = None,
) -> Page[SilenceView]:
    """Silences, newest first."""
    position = decode_cursor(after, tuple[UUID])
    with database.transaction(principal.tenant) as session:
        last = position[0] if position else None
        silences = repository.list_newest(session, last, limit + 1, is_active=is_active)
        now = repository.database_time(session)
    page = paginate(silences, limit, lambda silence: (silence.id,))
    return page.map(lambda silence: _view(silence, now))


def get_silence(database: Database, principal: Principal, silence_id: UUID) -> SilenceDetail:
    """A silence with the number of matches that it has held.

    Raises:
        NotFound: the tenant has no such silence.
    """
    with database.transaction(principal.tenant) as session:
        silence = _get(session, silence_id)
        count = count_silenced(session, silence_id)
        now = repository.database_time(session)
    return SilenceDetail(**_view(silence, now).model_dump(), match_count=count)


def create_silence(database: Database, principal: Principal, body: SilenceCreate) -> SilenceView:
    """Plan a silence. It holds what is matched while it lasts.

    Raises:
        InvalidInput: the filter cannot be used, or the times are in the wrong order.
        QuotaExceeded: the tenant has as many as it may have.
    """
    expression = parse_silence(body.filter)
    with database.transaction(principal.tenant) as session:
        require_room(session, principal.tenant, SILENCES)
        require_watchlists(session, expression.watchlists)
        now = repository.database_time(session)
        starts_at = body.starts_at or now
        _check_times(starts_at, body.ends_at, now)
        values = {
            "id": uuid7(),
            "tenant": principal.tenant,
            "filter": body.filter,
            "reason": body.reason,
            "author": principal.actor,
            "starts_at": starts_at,
            "ends_at": body.ends_at,
        }
        silence = repository.insert(session, values)
        _audit(session, principal, "create", None, silence)
    return _view(silence, now)


def change_silence(
    database: Database, principal: Principal, silence_id: UUID, body: SilencePatch
) -> SilenceView:
    """Change the reason or the end of a silence that has not ended.

    Raises:
        NotFound: the tenant has no such silence.
        Conflict: it has ended.
        InvalidInput: the new end is over.
    """
    with database.transaction(principal.tenant) as session:
        now = repository.database_time(session)
        silence = _unended(session, silence_id, now)
        values = body.model_dump(exclude_none=True)
        _check_times(silence.starts_at, values.get("ends_at", silence.ends_at), now)
        changed = repository.update(session, silence_id, values) if values else silence
        end_silence_groups(session, silence_id, changed.ends_at)
        _audit(session, principal, "update", silence, changed)
    return _view(changed, now)


def end_silence(database: Database, principal: Principal, silence_id: UUID) -> SilenceView:
    """End a silence now; what it holds is summed up at once.

    Raises:
        NotFound: the tenant has no such silence.
        Conflict: it has ended.
    """
    with database.transaction(principal.tenant) as session:
        now = repository.database_time(session)
        silence = _unended(session, silence_id, now)
        values = {"ends_at": now, "ended_by": principal.actor}
        changed = repository.update(session, silence_id, values)
        end_silence_groups(session, silence_id, now)
        _audit(session, principal, "end", silence, changed)
    return _view(changed, now)


def preview_silence(
    database: Database, principal: Principal, body: SilencePreviewBody
) -> SilencePreview:
    """What of the matches of the last hours a silence would have held.

    Raises:
        InvalidInput: the filter cannot be used.
    """
    parse_silence(body.filter)
    expression = owned_expression(body.filter, principal.tenant)
    by_rule: Counter[str] = Counter()
    examples: list[dict[str, object]] = []
    looked_at = 0
    with database.transaction(principal.tenant) as session:
        require_watchlists(session, parse_silence(body.filter).watchlists)
        watchlists = tenant_watchlists(session, principal.tenant, parse_silence(body.filter))
        now = repository.database_time(session)
        for recent in recent_matches(session, now - timedelta(hours=body.hours)):
            environment = MatchEnvironment(
                recent.source, now, recent.rule, recent.severity, watchlists
            )
            looked_at += len(recent.changes)
            if not is_readable(expression, recent.paths):
                continue
            selected = expression.selector(recent.changes, environment)
            by_rule[recent.rule] += len(selected)
            some = selected[: _MOST_EXAMPLES - len(examples)]
            examples += [recent.example(change) for change in some]
    counts = {rule: number for rule, number in by_rule.items() if number}
    return SilencePreview(
        match_count=sum(counts.values()),
        looked_at=looked_at,
        by_rule=counts,
        examples=examples,
    )


def _check_times(starts_at: datetime, ends_at: datetime, now: datetime) -> None:
    if ends_at <= max(starts_at, now):
        raise InvalidInput("A silence ends after it starts, and not in the past.", field="ends_at")
    if ends_at - now > _LONGEST:
        raise InvalidInput("A silence ends within a year.", field="ends_at")


def _view(silence: Silence, now: datetime) -> SilenceView:
    state: Literal["planned", "active", "ended"] = "active"
    if silence.ends_at <= now:
        state = "ended"
    elif silence.starts_at > now:
        state = "planned"
    values = {name: getattr(silence, name) for name in SilenceView.model_fields if name in _STORED}
    sentence = parse_silence(silence.filter).sentence
    return SilenceView(**values, state=state, filter_sentence=sentence)


_STORED: Final = frozenset(
    {"id", "filter", "reason", "author", "starts_at", "ends_at", "created_at", "ended_by"}
)


def _get(session: Session, silence_id: UUID, *, lock: bool = False) -> Silence:
    silence = repository.find(session, silence_id, lock=lock)
    if silence is None:
        raise NotFound(f"There is no silence {silence_id}.")
    return silence


def _unended(session: Session, silence_id: UUID, now: datetime) -> Silence:
    silence = _get(session, silence_id, lock=True)
    if silence.ends_at <= now:
        raise Conflict("This silence has ended; plan another one.")
    return silence


def _audit(
    session: Session,
    principal: Principal,
    verb: str,
    before: Silence | None,
    after: Silence,
) -> None:
    audit(
        session,
        "notifications",
        principal.tenant,
        principal.actor,
        f"notifications.silence.{verb}",
        after.id,
        changes_between(_audited(before), _audited(after)),
    )


def _audited(silence: Silence | None) -> dict[str, str]:
    return {} if silence is None else {name: str(getattr(silence, name)) for name in _AUDITED}
