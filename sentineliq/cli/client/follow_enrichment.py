"""Following questions to providers until all have ended, with a line for each that did."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from sentineliq.cli import output
from sentineliq.cli.client.api import ApiProblem, Client, Json
from sentineliq.cli.client.follow_run import explained
from shared.errors import SentinelIQError

_POLL: Final = (0.1, 2.0)
"""Seconds between two looks where events do not come through: at first, and at most."""
_SOON: Final = 3.0
"""Seconds that nobody has to be told of."""
_OPEN: Final = ("waiting", "running")
_DONE: Final = {"found": "answered", "unknown": "knows nothing about it", "cached": "known already"}


class EnrichmentFollower:
    """One request's questions.

    Args:
        client: of the request's tenant.
        notice: gets a line for each question that ends, and for each that has to wait.
    """

    def __init__(self, client: Client, notice: Callable[[str], None] = output.say) -> None:
        self._client = client
        self._notice = notice
        self._told: dict[str, str] = {}

    def follow(self, request: Json) -> Json:
        """Wait until all of a request's questions have ended; the request as it is then.

        The service tells by server-sent events; where they do not come through (a proxy that cuts streams), it is
        looked at again and again.
        """
        self.tell(request)
        path = f"/v1/enrichments/{request['id']}"
        pause = _POLL[0]
        while request["open"]:
            self._listen(f"{path}/events")
            request = self._client.get("observables", path)
            self.tell(request)
            if request["open"]:
                time.sleep(pause)
                pause = min(pause * 1.5, _POLL[1])
        return request

    def _listen(self, path: str) -> None:
        """Take events as long as they come."""
        try:
            self._client.follow("observables", path, self._on_event)
        except ApiProblem:
            raise
        except SentinelIQError:
            return

    def tell(self, request: Json) -> None:
        """Say of each question what has not been said yet."""
        for job in request["jobs"]:
            self._job(job)

    def _on_event(self, name: str, data: Json) -> None:
        if name == "job":
            self._job(data)

    def _job(self, job: Json) -> None:
        said = line(job)
        if said is None:
            self._told.pop(job["id"], None)
            return
        # An estimate moves by seconds all the time, which is no news; waiting again after a try is.
        state = f"{job['state']} {job['attempts']}"
        if self._told.get(job["id"]) != state:
            self._told[job["id"]] = state
            self._notice(said)


def line(job: Json) -> str | None:
    """A question as a line; None for one that is about to be asked."""
    head = f"{job['value']}  {job['enricher']}: "
    if job["state"] not in _OPEN:
        return head + outcome(job)
    estimate = job["estimate"] and datetime.fromisoformat(job["estimate"])
    again = f", after {explained(job['reason'])}" if job["reason"] else ""
    if estimate is None or (estimate.timestamp() - time.time() < _SOON and not again):
        return None
    return f"{head}waits, probably until {estimate:%Y-%m-%d %H:%M:%S}{again}"


def outcome(job: Json) -> str:
    """How a question ended."""
    if job["state"] == "done":
        return _DONE[str(job["outcome"])]
    return str(job["state"]) + (f": {explained(job['reason'])}" if job["reason"] else "")
