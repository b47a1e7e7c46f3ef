"""The graph of an observable: a hub opens as counts, the picture has what the tables have."""

import re
import shutil
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, sync_playwright

from shared.database import database
from shared.events.feeds import Indicator, IndicatorRelation
from shared.settings import Settings
from tests.gateway.console.chromium import violations
from tests.gateway.console.conftest import Browser
from tests.gateway.console.test_languages import bare_words, pseudo
from tests.gateway.console.test_lookup_pages import observable_path, text_of
from tests.observables.conftest import chunk, handle

SignIn = Callable[..., Browser]
HUB = "192.0.2.1"
NAMES = 2_000
CHROMIUM = shutil.which("chromium")
__all__ = ["pseudo"]


def related(value: str, *ends: tuple[str, str, str]) -> Indicator:
    return Indicator("domain-name", value, relations=tuple(IndicatorRelation(*end) for end in ends))


@pytest.fixture(scope="module")
def stored(environment: Settings) -> None:
    to_hub = ("resolves-to", "ipv4-addr", HUB)
    names = [related(f"host{number}.example.com", to_hub) for number in range(NAMES)]
    alone = related("few.example.com", ("resolves-to", "ipv4-addr", "192.0.2.9"))
    second = related("both.example.com", to_hub, ("related-to", "ipv4-addr", HUB))
    addresses = [Indicator("ipv4-addr", HUB), Indicator("ipv4-addr", "192.0.2.9")]
    rows = [*addresses, alone, second, *names]
    for start in range(0, len(rows), 500):
        handle(database("observables"), chunk(*rows[start : start + 500]))


def graph_path(browser: Browser, value: str) -> str:
    return f"{observable_path(browser, value)}/graph"


@pytest.mark.usefixtures("stored")
def test_a_hub_opens_as_counts_by_kind(sign_in: SignIn) -> None:
    browser = sign_in(role="viewer")
    page = browser.get(graph_path(browser, HUB)).text
    assert "← resolves-to 2,001 Unfold" in text_of(page)
    assert "← related-to 1 Unfold" in text_of(page)
    assert "data-id" not in page, "no relation of a hub is read before its reader asks"


@pytest.mark.usefixtures("stored")
def test_a_kind_opens_and_folds_and_says_how_much_it_shows(sign_in: SignIn) -> None:
    browser = sign_in(role="viewer")
    path = graph_path(browser, HUB)
    opened = browser.get(path, params={"open": "in:resolves-to"}).text
    assert opened.count("data-id=") == 50
    assert "The last seen 50 of 2,001 are shown." in text_of(opened)
    assert f"open={quote('none')}&amp;show=50#in-resolves-to" in opened, "the last one folds"
    both = browser.get(path, params={"open": ["in:resolves-to", "in:related-to"], "show": "250"})
    assert both.text.count("data-id=") == 251


@pytest.mark.usefixtures("stored")
def test_few_relations_are_open_at_once_and_fold(sign_in: SignIn) -> None:
    browser = sign_in(role="viewer")
    path = graph_path(browser, "few.example.com")
    page = browser.get(path).text
    assert "192[.]0[.]2[.]9" in text_of(page)
    folded = browser.get(path, params={"open": "none"}).text
    assert "192[.]0[.]2[.]9" not in text_of(folded)


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("state", ["open=<script>", "open=in:likes&show=9999999", "show=-1"])
def test_a_state_that_is_not_valid_shows_the_counts(sign_in: SignIn, state: str) -> None:
    browser = sign_in(role="viewer")
    answer = browser.get(f"{graph_path(browser, HUB)}?{state}")
    assert answer.status_code == 200
    assert "2,001" in text_of(answer.text)
    assert "<script>" not in answer.text


@pytest.mark.usefixtures("stored")
def test_another_tenant_sees_no_graph(sign_in: SignIn) -> None:
    path = graph_path(sign_in(), HUB)
    answer = sign_in("other").get(path)
    assert answer.status_code == 404
    assert "resolves-to" not in answer.text


@pytest.mark.usefixtures("stored", "pseudo")
def test_no_word_of_a_graph_is_untranslated(sign_in: SignIn) -> None:
    browser = sign_in()
    path = graph_path(browser, HUB)
    for state in ("", "?open=in:resolves-to", "?open=in:related-to"):
        assert bare_words(browser.get(path + state).text) == []


@pytest.fixture(scope="module")
def chromium_page(site: str) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (apt: chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        context = browser.new_context(base_url=site, viewport={"width": 1280, "height": 900})
        yield context.new_page()
        browser.close()


@pytest.fixture
def page(chromium_page: Page, make_token: Callable[..., str]) -> Page:
    chromium_page.goto("/console/sign-in")
    if "sign-in" in chromium_page.url:
        chromium_page.get_by_text("With a token instead").click()
        chromium_page.fill("#token", make_token(role="operator"))
        chromium_page.keyboard.press("Enter")
        chromium_page.wait_for_url("**/console/")
    return chromium_page


def drawn(page: Page, address: str) -> int:
    """Open a graph; return how many nodes it has drawn."""
    page.goto(f"/console{address}")
    page.wait_for_selector("relation-graph[data-drawn]", timeout=30_000)
    return int(page.get_attribute("relation-graph", "data-drawn") or 0)


@pytest.mark.usefixtures("stored", "settings")
@pytest.mark.timeout(120)
def test_every_node_is_a_link_one_can_tab_to(page: Page, sign_in: SignIn) -> None:
    reports: list[str] = []
    page.on("console", lambda entry: reports.append(entry.text) if entry.type == "error" else None)
    path = graph_path(sign_in(), HUB)
    count = drawn(page, f"{path}?open=in:resolves-to&open=in:related-to")
    links = page.locator("relation-graph a")
    assert links.count() == count
    assert count in {53, 54}, "the middle, two kinds, and what one or both of them name"
    links.first.focus()
    for _ in range(count - 1):
        page.keyboard.press("Tab")
    last = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert last == links.last.get_attribute("aria-label")
    page.locator("relation-graph a.hub").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"open=in%3Arelated-to"))
    page.wait_for_selector("relation-graph[data-drawn]")
    assert page.locator("relation-graph a.leaf").count() == 1
    assert reports == []


@pytest.mark.usefixtures("stored", "settings")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("theme", ["light", "dark", "contrast"])
def test_a_graph_violates_no_guideline(page: Page, sign_in: SignIn, theme: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/console/preferences")
    page.select_option("#field-theme", theme)
    page.get_by_role("button", name="Keep").click()
    path = graph_path(sign_in(), HUB)
    for state in ("", "?open=in:resolves-to"):
        assert drawn(page, path + state) >= 3
        assert violations(page) == []
        assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1")


@pytest.mark.usefixtures("stored", "settings")
@pytest.mark.timeout(120)
def test_a_large_graph_is_drawn_whole(page: Page, sign_in: SignIn) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    path = graph_path(sign_in(), HUB)
    assert drawn(page, f"{path}?open=in:resolves-to&show=1000") == 1003
