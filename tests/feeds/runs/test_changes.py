"""Only changes are published, and a list that breaks down is not believed at once."""

import gzip
import io
import zipfile
from typing import Any

import pytest
import sqlalchemy as sa
import zstandard

from services.feeds.runs.leased_run import LeasedRun
from shared.database import PLATFORM, Database
from shared.settings import Settings
from tests.feeds.conftest import Desk, Provider


def listed(*numbers: int, head: str = "# a list") -> bytes:
    return "\n".join([head, *(f"203.0.113.{number}" for number in numbers)]).encode()


def names(*numbers: int) -> set[str]:
    return {f"203.0.113.{number}" for number in numbers}


@pytest.fixture
def snapshot(desk: Desk) -> dict[str, Any]:
    run = desk.upload(listed(*range(20)), kind="snapshot")
    assert desk.done(run)["state"] == "succeeded"
    return run


def test_only_additions_changes_and_disappearances_travel(
    desk: Desk, snapshot: dict[str, Any]
) -> None:
    run = desk.upload(listed(*range(2, 22), head="# generated later"))
    report = desk.done(run)["report"]
    assert desk.published_values(run) == (names(20, 21), names(0, 1))
    assert (report["taken"], report["seen"], report["gone"]) == (20, 2, 2)


def test_a_new_comment_or_another_order_is_no_change(desk: Desk, snapshot: dict[str, Any]) -> None:
    run = desk.upload(listed(*reversed(range(20)), head="# generated later"))
    assert desk.done(run)["state"] == "unchanged"
    assert desk.published_values(run) == (set(), set())


def test_an_observable_on_another_line_too_is_not_gone(desk: Desk) -> None:
    ports = b"203.0.113.1:80\n203.0.113.1:443\n203.0.113.2\n203.0.113.3"
    desk.work(desk.upload(ports, kind="snapshot"))
    run = desk.upload(ports.replace(b"203.0.113.1:80\n", b""))
    desk.work(run)
    assert desk.published_values(run) == (set(), set())
    run = desk.upload(b"203.0.113.2\n203.0.113.3")
    desk.work(run)
    assert desk.published_values(run) == (set(), names(1))


def test_other_settings_say_everything_again(desk: Desk, snapshot: dict[str, Any]) -> None:
    run = desk.upload(listed(*range(20)), confidence=10)
    desk.work(run)
    assert desk.published_values(run) == (names(*range(20)), set())


def test_a_stream_only_adds(desk: Desk) -> None:
    desk.work(desk.upload(listed(1, 2, 3), kind="stream"))
    run = desk.upload(listed(3, 4))
    desk.work(run)
    assert desk.published_values(run) == (names(4), set())


@pytest.mark.parametrize(
    ("body", "reason"), [(listed(1, 2), "lists 2"), (b"# all clear\n", "is empty")]
)
def test_a_list_that_breaks_down_is_held_back_until_it_was_seen_three_times(
    desk: Desk, snapshot: dict[str, Any], body: bytes, reason: str
) -> None:
    for times in (1, 2):
        run = desk.upload(body)
        assert desk.done(run)["state"] == "held"
        assert desk.published_values(run) == (set(), set())
        feed = desk.client.get(f"/v1/feeds/{run['feed_id']}").json()
        assert (feed["held"]["times"], feed["listed"]) == (times, 20)
        assert reason in feed["held"]["reason"]
        assert feed["health"] == ("shrunk" if b"203" in body else "empty")
    run = desk.upload(body)
    assert desk.done(run)["state"] == "succeeded"
    assert len(desk.published_values(run)[1]) >= 18
    feed = desk.client.get(f"/v1/feeds/{run['feed_id']}").json()
    assert feed["held"] is None


def test_a_list_that_recovers_is_believed_again(desk: Desk, snapshot: dict[str, Any]) -> None:
    desk.work(desk.upload(b""))
    run = desk.upload(listed(*range(1, 20)))
    desk.work(run)
    assert desk.published_values(run) == (set(), names(0))
    again = desk.upload(b"")
    assert desk.done(again)["state"] == "held"
    assert desk.client.get(f"/v1/feeds/{run['feed_id']}").json()["held"]["times"] == 1


def test_a_person_confirms_what_was_held_back(desk: Desk, snapshot: dict[str, Any]) -> None:
    quarantined = desk.upload(listed(1))
    desk.work(quarantined)
    run = desk.client.post(f"/v1/feeds/{quarantined['feed_id']}/confirm")
    assert run.status_code == 202
    assert desk.done(run.json())["state"] == "succeeded"
    assert desk.published_values(run.json())[1] == names(*range(20)) - names(1)
    assert desk.client.post(f"/v1/feeds/{quarantined['feed_id']}/confirm").status_code == 409


def test_a_held_list_is_fetched_again_in_full(
    desk: Desk, provider: tuple[str, type[Provider]]
) -> None:
    url, handler = provider
    handler.body = listed(*range(20))
    feed = desk.feed(url=url, format="text")
    desk.work(desk.fetch(feed))
    handler.body = listed(1)
    handler.etag = '"2"'
    assert [desk.done(desk.fetch(feed))["state"] for _ in range(3)] == ["held", "held", "succeeded"]


def test_a_run_killed_before_its_end_says_the_same_again(
    desk: Desk, own: Database, snapshot: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = desk.upload(listed(*range(5, 30)))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LeasedRun, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            desk.work(run)
    first = desk.published(run)
    with own.transaction(PLATFORM) as session:
        session.execute(
            sa.text(
                "UPDATE run SET lease_until = now() - interval '1 second' WHERE state = 'running'"
            )
        )
    assert desk.done(run)["state"] == "succeeded"
    both = desk.published(run)
    assert len(both) == 2 * len(first)
    assert desk.published_values(run) == (names(*range(20, 30)), names(*range(5)))


def test_a_killed_fetch_takes_the_payload_it_had(
    desk: Desk, own: Database, provider: tuple[str, type[Provider]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was half published is not forgotten when the provider has changed its list meanwhile."""
    url, handler = provider
    handler.body = listed(1, 2)
    run = desk.fetch(desk.feed(url=url, format="text"))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LeasedRun, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            desk.work(run)
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("UPDATE run SET lease_until = now() - interval '1 second'"))
    handler.body = listed(2, 3)
    handler.etag = '"2"'
    assert desk.done(run)["state"] == "succeeded"
    assert desk.published_values(run) == (names(1, 2), set())
    # A run speaks for one moment: what the provider lists now is the next run's.
    later = desk.fetch({"id": run["feed_id"]})
    assert desk.done(later)["state"] == "succeeded"
    assert desk.published_values(later) == (names(3), names(1))


def test_a_run_that_kills_its_workers_is_given_up(desk: Desk, own: Database) -> None:
    run = desk.upload(listed(1))
    with own.transaction(PLATFORM) as session:
        session.execute(
            sa.text(
                "UPDATE run SET state = 'running', deaths = 4, lease_until = now() - interval '1s'"
            )
        )
    done = desk.done(run)
    assert (done["state"], done["error"]["code"]) == ("failed", "unworkable")


def zipped(body: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../list.txt", body)
    return packed.getvalue()


@pytest.mark.parametrize(
    "wrap", [gzip.compress, zstandard.compress, zipped, lambda body: zipped(gzip.compress(body))]
)
def test_a_wrapped_document_is_the_document(
    desk: Desk, snapshot: dict[str, Any], wrap: Any
) -> None:
    assert desk.done(desk.upload(wrap(listed(*range(20)))))["state"] == "unchanged"


def test_a_changed_reading_is_shown_before_it_is_applied(desk: Desk) -> None:
    table = (
        b"when,src,dst\n2026-01-01,203.0.113.1,198.51.100.1\n2026-01-02,203.0.113.2,198.51.100.1\n"
    )
    run = desk.upload(table, kind="snapshot", format="csv", options='{"columns": {"value": "src"}}')
    desk.work(run)
    changes = {"options": {"columns": {"value": "dst"}}}
    shown = desk.client.post(f"/v1/feeds/{run['feed_id']}/reparse", json=changes).json()
    assert [record["value"] for record in shown["new"]["records"]] == ["198.51.100.1"]
    assert {record["value"] for record in shown["gone"]["records"]} == names(1, 2)
    assert desk.client.get(f"/v1/feeds/{run['feed_id']}").json()["options"] == {
        "columns": {"value": "src"}
    }
    applied = desk.client.post(
        f"/v1/feeds/{run['feed_id']}/reparse", json=changes | {"apply": True}
    ).json()["run"]
    assert desk.done(applied)["state"] == "succeeded"
    assert desk.published_values(applied) == ({"198.51.100.1"}, names(1, 2))


def test_a_preview_stores_nothing(
    desk: Desk, provider: tuple[str, type[Provider]], settings: Settings
) -> None:
    url, handler = provider
    handler.body = listed(*range(60)) + b"\nnot an observable !\n"
    for answer in (
        desk.client.post("/v1/preview", json={"url": url}),
        desk.client.post(
            "/v1/preview/document", content=gzip.compress(handler.body), params={"name": "list.txt"}
        ),
    ):
        preview = answer.json()
        assert (preview["format"], preview["taken"], len(preview["records"])) == ("text", 60, 50)
        assert preview["examples"][0]["where"] == "line 62"
    assert desk.client.get("/v1/feeds").json()["items"] == []
    assert list((settings.data_dir / "payloads" / "incoming").iterdir()) == []
