"""The handler of changed observables: they join and leave the lists that they concern.

It runs in the consumer's transaction, which sees all tenants: public observables concern the lists
of each. Applying an event again changes nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.dissemination.lists.fields import parse_list_filter
from services.observables.dissemination.lists.guards import Guard, protected_of
from services.observables.dissemination.lists.models import ListRow
from services.observables.dissemination.lists.repository import protected_values
from services.observables.dissemination.membership.plan import (
    EXPIRED,
    MembershipPlan,
    SelectedObservable,
    plan_membership,
)
from services.observables.dissemination.membership.repository import changes as repository
from services.observables.dissemination.membership.repository import fill_log
from services.observables.dissemination.membership.service import apply_plans
from services.observables.dissemination.membership.subjects import harmless_pattern
from shared.clock import database_now
from shared.database import PUBLIC
from shared.events import Event
from shared.events.observables import Change, ObservablesChanged
from shared.filters.matcher import Environment
from shared.stix.markings import strictest

_PEOPLE: Final = frozenset({"sighting"})
"""Causes of changes behind which a person stands, who has judged the observable."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the events do not say about the observables of one tenant.

    Attributes:
        markings: inherited ones, by id.
        allow_listed: ids of what an allow-list has.
        own: ids of what the tenant has a row of its own about: public changes are not its changes.
    """

    markings: Mapping[UUID, str]
    allow_listed: frozenset[UUID]
    own: frozenset[UUID]


def handle_changes(session: Session, events: Sequence[Event[ObservablesChanged]]) -> None:
    """Let changed observables join and leave lists; the events are of one tenant."""
    tenant = events[0].tenant
    phases = fill_log.share_phases(session, tenant)
    locked = {list_id for list_id, phase in phases.items() if phase == fill_log.APPLYING}
    rows = repository.lock_lists(session, tenant, locked)
    if not rows and not phases:
        return
    environment = Environment(database_now(session))
    # Of one observable the last change counts; a person's judgement counts for all of its chunk.
    for place, (is_immediate, newest) in enumerate(_newest_changes(events)):
        fill_log.note_changes(session, phases, newest.keys(), is_immediate=is_immediate)
        if place:
            rows = repository.lock_some(session, [row.id for row in rows])
        _apply_changes(session, tenant, rows, newest, environment, is_immediate=is_immediate)


def _newest_changes(
    events: Sequence[Event[ObservablesChanged]],
) -> list[tuple[bool, dict[UUID, Change]]]:
    """The last change of each observable, in groups: whether people have caused them, in order."""
    groups: list[tuple[bool, dict[UUID, Change]]] = []
    for event in events:
        is_immediate = event.data.source in _PEOPLE
        if not groups or groups[-1][0] is not is_immediate:
            groups.append((is_immediate, {}))
        newest = groups[-1][1]
        for change in event.data.changes:
            newest[UUID(change.id[-36:])] = change
    return groups


def _apply_changes(
    session: Session,
    tenant: str,
    rows: Sequence[ListRow],
    newest: Mapping[UUID, Change],
    environment: Environment,
    *,
    is_immediate: bool,
) -> None:
    ids = list(newest)
    present = repository.present_entries(session, [row.id for row in rows], ids)
    selected = {row.id: _selected(row, newest, environment) for row in rows}
    concerned = [row for row in rows if selected[row.id] or present[row.id]]
    if not concerned:
        return
    facts = _read_facts(session, tenant, concerned, ids)
    guards = _guards(session, concerned)
    plans: list[tuple[ListRow, MembershipPlan]] = []
    for row in concerned:
        about = facts[row.tenant]
        matches = {
            observable: _match(change, observable, guards[row.id], about)
            for observable, change in selected[row.id].items()
            if observable not in about.own
        }
        others = {
            observable: _departure(newest[observable], is_immediate=is_immediate)
            for observable in present[row.id].keys() - matches.keys() - about.own
        }
        plan = plan_membership(row, matches, others, present[row.id], is_immediate=is_immediate)
        plans.append((row, plan))
    apply_plans(session, plans, is_judged=is_immediate)


def _selected(
    row: ListRow, newest: Mapping[UUID, Change], environment: Environment
) -> dict[UUID, Change]:
    """The changes that a list's filter selects, by id."""
    lasting = [
        change for change in newest.values() if change.kind != "expired" and change.score >= EXPIRED
    ]
    selector = parse_list_filter(row.filter).selector
    return {UUID(change.id[-36:]): change for change in selector(lasting, environment)}


def _match(change: Change, observable: UUID, guard: Guard, about: _Facts) -> SelectedObservable:
    marking = about.markings.get(observable)
    tlp = change.tlp if marking is None else strictest([change.tlp, marking]) or change.tlp
    is_allow_listed = observable in about.allow_listed
    refusal = guard.refusal(change.type, change.value, tlp, is_allow_listed=is_allow_listed)
    return SelectedObservable(change.type, change.value, change.score, refusal)


def _departure(change: Change, *, is_immediate: bool) -> str:
    """Why a member leaves that the filter selects no more."""
    if is_immediate:
        return "a report about it"
    if change.kind == "expired":
        return "it has expired"
    return "it matches no more"


def _guards(session: Session, rows: Iterable[ListRow]) -> dict[UUID, Guard]:
    guards: dict[UUID, Guard] = {}
    protected = {}
    for tenant in {row.tenant for row in rows}:
        values = [each.value for each in protected_values(session, tenant)]
        protected[tenant] = protected_of(values)
    for row in rows:
        guards[row.id] = Guard(row.profile, row.tlp_ceiling, protected[row.tenant])
    return guards


def _read_facts(
    session: Session, tenant: str, rows: Sequence[ListRow], ids: Sequence[UUID]
) -> dict[str, _Facts]:
    tenants = {row.tenant for row in rows}
    markings: dict[str, dict[UUID, str]] = defaultdict(dict)
    allow_listed: dict[str, set[UUID]] = defaultdict(set)
    stored = repository.facts(session, {*tenants, PUBLIC}, ids, harmless_pattern())
    for owner, observable, marking, is_harmless in stored:
        for reader in tenants if owner == PUBLIC else {owner} & tenants:
            if marking:
                markings[reader][observable] = marking
            if is_harmless:
                allow_listed[reader].add(observable)
    own: dict[str, set[UUID]] = defaultdict(set)
    if tenant == PUBLIC and tenants != {PUBLIC}:
        for owner, observable in repository.own_rows(session, tenants - {PUBLIC}, ids):
            own[owner].add(observable)
    return {
        reader: _Facts(markings[reader], frozenset(allow_listed[reader]), frozenset(own[reader]))
        for reader in tenants
    }
