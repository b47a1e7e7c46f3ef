"""What a reader of notifications has: the inbox, silences, digests and watchlists."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb

from tests.effects.world import World
from tests.gateway.console.conftest import Browser
from tests.gateway.console.test_lookup_pages import text_of
from tests.gateway.console.test_work_pages import made_channel

SignIn = Callable[..., Browser]
pytestmark = pytest.mark.usefixtures("settings")
TABS = ("inbox", "silences", "digests", "watchlists")


def test_a_test_message_is_read_in_the_inbox(sign_in: SignIn) -> None:
    browser = sign_in(role="analyst")
    empty = text_of(browser.get("/notifications/inbox").text)
    assert "0 messages are not read" in empty
    assert "There is no message to read." in empty
    missing = browser.post(f"/notifications/inbox/{uuid4()}")
    assert missing.status_code in {303, 404}
    assert browser.post("/notifications/inbox", until="nonsense").status_code == 422


def test_a_silence_is_tried_planned_and_ended(sign_in: SignIn) -> None:
    browser = sign_in(role="analyst")
    fields = {"filter": 'observable.value.under("example.com")', "reason": "Maintenance"}
    trial = browser.post("/notifications/silences", act="try", **fields)
    assert trial.status_code == 200, text_of(trial.text)
    assert "matches would have been held." in text_of(trial.text)
    assert 'value="Maintenance"' in trial.text, "what was typed stays"
    refused = browser.post("/notifications/silences", act="save", **fields)
    assert refused.status_code == 422
    assert re.search(r'name="ends_at"[^>]*aria-invalid="true"', refused.text)
    ends = (datetime.now(UTC) + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M")
    saved = browser.post("/notifications/silences", act="save", ends_at=ends, **fields)
    assert saved.headers["location"].endswith("?done=saved")
    page = browser.get("/notifications/silences").text
    assert "Maintenance" in page
    assert "Active" in text_of(page)
    match = re.search(r'action="/console(/notifications/silences/[0-9a-f-]+/end)"', page)
    assert match is not None
    browser.post(match[1])
    assert "Ended" in text_of(browser.get("/notifications/silences").text)


def test_a_wrong_filter_of_a_silence_shows_beside_it(sign_in: SignIn) -> None:
    browser = sign_in(role="analyst")
    answer = browser.post("/notifications/silences", act="try", filter="observable.value >>> 1")
    assert answer.status_code == 422
    assert re.search(r'name="filter"[^>]*aria-invalid="true"', answer.text)


def test_a_digest_is_made_paused_and_deleted(sign_in: SignIn) -> None:
    browser = sign_in(role="analyst")
    channel = made_channel(browser, "Morning mail")
    wrong = browser.post("/notifications/digests", name="Daily", cron="x y z z z")
    assert wrong.status_code == 422
    assert 'value="x y z z z"' in wrong.text
    fields = {"name": "Daily", "cron": "0 8 * * 1-5", "timezone": "America/Sao_Paulo"}
    browser.post("/notifications/digests", channel=channel, **fields)
    page = browser.get("/notifications/digests").text
    assert "0 8 * * 1-5 America/Sao_Paulo" in text_of(page)
    assert "Morning mail" in page
    match = re.search(r'action="/console(/notifications/digests/[0-9a-f-]+)/pause"', page)
    assert match is not None
    browser.post(f"{match[1]}/pause")
    assert "Paused" in text_of(browser.get("/notifications/digests").text)
    assert "Daily" in browser.get("/notifications/rules/new").text, "a rule may join it"
    assert browser.post(f"{match[1]}/delete").headers["location"].endswith("?done=deleted")


def test_a_watchlist_gets_and_loses_entries(sign_in: SignIn) -> None:
    browser = sign_in(role="analyst")
    saved = browser.post("/notifications/watchlists", name="ours", description="What is ours")
    path = saved.headers["location"].removeprefix("/console").partition("?")[0]
    rows = "198.51.100.0/24,network,<b>office</b>\nexample.org"
    assert browser.post(f"{path}/add", csv=rows).status_code == 303
    page = browser.get(path).text
    assert "2 entries" in text_of(page)
    assert "example[.]org" in page
    assert "&lt;b&gt;office" in page
    browser.post(f"{path}/remove", value="example.org", kind="domain")
    assert "1 entry" in text_of(browser.get(path).text)
    wrong = browser.post(f"{path}/add", csv="192.0.2.1,flavour,x")
    assert wrong.status_code == 422
    assert browser.post(f"{path}/delete").headers["location"].endswith("?done=deleted")


def test_deliveries_are_filtered_by_every_phase(sign_in: SignIn) -> None:
    browser = sign_in(role="viewer")
    page = browser.get("/notifications/deliveries").text
    offered = set(re.findall(r'<option value="(\w+)"', page))
    phases = {"queued", "sending", "retrying", "unknown", "delivered", "failed"}
    assert phases | {"held", "silenced"} == offered
    for phase in sorted(offered):
        answer = browser.get("/notifications/deliveries", params={"state": phase})
        assert answer.status_code == 200
        assert "notice bad" not in answer.text, phase


@pytest.mark.parametrize("tab", TABS)
def test_a_viewer_reads_and_is_offered_no_form(sign_in: SignIn, tab: str) -> None:
    page = sign_in(role="viewer").get(f"/notifications/{tab}")
    assert page.status_code == 200
    assert set(re.findall(r'action="/console(/[^"]+)" method="post"', page.text)) == {"/sign-out"}


@pytest.mark.parametrize("tab", TABS)
def test_another_tenant_sees_nothing_of_it(sign_in: SignIn, tab: str) -> None:
    ends = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    browser = sign_in(role="analyst")
    fields = {"filter": "observable.score > 1", "reason": "hidden-word", "ends_at": ends}
    browser.post("/notifications/silences", act="save", **fields)
    browser.post("/notifications/watchlists", name="hidden-word")
    other = sign_in(tenant="evil", role="admin")
    assert "hidden-word" not in other.get(f"/notifications/{tab}").text


def test_a_delivery_says_what_an_event_of_another_topic_has(sign_in: SignIn, world: World) -> None:
    delivery = world.delivery()
    match = {
        "topic": "runs",
        "kind": "failed",
        "title": "http://a.example/<b>",
        "fields": {"run.state": "failed", "run.errors": ["<i>", "gone"], "run.rows": 0, "x": ""},
    }
    statement = "UPDATE notifications.delivery SET matches = %s WHERE id = %s"
    world.execute(statement, Jsonb([match]), delivery)
    page = sign_in(role="viewer").get(f"/notifications/deliveries/{delivery}").text
    assert "hxxp://a[.]example/&lt;b&gt;" in page
    shown = re.findall(r"<dt translate=\"no\">([^<]+)</dt><dd translate=\"no\">([^<]*)</dd>", page)
    assert dict(shown) == {
        "run.rows": "0",
        "run.state": "failed",
        "run.errors": "&lt;i&gt;, gone",
    }
    assert "http://a.example" not in page


def test_a_rule_says_over_which_topic_it_is(sign_in: SignIn, world: World) -> None:
    body = {"name": "runs that fail", "channel_ids": [world.channel()], "topic": "runs"}
    rule = world.post("notifications", "/v1/rules", json=body)
    browser = sign_in(role="viewer")
    assert "Topic runs" in text_of(browser.get(f"/notifications/rules/{rule['id']}").text)
    assert "runs that fail runs" in text_of(browser.get("/notifications/rules").text)
