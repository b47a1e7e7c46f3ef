"""A feed can always say everything again: after a loss, at a wish, and as a check."""

import os
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from services.feeds.runs import full_statements
from services.feeds.runs.accounts import CHECK_CORRECTIONS
from services.feeds.runs.leased_run import LeasedRun
from services.feeds.snapshots.store import SnapshotStore
from shared.database import PLATFORM, Database
from shared.durable_files import file_digest
from shared.events.feeds import IndicatorsObserved
from shared.settings import Settings
from shared.stix.ids import BUCKETS
from tests.feeds.conftest import Desk, Provider
from tests.feeds.runs.lists import listed, names


def is_statement(chunks: list[IndicatorsObserved]) -> bool:
    """Whether the chunks end a full statement of each bucket."""
    counts: dict[int, int] = {}
    for chunk in chunks:
        counts[chunk.bucket] = counts.get(chunk.bucket, 0) + 1
    ends = {
        chunk.bucket: chunk.statement_chunks
        for chunk in chunks
        if chunk.statement_chunks is not None and chunk.chunk == chunk.statement_chunks - 1
    }
    return ends == counts and len(ends) == BUCKETS


def snapshot_file(own: Database, settings: Settings) -> Path:
    with own.transaction(PLATFORM) as session:
        feed = session.execute(sa.text("SELECT id, version FROM feed")).one()
    return settings.data_dir / "versions" / str(feed.id) / feed.version


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def replace_by_older(path: Path) -> None:
    path.write_bytes(b"another file")


@pytest.mark.parametrize("damage", [Path.unlink, cut, replace_by_older])
def test_a_feed_whose_version_is_lost_or_damaged_says_everything(
    desk: Desk, own: Database, settings: Settings, base: dict[str, Any], damage: Any
) -> None:
    damage(snapshot_file(own, settings))
    run = desk.upload(listed(*range(1, 21)))
    done = desk.done(run)
    assert done["state"] == "succeeded"
    assert done["full_reason"]
    assert desk.published_values(run)[0] == names(*range(1, 21))
    assert is_statement(desk.published(run))
    following = desk.upload(listed(*range(2, 21)))
    assert desk.done(following)["full_reason"] is None
    assert desk.published_values(following) == (set(), names(1))


def test_a_lost_version_leaves_the_shrink_guard_on(
    desk: Desk, own: Database, settings: Settings, base: dict[str, Any]
) -> None:
    snapshot_file(own, settings).unlink()
    run = desk.upload(listed(1))
    assert desk.done(run)["state"] == "held"
    assert desk.published_values(run) == (set(), set())
    feed = desk.client.get(f"/v1/feeds/{run['feed_id']}").json()
    assert (feed["held"]["before"], feed["held"]["listed"]) == (20, 1)


def test_a_lost_version_is_noticed_although_nothing_has_changed(
    desk: Desk, settings: Settings, own: Database, provider: tuple[str, type[Provider]]
) -> None:
    url, handler = provider
    handler.body = listed(1, 2)
    feed = desk.feed(url=url, format="text")
    desk.done(desk.fetch(feed))
    snapshot_file(own, settings).unlink()
    run = desk.fetch(feed)
    assert desk.done(run)["state"] == "succeeded"
    assert is_statement(desk.published(run))


def test_a_version_of_another_data_folder_is_not_compared_with(
    desk: Desk, own: Database, settings: Settings, base: dict[str, Any]
) -> None:
    (settings.data_dir / "data-folder-id").write_text("another")
    run = desk.upload(listed(*range(20)))
    done = desk.done(run)
    assert "another data folder" in done["full_reason"]
    assert is_statement(desk.published(run))
    assert desk.done(desk.upload(listed(*range(20))))["state"] == "unchanged"


def test_a_version_is_on_the_disk_before_the_feed_names_it(
    desk: Desk, own: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut keeps what was synced: the file's content first, then its name."""
    synced: list[str] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().as_posix())
        fsync(descriptor)

    finish = LeasedRun.finish

    def finish_and_look(run: LeasedRun, *args: Any, **values: Any) -> Any:
        synced.append("the feed's row")
        return finish(run, *args, **values)

    monkeypatch.setattr("os.fsync", record)
    monkeypatch.setattr(LeasedRun, "finish", finish_and_look)
    run = desk.upload(listed(*range(20)), kind="snapshot")
    desk.work(run)
    folder = settings.data_dir / "versions" / run["feed_id"]
    places = [place for place in synced if place.startswith(str(folder)) or "row" in place]
    assert [Path(place).suffix for place in places] == [".part", "", ""]
    assert places[1:] == [str(folder), "the feed's row"]


def test_a_versions_name_is_its_content(
    own: Database, settings: Settings, base: dict[str, Any]
) -> None:
    path = snapshot_file(own, settings)
    assert path.name.startswith(f"{file_digest(path)}-")


def test_versions_with_the_same_content_do_not_share_a_file(
    desk: Desk, own: Database, settings: Settings, base: dict[str, Any]
) -> None:
    """A worker that wakes up late removes its predecessor's file, and nobody else's."""
    first = snapshot_file(own, settings)
    desk.work(desk.upload(listed(*range(21))))
    desk.work(desk.upload(listed(*range(20))))
    last = snapshot_file(own, settings)
    assert first.name.partition("-")[0] == last.name.partition("-")[0]
    SnapshotStore(settings.data_dir).remove(_feed(first), first.name)
    assert desk.done(desk.upload(listed(*range(21))))["full_reason"] is None


def _feed(path: Path) -> Any:
    return UUID(path.parent.name)


def test_the_whole_data_folder_may_be_lost(
    desk: Desk, own: Database, settings: Settings, provider: tuple[str, type[Provider]]
) -> None:
    url, handler = provider
    handler.body = listed(1, 2)
    feed = desk.feed(url=url, format="text")
    desk.done(desk.fetch(feed))
    for name in ("versions", "payloads"):
        shutil.rmtree(settings.data_dir / name)
    (settings.data_dir / "data-folder-id").unlink()
    answer = desk.client.post(f"/v1/feeds/{feed['id']}/resync")
    assert answer.status_code == 202
    run = answer.json()
    assert desk.done(run)["state"] == "succeeded"
    assert is_statement(desk.published(run))


def test_a_wish_lets_a_feed_say_everything_and_is_audited(
    desk: Desk, own: Database, base: dict[str, Any]
) -> None:
    first = desk.client.post(f"/v1/feeds/{base['feed_id']}/resync").json()
    assert desk.client.post(f"/v1/feeds/{base['feed_id']}/resync").json()["id"] == first["id"]
    done = desk.done(first)
    assert (done["state"], done["published"]) == ("succeeded", 20)
    assert "kim@acme.example asked" in done["full_reason"]
    assert is_statement(desk.published(first))
    with own.transaction(PLATFORM) as session:
        query = "SELECT count(*) FROM outbox WHERE topic LIKE '%audit%' "
        count = session.execute(
            sa.text(query + "AND convert_from(payload, 'UTF8') LIKE '%feeds.resync%'")
        ).scalar_one()
    assert count == 2


def test_a_feed_that_was_never_read_has_nothing_to_say(desk: Desk) -> None:
    feed = desk.feed()
    assert desk.client.post(f"/v1/feeds/{feed['id']}/resync").status_code == 409


def test_a_stream_repeats_what_it_has_and_retracts_nothing(desk: Desk) -> None:
    run = desk.upload(listed(1, 2, 3), kind="stream")
    desk.done(run)
    again = desk.client.post(f"/v1/feeds/{run['feed_id']}/resync").json()
    assert desk.done(again)["state"] == "succeeded"
    chunks = desk.published(again)
    assert desk.published_values(again) == (names(1, 2, 3), set())
    assert {chunk.statement_chunks for chunk in chunks} == {None}


def test_an_empty_list_is_a_statement_too(desk: Desk, base: dict[str, Any]) -> None:
    empty = desk.upload(b"# all clear\n")
    desk.work(empty)
    confirmed = desk.client.post(f"/v1/feeds/{base['feed_id']}/confirm").json()
    desk.done(confirmed)
    run = desk.client.post(f"/v1/feeds/{base['feed_id']}/resync").json()
    assert desk.done(run)["state"] == "succeeded"
    assert is_statement(desk.published(run))
    assert desk.published_values(run) == (set(), set())


def test_a_finished_run_says_what_it_published_by_bucket(
    desk: Desk, own: Database, base: dict[str, Any]
) -> None:
    run = desk.client.post(f"/v1/feeds/{base['feed_id']}/resync").json()
    desk.done(run)
    with own.transaction(PLATFORM) as session:
        [payload] = session.scalars(
            sa.text(
                "SELECT convert_from(payload, 'UTF8')::json FROM outbox "
                "WHERE topic LIKE '%feeds.finished.v1' ORDER BY id DESC LIMIT 1"
            )
        )
    counts: dict[str, int] = {}
    for chunk in desk.published(run):
        counts[str(chunk.bucket)] = counts.get(str(chunk.bucket), 0) + 1
    assert (payload["run_id"], payload["full"], payload["chunks"]) == (run["id"], True, counts)


def test_a_repeated_statement_is_the_same(
    desk: Desk, own: Database, base: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = desk.client.post(f"/v1/feeds/{base['feed_id']}/resync").json()

    def kill_worker(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LeasedRun, "finish", kill_worker)
        with pytest.raises(KeyboardInterrupt):
            desk.work(run)
    first = desk.published(run)
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("UPDATE run SET lease_until = now() WHERE state = 'running'"))
    desk.work(run)
    assert sorted(map(repr, desk.published(run))) == sorted(map(repr, first * 2))


# Checks


def make_check_due(own: Database) -> None:
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("UPDATE feed SET check_at = now()"))


def queued(desk: Desk) -> list[dict[str, Any]]:
    runs = desk.client.get("/v1/runs").json()["items"]
    return [run for run in runs if run["state"] == "queued"]


def test_a_check_is_spread_and_comes_every_few_days(
    desk: Desk, own: Database, base: dict[str, Any]
) -> None:
    assert full_statements.start_checks(own) == 0
    with own.transaction(PLATFORM) as session:
        query = "SELECT check_at - now() FROM feed"
        assert 0 < session.execute(sa.text(query)).scalar_one().total_seconds() < 7 * 86400
    make_check_due(own)
    assert full_statements.start_checks(own) == 1
    assert full_statements.start_checks(own) == 0
    [run] = queued(desk)
    before = CHECK_CORRECTIONS._value.get()
    assert desk.done(run)["full_reason"] == "check"
    assert is_statement(desk.published(run))
    assert CHECK_CORRECTIONS._value.get() == before
    with own.transaction(PLATFORM) as session:
        assert session.execute(sa.text("SELECT check_at > now() FROM feed")).scalar_one()


def test_what_a_check_corrects_is_counted(desk: Desk, own: Database, base: dict[str, Any]) -> None:
    make_check_due(own)
    full_statements.start_checks(own)
    [run] = queued(desk)
    desk.work(run)
    before = CHECK_CORRECTIONS._value.get()
    desk.answer(run, corrected=3)
    assert CHECK_CORRECTIONS._value.get() == before + 3


def test_a_stream_is_not_checked(desk: Desk, own: Database) -> None:
    desk.done(desk.upload(listed(1), kind="stream"))
    make_check_due(own)
    assert full_statements.start_checks(own) == 0
