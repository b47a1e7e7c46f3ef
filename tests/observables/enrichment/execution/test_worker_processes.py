"""Four Celery workers and counting providers: no call too early, none lost, none twice.

Real enrichers query providers on loopback in the providers' own layouts. A reconciler wakes the
workers that are left.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

import pytest
import sqlalchemy as sa

from services.observables.enrichment.queues.models import BACKGROUND, JobRequest
from services.observables.enrichment.queues.service import enqueue
from services.observables.enrichment.settings.service import accesses_of
from shared.database import PLATFORM, Database
from shared.settings import Settings
from tests.observables.enrichment.conftest import identity
from tests.observables.enrichment.provider import Providers, ReceivedCall, Reply

pytestmark = pytest.mark.slow

VALUES = int(os.environ.get("SENTINELIQ_ENRICH_VALUES", "300"))
"""Up to 10,000 for long runs."""
WINDOW = 100
PAUSE = 1
NAMES = ("abuseipdb", "greynoise", "shodan_internetdb")
CONCURRENCY = {"abuseipdb": 4, "greynoise": 4, "shodan_internetdb": 2}


def body(provider: str, address: str) -> bytes:
    layouts = {
        "abuseipdb": {"data": {"abuseConfidenceScore": 50, "totalReports": 3}},
        "greynoise": {
            "ip": address,
            "noise": True,
            "riot": False,
            "classification": "benign",
            "name": "Scanner",
        },
        "shodan_internetdb": {
            "ip": address,
            "ports": [80],
            "hostnames": [],
            "cpes": [],
            "tags": [],
            "vulns": [],
        },
    }
    return json.dumps(layouts[provider]).encode()


class Counting:
    """A provider that answers some calls, then 429 until its pause is over.

    It counts the calls that come too early.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.answered: list[str] = []
        self.refused = 0
        self.early: list[float] = []
        self._left = WINDOW
        self._until = 0.0

    def __call__(self, call: ReceivedCall) -> Reply:
        wait = {"Retry-After": str(PAUSE)}
        if call.at < self._until:
            self.early.append(call.at - self._until + PAUSE)
            return Reply(429, b"I said later", wait)
        if self._left == 0:
            self._left = WINDOW
            self._until = time.time() + PAUSE
            self.refused += 1
            return Reply(429, b"that was all", wait)
        self._left -= 1
        address = (
            call.path.partition("ipAddress=")[2].partition("&")[0] or call.path.rpartition("/")[2]
        )
        self.answered.append(address)
        return Reply(body=body(self.name, address))


class Crew:
    """Celery workers as processes, and a reconciler that wakes them."""

    def __init__(self, environment: dict[str, str], reconcile: Callable[[], None]) -> None:
        self._environment = environment
        self._reconcile = reconcile
        self._over = threading.Event()
        self.processes: list[subprocess.Popen[bytes]] = []
        self._thread = threading.Thread(target=self._wake, daemon=True)

    def start(self, count: int) -> None:
        self.processes += [self._worker() for _ in range(count)]
        if not self._thread.is_alive():
            self._thread.start()

    def _worker(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "services.observables", "worker"]
        return subprocess.Popen(
            command, env=self._environment, start_new_session=True, stdout=subprocess.DEVNULL
        )

    def _wake(self) -> None:
        while not self._over.wait(5.0):
            self._reconcile()

    def kill(self, chance: random.Random) -> None:
        """SIGKILL one of them with its children, and start another one, as a supervisor would."""
        victim = self.processes.pop(chance.randrange(len(self.processes)))
        os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
        self.processes.append(self._worker())

    def stop(self) -> None:
        self._over.set()
        for process in self.processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._thread.is_alive():
            self._thread.join()


@pytest.fixture
def counting(providers: Providers) -> dict[str, Counting]:
    counting = {name: Counting(name) for name in NAMES}
    providers.replies.update(counting)
    return counting


@pytest.fixture
def crew(own: Database, environment: Settings, providers: Providers, client_for) -> Iterator[Crew]:
    operator = client_for("observables", tenant="public", role="operator")
    addresses = {name: providers.base(name) for name in NAMES}
    # A key is for the address that the workers use.
    operator.app.state.settings = environment.model_copy(update={"enricher_urls": addresses})
    for name in NAMES:
        limits = {"rate": {"calls": 60_000, "seconds": 60}, "daily": 1_000_000}
        key = {"key": {"key": "lent"}} if name == "abuseipdb" else {}
        assert operator.patch(f"/v1/enrichers/{name}", json=limits | key).status_code == 200
    urls = ",".join(f"{name}={address}" for name, address in addresses.items())
    crew = Crew(
        {**os.environ, "SENTINELIQ_ENRICHER_URLS": urls, "SENTINELIQ_LOG_LEVEL": "WARNING"},
        lambda: operator.post("/v1/reconcile"),
    )
    yield crew
    crew.stop()


def ask(own: Database, addresses: list[str], names: tuple[str, ...] = NAMES) -> None:
    with own.transaction("acme") as session:
        accesses = accesses_of(session, "acme")
        requests = []
        for address in addresses:
            for name in names:
                queue = accesses[name].queue_id
                request = JobRequest(
                    identity(address), "ipv4-addr", address, name, queue, BACKGROUND, "tests"
                )
                requests.append(request)
        enqueue(session, "acme", requests, accesses)


def rows(own: Database, query: str) -> dict[str, int]:
    with own.transaction(PLATFORM) as session:
        return {str(name): count for name, count in session.execute(sa.text(query))}


def wait_until_all_ended(own: Database, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    open_jobs = (
        "SELECT state, count(*) FROM enrichment_job "
        "WHERE state IN ('waiting', 'running') GROUP BY state"
    )
    while left := rows(own, open_jobs):
        assert time.monotonic() < deadline, f"still open: {left}"
        time.sleep(0.2)


def values(count: int) -> list[str]:
    return [str(IPv4Address("45.32.0.1") + number) for number in range(count)]


def check_effects(own: Database, count: int) -> None:
    """Each answer is stored once and published once."""
    assert rows(own, "SELECT state, count(*) FROM enrichment_job GROUP BY state") == {
        "done": count * len(NAMES)
    }
    stored = rows(own, "SELECT enricher, count(*) FROM enrichment WHERE found GROUP BY enricher")
    assert stored == dict.fromkeys(NAMES, count)
    published = rows(
        own,
        "SELECT p->>'enricher', count(DISTINCT p->>'id') FROM ("
        "SELECT convert_from(payload, 'UTF8')::json AS p FROM outbox "
        "WHERE topic = 'observables.enriched.v1') event GROUP BY 1",
    )
    assert published == dict.fromkeys(NAMES, count)
    times = rows(
        own,
        "SELECT topic, count(*) FROM outbox WHERE topic = 'observables.enriched.v1' GROUP BY topic",
    )
    assert times == {"observables.enriched.v1": count * len(NAMES)}


@pytest.mark.timeout(300 + VALUES // 20)
def test_four_workers_make_no_call_too_early_and_none_twice(own, crew, counting):
    addresses = values(VALUES)
    ask(own, addresses)
    crew.start(4)
    wait_until_all_ended(own, 240 + VALUES / 25)
    check_effects(own, VALUES)
    for name, provider in counting.items():
        assert sorted(provider.answered) == sorted(addresses), (
            f"{name} was asked twice, or not about everything"
        )
        assert provider.refused >= VALUES // WINDOW - 1
        # Only calls that were in flight when the provider first refused.
        assert len(provider.early) < CONCURRENCY[name], provider.early
        assert all(after < 0.5 for after in provider.early), provider.early


@pytest.mark.timeout(480 + VALUES // 10)
def test_any_worker_may_be_killed_at_any_moment(own, crew, counting):
    chance = random.Random(7)  # noqa: S311  # not a secret
    addresses = values(VALUES)
    ask(own, addresses)
    crew.start(4)
    kills = 0
    answered = 0
    while answered < 0.8 * VALUES * len(NAMES):
        before = answered
        crew_busy = time.monotonic() + 120
        while answered < before + VALUES * len(NAMES) / 6:
            assert time.monotonic() < crew_busy, (
                f"no worker went on after {kills} kills; {answered} calls were answered"
            )
            time.sleep(chance.uniform(0.01, 0.1))
            answered = sum(len(provider.answered) for provider in counting.values())
        crew.kill(chance)
        kills += 1
    wait_until_all_ended(own, 240 + VALUES / 15)
    assert kills >= 4
    check_effects(own, VALUES)
    for provider in counting.values():
        assert set(provider.answered) == set(addresses)


def test_a_days_budget_is_shared_by_all_workers(own, crew, counting, client_for):
    operator = client_for("observables", tenant="public", role="operator")
    operator.patch("/v1/enrichers/greynoise", json={"daily": 50})
    ask(own, values(150), ("greynoise", "shodan_internetdb"))
    crew.start(4)
    deadline = time.monotonic() + 60
    while (
        rows(own, "SELECT enricher, count(*) FROM enrichment GROUP BY 1").get(
            "shodan_internetdb", 0
        )
        < 150
    ):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(1)
    # A tenth is reserved for people.
    assert len(counting["greynoise"].answered) == 45
    waiting = (
        "SELECT value, 1 FROM enrichment_job "
        "WHERE enricher = 'greynoise' AND state = 'waiting' LIMIT 7"
    )
    body = {"values": list(rows(own, waiting)), "enrichers": ["greynoise"]}
    created = client_for("observables").post("/v1/enrichments", json=body)
    crew._reconcile()
    client = client_for("observables")
    while client.get(f"/v1/enrichments/{created.json()['id']}").json()["open"] > 2:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(1)
    assert len(counting["greynoise"].answered) == 50
    states = rows(
        own, "SELECT state, count(*) FROM enrichment_job WHERE enricher = 'greynoise' GROUP BY 1"
    )
    assert states == {"done": 50, "waiting": 100}
