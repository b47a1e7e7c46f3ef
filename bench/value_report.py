"""The report of source values: the overlaps of a hundred feeds, and all other figures."""

import argparse
import time

import numpy as np
from pyroaring import BitMap

from bench._figures import report_figures
from services.observables.source_values.report import (
    Listing,
    figures_of,
    overlaps,
    smallest_cover,
)

MAX_SECONDS = 2.0
_DAY = 86_400


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feeds", type=int, default=100)
    parser.add_argument("--observables", type=int, default=1_000_000)
    arguments = parser.parse_args()
    listings = _listings(arguments.feeds, arguments.observables)
    started = time.perf_counter()
    stored = [listing.members.serialize() for listing in listings]
    loaded = [BitMap.deserialize(content) for content in stored]
    load_seconds = time.perf_counter() - started
    started = time.perf_counter()
    matrix = overlaps(listings)
    matrix_seconds = time.perf_counter() - started
    started = time.perf_counter()
    figures_of(listings, 1_800_000_000, [_DAY, 7 * _DAY, 30 * _DAY])
    figures_seconds = time.perf_counter() - started
    started = time.perf_counter()
    cover = smallest_cover(listings)
    cover_seconds = time.perf_counter() - started
    figures = {
        "feeds": float(arguments.feeds),
        "observables": float(arguments.observables),
        "listed, of all feeds": float(sum(len(listing.members) for listing in listings)),
        "seconds to store and load the bitmaps": load_seconds,
        f"seconds of the matrix (at most {MAX_SECONDS:.0f})": matrix_seconds,
        "seconds of who was first": figures_seconds,
        "seconds of the cover": cover_seconds,
        "feeds of the cover": float(len(cover.places)),
    }
    missed = []
    if [matrix[place][place] for place in range(len(loaded))] != list(map(len, loaded)):
        missed.append("the bitmaps are not those that were stored")
    if matrix_seconds > MAX_SECONDS:
        missed.append(f"the matrix took {matrix_seconds:.2f} s, {MAX_SECONDS:.0f} wanted")
    report_figures("value_report", figures, missed)


def _listings(feeds: int, observables: int) -> list[Listing]:
    """Feeds of sizes from hundreds to a third of all; each lists a part of what is popular."""
    chance = np.random.default_rng(7)
    sizes = np.geomspace(300, observables // 3, feeds).astype(np.int64)
    listings = []
    for size in sizes:
        numbers = np.unique((observables * chance.random(size) ** 2).astype(np.int64))
        times = chance.integers(1_790_000_000, 1_800_000_000, numbers.size)
        members = BitMap(numbers.astype(np.uint32))
        listings.append(Listing(members, numbers, times, BitMap(members[::50])))
    return listings


if __name__ == "__main__":
    main()
