"""The promised alarm rate: on data without events, at most half a rise a day over 300 subjects."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Final

import numpy as np
import pytest

from services.observables.trends.rises import HourlyPeak, SubjectRises
from services.observables.trends.trend import Kind

START: Final = 1_800_000_000 // 86_400 * 1_440
"""Minutes since the epoch, at midnight."""
SUBJECTS: Final = 300
DAY: Final = 1_440
DAYS_BEFORE: Final = 21
DAYS_WATCHED: Final = 4
KIND: Final[Kind] = "malware"

Arrivals = Callable[[np.random.Generator, int], "np.ndarray"]
"""Counts of one subject by minute, over a number of days."""


def poisson(chance: np.random.Generator, days: int) -> np.ndarray:
    return chance.poisson(2.5, days * DAY)


def batches(every: int, size: int, jitter: int) -> Arrivals:
    def arrive(chance: np.random.Generator, days: int) -> np.ndarray:
        counts = np.zeros(days * DAY, np.int64)
        first = int(chance.integers(every))
        for at in range(first, len(counts), every):
            place = min(len(counts) - 1, at + int(chance.integers(jitter + 1)))
            counts[place] += chance.poisson(size)
        return counts

    return arrive


def overdispersed(chance: np.random.Generator, days: int) -> np.ndarray:
    """Negative binomial counts of ten minutes, with a variance of five times the mean and more."""
    windows = chance.negative_binomial(2.0, 2.0 / 27.0, days * DAY // 10)
    counts = np.zeros(days * DAY, np.int64)
    counts[::10] = windows
    return counts


def day_and_night(chance: np.random.Generator, days: int) -> np.ndarray:
    minutes = np.arange(days * DAY)
    return chance.poisson(2.5 * (1 + 0.9 * np.sin(2 * np.pi * minutes / DAY)))


KINDS: Final[dict[str, Arrivals]] = {
    "poisson": poisson,
    "hourly batch of 25": batches(60, 25, 4),
    "half-hourly batch of 30": batches(30, 30, 2),
    "six-hourly batch": batches(360, 60, 20),
    "daily batch": batches(DAY, 200, 30),
    "over-dispersed": overdispersed,
    "day and night": day_and_night,
}


def watch(counts: np.ndarray) -> list[tuple[int, str]]:
    """Rises after three weeks of stored peaks: minute of the watched days, and subject."""
    begin = DAYS_BEFORE * DAY
    windows = np.cumsum(counts, axis=1)
    windows[:, 10:] = windows[:, 10:] - windows[:, :-10]
    hours = windows[:, :begin].reshape(len(counts), -1, 60).max(axis=2)
    first = START // 60
    peaks = [
        HourlyPeak(("acme", KIND, f"family {at}"), first + hour, int(hours[at, hour]))
        for at in range(len(counts))
        for hour in np.flatnonzero(hours[at] >= 5).tolist()
    ]
    subjects = SubjectRises(peaks)
    rises = []
    for minute in range(begin - 400, counts.shape[1]):
        present = np.flatnonzero(counts[:, minute])
        named = Counter({(KIND, f"family {at}"): int(counts[at, minute]) for at in present})
        at = (START + minute) * 60.0
        subjects.add("acme", "feed", named, at)
        rises += [
            (minute - begin, rise.subject) for rise in subjects.close(at + 60) if minute >= begin
        ]
    return rises


def arrivals(kind: str, seed: int) -> np.ndarray:
    days = DAYS_BEFORE + DAYS_WATCHED
    chance = np.random.default_rng(seed)
    return np.array([KINDS[kind](chance, days) for _ in range(SUBJECTS)])


@pytest.mark.parametrize("kind", KINDS)
def test_data_without_events_raise_at_most_half_an_alarm_a_day(kind: str) -> None:
    seed = sum(map(ord, kind))
    rises = watch(arrivals(kind, seed))
    assert len(rises) <= 0.5 * DAYS_WATCHED, rises


@pytest.mark.parametrize("kind", KINDS)
def test_planted_rises_are_found_at_once(kind: str) -> None:
    counts = arrivals(kind, 7)
    begin = DAYS_BEFORE * DAY
    chance = random.Random(7)  # noqa: S311  # a test's
    planted = {}
    for number in range(10):
        subject = chance.randrange(SUBJECTS // 10) + number * 30
        minute = 700 + number * 60
        # Six times the largest batch or ten minutes that this subject has had.
        usual = int(np.convolve(counts[subject, :begin], np.full(10, 1)).max())
        counts[subject, begin + minute] += 6 * usual
        planted[f"family {subject}"] = minute
    rises = {name: minute for minute, name in reversed(watch(counts[:, : begin + 1_440]))}
    missed = {name: minute for name, minute in planted.items() if rises.get(name) != minute}
    assert not missed
