"""Rises of subjects: a window holds far more of one than its history predicts. No I/O.

Subjects are malware families, autonomous systems and registrars. Time is what the events say, so
the same log always has the same rises.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from services.observables.trends.events import Chunk
from services.observables.trends.expectation import (
    HISTORY_HOURS,
    PeakDistribution,
    PeakHistory,
    largest_news,
)
from services.observables.trends.trend import (
    MAX_NAME,
    WINDOW,
    HourlyPeak,
    Kind,
    Subject,
    Trend,
    storable_name,
)

SystemNumbers = Callable[[str, Sequence[str]], Sequence[int | None]]
"""The numbers of the autonomous systems that addresses of one type belong to."""

SubjectCounts = Counter[tuple[Kind, str]]
"""How often each subject occurs, by kind and name."""

FeedCounts = Counter[tuple[Subject, str, str]]
"""How often feeds name subjects: by subject, origin of the feed, and feed."""

MINUTES: Final = WINDOW // 60
HISTORY: Final = 36
"""Windows before a subject's own that are its baseline: six hours."""
FLOOR: Final = 20
"""A subject with fewer new indicators in its window never rises."""
LEARNING: Final = 60
"""Minutes a tenant must be active before its first rise: the first import of feeds is no news."""
LEAST_PEAK: Final = 5
"""A smaller peak of an hour says nothing about batches, and is not kept."""
_LEAST_FACTOR: Final = 3
"""How often the mean of the 36 windows before a rise has at least."""
_MAX_HISTORIES: Final = 20_000
"""Subjects with a history: 55 MB. Further ones count as new."""
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
    """Counts by subject and feed."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: FeedCounts = Counter()

    def drop_rare_subjects(self) -> None:
        """Keep the most frequent ones; among equals, names decide and not the order read."""
        if len(self.counts) > _MAX_SUBJECTS:
            by_frequency = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
            self.counts = Counter(dict(by_frequency[:_MAX_SUBJECTS]))


class SubjectRises:
    """Rises of subjects over all partitions: minutes are judged when they are complete, in order.

    The window of ten minutes that ends with each minute is compared with the peaks that the
    subject's last four weeks let expect in this hour of the week (`expectation`). It is high with
    at least 20, with three times the mean of the 36 windows before, and if it is news among all
    subjects of its tenant. A rise is a high window after ten minutes without one.

    Args:
        peaks: what is stored of earlier hours.
    """

    def __init__(self, peaks: Iterable[HourlyPeak] = ()) -> None:
        self._minutes: dict[int, _Minute] = {}
        self._next: int | None = None
        self._window: FeedCounts = Counter()
        self._before: FeedCounts = Counter()
        self._totals: Counter[Subject] = Counter()
        self._high: dict[Subject, int] = {}
        self._first: dict[str, int] = {}
        self._peaks: dict[Subject, int] = {}
        self._history: dict[Subject, PeakHistory] = {}
        self._history_counts: Counter[str] = Counter()
        self._finished: list[HourlyPeak] = []
        self._expected: dict[Subject, PeakDistribution] = {}
        for peak in peaks:
            self._remember(peak)

    def add(
        self, tenant: str, feed: str, counts: SubjectCounts, at: float, origin: str | None = None
    ) -> None:
        """Count subjects that a feed brought; empty counts still mark the tenant active.

        Args:
            tenant: the tenant.
            feed: the feed's name.
            counts: the subjects.
            at: when, in seconds since the epoch.
            origin: the feed's; without one the feed is an origin by itself.
        """
        number = int(at // 60)
        if self._next is not None:
            number = max(number, self._next)
        minute = self._minutes.setdefault(number, _Minute())
        self._first[tenant] = min(number, self._first.get(tenant, number))
        for (kind, name), count in counts.items():
            minute.counts[(tenant, kind, name), origin or feed, feed] += count

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

    def take_peaks(self) -> list[HourlyPeak]:
        """The peaks of the hours that are over and were not taken before."""
        peaks = self._finished
        self._finished = []
        return peaks

    def _judge(self, minute: int) -> list[Trend]:
        self._slide(minute)
        self._totals = _total(self._window)
        by_tenant: dict[str, list[Subject]] = {}
        for subject, count in self._totals.items():
            if count >= LEAST_PEAK:
                self._peaks[subject] = max(count, self._peaks.get(subject, 0))
            if count >= FLOOR:
                by_tenant.setdefault(subject[0], []).append(subject)
        rises: list[Trend] = []
        for tenant, subjects in sorted(by_tenant.items()):
            if (windows := self._baseline_windows(tenant, minute)) is not None:
                rises += self._judge_subjects(sorted(subjects), minute, windows)
        if (minute + 1) % 60 == 0:
            self._end_hour(minute // 60)
        return rises

    def _judge_subjects(
        self, subjects: list[Subject], minute: int, windows: float
    ) -> Iterator[Trend]:
        """The rises among the frequent subjects of one tenant."""
        tails = [self._expectation(item, minute).tail(self._totals[item]) for item in subjects]
        before_window = _total(self._before)
        judged = max(self._history_counts[subjects[0][0]], len(subjects))
        limit = largest_news(tails, judged)
        for subject, tail in zip(subjects, tails, strict=True):
            count = self._totals[subject]
            mean = before_window[subject] / windows
            if tail > limit or count < _LEAST_FACTOR * mean:
                continue
            before = self._high.get(subject)
            self._high[subject] = minute
            if before is None or minute - before > MINUTES:
                yield self._trend(subject, count, mean, minute)

    def _expectation(self, subject: Subject, minute: int) -> PeakDistribution:
        expected = self._expected.get(subject)
        if expected is None:
            history = self._history.get(subject) or PeakHistory()
            expected = self._expected[subject] = history.expectation(minute // 60)
        return expected

    def _end_hour(self, hour: int) -> None:
        """Note the peaks of an hour that is over."""
        frequent = sorted(self._peaks.items(), key=lambda item: (-item[1], item[0]))
        for subject, peak in frequent[:_MAX_SUBJECTS]:
            hourly = HourlyPeak(subject, hour, peak)
            self._remember(hourly)
            self._finished.append(hourly)
        self._peaks = {}
        self._expected = {}
        if hour % 24 == 0:
            for subject in [
                subject
                for subject, history in self._history.items()
                if history.newest <= hour - HISTORY_HOURS
            ]:
                del self._history[subject]
                self._history_counts[subject[0]] -= 1

    def _remember(self, hourly: HourlyPeak) -> None:
        tenant = hourly.subject[0]
        history = self._history.get(hourly.subject)
        if history is None:
            if len(self._history) >= _MAX_HISTORIES:
                return
            history = self._history[hourly.subject] = PeakHistory()
            self._history_counts[tenant] += 1
        history.put(hourly.hour, hourly.peak)
        minute = hourly.hour * 60
        self._first[tenant] = min(minute, self._first.get(tenant, minute))

    def _slide(self, minute: int) -> None:
        """Move the window and its baseline one minute on, adding and subtracting whole minutes."""
        if (entering := self._minutes.get(minute)) is not None:
            entering.drop_rare_subjects()
            self._window.update(entering.counts)
        if (leaving := self._minutes.get(minute - MINUTES)) is not None:
            _subtract(self._window, leaving.counts)
            self._before.update(leaving.counts)
        if (outdated := self._minutes.pop(minute - MINUTES * (HISTORY + 1), None)) is not None:
            _subtract(self._before, outdated.counts)
        self._high = {subject: at for subject, at in self._high.items() if minute - at <= MINUTES}

    def _baseline_windows(self, tenant: str, minute: int) -> float | None:
        """Windows before this one since the tenant's first event; None if it is too new."""
        first = self._first.get(tenant, minute)
        if minute - first < LEARNING:
            return None
        return min(HISTORY, (minute + 1 - MINUTES - first) / MINUTES)

    def _trend(self, subject: Subject, count: int, mean: float, minute: int) -> Trend:
        tenant, kind, name = subject
        feeds = {feed for counted, _, feed in self._window if counted == subject}
        names = tuple(sorted({storable_name(feed) for feed in feeds}))
        start = minute * 60 // WINDOW * WINDOW
        return Trend(tenant, kind, name, None, names, count, round(mean, 3), start)


def _total(counts: FeedCounts) -> Counter[Subject]:
    """Counts by subject: of the feeds of one origin, which repeat each other, the largest."""
    largest: dict[tuple[Subject, str], int] = {}
    for (subject, origin, _), count in counts.items():
        key = (subject, origin)
        largest[key] = max(count, largest.get(key, 0))
    totals: Counter[Subject] = Counter()
    for (subject, _), count in largest.items():
        totals[subject] += count
    return totals


def _subtract(counts: FeedCounts, less: FeedCounts) -> None:
    for key, count in less.items():
        left = counts[key] - count
        if left:
            counts[key] = left
        else:
            del counts[key]
