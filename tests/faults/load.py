"""Mixed load with a ledger: uniquely numbered values that are uploaded, fetched and sighted."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any
from uuid import uuid4

import httpx2

from tests.faults.installation import STRANGER, Installation, unique, wait_until
from tests.faults.receivers import ServedList

_numbers = itertools.count(int(IPv4Address("10.0.0.1")))
_FEEDS = 3
_RULE = {"min_score": 80, "group_by": ["event"]}
_TRUST = {"confidence": 95, "reliability": "A"}


@dataclass
class Ledger:
    """What the platform has accepted: the truth that the oracle compares with.

    Attributes:
        rule: the name of the rule about the feeds, and the path of its webhook.
        listed: by feed, the values that it lists now.
        announced: the values of which the rule has to be notified once.
        unanswered: values of uploads that were answered with an error, or not at all: the answer
            may be lost, so they may be stored and announced, each once.
        sightings: ids.
        refused: requests that were answered with an error, or not at all.
        slowest: seconds of the slowest response.
    """

    rule: str
    listed: dict[str, set[str]] = field(default_factory=dict)
    announced: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)
    sightings: set[str] = field(default_factory=set)
    refused: int = 0
    slowest: float = 0.0

    @property
    def accepted(self) -> int:
        """Values and sightings."""
        return sum(map(len, self.listed.values())) + len(self.sightings)


def new_values(count: int) -> list[str]:
    """Addresses that were never used before."""
    return [str(IPv4Address(next(_numbers))) for _ in range(count)]


class Load:
    """Sources of an installation with a rule about them, and what they said.

    Args:
        installation: runs.
        name: of the rule and the sources; made unique.
    """

    def __init__(self, installation: Installation, name: str) -> None:
        self.installation = installation
        self.name = unique(name)
        self.path = f"/hook/{self.name.replace(' ', '-')}"
        self.ledger = Ledger(self.name)
        self.uploads = [f"{self.name} upload {number}" for number in range(_FEEDS)]
        self.fetched = f"{self.name} list"
        self._turns = itertools.cycle(self.uploads)
        self._feed_ids: dict[str, str] = {}
        self._subscribe()

    def _subscribe(self) -> None:
        channel = self._ask(
            "notifications",
            "/v1/channels",
            {
                "name": self.name,
                "kind": "webhook",
                "config": {"url": self.installation.outside.url + self.path},
            },
        )
        rule = {"name": self.name, "sources": [*self.uploads, self.fetched], **_RULE}
        self._ask("notifications", "/v1/rules", {**rule, "channel_ids": [channel["id"]]})

    def _ask(self, service: str, path: str, body: Any) -> Any:
        return self.installation.ask(service, "POST", path, json=body)

    def upload(self, count: int) -> str:
        """Upload new values; the run's id.

        Raises:
            AssertionError: it was not accepted.
        """
        run = self.try_upload(count)
        assert run is not None, "the upload was refused"
        return run

    def try_upload(self, count: int) -> str | None:
        """Upload new values; the run's id, None when it was refused."""
        values = new_values(count)
        feed = next(self._turns)
        run = self._try(
            "feeds",
            "/v1/ingest",
            params={"name": feed, "format": "text", **_TRUST},
            content="\n".join(values).encode(),
        )
        if run is None:
            self.ledger.unanswered.update(values)
            return None
        self.ledger.listed.setdefault(run["feed_id"], set()).update(values)
        self.ledger.announced.update(values)
        return str(run["id"])

    def try_sighting(self) -> bool:
        """Report a sighting of a value that only this report knows; whether it was accepted."""
        identity = str(uuid4())
        sighting = {"id": identity, "value": new_values(1)[0]}
        if self._try("observables", "/v1/sightings", json={"sightings": [sighting]}) is None:
            return False
        self.ledger.sightings.add(identity)
        return True

    def _try(self, service: str, path: str, **arguments: Any) -> Any:
        started = time.monotonic()
        try:
            response = self.installation.request(service, "POST", path, **arguments)
        except httpx2.TransportError:
            self.ledger.refused += 1
            return None
        finally:
            self.ledger.slowest = max(self.ledger.slowest, time.monotonic() - started)
        if response.is_success:
            return response.json()
        assert response.status_code >= 500, response.text
        self.ledger.refused += 1
        return None

    def serve(self, count: int, seconds: float = 0.0, name: str = "") -> str:
        """Serve a list of new values and subscribe to it; the feed's id.

        Args:
            count: lines.
            seconds: over how long each response is spread.
            name: of the feed, when the rule is not about it.
        """
        name = name or self.fetched
        path = f"/list/{name.replace(' ', '-')}"
        self.installation.outside.lists[path] = ServedList(new_values(count), seconds)
        feed = {
            "name": name,
            "url": self.installation.outside.url + path,
            "format": "text",
            "kind": "snapshot",
            **_TRUST,
        }
        feed_id = str(self._ask("feeds", "/v1/feeds", feed)["id"])
        self._feed_ids[feed_id] = path
        return feed_id

    def served(self, feed_id: str) -> ServedList:
        """The list of a feed as its provider serves it."""
        return self.installation.outside.lists[self._feed_ids[feed_id]]

    def fetch(self, feed_id: str) -> str:
        """Fetch a feed now; the run's id. What is served now counts as accepted."""
        run = self.installation.ask("feeds", "POST", f"/v1/feeds/{feed_id}/runs")
        self.account(feed_id)
        return str(run["id"])

    def account(self, feed_id: str) -> None:
        """Enter what a feed serves now into the ledger."""
        lines = set(self.served(feed_id).lines)
        self.ledger.listed[feed_id] = lines
        if self._feed_ids[feed_id] == f"/list/{self.fetched.replace(' ', '-')}":
            self.ledger.announced.update(lines)

    @contextmanager
    def flowing(self, count: int = 10, pause: float = 0.5) -> Iterator["Load"]:
        """Upload and sight all the time on a thread, while the block runs."""
        stop = threading.Event()
        errors: list[BaseException] = []

        def flow() -> None:
            try:
                while not stop.wait(pause):
                    self.try_upload(count)
                    self.try_sighting()
            except BaseException as error:  # noqa: BLE001  # it is raised below
                errors.append(error)

        thread = threading.Thread(target=flow, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join()
        if errors:
            raise errors[0]

    def run_state(self, run: str) -> str:
        """A run's state."""
        return str(self.installation.ask("feeds", "GET", f"/v1/runs/{run}")["state"])

    def announced(self) -> int:
        """How many values the receiver of the webhook was told of."""
        return self.installation.outside.book.matches(self.path)


class Probe:
    """Work of ordinary size, by which recovery is measured: from an upload to its webhook."""

    def __init__(self, installation: Installation) -> None:
        self.load = Load(installation, "probe")
        self.task = Load(installation, "task probe")
        self._feed = self.task.serve(10)
        stranger = {
            "name": unique("stranger"),
            "kind": "webhook",
            "config": {"url": f"{installation.outside.url}/hook/stranger"},
        }
        channel = installation.ask(
            "notifications", "POST", "/v1/channels", tenant=STRANGER, json=stranger
        )
        rule = {
            "name": stranger["name"],
            "min_score": 1,
            "channel_ids": [channel["id"]],
            "group_by": ["event"],
        }
        installation.ask("notifications", "POST", "/v1/rules", tenant=STRANGER, json=rule)

    def seconds(self, since: float, limit: float = 120) -> float:
        """Upload and fetch now; return the seconds from `since` until both were announced.

        Raises:
            AssertionError: it takes longer than the limit.
        """
        wait_until(lambda: self.load.try_upload(20), "an accepted upload", limit)
        served = self.task.served(self._feed)
        served.lines += new_values(5)
        self.task.fetch(self._feed)
        wait_until(self._is_announced, "the announcement of the probe", limit)
        return time.monotonic() - since

    def _is_announced(self) -> bool:
        return all(
            load.announced() >= len(load.ledger.announced) for load in (self.load, self.task)
        )
