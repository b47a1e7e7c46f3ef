"""A trend: a value that several feeds see at once, or a subject above its own baseline."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple
from uuid import UUID, uuid5

import msgspec

from shared.stix.ids import SENTINELIQ_NAMESPACE

Kind = Literal["value", "malware", "as", "registrar"]

Subject = tuple[str, Kind, str]
"""Tenant, kind and name of what may rise."""

WINDOW: Final = 600
"""Seconds within which feeds must agree on a value, and over which a subject is counted."""

LATENESS: Final = 60
"""Seconds that a chunk may be older than its place in the log; an older one counts as that old."""

MAX_NAME: Final = 200
_ID_SPACE: Final = uuid5(SENTINELIQ_NAMESPACE, "trend")


@dataclass(frozen=True, slots=True)
class Trend:
    """A burst or a rise.

    Attributes:
        subject: the value, the malware family, the autonomous system (`AS64496`), or the registrar.
        type: the observable's type, of a value.
        feeds: names of the feeds that saw it within the window, sorted.
        count: distinct feeds of a value; new indicators of a subject.
        baseline: the subject's mean count in the windows before; None for a value.
        window_start: seconds since the epoch. It is aligned to the window, so that a repetition
            has the same identity.
    """

    tenant: str
    kind: Kind
    subject: str
    type: str | None
    feeds: tuple[str, ...]
    count: int
    baseline: float | None
    window_start: int
    window_seconds: int = WINDOW

    @property
    def id(self) -> UUID:
        """The same for the same tenant, kind, type, subject and window."""
        # JSON, because a value may contain any separator. The type tells an MD5 from an imphash.
        name = msgspec.json.encode(
            [self.tenant, self.kind, self.type, self.subject, self.window_start]
        )
        return uuid5(_ID_SPACE, name.decode())

    @property
    def started_at(self) -> datetime:
        """The window's start as a time."""
        return datetime.fromtimestamp(self.window_start, UTC)


class HourlyPeak(NamedTuple):
    """The highest count of any ten minutes that end in an hour.

    Attributes:
        hour: hours since the epoch.
    """

    subject: Subject
    hour: int
    peak: int


def storable_name(text: str) -> str:
    """A name as PostgreSQL can store it: without NUL, at most `MAX_NAME` characters."""
    return text.replace("\0", "").strip()[:MAX_NAME]
