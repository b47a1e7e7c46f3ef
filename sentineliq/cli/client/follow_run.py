"""Follows a feed run until everything it took is stored, and describes the result."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sentineliq.cli import output
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.client.documents import (
    FeedRun,
    RunCounts,
    StoredCounts,
    decode,
    left_out_lines,
)
from shared.errors import SentinelIQError

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 0.5
"""Seconds between two requests."""
_STALLED: Final = 60.0
"""Seconds without progress after which waiting is pointless."""
_CONFIRMING: Final = 5.0
"""Seconds that the feeds service has to hear that everything is stored."""
_EXAMPLES: Final = 3


ONCE: Final = 3.5
"""Seconds that a person waits for a first attempt without having asked to."""


class RunFailed(SentinelIQError):
    """A run failed, or it does not come to an end."""


class RunUnfinished(SentinelIQError):
    """A run goes on, or waits for another attempt; the message says which and how to follow it."""


@dataclass(frozen=True)
class RunOutcome:
    """The result of a run.

    Attributes:
        run: the run as it ended.
        document: the same, as the feeds service gave it.
        stored: what the observables service did with it.
        seconds: from the request until everything was stored.
    """

    run: FeedRun
    document: Json
    stored: StoredCounts
    seconds: float

    @property
    def report(self) -> RunCounts:
        """The run's counts; all are zero before it has ended."""
        return self.run.report or RunCounts()

    @property
    def unchanged(self) -> int:
        """The number of observables that were stored before, exactly like this."""
        different = self.stored.new + self.stored.changed + self.stored.rejected - self.report.gone
        return max(0, self.report.observables - different)

    def as_dict(self) -> Json:
        """The result for programs."""
        stored = {
            "received": self.stored.received,
            "new": self.stored.new,
            "changed": self.stored.changed,
            "rejected": self.stored.rejected,
            "unchanged": self.unchanged,
        }
        return {"run": self.document, "stored": stored, "seconds": self.seconds}

    def line(self) -> str:
        """The result for people: counts by type, what is new, what was left out and why."""
        name = self.run.feed
        if self.run.state == "held":
            return f"{name}: held back; `sentineliq feeds show {name}` says why"
        report = self.report
        was_read = report.account is not None or bool(report.dropped)
        if self.run.state == "unchanged" and not was_read:
            return f"{name}: the same as last time: nothing new, nothing changed"
        types = f" ({output.format_counts(report.types)})" if report.types else ""
        stored = (
            f"{self.stored.new:,} new, {self.stored.changed:,} changed, "
            f"{self.unchanged:,} unchanged"
        )
        gone = f", {report.gone:,} gone" if report.gone else ""
        notes = "".join(f"; {note}" for note in dict.fromkeys(report.notes))
        amendment = f"{self.run.amendment}: " if self.run.amendment else ""
        return (
            f"{name}: {amendment}{report.observables:,} observables{types}: "
            f"{stored}{gone} in {self.seconds:.1f} s"
            f"{self._left_out()}{notes}"
        )

    def _left_out(self) -> str:
        """What was left out, with its first places; empty if nothing was."""
        report = self.report
        lines = left_out_lines(report.account, report.dropped) if report.dropped else []
        if self.stored.rejected:
            lines.append(f"{self.stored.rejected:,} rejected in storing")
        if not lines:
            return ""
        examples = ", ".join(
            f"{example.where} {example.raw[:60]!r}" for example in report.examples[:_EXAMPLES]
        )
        first = f"; first: {examples}" if examples else ""
        return f"; {'; '.join(lines)}{first}"


def follow_run(
    client: Client,
    document: Json,
    *,
    notice: Callable[[str], None] = output.print_note,
    patience: float = 3600.0,
) -> RunOutcome:
    """Wait until a run has ended and everything it took is stored.

    Args:
        client: of the run's tenant.
        document: the run as it was requested.
        notice: gets a line when the run is tried again, for instance because a server is down.
        patience: seconds to wait for the run's end.

    Raises:
        RunFailed: it failed; or it makes no progress any more.
    """
    started = time.monotonic()
    document = _await_end(client, document, notice, started + patience)
    run = decode(FeedRun, document)
    if run.state == "failed":
        raise RunFailed(f"{run.feed}: {run.error or 'it failed without giving a reason'}")
    stored = StoredCounts() if run.state == "held" else _await_storing(client, run)
    document = _await_confirmation(client, document)
    run = decode(FeedRun, document)
    return RunOutcome(run, document, stored, round(time.monotonic() - started, 3))


def follow_attempt(client: Client, document: Json, seconds: float = ONCE) -> RunOutcome:
    """Wait for the first attempt of a run, and no longer than a few seconds.

    Raises:
        RunFailed: the run failed.
        RunUnfinished: it is tried again, or takes longer.
    """
    started = time.monotonic()
    pause = _FIRST_PAUSE
    run = decode(FeedRun, document)
    while run.state in ("queued", "running") and time.monotonic() < started + seconds:
        if run.state == "queued" and run.error and run.attempts:
            break
        time.sleep(pause)
        pause = min(pause * 1.3, _LONGEST_PAUSE)
        document = client.get("feeds", f"/v1/runs/{run.id}")
        run = decode(FeedRun, document)
    if run.state not in ("queued", "running"):
        return follow_run(client, document)
    hint = f"`sentineliq feeds follow {run.id}` waits for it"
    if run.state == "queued" and run.error and run.attempts:
        at = output.format_time(run.next_attempt_at) or "once"
        raise RunUnfinished(f"{run.feed}: {run.error}; it is tried again at {at} UTC; {hint}")
    doing = "waits for a worker" if run.state == "queued" else "is being fetched and read"
    raise RunUnfinished(f"{run.feed} {doing} since {seconds:.0f} seconds and goes on; {hint}")


def _await_end(
    client: Client, document: Json, notice: Callable[[str], None], deadline: float
) -> Json:
    run = decode(FeedRun, document)
    pause = _FIRST_PAUSE
    reported_attempts = 0
    while run.state in ("queued", "running"):
        if run.state == "queued" and run.error and run.attempts > reported_attempts:
            reported_attempts = run.attempts
            notice(f"{run.feed}: {run.error}; trying again")
        if time.monotonic() > deadline:
            reason = f": {run.error}" if run.error else "; `sentineliq doctor` may know why"
            raise RunFailed(f"{run.feed}: the run {run.id} is still {run.state}{reason}")
        time.sleep(pause)
        pause = min(pause * 1.3, _LONGEST_PAUSE)
        document = client.get("feeds", f"/v1/runs/{run.id}")
        run = decode(FeedRun, document)
    return document


def _await_confirmation(client: Client, document: Json) -> Json:
    """The run once the feeds service knows that it is stored, or after a few seconds."""
    deadline = time.monotonic() + _CONFIRMING
    run = decode(FeedRun, document)
    pause = _FIRST_PAUSE
    while run.state == "applying" and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 1.3, _LONGEST_PAUSE)
        document = client.get("feeds", f"/v1/runs/{run.id}")
        run = decode(FeedRun, document)
    return document


def _await_storing(client: Client, run: FeedRun) -> StoredCounts:
    report = run.report or RunCounts()
    sent = report.seen + report.gone if run.published is None else run.published
    pause = _FIRST_PAUSE
    most_received = -1
    progressed_at = time.monotonic()
    while True:
        stored = decode(StoredCounts, client.get("observables", f"/v1/runs/{run.id}"))
        if stored.received >= sent:
            return stored
        if stored.received > most_received:
            most_received = stored.received
            progressed_at = time.monotonic()
        if time.monotonic() - progressed_at > _STALLED:
            raise RunFailed(
                f"{run.feed}: {most_received:,} of {sent:,} observables are stored, and it makes "
                "no progress; see `sentineliq doctor` and `sentineliq dead list`"
            )
        time.sleep(pause)
        pause = min(pause * 1.3, _LONGEST_PAUSE)
