"""The console in Chromium: no page violates the guidelines, as axe-core sees it, or the policy."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
PAGES = ("/", "/search", "/feeds", "/feeds/catalog?q=urlhaus", "/feeds/new", "/attack")
PAGES += ("/notifications", "/notifications/rules/new", "/notifications/channels", "/lists")
PAGES += ("/lists/new", "/schedules", "/schedules/new", "/operations", "/administration")
PAGES += ("/administration/tokens", "/administration/members", "/access", "/preferences")

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


@pytest.fixture
def page(
    chromium: Browser, site: str, make_token: Callable[..., str], reports: list[str]
) -> Iterator[Page]:
    context = chromium.new_context(base_url=site, locale="en-GB", timezone_id="America/Sao_Paulo")
    page = context.new_page()
    page.on("console", lambda entry: reports.append(entry.text) if entry.type == "error" else None)
    page.on("pageerror", lambda error: reports.append(str(error)))
    page.goto("/console/sign-in")
    page.get_by_text("With a token instead").click()
    page.fill("#token", make_token(role="operator"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/")
    yield page
    context.close()


def violations(page: Page) -> list[str]:
    page.evaluate(AXE)
    result: Any = page.evaluate(
        "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}})", RULES
    )
    return [
        f"{item['id']}: {node['html'][:160]}"
        for item in result["violations"]
        for node in item["nodes"][:3]
    ]


@pytest.mark.parametrize("theme", ["light"])
@pytest.mark.parametrize("width", [1280])
def test_no_page_violates_the_guidelines(
    page: Page, reports: list[str], theme: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/console/preferences")
    page.select_option("#field-theme", theme)
    page.get_by_role("button", name="Keep").click()
    bad: dict[str, list[str]] = {}
    for path in PAGES:
        page.goto(f"/console{path}")
        violated = violations(page)
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1"):
            violated.append("the page is wider than the window")
        if violated:
            bad[path] = violated
    assert bad == {}
    assert [report for report in reports if "Content Security Policy" in report] == []
