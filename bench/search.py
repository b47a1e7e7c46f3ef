"""The search box of the console: a thousand pasted values, and a report of a megabyte.

In headless Chromium, on the whole stack. The time runs from the key that sends the form until the
page with the answer is drawn.
"""

import random
import statistics
import time

from playwright.sync_api import Page

from bench._chromium import chromium, sign_in
from bench._figures import api_client, report_figures, throwaway_stack
from bench.extract import report
from bench.graph import wait_until_stored
from bench.lookup import values
from sentineliq.local.stack import Stack
from shared.stix import defang

STORED = 40_000
PASTED = 1_000
JUNK = 50
REPORT = 1_000_000
"""Characters, which are bytes here but for a few."""
ROUNDS = 5
MAX_VALUES_S = 1.0
MAX_REPORT_S = 3.0
_ANSWERED = "performance.getEntriesByType('navigation')[0].responseEnd"


def _store(stack: Stack) -> None:
    """Store half of the values that are asked for."""
    feeds = api_client(stack, "feeds")
    content = "\n".join(indicator.value for indicator in values(STORED)[::2]).encode()
    parameters = {"name": "search", "format": "text"}
    run = feeds.post("/v1/ingest", params=parameters, content=content).raise_for_status().json()
    wait_until_stored(feeds, run["id"])


def _pasted() -> str:
    """A thousand lines: known and unknown values, half of them defanged, among junk."""
    chance = random.Random(20261201)  # noqa: S311  # test data
    lines = [indicator.value for indicator in chance.sample(values(STORED), PASTED - JUNK)]
    lines = [defang(line) if number % 2 else line for number, line in enumerate(lines)]
    lines += [f"row {number}: nothing to see here" for number in range(JUNK)]
    chance.shuffle(lines)
    return "\n".join(lines)


def _look_up(page: Page, text: str) -> tuple[float, float]:
    """Paste a text and look it up; return the seconds until the answer is drawn, and has come."""
    page.goto("/console/search")
    page.evaluate("text => { document.querySelector('#field-q').value = text }", text)
    page.focus("#search-form button")
    begun = time.perf_counter()
    page.keyboard.press("Enter")
    page.wait_for_selector("#known", timeout=60_000)
    page.wait_for_load_state()
    page.evaluate("() => new Promise(drawn => requestAnimationFrame(() => setTimeout(drawn)))")
    return time.perf_counter() - begun, page.evaluate(_ANSWERED) / 1000


def main() -> None:
    """Measure and report."""
    pasted = _pasted()
    document = report(REPORT)
    with throwaway_stack() as (stack, _), chromium() as browser:
        _store(stack)
        gateway = stack.environment["SENTINELIQ_GATEWAY_URL"]
        page = browser.new_page(base_url=gateway, viewport={"width": 1280, "height": 900})
        sign_in(page, stack)
        of_values = [_look_up(page, pasted) for _ in range(ROUNDS)]
        counts = page.locator("main [role=status] .figure").all_inner_texts()
        of_report = [_look_up(page, document) for _ in range(ROUNDS)]
    assert sum(map(int, counts)) == PASTED
    assert int(counts[2]) == JUNK
    figures = {
        "values": float(PASTED),
        "of them known": float(counts[0]),
        "a thousand values: median (s)": statistics.median(drawn for drawn, _ in of_values),
        "a thousand values: worst (s)": max(of_values)[0],
        "a thousand values, until they have come: median (s)": statistics.median(
            come for _, come in of_values
        ),
        "bytes of the report": float(len(document.encode())),
        "a report: median (s)": statistics.median(drawn for drawn, _ in of_report),
        "a report: worst (s)": max(of_report)[0],
        "a report, until it has come: median (s)": statistics.median(come for _, come in of_report),
    }
    limits = {
        "a thousand values: median (s)": MAX_VALUES_S,
        "a report: median (s)": MAX_REPORT_S,
    }
    missed = [f"{name} is above {limit}" for name, limit in limits.items() if figures[name] > limit]
    report_figures("search", figures, missed)


if __name__ == "__main__":
    main()
