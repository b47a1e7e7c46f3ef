"""Which matches make an inhibition fire, and which it then holds, as plain functions.

Times are those of the events, so that a dry run decides as it was decided when they happened.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.notifications.fields import label_key, label_values
from services.notifications.silences.activity import MatchEnvironment
from shared.events import derived_id
from shared.filters.filter import FilterExpression


@dataclass(frozen=True, slots=True)
class PlannedInhibition:
    """An inhibition, ready to be applied.

    Attributes:
        source: the matches that make it fire.
        target: the matches that it then holds; what makes it fire is never held by it.
        equal: fields in which both have to be equal.
        hold: how long it holds after the match that made it fire last.
    """

    id: UUID
    tenant: str
    name: str
    source: FilterExpression
    target: FilterExpression
    equal: tuple[str, ...]
    hold: timedelta


@dataclass(frozen=True, slots=True)
class InhibitionFiring:
    """A time in which an inhibition holds what has the labels of a key."""

    id: UUID
    inhibition_id: UUID
    key: str
    labels: dict[str, str]
    starts_at: datetime
    ends_at: datetime

    def is_active(self, at: datetime) -> bool:
        """Whether it holds matches at a moment."""
        return self.starts_at <= at < self.ends_at


Firings = Mapping[tuple[UUID, str], Sequence[InhibitionFiring]]
"""By inhibition and key."""


def firing_labels(
    inhibition: PlannedInhibition, matches: Sequence[Any], environment: MatchEnvironment
) -> dict[str, dict[str, str]]:
    """The labels that matches make an inhibition fire for, by their keys."""
    labels: dict[str, dict[str, str]] = {}
    for match in inhibition.source.selector(matches, environment):
        own = _labels(inhibition, match, environment)
        labels[label_key(own)] = own
    return labels


def place_firing(
    inhibition: PlannedInhibition,
    labels: dict[str, str],
    at: datetime,
    earlier: Iterable[InhibitionFiring],
) -> InhibitionFiring:
    """The firing that a match at a moment belongs to: one that goes on, or a new one."""
    key = label_key(labels)
    end = at + inhibition.hold
    for firing in earlier:
        if firing.starts_at - inhibition.hold <= at <= firing.ends_at:
            starts_at = min(at, firing.starts_at)
            return replace(firing, starts_at=starts_at, ends_at=max(end, firing.ends_at))
    id_ = UUID(derived_id("inhibition", inhibition.id, key, at.isoformat()))
    return InhibitionFiring(id_, inhibition.id, key, labels, at, end)


def split_inhibited(
    inhibitions: Iterable[PlannedInhibition],
    firings: Firings,
    matches: Sequence[Any],
    environment: MatchEnvironment,
    at: datetime,
) -> tuple[list[Any], list[tuple[PlannedInhibition, InhibitionFiring, list[Any]]]]:
    """The matches that no inhibition holds, and those that one holds, by its firing."""
    left = list(matches)
    parts: list[tuple[PlannedInhibition, InhibitionFiring, list[Any]]] = []
    for inhibition in inhibitions:
        own_parts = _parts(inhibition, firings, left, environment, at)
        parts += [(inhibition, firing, own) for firing, own in own_parts.values()]
        ids = {id(match) for _, own in own_parts.values() for match in own}
        left = [match for match in left if id(match) not in ids]
    return left, parts


def _parts(
    inhibition: PlannedInhibition,
    firings: Firings,
    matches: Sequence[Any],
    environment: MatchEnvironment,
    at: datetime,
) -> dict[UUID, tuple[InhibitionFiring, list[Any]]]:
    own_parts: dict[UUID, tuple[InhibitionFiring, list[Any]]] = {}
    for match in inhibition.target.selector(matches, environment):
        key = label_key(_labels(inhibition, match, environment))
        active = (each for each in firings.get((inhibition.id, key), ()) if each.is_active(at))
        firing = next(active, None)
        if firing is not None and not inhibition.source.matcher(match, environment):
            own_parts.setdefault(firing.id, (firing, []))[1].append(match)
    return own_parts


def _labels(
    inhibition: PlannedInhibition, match: Any, environment: MatchEnvironment
) -> dict[str, str]:
    values = label_values(inhibition.equal, match, environment.source)
    return dict(zip(inhibition.equal, values, strict=True))
