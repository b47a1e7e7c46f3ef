"""Pages in Chromium that hear what is new: counted, shown on demand, and a lost server in words."""

import shutil
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from services.gateway.console.app import Console
from shared.database import Database
from shared.settings import Settings
from tests.gateway.console.conftest import Servers
from tests.gateway.console.test_live import health, publish

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt: chromium)"),
    pytest.mark.usefixtures("settings"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def reports() -> list[str]:
    """What Chromium says of the policy, and of scripts that fail."""
    return []


def open_console(chromium: Browser, site: str, token: str) -> BrowserContext:
    context = chromium.new_context(base_url=site, locale="en-GB")
    page = context.new_page()
    page.goto("/console/sign-in")
    page.get_by_text("With a token instead").click()
    page.fill("#token", token)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/")
    page.close()
    return context


def listening(context: BrowserContext, reports: list[str], path: str = "/feeds") -> Page:
    """A page whose stream is open."""
    page = context.new_page()
    page.on("console", lambda entry: reports.append(entry.text) if entry.type == "error" else None)
    page.on("pageerror", lambda error: reports.append(str(error)))
    page.goto(f"/console{path}")
    expect_stream(page)
    return page


def expect_stream(page: Page) -> None:
    """Wait for the stream by an attribute: the policy lets no script evaluate a text."""
    expect(page.locator("live-changes")).to_have_attribute("data-stream", "live", timeout=20_000)


def test_what_is_new_is_counted_in_all_tabs_and_shown_on_demand(
    chromium: Browser,
    site: str,
    settings: Settings,
    make_token: Callable[..., str],
    reports: list[str],
) -> None:
    context = open_console(chromium, site, make_token(role="viewer"))
    tabs = [listening(context, reports) for _ in range(8)]
    publish(settings, "feeds", *(health("acme") for _ in range(6)), health("globex"))
    publish(settings, "feeds", health("public"))
    for tab in tabs:
        expect(tab.get_by_role("button", name="7 new")).to_be_visible(timeout=10_000)
    tabs[0].get_by_role("button", name="7 new").focus()
    tabs[0].keyboard.press("Enter")
    expect(tabs[0].get_by_role("button", name="7 new")).to_have_count(0)
    expect_stream(tabs[0])
    publish(settings, "feeds", health("acme"))
    expect(tabs[0].get_by_role("button", name="1 new")).to_be_visible(timeout=10_000)
    expect(tabs[7].get_by_role("button", name="8 new")).to_be_visible(timeout=10_000)
    assert reports == []
    context.close()


def test_a_lost_server_is_said_and_nothing_is_missed(
    chromium: Browser,
    environment: Settings,
    make_token: Callable[..., str],
    reports: list[str],
    settings: Settings,
) -> None:
    database = Database(environment.database_url.get_secret_value(), "gateway")
    with Servers() as servers:
        console = Console(environment, database)
        site = servers.serve(console)
        context = open_console(chromium, site, make_token(role="viewer"))
        page = listening(context, reports)
        publish(settings, "feeds", health("acme"))
        expect(page.get_by_role("button", name="1 new")).to_be_visible(timeout=10_000)
        began = time.monotonic()
        servers.pause()
        expect(page.get_by_text("The server does not answer")).to_be_visible(timeout=10_000)
        assert time.monotonic() - began < 6
        publish(settings, "feeds", *(health("acme") for _ in range(3)))
        servers.resume()
        expect(page.get_by_role("button", name="4 new")).to_be_visible(timeout=20_000)
        expect(page.get_by_text("The server does not answer")).to_have_count(0)
        context.close()
        servers.close(console)
    database.close()
