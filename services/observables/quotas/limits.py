"""How much of the observables service a tenant may use."""

from typing import Final

from services.observables.quotas import repository
from shared.quotas import Quota

SIGHTINGS: Final = Quota("sightings-per-day", 1_000_000, "sightings a day", 86_400)
BULK_REQUESTS: Final = Quota(
    "bulk-requests", 20, "open requests of enrichment for many values", count=repository.count_bulk
)
COLLECTIONS: Final = Quota("collections", 200, "collections", count=repository.count_collections)
LISTS: Final = Quota("lists", 100, "lists", count=repository.count_lists)
LIST_ENTRIES: Final = Quota(
    "list-entries", 20_000_000, "entries of lists", count=repository.count_entries
)
"""Asked when a list is filled. What joins later by events is not refused: a blocklist follows."""
LIST_CONSUMERS: Final = Quota(
    "list-consumers", 1_000, "consumers of lists", count=repository.count_consumers
)
PROTECTED_VALUES: Final = Quota(
    "protected-values", 10_000, "protected names and networks", count=repository.count_protected
)
POSTED_OBJECTS: Final = Quota(
    "posted-objects-per-day", 1_000_000, "objects posted into collections a day", 86_400
)
POSTED_RUNS: Final = Quota(
    "posted-runs-per-hour", 1_000, "runs an hour for what is posted into collections", 3_600
)
"""A document leads to a run at least, however few objects it has; a large one to many."""
PUSHES: Final = Quota("pushes", 50, "pushes of collections", count=repository.count_pushes)
DELETIONS: Final = Quota("deletions-per-hour", 1_000, "deletions from collections an hour", 3_600)
"""Apart from posts: who has posted too much can still take something back."""

QUOTAS: Final = (
    SIGHTINGS,
    BULK_REQUESTS,
    COLLECTIONS,
    PUSHES,
    LISTS,
    LIST_ENTRIES,
    LIST_CONSUMERS,
    PROTECTED_VALUES,
    POSTED_OBJECTS,
    POSTED_RUNS,
    DELETIONS,
)
