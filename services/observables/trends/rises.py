"""Rises of subjects: a window holds far more of one than the hours before predict. No I/O.

Subjects are malware families, autonomous systems and registrars. Time is what the events say, so
the same log always has the same rises.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import sqrt
from typing import Final

from services.observables.trends.events import Chunk
from services.observables.trends.trend import (
    MAX_NAME,
    WINDOW,
    Kind,
    Subject,
    Trend,
    storable_name,
)

SystemNumbers = Callable[[str, Sequence[str]], Sequence[int | None]]
"""The numbers of the autonomous systems that addresses of one type belong to."""

SubjectCounts = Counter[tuple[Kind, str]]
"""How often each subject occurs, by kind and name."""

MINUTES: Final = WINDOW // 60
HISTORY: Final = 36
"""Windows before a subject's own that are its baseline: six hours."""
FLOOR: Final = 20
"""A subject with fewer new indicators in its window never rises."""
LEARNING: Final = 60
"""Minutes a tenant must be active before its first rise: the first import of feeds is no news."""
_MAX_SUBJECTS: Final = 5_000
"""Subjects of one minute, the most frequent ones: invented names must not fill the memory."""
_ADDRESSES: Final = frozenset({"ipv4-addr", "ipv6-addr"})


def count_families(chunk: Chunk) -> SubjectCounts:
    """How often each malware family is named by what is new to a feed."""
    named: Counter[str] = Counter(
        [indicator.malware for indicator in chunk.seen if indicator.malware]
    )
    counts: SubjectCounts = Counter()
    for name, count in named.items():
        if subject := _subject_name(name):
            counts["malware", subject] += count
    return counts


def count_systems(
    observables: Iterable[tuple[str, str]], numbers_of: SystemNumbers
) -> SubjectCounts:
    """How often each autonomous system occurs among the addresses of types and values."""
    addresses: dict[str, list[str]] = {}
    for type_, value in observables:
        if type_ in _ADDRESSES:
            addresses.setdefault(type_, []).append(value)
    counts: SubjectCounts = Counter()
    for type_, values in addresses.items():
        counts.update(
            ("as", f"AS{number}") for number in numbers_of(type_, values) if number is not None
        )
    return counts


def count_registrar(name: object) -> SubjectCounts:
    """The registrar that an answer about one domain names; empty for anything but a name."""
    subject = _subject_name(name) if isinstance(name, str) else ""
    return Counter({("registrar", subject): 1} if subject else {})


def _subject_name(name: str) -> str:
    return storable_name(name).casefold()[:MAX_NAME]


class _Minute:
    """Counts by subject, the feeds behind them, and the tenants that were active."""

    __slots__ = ("counts", "feeds", "tenants")

    def __init__(self) -> None:
        self.counts: Counter[Subject] = Counter()
        self.feeds: dict[Subject, set[str]] = {}
        self.tenants: set[str] = set()

    def drop_rare_subjects(self) -> None:
        """Keep the most frequent subjects; among equals, names decide and not the order read."""
        if len(self.counts) > _MAX_SUBJECTS:
            by_frequency = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
            self.counts = Counter(dict(by_frequency[:_MAX_SUBJECTS]))
            self.feeds = {subject: self.feeds[subject] for subject in self.counts}


class SubjectRises:
    """Rises of subjects over all partitions: minutes are judged when they are complete, in order.

    The window of ten minutes that ends with each minute is compared with the 36 windows before
    it. It is high with at least 20, three times their mean, and six deviations above the mean (of
    a Poisson process, whose variance is its mean). A rise is a high window after ten minutes
    without one. A tenant whose first event is less than six hours old has a shorter baseline.
    """

    def __init__(self) -> None:
        self._minutes: dict[int, _Minute] = {}
        self._next: int | None = None
        self._window: Counter[Subject] = Counter()
        self._before: Counter[Subject] = Counter()
        self._high: dict[Subject, int] = {}

    def add(self, tenant: str, feed: str, counts: SubjectCounts, at: float) -> None:
        """Count subjects that a feed brought; empty counts still mark the tenant active."""
        number = int(at // 60)
        if self._next is not None:
            number = max(number, self._next)
        minute = self._minutes.setdefault(number, _Minute())
        minute.tenants.add(tenant)
        for (kind, name), count in counts.items():
            subject = (tenant, kind, name)
            minute.counts[subject] += count
            minute.feeds.setdefault(subject, set()).add(feed)

    def close(self, until: float) -> list[Trend]:
        """Judge every minute that ended by then; the caller knows that they are complete."""
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
            windows = self._baseline_windows(subject[0], minute)
            if windows is None:
                continue
            count = self._window[subject]
            mean = self._before[subject] / windows
            if count < 3 * mean or count < mean + 6 * sqrt(mean):
                continue
            before = self._high.get(subject)
            self._high[subject] = minute
            if before is None or minute - before > MINUTES:
                rises.append(self._trend(subject, count, mean, minute))
        return rises

    def _slide(self, minute: int) -> None:
        """Move the window and its baseline one minute on, adding and subtracting whole minutes."""
        if (entering := self._minutes.get(minute)) is not None:
            entering.drop_rare_subjects()
            self._window.update(entering.counts)
        if (leaving := self._minutes.get(minute - MINUTES)) is not None:
            _subtract(self._window, leaving.counts)
            self._before.update(leaving.counts)
            leaving.feeds = {}
        if (outdated := self._minutes.pop(minute - MINUTES * (HISTORY + 1), None)) is not None:
            _subtract(self._before, outdated.counts)
        self._high = {subject: at for subject, at in self._high.items() if minute - at <= MINUTES}

    def _baseline_windows(self, tenant: str, minute: int) -> float | None:
        """Windows before this one since the tenant's first event; None if it is too new."""
        first = min(
            (number for number, counted in self._minutes.items() if tenant in counted.tenants),
            default=minute,
        )
        if minute - first < LEARNING:
            return None
        return min(HISTORY, (minute + 1 - MINUTES - first) / MINUTES)

    def _trend(self, subject: Subject, count: int, mean: float, minute: int) -> Trend:
        tenant, kind, name = subject
        feeds: set[str] = set()
        for number in range(minute - MINUTES + 1, minute + 1):
            if number in self._minutes:
                feeds |= self._minutes[number].feeds.get(subject, set())
        names = tuple(sorted({storable_name(feed) for feed in feeds}))
        start = minute * 60 // WINDOW * WINDOW
        return Trend(tenant, kind, name, None, names, count, round(mean, 3), start)


def _subtract(counts: Counter[Subject], less: Counter[Subject]) -> None:
    for subject, count in less.items():
        left = counts[subject] - count
        if left:
            counts[subject] = left
        else:
            del counts[subject]
