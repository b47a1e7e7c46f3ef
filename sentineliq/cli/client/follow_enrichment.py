"""Follows an enrichment request until all its jobs have ended, with a line for each of them."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from sentineliq.cli import output
from sentineliq.cli.client.api import ApiProblem, Client, Json
from sentineliq.cli.client.documents import EnrichmentJob, FollowedRequest, decode
from shared.errors import SentinelIQError

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
"""Seconds between two requests where the stream of events does not come through."""
_SOON: Final = 3.0
"""Seconds of waiting that deserve no line."""
_OPEN_STATES: Final = ("waiting", "running")
_OUTCOMES: Final = {
    "found": "answered",
    "unknown": "knows nothing about it",
    "cached": "known already",
}


class EnrichmentFollower:
    """Follows one request.

    Args:
        client: of the request's tenant.
        notice: gets a line for each job that ends, and for each that has to wait.
    """

    def __init__(self, client: Client, notice: Callable[[str], None] = output.print_note) -> None:
        self._client = client
        self._notice = notice
        self._reported: dict[str, str] = {}

    def follow(self, document: Json) -> Json:
        """Wait until all jobs of a request have ended; returns the request as it is then.

        The service publishes server-sent events. Where they do not come through, because a proxy
        cuts streams, the request is read again and again.
        """
        self.report(document)
        request = decode(FollowedRequest, document)
        path = f"/v1/enrichments/{request.id}"
        pause = _FIRST_PAUSE
        while request.open:
            self._listen(f"{path}/events")
            document = self._client.get("observables", path)
            self.report(document)
            request = decode(FollowedRequest, document)
            if request.open:
                time.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE)
        return document

    def report(self, document: Json) -> None:
        """Give notice of each job of a request whose state is news."""
        for job in decode(FollowedRequest, document).jobs:
            self._report(job)

    def _listen(self, path: str) -> None:
        """Read events as long as they arrive."""
        try:
            self._client.follow("observables", path, self._on_event)
        except ApiProblem:
            raise
        except SentinelIQError:
            return

    def _on_event(self, name: str, data: Json) -> None:
        if name == "job":
            self._report(decode(EnrichmentJob, data))

    def _report(self, job: EnrichmentJob) -> None:
        line = job_line(job)
        if line is None:
            self._reported.pop(job.id, None)
            return
        # An estimate moves by seconds all the time, which is no news; another attempt is.
        state = f"{job.state} {job.attempts}"
        if self._reported.get(job.id) != state:
            self._reported[job.id] = state
            self._notice(line)


def job_line(job: EnrichmentJob) -> str | None:
    """A job as a line; None for one that runs soon."""
    head = f"{job.value}  {job.enricher}: "
    if job.state not in _OPEN_STATES:
        return head + job_outcome(job)
    if job.estimate is None:
        return None
    estimate = datetime.fromisoformat(job.estimate)
    if job.reason is None and estimate.timestamp() - time.time() < _SOON:
        return None
    cause = f", after {job.reason}" if job.reason else ""
    return f"{head}waits, probably until {estimate:%Y-%m-%d %H:%M:%S}{cause}"


def job_outcome(job: EnrichmentJob) -> str:
    """The outcome of a job that has ended."""
    if job.state == "done":
        return _OUTCOMES[str(job.outcome)]
    return f"{job.state}: {job.reason}" if job.reason else job.state
