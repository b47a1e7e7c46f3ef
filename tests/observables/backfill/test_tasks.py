"""The task that refreshes reference data, on the real database."""

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from services.observables.backfill import tasks
from shared.database import PLATFORM, Database, database
from shared.settings import Settings


@pytest.fixture
def own(environment: Settings) -> Iterator[Database]:
    own = database("observables")
    yield own
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("DELETE FROM sweep"))


def test_two_refreshes_of_reference_data_never_run_at_once(
    own: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    end = threading.Event()

    def refresh(_: Database) -> dict[str, object]:
        begun.set()
        assert end.wait(30)
        return {"status": "ok", "mapped": 3}

    monkeypatch.setattr(tasks, "_refresh", refresh)
    results: list[dict[str, object]] = []
    first = threading.Thread(target=lambda: results.append(tasks.refresh_reference()))
    first.start()
    assert begun.wait(30)
    assert tasks.refresh_reference() == {"status": "skipped"}
    end.set()
    first.join()
    assert results == [{"status": "ok", "mapped": 3}]
    assert tasks.refresh_reference()["status"] == "ok", "the next one runs"


def test_a_refresh_that_fails_says_so_and_holds_nothing(
    own: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refresh(_: Database) -> dict[str, object]:
        raise ValueError("a bug")

    monkeypatch.setattr(tasks, "_refresh", refresh)
    assert tasks.refresh_reference() == {"status": "failed"}
    monkeypatch.setattr(tasks, "_refresh", lambda _: {"status": "ok"})
    assert tasks.refresh_reference() == {"status": "ok"}
