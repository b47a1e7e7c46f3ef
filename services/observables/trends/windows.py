"""The trends themselves, without I/O: time is what the events say, so that the same log always has the same trends.

A value bursts when enough feeds see it within a sliding window. A subject (a malware family, an autonomous system, a
registrar) rises when a window of ten minutes holds far more of it than the six hours before would make one expect.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from math import sqrt
from typing import Final, Literal
from uuid import UUID, uuid5

import msgspec

from shared.stix.ids import SENTINELIQ_NAMESPACE
from shared.stix.vocabulary import MAX_LENGTH, ObservableType
from shared.timestamps import parse_timestamp

Kind = Literal["value", "malware", "as", "registrar"]
Subject = tuple[str, Kind, str]
"""Tenant, kind and name of what may rise."""
Networks = Callable[[str, Sequence[str]], Sequence[int | None]]
"""The numbers of the autonomous systems that addresses of one type belong to."""

WINDOW: Final = 600
"""Seconds within which feeds must agree on a value, and which a subject's count is taken over."""
FEEDS: Final = 5
"""Distinct feeds that make a burst."""
MINUTES: Final = WINDOW // 60
HISTORY: Final = 36
"""Windows before a subject's own that are its baseline: six hours."""
FLOOR: Final = 20
"""A subject with fewer new indicators in its window never rises."""
LEARNING: Final = 60
"""Minutes a tenant must have been heard of before: the first import of its feeds is no news."""
LATENESS: Final = 60
"""Seconds that a chunk may be older than its place in the log says; what is older counts as that old."""
MAX_NAME: Final = 200
_MAX_SUBJECTS: Final = 5_000
"""Subjects kept of one minute, the most frequent ones: a feed that makes names up cannot fill the memory."""
_KEYS: Final = 1_000_000
_TYPES: Final = frozenset(ObservableType)
_ADDRESSES: Final = frozenset({"ipv4-addr", "ipv6-addr"})
_ID_SPACE: Final = uuid5(SENTINELIQ_NAMESPACE, "trend")


class ObservedIndicator(msgspec.Struct, gc=False):
    """Of an indicator, what trends are made of."""

    type: str
    value: str
    malware: str | None = None


class FeedIdentity(msgspec.Struct, gc=False):
    """Of a feed, what trends are made of."""

    id: UUID
    name: str


class Chunk(msgspec.Struct):
    """Of `IndicatorsObserved`, what trends are made of; the rest is not even decoded."""

    feed: FeedIdentity
    observed_at: str
    seen: list[ObservedIndicator] = msgspec.field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Trend:
    """A burst or a rise.

    Attributes:
        subject: the value, the malware family, the autonomous system (`AS64496`), or the registrar.
        type: the observable's type, of a value.
        feeds: names of the feeds that saw it within the window, sorted.
        count: distinct feeds of a value; new indicators of a subject.
        baseline: what a window of the subject held on average before.
        window_start: seconds since the epoch; aligned to the window, so that a repetition has the same identity.
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
        """The same for the same tenant, kind, subject and window."""
        # JSON, because a value may contain whatever would separate the parts. The type tells an MD5 from an imphash.
        name = msgspec.json.encode(
            [self.tenant, self.kind, self.type, self.subject, self.window_start]
        )
        return uuid5(_ID_SPACE, name.decode())

    @property
    def started_at(self) -> datetime:
        """The window's start as a time."""
        return datetime.fromtimestamp(self.window_start, UTC)


@lru_cache(maxsize=4096)  # all chunks of a run share theirs
def moment(text: str) -> float:
    """RFC 3339 as seconds since the epoch; without an offset it is UTC.

    Raises:
        ValueError: it is no time.
    """
    return parse_timestamp(text).timestamp()


Sighting = tuple[int, float]
"""Number of a feed and when it saw the value; all values of a chunk share one."""
_NO_BURST: Final = (-1, float("-inf"))


class ValueBursts:
    """Bursts of values within one partition: a value's events all come there, in order.

    What is kept per value is a hash and, as long as one feed alone has seen it, a sighting that the whole chunk shares:
    about 100 bytes. Beyond that it is a list: when enough feeds last saw it, then a sighting per feed. Values live in
    two generations of two windows each; a value that is seen moves to the younger one. Events may come up to one window
    late without changing the result. A generation that is full ends early.

    Args:
        feeds: distinct feeds that make a burst.
        window: seconds within which they must see the value.
        keys: values that one generation may hold.
    """

    def __init__(self, feeds: int = FEEDS, window: int = WINDOW, keys: int = _KEYS) -> None:
        self._enough = feeds
        self._window = window
        self._keys = keys
        self._feeds: dict[UUID, int] = {}
        self._names: list[str] = []
        self._young: dict[int, Sighting | list[Sighting]] = {}
        self._old: dict[int, Sighting | list[Sighting]] = {}
        self._until = 0.0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def add(self, tenant: str, chunk: Chunk, at: float) -> list[Trend]:
        """Take a whole chunk that was observed at a time; the bursts it completes."""
        self._turn(at)
        feed = self._number(chunk.feed)
        young, old, alone = self._young, self._old, (feed, at)
        bursts: list[Trend] = []
        for one in chunk.seen:
            # 64 bits under a key that is this process's own: among millions of values none meets another.
            key = hash((tenant, one.type, one.value))
            known = young.get(key)
            if known is None:
                known = old.get(key)
                if known is None:
                    young[key] = alone
                    continue
                young[key] = known
            if isinstance(known, tuple):
                if known[0] == feed:
                    if known[1] < at:
                        young[key] = alone
                    continue
                known = young[key] = [_NO_BURST, known]
            if (trend := self._seen(known, tenant, one, alone)) is not None:
                bursts.append(trend)
        return bursts

    def _number(self, feed: FeedIdentity) -> int:
        number = self._feeds.setdefault(feed.id, len(self._names))
        if number == len(self._names):
            self._names.append("")
        self._names[number] = feed.name
        return number

    def _turn(self, at: float) -> None:
        span = 2 * self._window
        if at < self._until and len(self._young) < self._keys:
            return
        # After a gap in time the younger generation is as old as the older one.
        self._old = self._young if at < self._until + span else {}
        self._young = {}
        self._until = max(self._until, (at // span + 1) * span)

    def _seen(
        self, known: list[Sighting], tenant: str, one: ObservedIndicator, by: Sighting
    ) -> Trend | None:
        for place, (feed, at) in enumerate(known):
            if feed == by[0]:
                if at < by[1]:
                    known[place] = by
                break
        else:
            known.append(by)
        if len(known) <= self._enough:
            return None
        burst, *sightings = known
        latest = max(at for _, at in sightings)
        since = latest - self._window
        known[1:] = [sighting for sighting in sightings if sighting[1] > since]
        if len(known) <= self._enough:
            return None
        known[0] = (-1, latest)
        if burst[1] > since or not _storable(one):
            return None
        names = tuple(sorted(_text(self._names[feed]) for feed, _ in known[1:]))
        start = int(latest // self._window * self._window)
        return Trend(
            tenant, "value", one.value, one.type, names, len(names), None, start, self._window
        )


def _storable(one: ObservedIndicator) -> bool:
    return one.type in _TYPES and 0 < len(one.value) <= MAX_LENGTH and "\0" not in one.value


def _text(text: str) -> str:
    """A name as PostgreSQL can store it."""
    return text.replace("\0", "").strip()[:MAX_NAME]


def families(chunk: Chunk) -> Counter[tuple[Kind, str]]:
    """How often each malware family is named by what is new to a feed."""
    named: Counter[str] = Counter([one.malware for one in chunk.seen if one.malware])
    found: Counter[tuple[Kind, str]] = Counter()
    for name, count in named.items():
        if subject := _text(name).casefold()[:MAX_NAME]:
            found["malware", subject] += count
    return found


def networks(
    addresses: Iterable[tuple[str, str]], numbers_of: Networks
) -> Counter[tuple[Kind, str]]:
    """How often each autonomous system occurs among types and values."""
    values: dict[str, list[str]] = {}
    for kind, value in addresses:
        if kind in _ADDRESSES:
            values.setdefault(kind, []).append(value)
    numbers = [number for kind, listed in values.items() for number in numbers_of(kind, listed)]
    return Counter(("as", f"AS{number}") for number in numbers if number is not None)


def registrars(name: object) -> Counter[tuple[Kind, str]]:
    """The registrar that an answer about one domain names, as it is counted."""
    subject = _text(name).casefold()[:MAX_NAME] if isinstance(name, str) else ""
    return Counter({("registrar", subject): 1} if subject else {})


class _Minute:
    """What one minute brought: counts by subject, the feeds behind them, and which tenants were heard of."""

    __slots__ = ("counts", "feeds", "tenants")

    def __init__(self) -> None:
        self.counts: Counter[Subject] = Counter()
        self.feeds: dict[Subject, set[str]] = {}
        self.tenants: set[str] = set()

    def settle(self) -> None:
        """Keep the most frequent subjects only; names decide among equals, so that the order of events does not."""
        if len(self.counts) > _MAX_SUBJECTS:
            first = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))[
                :_MAX_SUBJECTS
            ]
            self.counts = Counter(dict(first))
            self.feeds = {subject: self.feeds[subject] for subject, _ in first}


class SubjectRises:
    """Rises of subjects over all partitions: minutes are judged when they are complete, in their order.

    A window of ten minutes that ends with each minute is compared with the 36 windows before it: it is high with at
    least 20, three times their mean, and six deviations above it (of a Poisson process, whose variance is its mean).
    A rise is a window that is high after ten minutes that were not. Of a tenant that was first heard of during those
    six hours, fewer windows are the baseline.
    """

    def __init__(self) -> None:
        self._minutes: dict[int, _Minute] = {}
        self._next: int | None = None
        self._window: Counter[Subject] = Counter()
        self._before: Counter[Subject] = Counter()
        self._high: dict[Subject, int] = {}

    def add(self, tenant: str, feed: str, counts: Counter[tuple[Kind, str]], at: float) -> None:
        """Count subjects that a feed brought at a time; a tenant is heard of also with none."""
        minute = int(at // 60)
        if self._next is not None:
            minute = max(minute, self._next)
        found = self._minutes.setdefault(minute, _Minute())
        found.tenants.add(tenant)
        for (kind, name), count in counts.items():
            subject = (tenant, kind, name)
            found.counts[subject] += count
            found.feeds.setdefault(subject, set()).add(feed)

    def close(self, until: float) -> list[Trend]:
        """Judge every minute that ended by then; the caller knows that nothing of them is still to come."""
        if self._next is None:
            first = min(self._minutes, default=None)
            if first is None or (first + 1) * 60 > until:
                return []  # an earlier minute may still come
            self._next = first
        rises: list[Trend] = []
        while (self._next + 1) * 60 <= until:
            rises += self._judge(self._next)
            self._next += 1
        return rises

    def _judge(self, minute: int) -> list[Trend]:
        self._slide(minute)
        rises = []
        for subject in sorted(subject for subject, count in self._window.items() if count >= FLOOR):
            known = self._known(subject[0], minute)
            if known is None:
                continue
            count, mean = self._window[subject], self._before[subject] / known
            if count < 3 * mean or count < mean + 6 * sqrt(mean):
                continue
            before, self._high[subject] = self._high.get(subject), minute
            if before is None or minute - before > MINUTES:
                rises.append(self._trend(subject, count, mean, minute))
        return rises

    def _slide(self, minute: int) -> None:
        if (fresh := self._minutes.get(minute)) is not None:
            fresh.settle()
            self._window.update(fresh.counts)
        if (left := self._minutes.get(minute - MINUTES)) is not None:
            _take(self._window, left.counts)
            self._before.update(left.counts)
            left.feeds = {}
        if (gone := self._minutes.pop(minute - MINUTES * (HISTORY + 1), None)) is not None:
            _take(self._before, gone.counts)
        self._high = {subject: at for subject, at in self._high.items() if minute - at <= MINUTES}

    def _known(self, tenant: str, minute: int) -> float | None:
        """Windows before this minute's own in which the tenant was heard of; None when that is too few to judge by."""
        first = min(
            (number for number, found in self._minutes.items() if tenant in found.tenants),
            default=minute,
        )
        return (
            None
            if minute - first < LEARNING
            else min(HISTORY, (minute + 1 - MINUTES - first) / MINUTES)
        )

    def _trend(self, subject: Subject, count: int, mean: float, minute: int) -> Trend:
        tenant, kind, name = subject
        last = [
            self._minutes[n] for n in range(minute - MINUTES + 1, minute + 1) if n in self._minutes
        ]
        feeds = sorted({_text(feed) for one in last for feed in one.feeds.get(subject, ())})
        start = minute * 60 // WINDOW * WINDOW
        return Trend(tenant, kind, name, None, tuple(feeds), count, round(mean, 3), start)


def _take(counts: Counter[Subject], less: Counter[Subject]) -> None:
    for subject, count in less.items():
        left = counts[subject] - count
        if left:
            counts[subject] = left
        else:
            del counts[subject]
