"""Inhibitions: create, change, delete and try them for the API; fire and apply them for rules."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from services.notifications.channels.patches import apply_patch
from services.notifications.fields import is_readable
from services.notifications.groups.service import (
    RecentMatches,
    count_silenced,
    end_silence_groups,
    recent_matches,
)
from services.notifications.inhibitions import repository
from services.notifications.inhibitions.activity import (
    InhibitionFiring,
    PlannedInhibition,
    firing_labels,
    place_firing,
    split_inhibited,
)
from services.notifications.inhibitions.repository import Inhibition
from services.notifications.inhibitions.schemas import (
    InhibitionCreate,
    InhibitionDetail,
    InhibitionFiringView,
    InhibitionPatch,
    InhibitionPreview,
    InhibitionPreviewBody,
    InhibitionView,
)
from services.notifications.quotas.limits import INHIBITIONS
from services.notifications.silences.activity import (
    MatchEnvironment,
    owned_expression,
    parse_silence,
)
from services.notifications.watchlists.service import require_watchlists, tenant_watchlists
from shared.audit import changes_between
from shared.auth import Principal
from shared.database import Database
from shared.errors import InvalidInput, NotFound
from shared.filters.matcher import Watchlist
from shared.kafka.outbox import audit
from shared.pagination import Page, decode_cursor, paginate
from shared.quotas import require_room
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

MAX_FIRINGS: Final = 200
"""Firings of an inhibition at a time: what would be more does not fire, so that it is told."""
_MOST_SHOWN: Final = 100
_MOST_EXAMPLES: Final = 10


def list_inhibitions(
    database: Database, principal: Principal, after: str | None, limit: int
) -> Page[InhibitionView]:
    """Inhibitions by name."""
    position = decode_cursor(after, tuple[str, UUID])
    with database.transaction(principal.tenant) as session:
        inhibitions = repository.list_by_name(session, position, limit + 1)
    page = paginate(inhibitions, limit, lambda each: (each.name, each.id))
    return page.map(InhibitionView.model_validate)


def get_inhibition(
    database: Database, principal: Principal, inhibition_id: UUID
) -> InhibitionDetail:
    """An inhibition with what it holds now.

    Raises:
        NotFound: the tenant has no such inhibition.
    """
    with database.transaction(principal.tenant) as session:
        inhibition = _get(session, inhibition_id)
        firings = [
            InhibitionFiringView(
                id=each.id,
                labels=each.labels,
                starts_at=each.starts_at,
                ends_at=each.ends_at,
                match_count=count_silenced(session, each.id),
            )
            for each in repository.list_active(session, inhibition_id, _MOST_SHOWN)
        ]
    view = InhibitionView.model_validate(inhibition).model_dump(exclude={"sentence"})
    return InhibitionDetail(**view, firings=firings)


def create_inhibition(
    database: Database, principal: Principal, body: InhibitionCreate
) -> InhibitionView:
    """Create an inhibition.

    Raises:
        InvalidInput: a filter cannot be used.
        Conflict: the tenant has one of that name.
        QuotaExceeded: it has as many as it may have.
    """
    with database.transaction(principal.tenant) as session:
        require_room(session, principal.tenant, INHIBITIONS)
        _check(session, body)
        values = {"id": uuid7(), "tenant": principal.tenant, "author": principal.actor}
        inhibition = repository.insert(session, values | body.model_dump())
        _audit(session, principal, "create", None, inhibition)
    return InhibitionView.model_validate(inhibition)


def change_inhibition(
    database: Database, principal: Principal, inhibition_id: UUID, body: InhibitionPatch
) -> InhibitionView:
    """Change an inhibition. One that is switched off holds nothing any more.

    Raises:
        NotFound: the tenant has no such inhibition.
        InvalidInput, Conflict: see `create_inhibition`.
    """
    with database.transaction(principal.tenant) as session:
        before = _get(session, inhibition_id, lock=True)
        changed = apply_patch(InhibitionCreate, before, body)
        _check(session, changed)
        after = repository.update(session, inhibition_id, changed.model_dump())
        if not after.enabled:
            _end_firings(session, inhibition_id)
        _audit(session, principal, "update", before, after)
    return InhibitionView.model_validate(after)


def delete_inhibition(database: Database, principal: Principal, inhibition_id: UUID) -> None:
    """Delete an inhibition; what it holds is summed up now.

    Raises:
        NotFound: the tenant has no such inhibition.
    """
    with database.transaction(principal.tenant) as session:
        inhibition = _get(session, inhibition_id, lock=True)
        _end_firings(session, inhibition_id)
        repository.delete(session, inhibition_id)
        _audit(session, principal, "delete", inhibition, None)


def preview_inhibition(
    database: Database, principal: Principal, body: InhibitionPreviewBody
) -> InhibitionPreview:
    """What an inhibition would have held of the matches of the last hours. Nothing is stored.

    Raises:
        InvalidInput: a filter cannot be used.
    """
    with database.transaction(principal.tenant) as session:
        _check(session, body.inhibition)
        planned = _planned(uuid7(), principal.tenant, body.inhibition)
        watchlists: dict[str, Watchlist] = {}
        for text in (body.inhibition.source_filter, body.inhibition.target_filter):
            watchlists |= tenant_watchlists(session, principal.tenant, parse_silence(text))
        now = repository.database_time(session)
        recent = list(recent_matches(session, now - timedelta(hours=body.hours)))
    recent.sort(key=lambda each: each.at)
    return _tried(planned, recent, watchlists)


def _tried(
    planned: PlannedInhibition, recent: Sequence[RecentMatches], watchlists: dict[str, Watchlist]
) -> InhibitionPreview:
    board = FiringBoard()
    by_rule: Counter[str] = Counter()
    examples: list[dict[str, object]] = []
    environments = [
        MatchEnvironment(each.source, each.at, each.rule, each.severity, watchlists)
        for each in recent
    ]
    for each, environment in zip(recent, environments, strict=True):
        if not is_readable(planned.source, each.paths):
            continue
        board.fire(planned, each.changes, environment, each.at)
    for each, environment in zip(recent, environments, strict=True):
        if not is_readable(planned.target, each.paths):
            continue
        _, parts = split_inhibited([planned], board.firings, each.changes, environment, each.at)
        inhibited = [change for _, _, changes in parts for change in changes]
        by_rule[each.rule] += len(inhibited)
        examples += [each.example(change) for change in inhibited[: _MOST_EXAMPLES - len(examples)]]
    return InhibitionPreview(
        looked_at=sum(len(each.changes) for each in recent),
        firing_count=sum(map(len, board.firings.values())),
        match_count=by_rule.total(),
        by_rule={rule: number for rule, number in by_rule.items() if number},
        examples=examples,
    )


# For rules


@dataclass(slots=True)
class FiringBoard:
    """The firings of inhibitions, and those that are new or have other times than before.

    Attributes:
        firings: by inhibition and key.
        changed: by id, with the inhibition.
    """

    firings: dict[tuple[UUID, str], list[InhibitionFiring]] = field(default_factory=dict)
    changed: dict[UUID, tuple[PlannedInhibition, InhibitionFiring]] = field(default_factory=dict)
    _counts: Counter[UUID] = field(default_factory=Counter)

    def add(self, firings: Iterable[InhibitionFiring]) -> None:
        """Add firings as they are stored."""
        for each in firings:
            self.firings.setdefault((each.inhibition_id, each.key), []).append(each)
            self._counts[each.inhibition_id] += 1

    def fire(
        self,
        inhibition: PlannedInhibition,
        matches: Sequence[Any],
        environment: MatchEnvironment,
        at: datetime,
    ) -> None:
        """Let matches at a moment make an inhibition fire."""
        for key, labels in firing_labels(inhibition, matches, environment).items():
            place = (inhibition.id, key)
            earlier = self.firings.get(place, [])
            firing = place_firing(inhibition, labels, at, earlier)
            if firing in earlier:
                continue
            others = [each for each in earlier if each.id != firing.id]
            if len(others) == len(earlier):
                if self._counts[inhibition.id] >= MAX_FIRINGS:
                    log.warning("inhibition.firing_refused", inhibition=str(inhibition.id))
                    return
                self._counts[inhibition.id] += 1
            self.firings[place] = [*others, firing]
            self.changed[firing.id] = (inhibition, firing)


def planned_inhibitions(session: Session) -> list[PlannedInhibition]:
    """The enabled inhibitions that the transaction may read."""
    return [_planned(each.id, each.tenant, each) for each in repository.list_enabled(session)]


def read_board(
    session: Session,
    inhibitions: Iterable[PlannedInhibition],
    past: timedelta = timedelta(0),
    *,
    lock: bool = False,
) -> FiringBoard:
    """The firings of some inhibitions.

    Args:
        session: the transaction.
        inhibitions: of which.
        past: also those that have ended within it.
        lock: keep others from firing them until the transaction ends.
    """
    board = FiringBoard()
    ids = sorted(each.id for each in inhibitions)
    if lock:
        for inhibition_id in ids:
            repository.lock_firings(session, inhibition_id)
    if ids:
        board.add(repository.recent_firings(session, ids, past))
    return board


def store_firings(session: Session, board: FiringBoard) -> None:
    """Store firings that are new or go on; what they hold is summed up at their ends."""
    for inhibition, firing in board.changed.values():
        repository.store_firing(session, inhibition.tenant, firing)
        end_silence_groups(session, firing.id, firing.ends_at)


def _planned(id_: UUID, tenant: str, body: Inhibition | InhibitionCreate) -> PlannedInhibition:
    return PlannedInhibition(
        id=id_,
        tenant=tenant,
        name=body.name,
        source=owned_expression(body.source_filter, tenant),
        target=owned_expression(body.target_filter, tenant),
        equal=tuple(dict.fromkeys(body.equal)),
        hold=timedelta(seconds=body.hold_seconds),
    )


def _check(session: Session, body: InhibitionCreate) -> None:
    for name in ("source_filter", "target_filter"):
        try:
            require_watchlists(session, parse_silence(getattr(body, name)).watchlists)
        except InvalidInput as error:
            error.details["field"] = name
            raise


def _end_firings(session: Session, inhibition_id: UUID) -> None:
    repository.lock_firings(session, inhibition_id)
    now = repository.database_time(session)
    for firing_id in repository.end_firings(session, inhibition_id):
        end_silence_groups(session, firing_id, now)


def _get(session: Session, inhibition_id: UUID, *, lock: bool = False) -> Inhibition:
    inhibition = repository.find(session, inhibition_id, lock=lock)
    if inhibition is None:
        raise NotFound(f"There is no inhibition {inhibition_id}.")
    return inhibition


def _audit(
    session: Session,
    principal: Principal,
    verb: str,
    before: Inhibition | None,
    after: Inhibition | None,
) -> None:
    subject = after or before
    if subject is None:
        return
    audit(
        session,
        "notifications",
        principal.tenant,
        principal.actor,
        f"notifications.inhibition.{verb}",
        subject.id,
        changes_between(_audited(before), _audited(after)),
        name=subject.name,
    )


def _audited(inhibition: Inhibition | None) -> dict[str, Any]:
    if inhibition is None:
        return {}
    return {name: getattr(inhibition, name) for name in InhibitionCreate.model_fields}
