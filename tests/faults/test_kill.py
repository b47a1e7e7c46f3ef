"""Kill any process during an ingest: the rows, events and notifications are the same.

One whole stack runs. Each victim has a feed of its own: it is ingested, the victim is killed with
SIGKILL when a random part is stored, and the effects are counted once everything has come back.
"""

import http.server
import itertools
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, ClassVar

import httpx2
import pytest
from pydantic import SecretStr

from sentineliq.local.orphans import running_processes
from sentineliq.local.ports import Ports
from sentineliq.local.stack import Stack
from shared.auth import issue_token

pytestmark = pytest.mark.slow

LINES = int(os.environ.get("SENTINELIQ_KILL_LINES", "20000"))
"""Up to 500,000, for those who have the time."""
VICTIMS = (
    "postgres",
    "kafka",
    "valkey",
    "feeds-api",
    "feeds-worker",
    "feeds-consumer",
    "observables-api",
    "observables-worker",
    "observables-consumer",
    "observables-trends",
    "notifications-api",
    "notifications-worker",
    "notifications-consumer",
    "mitre-api",
    "mitre-worker",
    "mitre-consumer",
    "scheduler-api",
    "scheduler-worker",
    "scheduler-consumer",
    "scheduler-beat",
    "gateway-api",
    "gateway-worker",
    "gateway-consumer",
)
_networks = itertools.count()
SEED = int(os.environ.get("SENTINELIQ_KILL_SEED", "5"))
_unfinished: dict[str, int] = {}
"""By victim, how many lines were not stored yet when it was killed."""


class _Sink(http.server.BaseHTTPRequestHandler):
    """Receives webhooks and remembers each by its id."""

    received: ClassVar[dict[str, dict[str, Any]]] = {}

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.received[self.headers["webhook-id"]] = body
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Installation:
    """A running stack and clients of its services."""

    def __init__(self, stack: Stack, sink: str) -> None:
        self.stack = stack
        self.sink = sink
        secret = SecretStr(stack.environment["SENTINELIQ_SECRET_KEY"])
        token = issue_token(secret, actor="kim@acme.example", tenant="acme", role="admin")
        self._clients = {
            service: httpx2.Client(
                base_url=stack.environment[f"SENTINELIQ_{service.upper()}_URL"],
                headers={"Authorization": f"Bearer {token}"},
                trust_env=False,
                timeout=10,
            )
            for service in ("feeds", "observables", "notifications")
        }

    def ask(self, service: str, method: str, path: str, **arguments: Any) -> Any:
        """An answer, however often the service has to be asked while it comes back."""
        deadline = time.monotonic() + 60
        while True:
            try:
                answer = self._clients[service].request(method, path, **arguments)
                if answer.status_code < 500:
                    assert answer.is_success, answer.text
                    return answer.json()
            except httpx2.TransportError as error:
                answer = error
            assert time.monotonic() < deadline, f"{service} {path} does not come back: {answer}"
            time.sleep(0.2)

    def subscribe(self, feed: str) -> None:
        """A rule about one feed, with a webhook."""
        config = {"url": self.sink}
        channel = self.ask(
            "notifications",
            "POST",
            "/v1/channels",
            json={"name": feed, "kind": "webhook", "config": config},
        )
        rule = {
            "name": feed,
            "sources": [feed],
            "min_score": 80,
            "channel_ids": [channel["id"]],
            "group_by": ["event"],
        }
        self.ask("notifications", "POST", "/v1/rules", json=rule)

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            client.close()

    def kill(self, name: str) -> None:
        """SIGKILL."""
        os.kill(running_processes(self.stack.data_dir)[name], signal.SIGKILL)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder = tmp_path_factory.mktemp("faults")
    _let_others_through(folder)
    environ = {
        name: value
        for name, value in os.environ.items()
        if name in {"PATH", "HOME", "JAVA_HOME", "LANG"}
    }
    stack = Stack(
        folder,
        Ports.free(),
        {**environ, "SENTINELIQ_OUTBOUND_ALLOW": "127.0.0.0/8", "SENTINELIQ_REFERENCE_DATA": "off"},
    )
    with stack.running():
        installation = Installation(stack, f"http://127.0.0.1:{server.server_port}/hook")
        yield installation
        installation.close()
    server.shutdown()
    server.server_close()


def _let_others_through(folder: Path) -> None:
    for each in (folder, *list(folder.parents)[:3]):
        each.chmod(0o755)


def wait(
    check: Callable[[], bool], what: str, seconds: float = 90 + LINES / 2000, pause: float = 0.1
) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(pause)


@pytest.mark.timeout(180 + LINES // 1000)
@pytest.mark.parametrize("victim", VICTIMS)
def test_a_killed_process_loses_nothing_and_repeats_nothing(
    installation: Installation, victim: str
) -> None:
    feed = f"kill {victim}"
    installation.subscribe(feed)
    network = next(_networks)
    first = int(IPv4Address("10.0.0.0")) + (network << 19)
    lines = [str(IPv4Address(first + number)) for number in range(1, LINES + 1)]
    parameters = {"name": feed, "format": "text", "confidence": 95, "reliability": "A"}
    run = installation.ask(
        "feeds", "POST", "/v1/ingest", params=parameters, content="\n".join(lines).encode()
    )

    def feed_run() -> dict[str, Any]:
        run_now: dict[str, Any] = installation.ask("feeds", "GET", f"/v1/runs/{run['id']}")
        return run_now

    def received() -> int:
        return installation.ask("observables", "GET", f"/v1/runs/{run['id']}")["received"]

    share = random.Random(f"{SEED} {victim}").uniform(0.02, 0.7)  # noqa: S311  # test data
    wait(lambda: received() >= share * LINES, f"{share:.0%} of the ingest", pause=0.005)
    _unfinished[victim] = LINES - received()
    installation.kill(victim)

    def notified() -> Counter[str]:
        received_by_now = list(_Sink.received.values())  # others are being received
        bodies = [body for body in received_by_now if body["data"]["rule"]["name"] == feed]
        return Counter({body["id"]: body["data"]["match_count"] for body in bodies})

    wait(lambda: received() == LINES, "the ingest")
    wait(lambda: notified().total() >= LINES, "the notification")
    wait(lambda: feed_run()["state"] == "succeeded", "the end of the run")
    state = feed_run()
    assert state["report"]["taken"] == LINES
    source = {"source": state["feed_id"]}
    assert (
        installation.ask("observables", "GET", "/v1/observables/count", params=source)["count"]
        == LINES
    )
    assert installation.ask("observables", "GET", f"/v1/runs/{run['id']}")["new"] == LINES
    deliveries = installation.ask("notifications", "GET", "/v1/deliveries", params={"limit": 1000})[
        "items"
    ]
    assert sum(row["match_count"] for row in deliveries if row["rule"] == feed) == LINES
    assert notified().total() == LINES, "a match was notified twice"


def test_work_was_under_way_when_they_were_killed() -> None:
    under_way = [victim for victim, missing in _unfinished.items() if missing > 0]
    assert len(under_way) >= len(_unfinished) / 2, _unfinished
