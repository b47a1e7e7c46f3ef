"""The graph of an observable: a hub with 50,000 relations opens, 2,000 nodes are drawn.

In headless Chromium, on the whole stack. A hub is opened when its counts have come and its page is
drawn; the time of a large graph runs from the moment at which its page begins to draw.
"""

import statistics
import time

import httpx2
from playwright.sync_api import Page

from bench._chromium import chromium, sign_in
from bench._figures import api_client, report_figures, throwaway_stack
from sentineliq.local.stack import Stack

HUB = "198.51.100.1"
RELATIONS = 50_000
SECOND = 1_000
"""Relations of a second kind, which the large graph shows beside as many of the first."""
BATCH = 1_000
ROUNDS = 9
MAX_HUB_MS = 300.0
MAX_DRAWN_MS = 1_000.0
MAX_TASK_MS = 50.0
_WATCH = """
window.longTasks = [];
new PerformanceObserver((list) => window.longTasks.push(...list.getEntries()))
  .observe({ type: "longtask", buffered: true });
"""
_DRAWING = """
() => {
  const [begin] = performance.getEntriesByName("relation-graph");
  const [end] = performance.getEntriesByName("relation-graph-drawn");
  const longest = (tasks) => Math.max(0, ...tasks.map((task) => task.duration));
  return {
    sinceRequest: end.startTime,
    drawing: end.startTime - begin.startTime,
    longest: longest(window.longTasks.filter((task) => task.startTime >= begin.startTime)),
    longestOfPage: longest(window.longTasks),
    nodes: document.querySelectorAll("relation-graph a").length,
  };
}
"""


def _store(stack: Stack) -> str:
    """Store the hub with its relations; return its id."""
    feeds = api_client(stack, "feeds")
    names = [f"host-{number}.example.org" for number in range(RELATIONS + SECOND)]
    parameters = {"name": "graph", "format": "text"}
    content = "\n".join([HUB, *names]).encode()
    run = feeds.post("/v1/ingest", params=parameters, content=content).raise_for_status().json()
    observables = api_client(stack, "observables")
    wait_until_stored(feeds, run["id"])
    for start in range(0, len(names), BATCH):
        kind = "resolves-to" if start < RELATIONS else "communicates-with"
        relations = [
            {"from": name, "kind": kind, "to": HUB} for name in names[start : start + BATCH]
        ]
        observables.post("/v1/relations", json={"relations": relations}).raise_for_status()
    answer = observables.get("/v1/lookup", params={"value": HUB}).raise_for_status().json()
    return str(answer["observable"]["id"])


def wait_until_stored(feeds: httpx2.Client, run_id: str) -> None:
    """Wait for a run to succeed."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        state = feeds.get(f"/v1/runs/{run_id}").raise_for_status().json()["state"]
        if state == "succeeded":
            return
        if state == "failed":
            raise RuntimeError("The upload failed.")
        time.sleep(0.2)
    raise TimeoutError("The upload was not stored within five minutes.")


def _draw(page: Page, path: str) -> dict[str, float]:
    page.goto(path)
    page.wait_for_selector("relation-graph[data-drawn]", timeout=60_000)
    page.wait_for_timeout(300)  # the paint that follows counts, and its report comes later
    figures: dict[str, float] = page.evaluate(_DRAWING)
    return figures


def _count(stack: Stack, identity: str) -> list[float]:
    client = api_client(stack, "observables")
    milliseconds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        answer = client.get(f"/v1/observables/{identity}/relations/counts").raise_for_status()
        milliseconds.append(1000 * (time.perf_counter() - begun))
        assert answer.json()["total"] == RELATIONS + SECOND
    return milliseconds


def main() -> None:
    """Measure and report."""
    with throwaway_stack() as (stack, _), chromium() as browser:
        identity = _store(stack)
        counted = _count(stack, identity)
        gateway = stack.environment["SENTINELIQ_GATEWAY_URL"]
        page = browser.new_page(base_url=gateway, viewport={"width": 1280, "height": 900})
        page.add_init_script(_WATCH)
        sign_in(page, stack)
        path = f"/console/observables/{identity}/graph"
        hubs = [_draw(page, path) for _ in range(ROUNDS)]
        large = f"{path}?open=in:resolves-to&open=in:communicates-with&show=1000"
        drawings = [_draw(page, large) for _ in range(ROUNDS)]
    assert {drawing["nodes"] for drawing in drawings} == {2 * SECOND + 3}
    figures = {
        "counts of the hub: median (ms)": statistics.median(counted),
        "hub opens: median (ms)": statistics.median(item["sinceRequest"] for item in hubs),
        "2,003 nodes drawn: median (ms)": statistics.median(item["drawing"] for item in drawings),
        "2,003 nodes, with their page: median (ms)": statistics.median(
            item["sinceRequest"] for item in drawings
        ),
        "longest task while drawing (ms)": max(item["longest"] for item in drawings),
        "longest task of the page: median (ms)": statistics.median(
            item["longestOfPage"] for item in drawings
        ),
        "longest task of the page: worst (ms)": max(item["longestOfPage"] for item in drawings),
    }
    limits = {
        "hub opens: median (ms)": MAX_HUB_MS,
        "2,003 nodes drawn: median (ms)": MAX_DRAWN_MS,
        "longest task while drawing (ms)": MAX_TASK_MS,
    }
    missed = [
        f"{name} is above {limit:.0f}" for name, limit in limits.items() if figures[name] > limit
    ]
    report_figures("graph", figures, missed)


if __name__ == "__main__":
    main()
