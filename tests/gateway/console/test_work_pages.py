"""Rules, channels, deliveries, lists, schedules, tokens: made and changed through the console."""

import re
import time
from collections.abc import Callable
from contextlib import closing

import pytest
import sqlalchemy as sa

from shared.database import Database
from shared.settings import Settings
from shared.tokens import token_id
from tests.gateway.console.conftest import Browser
from tests.gateway.console.test_lookup_pages import text_of

SignIn = Callable[..., Browser]
pytestmark = pytest.mark.usefixtures("settings")


def made_channel(browser: Browser, name: str) -> str:
    """Make a channel; return its id."""
    assert browser.post("/notifications/channels", name=name, kind="log").status_code == 200
    page = browser.get("/notifications/rules/new").text
    pairs = re.findall(r'name="channel" value="([^"]+)"><span translate="no">([^<]+)', page)
    return {label: identity for identity, label in pairs}[name]


def test_a_rule_is_tried_saved_paused_and_deleted(sign_in: SignIn) -> None:
    browser = sign_in(role="analyst")
    channel = made_channel(browser, "Log")
    fields = {"name": "Loud", "channel": channel, "on": "new", "filter": "change.score >= 80"}
    trial = browser.post("/notifications/rules/new", act="try", **fields)
    assert "In the last 24 hours" in text_of(trial.text)
    assert "change.score &gt;= 80" in trial.text, "what was typed stays"
    place = browser.post("/notifications/rules/new", act="save", **fields).headers["location"]
    path = place.removeprefix("/console").partition("?")[0]
    assert "80" in text_of(browser.get(path).text)
    browser.post(f"{path}/pause")
    assert "Paused" in text_of(browser.get(path).text)
    assert browser.post(f"{path}/delete").headers["location"].endswith("?done=deleted")
    assert browser.get(path).status_code == 404


def test_a_wrong_filter_comes_back_with_its_place(sign_in: SignIn) -> None:
    browser = sign_in(role="analyst")
    channel = made_channel(browser, "Second")
    fields = {"name": "Wrong", "channel": channel, "filter": "change.score >>> 80"}
    for act in ("try", "save"):
        answer = browser.post("/notifications/rules/new", act=act, **fields)
        assert answer.status_code == 422
        assert 'name="filter"' in answer.text
        assert "change.score &gt;&gt;&gt; 80" in answer.text
        assert re.search(r'id="field-filter"[^>]*aria-invalid="true"', answer.text)


def test_a_trial_while_typing_is_a_part_of_the_page(sign_in: SignIn) -> None:
    browser = sign_in(role="analyst")
    channel = made_channel(browser, "Third")
    data = {
        "form_secret": browser.form_secret(),
        "act": "try",
        "name": "x",
        "channel": channel,
        "filter": "change.score >= 10",
    }
    headers = {"Origin": browser.origin, "HX-Request": "true", "HX-Request-Type": "partial"}
    answer = browser.http.post("/console/notifications/rules/new", data=data, headers=headers)
    assert answer.text.lstrip().startswith('<section id="trial"')


def test_a_trial_needs_neither_name_nor_channel(sign_in: SignIn) -> None:
    browser = sign_in(role="analyst")
    page = browser.get("/notifications/rules/new").text
    chosen = re.findall(r'name="on" value="(\w+)" checked', page)
    assert chosen == ["new", "changed"], "the console's defaults are the API's"
    trial = browser.post("/notifications/rules/new", act="try", is_sent="yes", on="new")
    assert trial.status_code == 200, text_of(trial.text)
    assert "In the last 24 hours" in text_of(trial.text)
    saved = browser.post("/notifications/rules/new", act="save", is_sent="yes", on="new")
    assert saved.status_code == 422
    assert text_of(saved.text).count("This is needed.") == 1, "beside the name"
    assert "Choose at least one." in text_of(saved.text), "beside the channels"
    assert "rule.channel_ids" not in saved.text
    none = browser.post("/notifications/rules/new", act="try", is_sent="yes", filter="x")
    assert none.status_code == 422
    assert "Choose at least one." in text_of(none.text)


def test_a_channel_is_tested(sign_in: SignIn) -> None:
    browser = sign_in(role="analyst")
    channel = made_channel(browser, "Tested")
    answer = browser.post(f"/notifications/channels/{channel}/test")
    assert "The test message was delivered." in text_of(answer.text)


def test_settings_of_a_channel_that_are_no_object_come_back(sign_in: SignIn) -> None:
    fields = {"name": "Odd", "kind": "iris", "config.severity_ids": "[1, 2"}
    answer = sign_in(role="analyst").post("/notifications/channels", **fields)
    assert answer.status_code == 422
    assert "write JSON" in answer.text
    assert "[1, 2" in answer.text


def test_a_list_is_made_explained_and_fetched_by_a_consumer(sign_in: SignIn) -> None:
    browser = sign_in()
    fields = {"name": "hot", "filter": "observable.score >= 80", "capacity": "100"}
    place = browser.post("/lists/new", **fields).headers["location"]
    path = place.removeprefix("/console").partition("?")[0]
    page = browser.get(path, params={"value": "evil.com"})
    assert page.status_code == 200
    assert "observable.score &gt;= 80" in page.text
    identity = path.rpartition("/")[2]
    shown = text_of(page.text)
    assert f"{browser.origin}/lists/TOKEN/hot.plain" in shown
    assert "No tool fetches it yet." in shown
    assert "Members" not in shown
    compared = text_of(browser.get(path, params={"before": "0", "until": "0"}).text)
    assert "Joined: 0" in compared
    issued = browser.post("/lists/consumers", name="firewall", list=identity)
    assert "The token shows this once." in text_of(issued.text)
    assert "firewall" in text_of(browser.get("/lists").text)
    assert browser.post(f"{path}/delete").headers["location"].endswith("?done=deleted")


def test_a_wrong_list_comes_back(sign_in: SignIn) -> None:
    answer = sign_in().post("/lists/new", name="x", filter="observable.score >", capacity="lots")
    assert answer.status_code == 422
    assert 'value="lots"' in answer.text


def test_a_schedule_is_made_run_and_deleted(sign_in: SignIn) -> None:
    browser = sign_in()
    browser.post("/feeds/new", url="https://lists.example.org/c.txt", name="Third", act="save")
    form = browser.get("/schedules/new").text
    feed = re.search(r'<option value="([0-9a-f-]{36})"', form)
    assert feed is not None
    wrong = browser.post("/schedules/new", name="Nightly", feed=feed[1], cron="x y")
    assert wrong.status_code == 422
    assert 'value="x y"' in wrong.text
    saved = browser.post("/schedules/new", name="Nightly", feed=feed[1], cron="30 2 * * *")
    path = saved.headers["location"].removeprefix("/console").partition("?")[0]
    assert browser.post(f"{path}/run").headers["location"].endswith("?done=started")
    page = text_of(browser.get(path).text)
    assert "30 2 * * *" in page
    assert "kim@acme.example" in page
    assert browser.post(f"{path}/delete").headers["location"].endswith("?done=deleted")


def test_a_firing_shows_what_became_of_the_run_that_it_started(
    sign_in: SignIn, environment: Settings
) -> None:
    browser = sign_in()
    saved = browser.post(
        "/feeds/new", url="https://lists.example.org/d.txt", name="Fourth", act="save"
    )
    feed = saved.headers["location"].removeprefix("/console/feeds/").partition("?")[0]
    browser.post(f"/feeds/{feed}/runs")
    saved = browser.post("/schedules/new", name="Weekly", feed=feed, cron="30 2 * * 1")
    path = saved.headers["location"].removeprefix("/console").partition("?")[0]
    browser.post(f"{path}/run")
    address = environment.database_url.get_secret_value()
    with (
        closing(Database(address, "feeds")) as feeds,
        closing(Database(address, "scheduler")) as scheduler,
    ):
        with feeds.transaction("acme") as session:
            failed = sa.text(
                "UPDATE run SET state = 'failed', finished_at = now(), "
                """error = '{"code": "gone", "message": "The list is not there any more."}' """
                "WHERE feed_id = :feed RETURNING id"
            )
            run = session.execute(failed, {"feed": feed}).scalar_one()
        with scheduler.transaction("acme") as session:
            # What the task reports: it has started a run, and that is all that it does.
            ended = sa.text(
                "UPDATE fire SET outcome = 'succeeded', run_id = :run WHERE schedule_id = :schedule"
            )
            session.execute(ended, {"run": run, "schedule": path.rpartition("/")[2]})
    page = text_of(browser.get(path).text)
    assert "Failed" in page
    assert "The list is not there any more." in page
    assert "Succeeded" not in page


def test_the_audit_says_who_did_it(sign_in: SignIn) -> None:
    browser = sign_in()
    made_channel(browser, "Audited")
    page = text_of(browser.get("/administration", params={"service": "notifications"}).text)
    assert "channel" in page
    assert "kim@acme.example" in page
    assert browser.get("/administration", params={"after": "nonsense"}).status_code in {200, 422}


def test_a_token_is_revoked_everywhere(
    sign_in: SignIn, visitor: Callable[[], Browser], make_token: Callable[..., str]
) -> None:
    token = make_token(role="analyst", actor="lee@acme.example")
    other = visitor()
    other.post("/sign-in", token=token)
    assert "no longer valid" not in other.get("/").text
    answer = sign_in().post(f"/administration/tokens/{token_id(token)}/revoke")
    assert answer.headers["location"].endswith("?done=revoked")
    # A process reads what was revoked once a second.
    ends = time.monotonic() + 30
    while "no longer valid" not in other.get("/").text and time.monotonic() < ends:
        time.sleep(0.3)
    assert "Your token is no longer valid." in other.get("/").text


def test_a_viewer_is_offered_nothing_of_it(sign_in: SignIn) -> None:
    browser = sign_in(role="viewer")
    for path in ("/notifications/rules", "/notifications/channels", "/lists", "/schedules"):
        page = browser.get(path).text
        forms = re.findall(r'action="/console(/[^"]+)" method="post"', page)
        assert set(forms) <= {"/sign-out"}, path
        assert "/new" not in re.sub(r"[\w-]+/newest", "", page), path
    assert browser.post("/schedules/new", name="x").status_code == 422
    refused = browser.post("/lists/new", name="x", filter="observable.score > 1")
    assert "Your role may not do this." in refused.text
