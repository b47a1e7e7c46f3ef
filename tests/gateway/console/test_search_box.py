"""The search box in Chromium: a thousand pasted values, by keyboard alone, and their files."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from shared.database import database
from shared.settings import Settings
from tests.gateway.console.chromium import in_chromium, lost_words, violations
from tests.gateway.console.conftest import Browser
from tests.gateway.console.test_lookup_pages import indicators
from tests.observables.conftest import chunk, handle

SignIn = Callable[..., Browser]
pytestmark = in_chromium
KINDS = {
    "domain-name": [f"c2-{number}[.]example[.]com" for number in range(250)],
    "ipv4-addr": [f"203[.]0[.]113[.]{number}" for number in range(250)],
    "url": [f"hxxps://c2[.]example[.]net/{number}" for number in range(200)],
    "file-sha256": [f"{number:064x}" for number in range(1, 201)],
    "vulnerability": [f"CVE-2024-{number}" for number in range(1000, 1050)],
}
JUNK = [f"line {number} of a table without a value" for number in range(50)]


@pytest.fixture(scope="module")
def stored(environment: Settings) -> None:
    handle(database("observables"), chunk(*indicators("c2-7.example.com", "203.0.113.9")))


def paste(page: Page, text: str) -> None:
    """Put a text into the box and look it up, without a pointer."""
    page.goto("/console/search")
    page.focus("#field-q")
    page.keyboard.insert_text(text)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText").strip() == "Look up"
    page.keyboard.press("Enter")
    page.wait_for_selector("#known")


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("width", [1280, 400])
def test_a_thousand_values_are_recognised(page: Page, reports: list[str], width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    paste(page, "\n".join([*JUNK, *(value for values in KINDS.values() for value in values)]))
    figures = page.locator("main [role=status] .figure").all_inner_texts()
    assert figures == ["2", "948", "50"]
    tags = page.locator("main .tag").all_inner_texts()
    for kind, values in KINDS.items():
        assert f"{kind} {len(values)}" in tags
    stored_rows = page.locator("section[aria-labelledby=known] tbody tr")
    assert sorted(stored_rows.locator("th").all_inner_texts()) == [
        "203[.]0[.]113[.]9",
        "c2-7[.]example[.]com",
    ]
    assert lost_words(page) == []
    assert violations(page) == []
    assert reports == []


@pytest.mark.usefixtures("stored")
def test_what_was_found_is_saved_as_a_file(page: Page, tmp_path: Path, reports: list[str]) -> None:
    paste(page, "c2-7[.]example[.]com\nnew[.]example[.]net\n???")
    page.get_by_role("button", name="CSV").focus()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "search.csv"
    download.value.save_as(tmp_path / "search.csv")
    with (tmp_path / "search.csv").open(newline="") as file:
        rows = {row["value"]: row["state"] for row in csv.DictReader(file)}
    assert rows == {
        "c2-7.example.com": "known",
        "new.example.net": "unknown",
        "???": "unrecognised",
    }
    assert reports == []
