"""Mark the scores that follow what is measured of sources, range by range.

The note of it is stored with the measurement. A process that is killed leaves the note, and the
next measurement goes on at the range where it stopped.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final
from uuid import UUID

from services.observables.evidence.repository import rescoring as repository
from services.observables.evidence.repository.copies import IdRange
from shared.database import PLATFORM, Database

PATIENCE: Final = 60
"""Seconds that one page may take."""
_RANGES: Final = 64


def id_ranges(count: int) -> Iterator[IdRange]:
    """All ids in ranges of about the same length."""
    bounds = [number * 0x10000 // count for number in range(count + 1)]
    for low, high in pairwise(bounds):
        yield IdRange(UUID(int=low << 112), UUID(int=(high << 112) - 1))


def mark_scores(database: Database) -> int:
    """Mark the scores of all notes as due; return how many were marked."""
    ranges = list(id_ranges(_RANGES))
    marked = 0
    while True:
        with database.transaction(PLATFORM, PATIENCE) as session:
            note = repository.next_rescoring(session)
            if note is None:
                return marked
            tenant, source, other, number = note
            marked += repository.mark_due(session, tenant, source, other, ranges[number])
            repository.advance_rescoring(session, tenant, source, other, number + 1, _RANGES)
