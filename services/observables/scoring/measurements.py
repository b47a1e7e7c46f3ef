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
    """

    copies: CopyProbabilities = ()


class _StoredMeasurements(msgspec.Struct, omit_defaults=True):
    copies: dict[str, float] = {}


_decode: Final = msgspec.json.Decoder(_StoredMeasurements).decode
_NONE: Final = Measurements()


@lru_cache(maxsize=4096)
def read_measurements(text: str) -> Measurements:
    """Measurements of JSON; of no text there are none."""
    if not text:
        return _NONE
    return Measurements(tuple(sorted(_decode(text).copies.items())))


def write_measurements(copies: Mapping[str, float]) -> str:
    """Measurements as JSON; without any it is empty, as is the row of a new source.

    Args:
        copies: the probability that a source copies another, by the id of that.
    """
    if not copies:
        return ""
    stored = _StoredMeasurements(dict(sorted(copies.items())))
    return msgspec.json.encode(stored).decode()
