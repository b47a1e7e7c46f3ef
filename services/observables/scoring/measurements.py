"""What is measured of a source, in the form in which its row holds it. No I/O."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from services.observables.scoring.independence import CopyProbabilities


class Measurements(NamedTuple):
    """What is measured of a source.

    Attributes:
        copies: the sources that it copies.
        reliability: learned, 0 to 100; None where the stated one holds.
    """

    copies: CopyProbabilities = ()
    reliability: int | None = None


class _StoredMeasurements(msgspec.Struct, omit_defaults=True):
    copies: dict[str, float] = {}
    reliability: int | None = None


_decode: Final = msgspec.json.Decoder(_StoredMeasurements).decode
NO_MEASUREMENTS: Final = Measurements()


@lru_cache(maxsize=4096)
def read_measurements(text: str) -> Measurements:
    """Measurements of JSON; of no text there are none."""
    if not text:
        return NO_MEASUREMENTS
    stored = _decode(text)
    return Measurements(tuple(sorted(stored.copies.items())), stored.reliability)


def write_measurements(copies: Mapping[str, float], reliability: int | None = None) -> str:
    """Measurements as JSON; without any it is empty, as is the row of a new source.

    Args:
        copies: the probability that a source copies another, by the id of that.
        reliability: learned; None where the stated one holds.
    """
    if not copies and reliability is None:
        return ""
    stored = _StoredMeasurements(dict(sorted(copies.items())), reliability)
    return msgspec.json.encode(stored).decode()
