"""What a run has said is taken back and restored: of lists, of streams, and of a whole feed."""

from typing import Any

import pytest

from services.feeds.payloads.store import PayloadStore
from services.feeds.runs.service import prune_files
from shared.database import Database
from shared.settings import Settings
from tests.feeds.conftest import Desk, Provider
from tests.feeds.runs.lists import change, column, listed, names, work_until_killed
from tests.feeds.runs.test_full_statements import is_statement


def retract(desk: Desk, run: dict[str, Any]) -> dict[str, Any]:
    answer = desk.client.post(f"/v1/runs/{run['id']}/retract", json={})
    assert answer.status_code == 202, answer.text
    retraction: dict[str, Any] = answer.json()
    return retraction


def refusal(desk: Desk, run: dict[str, Any], verb: str = "retract") -> str:
    answer = desk.client.post(f"/v1/runs/{run['id']}/{verb}", json={})
    assert answer.status_code == 409, answer.text
    return str(answer.json()["title"])


def feed_of(desk: Desk, run: dict[str, Any]) -> dict[str, Any]:
    feed: dict[str, Any] = desk.client.get(f"/v1/feeds/{run['feed_id']}").json()
    return feed


def test_a_list_goes_back_to_the_document_before(desk: Desk, base: dict[str, Any]) -> None:
    bad = desk.upload(listed(*range(10, 90)))
    assert desk.done(bad)["state"] == "succeeded"
    preview = desk.client.post(f"/v1/runs/{bad['id']}/retract", json={"dry_run": True}).json()
    assert preview["run"] is None
    assert preview["listed"] == 80
    assert preview["returns_to"] == base["id"]
    assert feed_of(desk, bad)["listed"] == 80
    run = retract(desk, bad)["run"]
    assert run["retracts"] == bad["id"]
    assert desk.done(run)["state"] == "succeeded"
    assert desk.published_values(run)[0] == names(*range(20))
    assert is_statement(desk.published(run))
    assert feed_of(desk, bad)["listed"] == 20
    # What comes next is compared with the document that holds again.
    following = desk.upload(listed(*range(21)))
    desk.done(following)
    assert desk.published_values(following) == (names(20), set())


def test_every_chunk_of_an_amendment_says_that_it_is_one(desk: Desk, base: dict[str, Any]) -> None:
    run = retract(desk, base)["run"]
    desk.done(run)
    restored = desk.client.post(f"/v1/runs/{base['id']}/restore").json()
    desk.done(restored)
    for chunks in (desk.published(run), desk.published(restored)):
        assert chunks
        assert all(chunk.is_amendment and chunk.is_repetition for chunk in chunks)
    assert not any(chunk.is_amendment for chunk in desk.published(base))


def test_the_first_document_of_a_list_leaves_nothing_and_is_restored(
    desk: Desk, base: dict[str, Any]
) -> None:
    run = retract(desk, base)["run"]
    assert desk.done(run)["state"] == "succeeded"
    assert desk.published_values(run) == (set(), set())
    assert is_statement(desk.published(run))
    assert feed_of(desk, base)["listed"] == 0
    assert "is taken back already" in refusal(desk, base)
    restored = desk.client.post(f"/v1/runs/{run['id']}/restore").json()
    assert desk.done(restored)["state"] == "succeeded"
    assert desk.published_values(restored)[0] == names(*range(20))
    assert is_statement(desk.published(restored))
    assert feed_of(desk, base)["listed"] == 20
    assert "was not taken back" in refusal(desk, base, "restore")


def test_a_stream_keeps_what_its_other_documents_name(desk: Desk) -> None:
    first = desk.upload(listed(1, 2, 3))
    desk.done(first)
    second = desk.upload(listed(3, 4, 5))
    desk.done(second)
    preview = desk.client.post(f"/v1/runs/{second['id']}/retract", json={"dry_run": True}).json()
    assert preview["kept_documents"] == 1
    run = retract(desk, second)["run"]
    assert desk.done(run)["report"]["gone"] == 2
    assert desk.published_values(run) == (names(3), names(4, 5))
    # Also an older document is taken back, and the same upload is news afterwards.
    other = retract(desk, first)["run"]
    desk.done(other)
    assert desk.published_values(other) == (set(), names(1, 2, 3))
    again = desk.upload(listed(3, 4, 5))
    desk.done(again)
    assert desk.published_values(again)[0] == names(3, 4, 5)


def test_a_feed_takes_back_all_that_it_has_said(desk: Desk) -> None:
    run = desk.upload(listed(1, 2, 3))
    desk.done(run)
    answer = desk.client.post(f"/v1/feeds/{run['feed_id']}/retract", json={})
    assert answer.status_code == 202
    over = answer.json()["run"]
    assert desk.done(over)["state"] == "succeeded"
    assert is_statement(desk.published(over))
    assert desk.client.delete(f"/v1/feeds/{run['feed_id']}").status_code == 204


def test_a_take_back_is_no_document_of_the_source(desk: Desk) -> None:
    first = desk.upload(listed(1, 2))
    desk.done(first)
    wrong = desk.upload(listed(3, 4, 5))
    desk.done(wrong)
    run = desk.done(retract(desk, wrong)["run"])
    assert run["report"]["gone"] == 3
    feed = feed_of(desk, wrong)
    assert (feed["health"], feed["health_evidence"]) == ("healthy", {})
    # The documents that it reads are said again and are not counted as read.
    assert not run["report"].get("notes")
    restored = desk.client.post(f"/v1/runs/{run['id']}/restore").json()
    assert len(desk.done(restored)["report"].get("notes", [])) <= 1
    assert feed_of(desk, wrong)["health"] == "healthy"


def test_a_feed_that_is_fetched_is_paused(desk: Desk, provider: tuple[str, type[Provider]]) -> None:
    url, handler = provider
    handler.body = listed(1, 2)
    feed = desk.feed(url=url, format="text")
    run = desk.fetch(feed)
    desk.done(run)
    retraction = retract(desk, run)
    assert retraction["pauses"]
    desk.done(retraction["run"])
    assert not feed_of(desk, run)["enabled"]


def test_a_killed_worker_takes_back_the_same(desk: Desk, base: dict[str, Any]) -> None:
    run = retract(desk, base)["run"]
    work_until_killed(desk, run)
    assert desk.done(run)["state"] == "succeeded"
    assert feed_of(desk, base)["listed"] == 0


def test_what_a_later_document_has_replaced_cannot_be_taken_back(
    desk: Desk, base: dict[str, Any]
) -> None:
    desk.done(desk.upload(listed(*range(21))))
    assert "A later document has replaced" in refusal(desk, base)


def test_a_run_that_has_published_nothing_cannot_be_taken_back(desk: Desk) -> None:
    run = desk.upload(b'{"not": [')
    desk.done(run)
    assert "has published nothing" in refusal(desk, run)


def test_after_thirty_days_nothing_is_restored(
    desk: Desk, own: Database, settings: Settings, base: dict[str, Any]
) -> None:
    run = retract(desk, base)["run"]
    desk.done(run)
    digest = column(own, "SELECT payload FROM run WHERE id = :id", id=run["id"])
    change(own, "UPDATE run SET queued_at = queued_at - interval '10 days', part = NULL")
    change(own, "UPDATE feed SET retention_days = 1")
    prune_files(own, settings)
    assert PayloadStore(settings.data_dir).size(digest)
    change(own, "UPDATE run SET finished_at = now() - interval '31 days'")
    assert "more than 30 days ago" in refusal(desk, base, "restore")


def lose_document(desk: Desk, settings: Settings, run: dict[str, Any]) -> None:
    """The file of a run's document is gone from the data folder."""
    digest = column(desk.own, "SELECT payload FROM run WHERE id = :id", id=run["id"])
    [path] = settings.data_dir.rglob(f"{digest}.zst")
    path.unlink()


def test_a_list_does_not_go_back_to_a_document_that_is_lost(
    desk: Desk, settings: Settings, base: dict[str, Any]
) -> None:
    bad = desk.upload(listed(*range(10, 90)))
    desk.done(bad)
    lose_document(desk, settings, base)
    preview = desk.client.post(f"/v1/runs/{bad['id']}/retract", json={"dry_run": True})
    assert preview.status_code == 409
    assert f"of the run {base['id']}, is not kept any more" in preview.json()["title"]
    assert "is not kept any more" in refusal(desk, bad)
    assert column(desk.own, "SELECT count(*) FROM run WHERE input = 'retraction'") == 0
    assert feed_of(desk, bad)["listed"] == 80


def test_a_document_that_is_lost_before_the_run_begins_ends_it_unpublished(
    desk: Desk, settings: Settings, base: dict[str, Any]
) -> None:
    bad = desk.upload(listed(*range(10, 90)))
    desk.done(bad)
    run = retract(desk, bad)["run"]
    lose_document(desk, settings, base)
    done = desk.done(run)
    assert done["state"] == "failed"
    assert "is not kept any more" in str(done["error"])
    assert not desk.published(run)
    assert feed_of(desk, bad)["listed"] == 80


def test_another_tenant_takes_nothing_back(
    desk: Desk, base: dict[str, Any], client_for: Any
) -> None:
    stranger = client_for("feeds", tenant="globex")
    for verb in ("retract", "restore"):
        answer = stranger.post(f"/v1/runs/{base['id']}/{verb}", json={})
        assert answer.status_code == 404
    answer = stranger.post(f"/v1/feeds/{base['feed_id']}/retract", json={})
    assert answer.status_code == 404


@pytest.mark.parametrize("role", ["viewer"])
def test_who_may_not_write_feeds_takes_nothing_back(
    base: dict[str, Any], client_for: Any, role: str
) -> None:
    reader = client_for("feeds", role=role)
    assert reader.post(f"/v1/runs/{base['id']}/retract", json={}).status_code == 403
