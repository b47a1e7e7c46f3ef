"""Changes of observables as events."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final
from uuid import UUID

from shared.events import Event
from shared.events.chunks import chunked
from shared.events.observables import CHANGED, Change, ObservablesChanged
from shared.kafka.topics import bucket_key
from shared.stix import bucket

EVENT_SOURCE: Final = "/services/observables"
"""The CloudEvents source of this service."""


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
