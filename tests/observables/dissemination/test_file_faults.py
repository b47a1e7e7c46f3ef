"""Files of lists that take long to write, are overtaken, or fail."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from services.observables.dissemination.files import service as files
from services.observables.dissemination.files.scratch import ScratchPages
from services.observables.dissemination.membership.fill import fill_lists
from services.observables.dissemination.retries import RetrySchedule
from shared.database import PLATFORM
from shared.errors import NotFound, Unavailable
from tests.observables.dissemination.conftest import Lists, address

_OPEN = sa.text("""
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND usename = current_user AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
""")


@pytest.fixture
def view(lists: Lists) -> dict:
    view = lists.create()
    lists.see(address(1), address(2))
    return view


def while_encoding(monkeypatch: pytest.MonkeyPatch, act) -> None:
    """Let something happen, once, when a file is compressed."""
    encoded = files._encoded
    acts = [act]

    def encode(pieces: Iterator[bytes]) -> tuple[dict[str, bytes], bytes, int]:
        content = encoded(pieces)
        if acts:
            acts.pop()()
        return content

    monkeypatch.setattr(files, "_encoded", encode)


def test_no_transaction_is_open_while_a_file_is_compressed(
    lists: Lists, view: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []

    def count_transactions() -> None:
        with lists.own.transaction(PLATFORM) as session:
            counts.append(session.execute(_OPEN).scalar_one())

    while_encoding(monkeypatch, count_transactions)
    assert files.write_file(lists.own, UUID(view["id"]), "plain").entries == 2
    assert counts == [0]


def test_a_file_of_an_older_version_replaces_no_newer_one(
    lists: Lists, view: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_overtaken() -> None:
        lists.see(address(3))
        with lists.own.transaction(PLATFORM) as session:
            row = files.repository.list_row(session, UUID(view["id"]))
            assert row is not None
            newer = files.FileRow(
                row.id, "plain", 3, row.revision, b"newer", 0, 3, {}, datetime.now(UTC)
            )
            files.repository.put(session, row.tenant, files.WrittenFile(newer, {}))

    while_encoding(monkeypatch, be_overtaken)
    row = files.write_file(lists.own, UUID(view["id"]), "plain")
    assert (row.number, row.digest) == (3, b"newer")


def test_a_file_of_a_list_that_was_edited_or_deleted_meanwhile_is_not_stored(
    lists: Lists, view: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"/v1/lists/{view['id']}"
    body = {"filter": "observable.score >= 21"}
    while_encoding(monkeypatch, lambda: lists.client.patch(place, json=body))
    with pytest.raises(Unavailable, match="edited"):
        files.write_file(lists.own, UUID(view["id"]), "plain")
    fill_lists(lists.own)
    while_encoding(monkeypatch, lambda: lists.client.delete(place))
    with pytest.raises(NotFound):
        files.write_file(lists.own, UUID(view["id"]), "plain")
    assert not lists.rows("SELECT FROM observables.list_file WHERE list_id = :list", view["id"])


def test_a_file_that_cannot_be_written_is_not_tried_at_once_again(
    lists: Lists, view: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_file(lists.own, UUID(view["id"]), "plain")
    lists.see(address(3))
    attempts: list[int] = []

    def fail(*_: object) -> None:
        attempts.append(1)
        raise Unavailable("The disk is full.")

    schedule = RetrySchedule()
    monkeypatch.setattr(files, "_RETRIES", schedule)
    with monkeypatch.context() as patch:
        patch.setattr(files, "_encoded", fail)
        assert [files.write_stale_files(lists.own) for _ in range(3)] == [0, 0, 0]
    assert len(attempts) == 1
    # The next failure keeps it back for twice as long.
    assert schedule.note_failure((UUID(view["id"]), "plain")) == 4
    schedule.note_success((UUID(view["id"]), "plain"))
    assert files.write_stale_files(lists.own) == 1


def test_pauses_grow_to_five_minutes() -> None:
    schedule = RetrySchedule()
    assert schedule.is_due("list")
    assert [schedule.note_failure("list") for _ in range(9)][-3:] == [128, 256, 300]
    assert not schedule.is_due("list")
    assert schedule.is_due("another")


@pytest.mark.parametrize("values_alone", [True, False])
def test_pages_come_back_as_they_were(values_alone: bool) -> None:
    whole = ("url", "http://a/\x00é", 100, 2**40, datetime.now(UTC), uuid4())
    row = whole[:2] if values_alone else whole
    with ScratchPages(values_alone=values_alone) as pages:
        pages.write(iter([[row, row], [row]]))
        assert list(pages.read()) == [[row, row], [row]]
