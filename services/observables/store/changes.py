"""Changes of observables, and the events that publish them. No I/O."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from msgspec.structs import replace

from services.observables import EVENT_SOURCE
from services.observables.attack.index import statements
from services.observables.scoring.assessment import other_numbers
from services.observables.scoring.decay import THRESHOLDS
from services.observables.scoring.inputs import ObservableState, StoredAssertion
from shared.events import Event, content_id
from shared.events.chunks import EMPTY_LIST_BYTES, cut_by_size
from shared.events.envelope import MAX_EVENT_BYTES
from shared.events.observables import CHANGED, Change, ChangeKind, ObservablesChanged
from shared.kafka.topics import bucket_key
from shared.stix import bucket
from shared.stix.exchange import has_standard_key, standard_id
from shared.stix.ids import stix_type
from shared.stix.markings import marking_of

NEWS: Final = 5
"""A score that moves by less, and across no threshold, is not published: time moves every score a
little every day."""

_LABEL_BYTES: Final = 128 * 1024
"""Bytes of the tags, and of the ATT&CK ids, of one change that alone exceeds an event."""


def is_news(before: int, after: int) -> bool:
    """Whether a score has moved far enough to be published."""
    crossed = any((before >= threshold) != (after >= threshold) for threshold in THRESHOLDS)
    return crossed or abs(after - before) >= NEWS


class ChangeLabels(NamedTuple):
    """What the change of a new observable says beside its value and score.

    Many observables share one: their source says the same about them.
    """

    tags: tuple[str, ...] = ()
    sources: int = 0
    attack: tuple[str, ...] = ()
    tlp: str = "clear"
    attack_stated: tuple[str, ...] = ()


def labels_of_report(
    tags: tuple[str, ...], attack: tuple[str, ...], tlp: str | None
) -> ChangeLabels:
    """The labels of what one source reports; `tlp` is the source's marking."""
    marking = marking_of(tags, tlp) or "clear"
    return ChangeLabels(tags, 1, attack, marking, statements(attack, tags).stated)


NO_LABELS: Final = ChangeLabels()


def new_change(
    identity: str, type_: str, value: str, score: int, about: ChangeLabels = NO_LABELS
) -> Change:
    """The change of an observable that readers of the tenant see for the first time."""
    return Change(
        f"{stix_type(type_)}--{identity}",
        type_,
        value,
        "new",
        score,
        None,
        about.tags,
        about.sources,
        about.attack,
        None,
        about.tlp,
        about.attack_stated,
        None if has_standard_key(type_) else standard_id(type_, value),
    )


def build_change(
    identity: str,
    before: ObservableState | None,
    after: ObservableState,
    score: int,
    active: Sequence[StoredAssertion],
    now: datetime,
    cause: str | None = None,
) -> Change:
    """The change of an observable, decided in one place: `new`, `changed` or `expired`.

    It expires when its score falls below the last threshold, and when nothing asserts or claims it
    any more. What had lapsed before has expired before.

    Args:
        identity: the observable's UUID.
        before: what readers saw; None if they saw nothing.
        after: what they see now; its assertions may be those of `before`.
        score: the score after the change.
        active: the assertions that hold after it.
        now: the moment of the score.
        cause: what caused it; None for a feed run, which the event names.
    """
    if before is None:
        kind: ChangeKind = "new"
    else:
        kind = _kind(before, after, score, active)
    numbers = other_numbers(
        after.type, score, active, after.claims, after.effects, after.sightings, now
    )
    return Change(
        f"{stix_type(after.type)}--{identity}",
        after.type,
        after.value,
        kind,
        score,
        None if before is None else before.score,
        labels(active),
        len(active),
        attack_ids(active),
        cause,
        after.marking(active),
        stated_ids(active),
        _other_id(after.type, after.value),
        *numbers,
    )


def change_alike(change: Change, identity: str, value: str) -> Change:
    """The same change of another observable of the same type."""
    type_ = change.type
    return Change(
        f"{stix_type(type_)}--{identity}",
        type_,
        value,
        change.kind,
        change.score,
        change.score_before,
        change.tags,
        change.sources,
        change.attack,
        change.cause,
        change.tlp,
        change.attack_stated,
        _other_id(type_, value),
        change.malicious,
        change.active,
        change.relevant,
    )


def _other_id(type_: str, value: str) -> str | None:
    """The standard's id, where the key inside is another one."""
    return None if has_standard_key(type_) else standard_id(type_, value)


def _kind(
    before: ObservableState,
    after: ObservableState,
    score: int,
    active: Sequence[StoredAssertion],
) -> ChangeKind:
    """Whether an observable that readers have seen changed or expired."""
    lapsed = score < THRESHOLDS[-1] <= before.score
    was_claimed = bool(before.active_before or before.claims)
    is_claimed = bool(active or after.claims)
    has_expired = lapsed or (was_claimed and not is_claimed) or not after.visible
    return "expired" if has_expired else "changed"


def labels(assertions: Iterable[StoredAssertion]) -> tuple[str, ...]:
    """The tags of some assertions, each once, in order."""
    return tuple(sorted({tag for assertion in assertions for tag in assertion.tags}))


def attack_ids(assertions: Iterable[StoredAssertion]) -> tuple[str, ...]:
    """The ATT&CK ids of some assertions, each once, in order."""
    return tuple(sorted({attack_id for row in assertions for attack_id in row.attack}))


def stated_ids(assertions: Iterable[StoredAssertion]) -> tuple[str, ...]:
    """The ATT&CK ids that some assertions state, each once, in order."""
    stated = [statements(tuple(row.attack), tuple(row.tags)).stated for row in assertions]
    return tuple(sorted({attack_id for ids in stated for attack_id in ids}))


class _EncodedChanges(msgspec.Struct, omit_defaults=True):
    """`ObservablesChanged` whose changes are encoded already."""

    source_id: UUID
    source: str
    changes: msgspec.Raw
    run_id: UUID | None = None
    is_amendment: bool = msgspec.field(default=False, name="amendment")


def change_events(
    changes: Iterable[Change],
    tenant: str,
    source_id: UUID,
    source: str,
    run_id: UUID | None = None,
    *,
    is_amendment: bool = False,
) -> Iterator[Event[ObservablesChanged]]:
    """Changes as events, in chunks keyed by bucket."""
    by_bucket: dict[int, list[Change]] = defaultdict(list)
    for change in changes:
        by_bucket[bucket(change.id[-36:])].append(change)
    empty = msgspec.json.encode(ObservablesChanged(source_id, source, [], run_id, is_amendment))
    capacity = MAX_EVENT_BYTES - len(empty) + EMPTY_LIST_BYTES
    for number, changes_of_bucket in by_bucket.items():
        for chunk in cut_by_size(changes_of_bucket, capacity, _shorten):
            data = ObservablesChanged(source_id, source, chunk.items, run_id, is_amendment)
            encoded = msgspec.json.encode(
                _EncodedChanges(source_id, source, chunk.encoded, run_id, is_amendment)
            )
            event_id = content_id(tenant, encoded)
            key = bucket_key(number)
            yield Event(CHANGED, data, tenant, EVENT_SOURCE, key, event_id, encoded=encoded)


def _shorten(change: Change) -> Change:
    """A change with as many labels as an event takes: many sources may give it more than that."""
    attack = _fitting(change.attack)
    stated = tuple(attack_id for attack_id in change.attack_stated if attack_id in set(attack))
    return replace(change, tags=_fitting(change.tags), attack=attack, attack_stated=stated)


def _fitting(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The first of some labels, up to `_LABEL_BYTES`."""
    sizes = accumulate(len(msgspec.json.encode(label)) + 1 for label in labels)
    return labels[: sum(size <= _LABEL_BYTES for size in sizes)]
