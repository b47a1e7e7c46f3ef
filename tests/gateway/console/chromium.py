"""The console in Chromium, and what can be asked of a page there."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM: Final = shutil.which("chromium")
AXE: Final = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
in_chromium: Final = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt: chromium)"),
    pytest.mark.usefixtures("settings"),
    pytest.mark.timeout(600),
]
"""Marks of a module that needs Chromium."""
# Text that its own box cuts off, unless it is there for screen readers alone.
_CUT: Final = """() => [...document.querySelectorAll("main *, header *, nav *, footer *")]
  .filter(part => [...part.childNodes].some(
    node => node.nodeType === Node.TEXT_NODE && node.textContent.trim()))
  .filter(part => part.checkVisibility() && part.clientWidth > 1)
  .filter(part => {
    const style = getComputedStyle(part);
    if (style.clipPath !== "none") return false;
    const cuts = ["hidden", "clip"].includes(style.overflowX) || style.textOverflow === "ellipsis";
    return cuts && part.scrollWidth > part.clientWidth + 1;
  })
  .map(part => part.outerHTML.slice(0, 160))"""
_WIDE: Final = "document.documentElement.scrollWidth > window.innerWidth + 1"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
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
    """A page of an operator who has signed in."""
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
    """What axe-core finds against WCAG 2.2 AA."""
    page.evaluate(AXE)
    result: Any = page.evaluate(
        "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}})", RULES
    )
    return [
        f"{item['id']}: {node['html'][:160]}"
        for item in result["violations"]
        for node in item["nodes"][:3]
    ]


def lost_words(page: Page) -> list[str]:
    """What a reader misses at the page's width: text that is cut off, a page that is too wide."""
    lost = [f"cut off: {part}" for part in page.evaluate(_CUT)]
    if page.evaluate(_WIDE):
        lost.append("the page is wider than the window")
    return lost
