"""Two tenants: how much one, as hostile as its quotas allow, slows the other.

The victim uploads short lists, makes rules, channels and schedules, looks values up, reports
sightings, and waits for its alerts. Each is timed undisturbed, and again while the hostile tenant
floods all of them at once from a process of its own: channels whose receivers never answer, with
rules that alert to all of them, feeds of a host that never answers, schedules of each second,
uploads, lookups and sightings without a pause.
"""

import argparse
import http.server
import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from itertools import count

import httpx2

from bench._figures import api_client, report_figures, throwaway_stack
from sentineliq.local.stack import Stack

MAX_RATIO = 1.5
HOSTILE_FEEDS = 100
HOSTILE_CHANNELS = 20
HOSTILE_RULES = 30
_WARM_SECONDS = 15.0
_numbers = count(1)


class _Server(http.server.ThreadingHTTPServer):
    """Takes as many connections at once as the hostile tenant's channels open."""

    request_queue_size = 512
    daemon_threads = True
    block_on_close = False


class _Receiver(http.server.BaseHTTPRequestHandler):
    """Notes when webhooks arrive; a path that begins with /hang is never answered."""

    arrived = threading.Semaphore(0)
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.path.startswith("/hang"):
            time.sleep(60)
        self.arrived.release()
        self.send_response(204)
        self.end_headers()

    def do_GET(self) -> None:
        time.sleep(60)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _receiver() -> Iterator[str]:
    server = _Server(("127.0.0.1", 0), _Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Victim:
    """The tenant whose requests are timed."""

    def __init__(self, stack: Stack, hook: str) -> None:
        names = ("feeds", "observables", "notifications", "scheduler")
        self._apis = {name: api_client(stack, name, "acme") for name in names}
        self._channel = self._make_channel(f"{hook}/victim")
        self._make_rule()
        self.work: dict[str, Callable[[], None]] = {
            "feeds": self.upload,
            "rules": self._make_rule,
            "channels": self.change_channel,
            "alerts": self.alert,
            "schedules": self.make_schedule,
            "lookups": self.look_up,
            "sightings": self.report,
        }

    def _post(self, service: str, path: str, **values: object) -> httpx2.Response:
        answer = self._apis[service].post(path, **values)  # type: ignore[arg-type]
        answer.raise_for_status()
        return answer

    def _make_channel(self, url: str) -> str:
        body = {"name": f"hook {next(_numbers)}", "kind": "webhook", "config": {"url": url}}
        return str(self._post("notifications", "/v1/channels", json=body).json()["id"])

    def _make_rule(self) -> None:
        body = {
            "name": f"rule {next(_numbers)}",
            "channel_ids": [self._channel],
            "types": ["ipv4-addr"],
            "group_by": ["event"],
        }
        rule = self._post("notifications", "/v1/rules", json=body).json()["id"]
        if next(_numbers) > 3:
            # The first one stays, for the alerts.
            self._apis["notifications"].delete(f"/v1/rules/{rule}").raise_for_status()

    def upload(self) -> None:
        """Upload a short list, and wait until it is stored."""
        number = next(_numbers)
        content = "\n".join(f"domain-{number}-{line}.example.org" for line in range(20))
        parameters = {"name": f"short-{number}", "format": "text"}
        run = self._post("feeds", "/v1/ingest", params=parameters, content=content.encode()).json()
        while True:
            state = self._apis["feeds"].get(f"/v1/runs/{run['id']}").json()["state"]
            if state in ("succeeded", "failed"):
                break
            time.sleep(0.02)
        self._apis["feeds"].delete(f"/v1/feeds/{run['feed_id']}").raise_for_status()

    def change_channel(self) -> None:
        """Change a channel."""
        path = f"/v1/channels/{self._channel}"
        body = {"name": f"hook {next(_numbers)}"}
        self._apis["notifications"].patch(path, json=body).raise_for_status()

    def alert(self) -> None:
        """Report a new address, and wait for its webhook."""
        self._report(str(IPv4Address("45.0.0.0") + next(_numbers)))
        if not _Receiver.arrived.acquire(timeout=120):
            raise TimeoutError("The alert did not come within two minutes.")

    def make_schedule(self) -> None:
        """Make a schedule and delete it."""
        body = {
            "name": f"schedule {next(_numbers)}",
            "task": "feeds.tasks.start_feed",
            "args": ["4c1c6f2e-7f0a-4d0c-9a52-1f1d3f0d2a11"],
            "every_seconds": 86_400,
        }
        schedule = self._post("scheduler", "/v1/schedules", json=body).json()["id"]
        self._apis["scheduler"].delete(f"/v1/schedules/{schedule}").raise_for_status()

    def look_up(self) -> None:
        """Look a value up."""
        value = f"198.51.100.{next(_numbers) % 250}"
        answer = self._apis["observables"].get("/v1/lookup", params={"value": value})
        answer.raise_for_status()

    def report(self) -> None:
        """Report a sighting of a domain, of which no rule alerts."""
        self._report(f"seen-{next(_numbers)}.example.net")

    def _report(self, value: str) -> None:
        body = {"sightings": [{"value": value}]}
        self._post("observables", "/v1/sightings", json=body)


def _measure(victim: Victim, samples: dict[str, int]) -> dict[str, list[float]]:
    """Seconds of each kind of work, in turn, so that all see the same disturbance."""
    seconds: dict[str, list[float]] = {name: [] for name in samples}
    for number in range(max(samples.values())):
        for name, most in samples.items():
            if number < most:
                started = time.perf_counter()
                victim.work[name]()
                seconds[name].append(time.perf_counter() - started)
    return seconds


def be_hostile(stack: Stack, hook: str) -> None:
    """Flood everything, until this process is ended."""
    names = ("feeds", "observables", "notifications", "scheduler")
    apis = {name: api_client(stack, name, "evil") for name in names}
    _fill(apis, hook)
    for work in (_flood_lookups, _flood_lookups, _flood_sightings, _flood_uploads):
        threading.Thread(target=work, args=(stack,), daemon=True).start()
    for number in count():
        # Each is an alert for all rules, to all channels.
        with suppress(httpx2.HTTPError):
            value = f"46.{number % 250}.{number // 250 % 250}.7"
            apis["observables"].post("/v1/sightings", json={"sightings": [{"value": value}]})
        time.sleep(1)


def _fill(apis: dict[str, httpx2.Client], hook: str) -> None:
    channels = []
    for number in range(HOSTILE_CHANNELS):
        config = {"url": f"{hook}/hang/{number}"}
        channel = {"name": f"hang {number}", "kind": "webhook", "config": config}
        channels.append(apis["notifications"].post("/v1/channels", json=channel).json()["id"])
    for number in range(HOSTILE_RULES):
        types = {"types": ["ipv4-addr"], "group_by": ["event"]}
        rule = {"name": f"rule {number}", "channel_ids": channels, **types}
        apis["notifications"].post("/v1/rules", json=rule)
    for number in range(HOSTILE_FEEDS):
        address = {"url": f"{hook}/{number}", "min_interval": 86_400, "every_seconds": 60}
        body = {"name": f"feed {number}", **address}
        feed = apis["feeds"].post("/v1/feeds", json=body).json()["id"]
        schedule = {
            "name": f"each second {number}",
            "task": "feeds.tasks.start_feed",
            "args": [feed],
            "every_seconds": 1,
        }
        apis["scheduler"].post("/v1/schedules", json=schedule)


def _flood_lookups(stack: Stack) -> None:
    client = api_client(stack, "observables", "evil")
    while True:
        _send(client, "GET", "/v1/lookup", params={"value": f"203.0.113.{next(_numbers) % 250}"})


def _flood_sightings(stack: Stack) -> None:
    client = api_client(stack, "observables", "evil")
    while True:
        values = [{"value": f"host-{next(_numbers)}.example.com"} for _ in range(1000)]
        _send(client, "POST", "/v1/sightings", json={"sightings": values})


def _flood_uploads(stack: Stack) -> None:
    client = api_client(stack, "feeds", "evil")
    while True:
        content = "\n".join(f"up-{next(_numbers)}.example.com" for _ in range(5000))
        parameters = {"name": f"upload {next(_numbers) % 50}", "format": "text"}
        _send(client, "POST", "/v1/ingest", params=parameters, content=content.encode())


def _send(client: httpx2.Client, method: str, path: str, **values: object) -> None:
    """Send a request; who is told to wait does so."""
    with suppress(httpx2.HTTPError):
        answer = client.request(method, path, **values)  # type: ignore[arg-type]
        if answer.status_code == 429:
            time.sleep(float(answer.headers.get("Retry-After", "1")))


def _p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100, method="inclusive")[98]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100)
    samples = parser.parse_args().samples
    counts = dict.fromkeys(("rules", "channels", "schedules", "lookups", "sightings"), samples) | {
        "feeds": samples // 4,
        "alerts": samples // 2,
    }
    with (
        _receiver() as hook,
        _receiver() as hostile_hook,
        throwaway_stack(SENTINELIQ_OUTBOUND_ALLOW="127.0.0.0/8") as (stack, _),
    ):
        victim = Victim(stack, hook)
        _measure(victim, dict.fromkeys(counts, 5))
        alone = _measure(victim, counts)
        hostile = multiprocessing.get_context("fork").Process(
            target=be_hostile, args=(stack, hostile_hook), daemon=True
        )
        hostile.start()
        time.sleep(_WARM_SECONDS)
        beside = _measure(victim, counts)
        hostile.kill()
        hostile.join()
    figures: dict[str, float] = {}
    missed = []
    for name in counts:
        ratio = _p99(beside[name]) / _p99(alone[name])
        figures[f"{name}: p99 alone (ms)"] = round(1000 * _p99(alone[name]), 1)
        figures[f"{name}: p99 beside (ms)"] = round(1000 * _p99(beside[name]), 1)
        figures[f"{name}: median alone (ms)"] = round(1000 * statistics.median(alone[name]), 1)
        figures[f"{name}: median beside (ms)"] = round(1000 * statistics.median(beside[name]), 1)
        figures[f"{name}: ratio of p99"] = round(ratio, 2)
        if ratio > MAX_RATIO:
            missed.append(f"{name}: {ratio:.1f} times as long beside a hostile tenant")
    report_figures("neighbours", figures, missed)


if __name__ == "__main__":
    main()
