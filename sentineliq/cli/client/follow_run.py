"""Following a feed run until all of it is stored, and saying what became of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sentineliq.cli import output
from sentineliq.cli.client.api import Client, Json
from shared.errors import SentinelIQError

_POLL: Final = (0.05, 0.5)
"""Seconds between two looks: at first, and at most."""
_STALLED: Final = 60.0
"""Seconds without any progress after which waiting has no point."""
_PLACES: Final = 3


class RunFailed(SentinelIQError):
    """A run ended without taking anything, or does not come to an end."""


@dataclass(frozen=True)
class RunOutcome:
    """What a run brought.

    Attributes:
        run: the run, as the feeds service tells it.
        stored: what the observables service did with it: received, new, changed, rejected.
        seconds: from the request until everything was stored.
    """

    run: Json
    stored: dict[str, int]
    seconds: float

    @property
    def report(self) -> Json:
        """What was taken and left out."""
        report: Json = self.run["report"] or {}
        return report

    @property
    def unchanged(self) -> int:
        """How many observables were known already, just like this."""
        told = (
            self.stored["new"]
            + self.stored["changed"]
            + self.stored["rejected"]
            - self._count("gone")
        )
        return max(0, self._count("taken") - told)

    def _count(self, name: str) -> int:
        count: int = self.report.get(name, 0)
        return count

    def as_dict(self) -> Json:
        """For programs."""
        return {
            "run": self.run,
            "stored": self.stored | {"unchanged": self.unchanged},
            "seconds": self.seconds,
        }

    def line(self) -> str:
        """For people: what was taken by type, what is new, what was left out and why."""
        if self.run["state"] == "held":
            return f"{self.run['feed']}: held back; `sentineliq feeds show {self.run['feed']}` says why"
        if self.run["state"] == "unchanged":
            return f"{self.run['feed']}: the same as last time: nothing new, nothing changed"
        report, stored = self.report, self.stored
        taken = f"{report['taken']:,} observables" + (
            f" ({output.counted(report['types'])})" if report["types"] else ""
        )
        known = (
            f"{stored['new']:,} new, {stored['changed']:,} changed, {self.unchanged:,} unchanged"
            + (f", {self._count('gone'):,} gone" if self._count("gone") else "")
        )
        return (
            f"{self.run['feed']}: {taken}: {known} in {self.seconds:.1f} s"
            + _left_out(report, stored)
            + _notes(report)
        )


def _notes(report: Json) -> str:
    """What the format decided by itself."""
    return "".join(f"; {note}" for note in report.get("notes", []))


def _left_out(report: Json, stored: dict[str, int]) -> str:
    dropped = dict(report["dropped"]) | (
        {"rejected in storing": stored["rejected"]} if stored["rejected"] else {}
    )
    if not dropped:
        return ""
    places = [f"{one['where']} {one['raw'][:60]!r}" for one in report.get("examples", [])[:_PLACES]]
    first = f"; first: {', '.join(places)}" if places else ""
    return f"; left out: {output.counted(dropped)}{first}"


def follow(
    client: Client,
    run: Json,
    *,
    notice: Callable[[str], None] = output.say,
    patience: float = 3600.0,
) -> RunOutcome:
    """Wait until a run has ended and everything it took is stored.

    Args:
        client: of the run's tenant.
        run: as it was when it was requested.
        notice: gets a line when the run has to wait, for instance for a server that does not answer.
        patience: seconds to wait for the run's end.

    Raises:
        RunFailed: it failed, with the place; or nothing moves any more.
    """
    started = time.monotonic()
    run = _ended(client, run, notice, started + patience)
    if run["state"] == "held":
        return RunOutcome(
            run,
            dict.fromkeys(("received", "new", "changed", "rejected"), 0),
            time.monotonic() - started,
        )
    if run["state"] == "failed":
        raise RunFailed(f"{run['feed']}: {explained(run['error'])}")
    stored = _stored(client, run)
    return RunOutcome(run, stored, round(time.monotonic() - started, 3))


def explained(error: Json | None) -> str:
    """A stored error as one line; its place is part of the message, or named after it."""
    if not error:
        return "it failed without giving a reason"
    message, place = error.get("message", "it failed"), error.get("where") or error.get("field")
    return f"{message} ({place})" if place and place not in message else str(message)


def _ended(client: Client, run: Json, notice: Callable[[str], None], deadline: float) -> Json:
    pause, told = _POLL[0], 0
    while run["state"] in ("queued", "running"):
        if run["state"] == "queued" and run["error"] and run["attempts"] > told:
            told = run["attempts"]
            notice(f"{run['feed']}: {explained(run['error'])}; trying again")
        if time.monotonic() > deadline:
            why = (
                f": {explained(run['error'])}"
                if run["error"]
                else "; `sentineliq doctor` may know why"
            )
            raise RunFailed(f"{run['feed']}: the run {run['id']} is still {run['state']}{why}")
        time.sleep(pause)
        pause = min(pause * 1.3, _POLL[1])
        run = client.get("feeds", f"/v1/runs/{run['id']}")
    return run


def _stored(client: Client, run: Json) -> dict[str, int]:
    report = run["report"] or {}
    sent: int = report.get("seen", 0) + report.get("gone", 0)
    pause, best, moved = _POLL[0], -1, time.monotonic()
    while True:
        stored: dict[str, Any] = client.get("observables", f"/v1/runs/{run['id']}")
        if stored["received"] >= sent:
            return stored
        if stored["received"] > best:
            best, moved = stored["received"], time.monotonic()
        if time.monotonic() - moved > _STALLED:
            raise RunFailed(
                f"{run['feed']}: {best:,} of {sent:,} observables are stored, and nothing moves; "
                "see `sentineliq doctor` and `sentineliq dead list`"
            )
        time.sleep(pause)
        pause = min(pause * 1.3, _POLL[1])
