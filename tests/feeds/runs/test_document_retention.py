"""Documents of runs that have ended go with their retention, but for what a take-back needs."""

import os
from typing import Any

from services.feeds.payloads.store import PayloadStore
from services.feeds.runs.service import prune_files
from shared.database import Database
from shared.settings import Settings
from tests.feeds.conftest import Desk, Provider
from tests.feeds.runs.lists import change, column, listed


def digest_of(own: Database, run: dict[str, Any]) -> str:
    digest: str = column(own, "SELECT payload FROM run WHERE id = :id", id=run["id"])
    return digest


def let_days_pass(own: Database, settings: Settings) -> None:
    """Eight days: one more than documents are kept."""
    change(own, "UPDATE run SET queued_at = queued_at - interval '8 days'")
    for path in settings.data_dir.rglob("*.zst"):
        os.utime(path, (0, 0))


def fetch_all(desk: Desk, provider: tuple[str, type[Provider]], kind: str) -> list[dict[str, Any]]:
    """Four runs, each with a document of its own."""
    url, handler = provider
    handler.etag = ""
    handler.body = listed(*range(20))
    feed = desk.feed(url=url, format="text", kind=kind)
    runs = []
    for last in (20, 22, 24, 26):
        handler.body = listed(*range(last))
        run = desk.fetch(feed)
        assert desk.done(run)["state"] == "succeeded"
        runs.append(run)
    return runs


def test_a_list_keeps_what_it_is_at_and_the_document_before(
    desk: Desk, provider: tuple[str, type[Provider]], own: Database, settings: Settings
) -> None:
    runs = fetch_all(desk, provider, "snapshot")
    digests = [digest_of(own, run) for run in runs]
    store = PayloadStore(settings.data_dir)
    prune_files(own, settings)
    assert all(store.size(each) for each in digests)
    let_days_pass(own, settings)
    counts = prune_files(own, settings)
    assert counts.payloads >= 2
    assert [bool(store.size(each)) for each in digests] == [False, False, True, True]
    answer = desk.client.post(f"/v1/runs/{runs[-1]['id']}/retract", json={"dry_run": True})
    assert answer.json()["returns_to"] == runs[-2]["id"]


def test_a_stream_keeps_no_document_longer_than_its_retention(
    desk: Desk, provider: tuple[str, type[Provider]], own: Database, settings: Settings
) -> None:
    runs = fetch_all(desk, provider, "stream")
    let_days_pass(own, settings)
    prune_files(own, settings)
    store = PayloadStore(settings.data_dir)
    presence = [bool(store.size(digest_of(own, run))) for run in runs]
    assert presence[:3] == [False, False, False]
