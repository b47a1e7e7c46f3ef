"""The pages of feeds, before the real API of feeds."""

import re
from collections.abc import Callable

import pytest

from services.feeds.runs.execution import execute_next
from shared.database import Database
from shared.settings import Settings
from tests.gateway.console.conftest import Browser
from tests.gateway.console.test_lookup_pages import text_of

SignIn = Callable[..., Browser]


def attempt(settings: Settings, run_id: str) -> None:
    """Make attempts at the runs that wait, until it is the turn of one."""
    own = Database(settings.database_url.get_secret_value(), "feeds")
    try:
        for _ in range(20):
            outcome = execute_next(own, settings)
            if outcome is not None and str(outcome.run_id) == run_id:
                return
    finally:
        own.close()
    pytest.fail("it was never the turn of the run")


@pytest.mark.usefixtures("settings")
def test_the_catalog_subscribes_in_two_clicks(sign_in: SignIn) -> None:
    browser = sign_in()
    empty = text_of(browser.get("/feeds").text)
    assert "You have no feed yet." in empty
    catalog = browser.get("/feeds/catalog", params={"q": "urlhaus"})
    slugs = re.findall(r'action="/console/feeds/catalog/([a-z0-9-]+)"', catalog.text)
    assert slugs
    answer = browser.post(f"/feeds/catalog/{slugs[0]}")
    assert answer.headers["location"].endswith("?done=run-queued")
    page = text_of(browser.http.get(answer.headers["location"]).text)
    assert "The run is queued." in page
    assert "Queued" in page
    assert "1 feed" in text_of(browser.get("/feeds").text)


def test_the_catalog_is_filtered_by_the_server(sign_in: SignIn) -> None:
    browser = sign_in(role="viewer")
    every = browser.get("/feeds/catalog").text
    some = browser.get("/feeds/catalog", params={"q": "urlhaus", "type": "url"}).text
    assert every.count("<tr>") > some.count("<tr>") > 1
    assert "No entry is like that." in browser.get("/feeds/catalog", params={"q": "zzzz"}).text
    assert "Subscribe" not in text_of(every).replace("Subscribed", "").replace("Subscription", "")


def test_a_part_of_the_page_is_enough_for_a_script(sign_in: SignIn) -> None:
    headers = {"HX-Request": "true", "HX-Request-Type": "partial"}
    part = sign_in().get("/feeds/catalog", headers=headers).text
    assert part.lstrip().startswith('<section id="entries"')


def test_a_wrong_form_comes_back_with_what_was_typed(sign_in: SignIn) -> None:
    fields = {"url": "ftp//nowhere", "name": "Mine", "confidence": "many", "act": "save"}
    answer = sign_in().post("/feeds/new", **fields)
    assert answer.status_code == 422
    assert 'value="ftp//nowhere"' in answer.text
    assert re.search(r'name="confidence"[^>]*aria-invalid="true"', answer.text)
    assert "write a whole number" in answer.text


def test_a_preview_of_a_forbidden_address_says_why(sign_in: SignIn) -> None:
    fields = {"url": "http://169.254.169.254/latest", "name": "Mine", "act": "preview"}
    answer = sign_in().post("/feeds/new", **fields)
    assert answer.status_code == 422
    assert 'value="http://169.254.169.254/latest"' in answer.text
    assert "notice bad" in answer.text


@pytest.mark.usefixtures("settings")
def test_a_feed_is_paused_resumed_and_deleted(sign_in: SignIn) -> None:
    browser = sign_in()
    fields = {"url": "https://lists.example.org/a.txt", "name": "Ours", "act": "save"}
    place = browser.post("/feeds/new", **fields).headers["location"].partition("?")[0]
    path = place.removeprefix("/console")
    browser.post(f"{path}/pause")
    assert "Paused" in text_of(browser.get(path).text)
    browser.post(f"{path}/resume")
    assert "Paused" not in text_of(browser.get(path).text)
    assert browser.post(f"{path}/delete").headers["location"] == "/console/feeds?done=feed-deleted"
    assert browser.get(path).status_code == 404


@pytest.mark.usefixtures("settings")
def test_a_run_has_a_page(sign_in: SignIn) -> None:
    browser = sign_in()
    fields = {"url": "https://lists.example.org/b.txt", "name": "Second", "act": "save"}
    place = browser.post("/feeds/new", **fields).headers["location"].partition("?")[0]
    page = browser.http.get(place).text
    match = re.search(r'href="/console(/runs/[^"]+)"', page)
    assert match is not None
    run = browser.get(match[1])
    assert run.status_code == 200
    assert 'hx-trigger="every 2s"' in run.text, "it shows its progress"


def test_a_viewer_gets_no_act(sign_in: SignIn) -> None:
    browser = sign_in(role="viewer")
    assert "/feeds/new" not in browser.get("/feeds").text
    answer = browser.post("/feeds/catalog/urlhaus-online")
    assert answer.status_code in {403, 422}
    assert "Your role may not do this." in answer.text


@pytest.mark.usefixtures("settings")
def test_a_feed_that_was_never_fetched_is_not_healthy(
    sign_in: SignIn, environment: Settings
) -> None:
    browser = sign_in()
    fields = {"url": "https://no-such-name.invalid/a.txt", "name": "Away", "act": "save"}
    place = browser.post("/feeds/new", **fields).headers["location"]
    before = text_of(browser.http.get(place).text)
    assert "The run is queued." in before
    assert "Never fetched" in before
    assert "Healthy" not in before
    path = place.removeprefix("/console").partition("?")[0]
    match = re.search(r'href="/console/runs/([^"]+)"', browser.get(path).text)
    assert match is not None
    attempt(environment, match[1])
    page = text_of(browser.http.get(place).text)
    assert "Healthy" not in page
    assert "No document of it has been read to its end yet." in page
    assert "The last attempt failed:" in page
    assert "no-such-name.invalid does not resolve" in page
    assert "It is tried again at" in page
    assert "The run is queued." not in page, "the banner follows the run"
    row = re.search(r"Away.*?</tr>", browser.get("/feeds").text, re.DOTALL)
    assert row is not None
    assert "Healthy" not in row[0]
    attention = text_of(browser.get("/").text).partition("Open notifications")[0]
    assert "Away" in attention, "a feed of which nothing came needs attention"
