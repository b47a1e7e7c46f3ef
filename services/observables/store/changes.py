"""Changes of observables, and the events that publish them. No I/O."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from uuid import UUID

from services.observables import EVENT_SOURCE
from services.observables.scoring.decay import THRESHOLDS
from services.observables.scoring.inputs import ObservableState, StoredAssertion
from shared.events import Event
from shared.events.chunks import chunked
from shared.events.observables import CHANGED, Change, ChangeKind, ObservablesChanged
from shared.kafka.topics import bucket_key
from shared.stix import bucket
from shared.stix.ids import stix_type

NEWS: Final = 5
"""A score that moves by less, and across no threshold, is not published: time moves every score a
little every day."""


def is_news(before: int, after: int) -> bool:
    """Whether a score has moved far enough to be published."""
    crossed = any((before >= threshold) != (after >= threshold) for threshold in THRESHOLDS)
    return crossed or abs(after - before) >= NEWS


def new_change(
    identity: str,
    type_: str,
    value: str,
    score: int,
    tags: tuple[str, ...] = (),
    sources: int = 0,
    attack: tuple[str, ...] = (),
) -> Change:
    """The change of an observable that readers of the tenant see for the first time."""
    stix_id = f"{stix_type(type_)}--{identity}"
    return Change(stix_id, type_, value, "new", score, None, tags, sources, attack)


def build_change(
    identity: str,
    before: ObservableState | None,
    after: ObservableState,
    score: int,
    active: Sequence[StoredAssertion],
) -> Change:
    """The change of an observable, decided in one place: `new`, `changed` or `expired`.

    It expires when its score falls below the last threshold, and when nothing asserts or claims it
    any more.

    Args:
        identity: the observable's UUID.
        before: what readers saw; None if they saw nothing.
        after: what they see now; its assertions may be those of `before`.
        score: the score after the change.
        active: the assertions that hold after it.
    """
    if before is None:
        return new_change(
            identity,
            after.type,
            after.value,
            score,
            labels(active),
            len(active),
            attack_ids(active),
        )
    lapsed = score < THRESHOLDS[-1] <= before.score
    was_claimed = bool(before.assertions or before.public or before.claims)
    is_claimed = bool(active or after.claims)
    kind: ChangeKind = "expired" if lapsed or (was_claimed and not is_claimed) else "changed"
    return Change(
        f"{stix_type(after.type)}--{identity}",
        after.type,
        after.value,
        kind,
        score,
        before.score,
        labels(active),
        len(active),
        attack_ids(active),
    )


def labels(assertions: Iterable[StoredAssertion]) -> tuple[str, ...]:
    """The tags of some assertions, each once, in order."""
    return tuple(sorted({tag for assertion in assertions for tag in assertion.tags}))


def attack_ids(assertions: Iterable[StoredAssertion]) -> tuple[str, ...]:
    """The ATT&CK ids of some assertions, each once, in order."""
    return tuple(sorted({attack_id for row in assertions for attack_id in row.attack}))


def change_events(
    changes: Iterable[Change], tenant: str, source_id: UUID, source: str, run_id: UUID | None = None
) -> Iterator[Event[ObservablesChanged]]:
    """Changes as events, in chunks keyed by bucket."""
    by_bucket: dict[int, list[Change]] = defaultdict(list)
    for change in changes:
        by_bucket[bucket(change.id[-36:])].append(change)
    for number, changes_of_bucket in by_bucket.items():
        for chunk in chunked(changes_of_bucket, size=_size):
            payload = ObservablesChanged(source_id, source, chunk, run_id)
            yield Event(CHANGED, payload, tenant, EVENT_SOURCE, bucket_key(number))


def _size(change: Change) -> int:
    return 200 + len(change.value) + 16 * len(change.tags) + 12 * len(change.attack)
