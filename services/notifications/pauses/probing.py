"""When a failing channel is paused, and when it is tried again, as plain numbers."""

from typing import Final

FAILURES: Final = 5
"""Failed attempts in a row after which a channel is paused."""
_PROBES: Final = (30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)


def seconds_to_probe(probes: int) -> float:
    """Seconds until the next probe, after so many that failed."""
    return _PROBES[min(probes, len(_PROBES) - 1)]
