"""What a subject's busiest ten minutes of an hour are expected to be. No I/O.

Feeds arrive in batches: hourly, daily, all at once. A subject's history is therefore the highest
count of any ten minutes of each hour (its peak), and only hours with arrivals tell how large a
batch is. Counts vary more than chance does, so peaks follow a negative binomial distribution: its
mean depends on the hour of the week, its dispersion on how far peaks were from that mean. A peak
is the largest of several counts, and largest values are rarer than others by less: where Gumbel's
distribution of the same mean and variance gives them more weight, it counts.

Many subjects are judged at once. Benjamini and Hochberg's procedure (1995) holds the share of
false alarms: of what is judged in an hour, at most `FALSE_ALARMS` a day divided by 24.
"""

from collections.abc import Sequence
from math import exp, expm1, lgamma, log, log1p, pi, sqrt
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

HOUR: Final = 3600
WEEK_HOURS: Final = 168
HISTORY_HOURS: Final = 4 * WEEK_HOURS
"""Hours that a subject's expectation rests on: four weeks."""

FALSE_ALARMS: Final = 0.15
"""Expected rises a day, in all subjects of a tenant together, where nothing has happened.

Documents promise 0.5 over 300 subjects.
"""

_PRIOR_HOURS: Final = 3.0
"""How many hours the mean of wider groups of hours counts as, beside those of one hour."""
_PRIOR_SIZE: Final = 2.0
_PRIOR_WEIGHT: Final = 6.0
"""Size of the distribution (the smaller, the wider) before anything is known; its weight in hours.
"""
_MAX_SIZE: Final = 20.0
"""Peaks are never believed to be steadier: batches come late, and two come at once."""
_NEW_MEAN: Final = 4.0
"""Peak that is expected of a subject that the history does not have."""

_EULER: Final = 0.5772156649

Hours = npt.NDArray[np.uint32]


class PeakDistribution(NamedTuple):
    """A negative binomial distribution of peaks.

    Attributes:
        mean: its mean.
        size: its dispersion parameter; the variance is mean + mean² / size.
    """

    mean: float
    size: float

    def tail(self, count: int) -> float:
        """An upper bound of the probability of a peak of at least `count`."""
        return max(self._binomial_tail(count), self._gumbel_tail(count))

    def _gumbel_tail(self, count: int) -> float:
        scale = sqrt(6 * (self.mean + self.mean**2 / self.size)) / pi
        mode = self.mean - _EULER * scale
        return -expm1(-exp(min(50.0, (mode - count + 0.5) / scale)))

    def _binomial_tail(self, count: int) -> float:
        if count <= self.mean:
            return 1.0
        share = self.mean / (self.mean + self.size)
        first = exp(
            lgamma(count + self.size)
            - lgamma(self.size)
            - lgamma(count + 1)
            + self.size * log1p(-share)
            + count * log(share)
        )
        # Each further term is at most this part of the one before.
        ratio = max(share * (count + self.size) / (count + 1), share)
        return min(1.0, first / (1 - ratio)) if ratio < 1 else 1.0


class PeakHistory:
    """The peaks of a subject in the last four weeks, as a ring of hours."""

    __slots__ = ("_newest", "_peaks")

    def __init__(self) -> None:
        self._peaks: Hours = np.zeros(HISTORY_HOURS, np.uint32)
        self._newest = -HISTORY_HOURS

    @property
    def newest(self) -> int:
        """The newest hour with arrivals, in hours since the epoch."""
        return self._newest

    def put(self, hour: int, peak: int) -> None:
        """Note the peak of an hour; an hour that is outdated is passed over."""
        if hour <= self._newest - HISTORY_HOURS:
            return
        if hour > self._newest:
            passed = np.arange(max(self._newest + 1, hour - HISTORY_HOURS + 1), hour + 1)
            self._peaks[passed % HISTORY_HOURS] = 0
            self._newest = hour
        place = hour % HISTORY_HOURS
        self._peaks[place] = max(int(self._peaks[place]), peak)

    def expectation(self, hour: int) -> PeakDistribution:
        """The distribution of an hour's peak, given that there are arrivals in it."""
        hours = np.arange(self._newest - HISTORY_HOURS + 1, self._newest + 1)
        peaks = self._peaks[hours % HISTORY_HOURS]
        is_present = (peaks > 0) & (hours >= hour - HISTORY_HOURS) & (hours < hour)
        if not is_present.any():
            return PeakDistribution(_NEW_MEAN, _PRIOR_SIZE)
        hours = hours[is_present]
        values = peaks[is_present].astype(np.float64)
        overall = float(values.mean())
        of_week = _means(hours, values, WEEK_HOURS, _means(hours, values, 24, overall))
        mean = float(of_week[hour % WEEK_HOURS])
        fitted = of_week[hours % WEEK_HOURS]
        # Moments, with what is believed before as some hours more.
        excess = float((((values - fitted) ** 2 - fitted) / fitted**2).sum())
        inverse = (excess + _PRIOR_WEIGHT / _PRIOR_SIZE) / (len(values) + _PRIOR_WEIGHT)
        return PeakDistribution(mean, min(_MAX_SIZE, 1 / max(inverse, 1 / _MAX_SIZE)))


def _means(
    hours: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    period: int,
    before: float | npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """The mean of each hour of the week, over hours at the same place of a period and beside it.

    Args:
        hours: hours since the epoch.
        values: their peaks.
        period: 24 or 168 hours.
        before: what is believed of each hour without them.
    """
    sums = np.bincount(hours % period, values, period)
    counts = np.bincount(hours % period, minlength=period).astype(np.float64)
    sums += np.roll(sums, 1) + np.roll(sums, -1)
    counts += np.roll(counts, 1) + np.roll(counts, -1)
    repeats = WEEK_HOURS // period
    means = np.tile(sums, repeats) + _PRIOR_HOURS * before
    return np.asarray(means / (np.tile(counts, repeats) + _PRIOR_HOURS))


def largest_news(tails: Sequence[float], judged: int) -> float:
    """The largest probability that is news, by Benjamini and Hochberg's procedure; -1 for none.

    Args:
        tails: probabilities of what is judged; those that are missing are 1.
        judged: how many are judged in all.
    """
    share = FALSE_ALARMS / 24
    count = max(judged, len(tails))
    ranked = enumerate(sorted(tails), 1)
    return max((tail for rank, tail in ranked if tail <= share * rank / count), default=-1.0)
