"""Scores follow what is measured of their sources, also when the process is killed meanwhile."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from services.observables.evidence import rescoring
from services.observables.evidence.repository import rescoring as repository
from services.observables.evidence.service import measure_sources
from shared.database import PLATFORM, Database
from tests.observables.conftest import after, chunk, handle
from tests.observables.evidence.test_service import addresses, feed

COUNT = 60


class Killed(Exception):
    """What a test raises where a process ends."""


@pytest.fixture
def mirrored(own: Database) -> Database:
    """A list and its mirror."""
    handle(own, chunk(*addresses(1), feed=feed(1), at=after(-5)))
    handle(own, chunk(*addresses(1), feed=feed(2), at=after(0)))
    return own


def ending_at(call: int) -> Callable[..., int]:
    """Marks as the real one does, until the process ends at one of the calls."""
    calls = iter(range(1, call + 1))

    def mark(*arguments: Any) -> int:
        if next(calls) == call:
            raise Killed
        return repository_mark(*arguments)

    repository_mark = repository.mark_due
    return mark


def measure_until_killed(own: Database, call: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repository, "mark_due", ending_at(call))
        with pytest.raises(Killed):
            measure_sources(own)


def due(own: Database) -> int:
    with own.transaction(PLATFORM) as session:
        query = "SELECT count(*) FROM observable WHERE due_at < now() + interval '61 minutes'"
        return int(session.execute(sa.text(query)).scalar_one())


def notes(own: Database) -> list[tuple[Any, ...]]:
    with own.transaction(PLATFORM) as session:
        query = "SELECT source_id, other_id, next_range FROM source_rescoring"
        return [tuple(row) for row in session.execute(sa.text(query))]


@pytest.mark.parametrize("call", [1, 2, 33, 64])
def test_a_process_that_ends_between_measurement_and_marks_loses_none(
    mirrored: Database, call: int
) -> None:
    measure_until_killed(mirrored, call)
    assert [note[2] for note in notes(mirrored)] == [call - 1]
    assert due(mirrored) < COUNT
    again = measure_sources(mirrored)
    assert again.changed == 0
    assert (due(mirrored), notes(mirrored)) == (COUNT, [])


def test_a_source_that_moves_again_is_marked_from_the_first_range(mirrored: Database) -> None:
    measure_until_killed(mirrored, 40)
    [(source, other, _)] = notes(mirrored)
    with mirrored.transaction("acme") as session:
        repository.put_rescoring(session, "acme", source, other)
    assert [note[2] for note in notes(mirrored)] == [0]


def test_all_that_a_source_lists_is_marked_of_its_own_tenant_alone(mirrored: Database) -> None:
    handle(mirrored, chunk(*addresses(1, 5), feed=feed(5), tenant="other", at=after(0)))
    with mirrored.transaction("acme") as session:
        repository.put_rescoring(session, "acme", feed(1).id, feed(1).id)
    assert rescoring.mark_scores(mirrored) == COUNT
    assert notes(mirrored) == []


def test_a_note_of_a_source_that_is_gone_goes_too(own: Database) -> None:
    with own.transaction("acme") as session:
        repository.put_rescoring(session, "acme", UUID(int=7), UUID(int=8))
    assert rescoring.mark_scores(own) == 0
    assert notes(own) == []
