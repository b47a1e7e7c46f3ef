"""The console in headless Chromium, on the whole stack: paints, sizes and keys.

Each page is opened with an empty cache, as fast as the machine is, and once more at a sixth of the
processor and 1.6 Mbit/s. `web-vitals` defines the figures (https://web.dev/articles/vitals): first
and largest paint since the request, how far things moved, how long a key waits for the next paint.
"""

import statistics
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Final

from playwright.sync_api import Browser, StorageState

from bench._chromium import chromium, sign_in
from bench._figures import report_figures, throwaway_stack
from services.gateway.console.screens.registry import SCREENS

_Figures = dict[str, float]
_APART: Final = {"/sign-in", "/welcome"}
PAGES: Final = [
    screen.path
    for screen in SCREENS
    if screen.method == "GET" and "{" not in screen.path and screen.path not in _APART
]
ROUNDS: Final = 3
SLOWER: Final = 6
BYTES_A_SECOND: Final = 1_600_000 / 8
LIMITS: Final = {
    "first paint: slowest page (ms)": 600.0,
    "largest paint: slowest page (ms)": 1_000.0,
    "layout shift: worst page": 0.0,
    "key to next paint: slowest (ms)": 100.0,
    "slow machine and line, first paint: slowest page (ms)": 2_000.0,
    "scripts and styles of a page (KB)": 60.0,
}
_WATCH: Final = """
window.seen = { largest: 0, shift: 0, key: 0 };
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.seen.largest = entry.startTime;
}).observe({ type: "largest-contentful-paint", buffered: true });
new PerformanceObserver((list) => {
  for (const entry of list.getEntries())
    if (!entry.hadRecentInput) window.seen.shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
new PerformanceObserver((list) => {
  for (const entry of list.getEntries())
    if (entry.interactionId) window.seen.key = Math.max(window.seen.key, entry.duration);
}).observe({ type: "event", durationThreshold: 16, buffered: true });
"""
_READ: Final = """
() => {
  const paints = performance.getEntriesByType("paint");
  const resources = performance.getEntriesByType("resource");
  const isCode = (entry) => /\\.(js|css)$/.test(new URL(entry.name).pathname);
  return {
    first: paints.find((paint) => paint.name === "first-contentful-paint").startTime,
    bytes: resources.filter(isCode).reduce((sum, entry) => sum + entry.encodedBodySize, 0),
    foreign: resources.filter((entry) => new URL(entry.name).host !== location.host).length,
    ...window.seen,
  };
}
"""


def _open_all(browser: Browser, url: str, state: StorageState) -> dict[str, _Figures]:
    return {path: _open(browser, url, state, path, slow=False) for path in PAGES}


def _open(browser: Browser, url: str, state: StorageState, path: str, *, slow: bool) -> _Figures:
    """The figures of a page that is opened with an empty cache."""
    context = browser.new_context(base_url=url, storage_state=state)
    page = context.new_page()
    page.add_init_script(_WATCH)
    if slow:
        session = context.new_cdp_session(page)
        session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        session.send("Network.enable")
        line = {"downloadThroughput": BYTES_A_SECOND, "uploadThroughput": BYTES_A_SECOND}
        session.send("Network.emulateNetworkConditions", {"offline": False, "latency": 0, **line})
    page.goto(f"/console{path}")
    page.wait_for_timeout(200)
    if not slow:
        for key in ("?", "Escape", "Control+k", "Escape", "j"):
            page.keyboard.press(key)
            page.wait_for_timeout(50)
    figures: _Figures = page.evaluate(_READ)
    context.close()
    return figures


def main() -> None:
    """Measure and report."""
    with throwaway_stack() as (stack, _), chromium() as browser:
        url = stack.environment["SENTINELIQ_GATEWAY_URL"]
        context = browser.new_context(base_url=url)
        page = context.new_page()
        page.add_init_script(_WATCH)
        sign_in(page, stack)
        state = context.storage_state()
        rounds = [_open_all(browser, url, state) for _ in range(ROUNDS)]
        slowly = {path: _open(browser, url, state, path, slow=True) for path in PAGES}

    median = _medians(rounds)
    for path, each in median.items():
        slow = slowly[path]["first"]
        print(
            f"{path:30} {each['first']:6.0f} ms, slow {slow:6.0f} ms, "
            f"shift {each['shift']:.3f}, key {each['key']:.0f} ms"
        )
    figures = {
        "pages": float(len(PAGES)),
        "first paint: slowest page (ms)": _worst(median, "first"),
        "largest paint: slowest page (ms)": _worst(median, "largest"),
        "layout shift: worst page": _worst(median, "shift"),
        "key to next paint: slowest (ms)": _worst(median, "key"),
        "slow machine and line, first paint: slowest page (ms)": _worst(slowly, "first"),
        "scripts and styles of a page (KB)": _worst(median, "bytes") / 1_000,
        "requests to other hosts": _worst(median, "foreign"),
    }
    missed = [
        f"{name} is above {limit:g}" for name, limit in LIMITS.items() if figures[name] > limit
    ]
    report_figures("console", figures, missed)


def _medians(rounds: Sequence[Mapping[str, _Figures]]) -> dict[str, _Figures]:
    """The median of each figure, by page."""
    medians: dict[str, _Figures] = {}
    for path, names in rounds[0].items():
        opened = [each[path] for each in rounds]
        medians[path] = {name: statistics.median(map(itemgetter(name), opened)) for name in names}
    return medians


def _worst(pages: Mapping[str, _Figures], name: str) -> float:
    return max(each[name] for each in pages.values())


if __name__ == "__main__":
    main()
