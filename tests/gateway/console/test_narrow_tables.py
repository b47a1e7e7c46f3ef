"""Tables in narrow places, in Chromium: rows are labelled blocks, and no word is broken."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from services.gateway.console import assets
from services.gateway.console.table_labels import label_cells

CHROMIUM = shutil.which("chromium")
CSS = (Path(assets.__file__).parent / "assets" / "console.css").read_text()
HEADS = "".join(f'<th scope="col">{name}</th>' for name in ("Person", "Role", "Address", "Acts"))
CELLS = '<th scope="row">Administrator</th><td>Operator</td><td>198.51.100.255</td>'
CELLS += '<td><div class="row"><button class="button">Withdraw</button></div></td>'
TABLE = f'<div class="wide"><table><thead><tr>{HEADS}</tr></thead><tbody><tr>{CELLS}</tr></tbody>'
TABLE += "</table></div>"
CARDS = f'<main><div class="grid">{f"<section class=panel>{TABLE}</section>" * 3}</div></main>'

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt: chromium)"),
    pytest.mark.timeout(120),
]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_page()
        start = '<!doctype html><html data-theme="light">'
        page.set_content(label_cells(f"{start}<style>{CSS}</style><body>{CARDS}"))
        yield page
        browser.close()


LINES = """() => [...document.querySelectorAll("tbody td, tbody th")].map(cell => {
  const text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT).nextNode();
  const range = document.createRange();
  range.selectNodeContents(text);
  return range.getClientRects().length;
})"""


@pytest.mark.parametrize("width", [320, 400, 700, 1280])
def test_no_word_of_a_cell_is_broken(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    assert set(page.evaluate(LINES)) == {1}
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_each_cell_of_a_narrow_place_has_its_label(page: Page) -> None:
    page.set_viewport_size({"width": 400, "height": 900})
    labels = page.evaluate(
        """() => [...document.querySelectorAll("tbody tr:first-child > *")].slice(0, 4).map(
        cell => getComputedStyle(cell, "::before").content)"""
    )
    assert labels == ['"Person"', '"Role"', '"Address"', '"Acts"']
