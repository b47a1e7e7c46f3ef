"""The check of the disk: when it will be full, by the growth that the scheduler measures."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sentineliq.cli.doctor.check import Check

WINDOW_DAYS: Final = 7
"""Days of the past by whose growth the future is told."""
_ENOUGH_HOURS: Final = 24.0
_PROBLEM_DAYS: Final = 7.0
_LOOK_DAYS: Final = 30.0
_PROBLEM_FREE: Final = 0.05
_BYTES_PER_GB: Final = 1e9

QUERY: Final = f"""
SELECT part, (array_agg(bytes ORDER BY sampled_at DESC))[1],
    (array_agg(free_bytes ORDER BY sampled_at DESC))[1],
    extract(epoch FROM max(sampled_at) - min(sampled_at))::float8 / 3600,
    coalesce(regr_slope(bytes, extract(epoch FROM sampled_at)) * 86400, 0)::float8
FROM {{}}.growth_sample WHERE sampled_at > now() - interval '{WINDOW_DAYS} days' GROUP BY part
"""  # noqa: S608  # a constant
"""Each part with its newest size, the free bytes, the hours of its history, its bytes a day."""


class Growth(NamedTuple):
    """How one part of the installation grows.

    Attributes:
        part: `disk`, `database` or `data/<folder>`.
        bytes: its size when it was measured last.
        free_bytes: what is free beside it; None where that cannot be seen.
        hours: from the first to the last measurement.
        daily_bytes: the slope of a line through the measurements.
    """

    part: str
    bytes: int
    free_bytes: int | None
    hours: float
    daily_bytes: float


def check_growth(parts: Sequence[Growth]) -> Check:
    """Tell in how many days the disk is full; says so where the history is too short for that."""
    disk = next((part for part in parts if part.part == "disk"), None)
    if disk is None or disk.free_bytes is None:
        step = "the task scheduler.tasks.measure_growth runs every hour: is a worker alive?"
        return Check("disk", "look", "not measured within the last days", step)
    free = f"{_gigabytes(disk.free_bytes)} free"
    is_short = disk.free_bytes < _PROBLEM_FREE * (disk.bytes + disk.free_bytes)
    step = "free some space, or shorten retentions: docs/operations.md"
    if is_short:
        return Check("disk", "problem", f"{free}, less than a twentieth", step)
    if disk.hours < _ENOUGH_HOURS:
        history = f"{disk.hours:.0f} h of history are too few to say when it is full"
        return Check("disk", "ok", f"{free}; {history}")
    if disk.daily_bytes <= 0:
        return Check("disk", "ok", f"{free}; it does not fill up")
    days = disk.free_bytes / disk.daily_bytes
    seen = f"{free}; full in {_days(days)} at {_gigabytes(disk.daily_bytes)} a day{_largest(parts)}"
    if days >= _LOOK_DAYS:
        return Check("disk", "ok", seen)
    return Check("disk", "problem" if days < _PROBLEM_DAYS else "look", seen, step)


def _largest(parts: Sequence[Growth]) -> str:
    """The part of ours that grows most, behind a comma; empty where none grows."""
    growing = [part for part in parts if part.part != "disk" and part.daily_bytes > 0]
    if not growing:
        return ""
    most = max(growing, key=lambda part: part.daily_bytes)
    return f", most of ours in {most.part} ({_gigabytes(most.daily_bytes)})"


def _days(days: float) -> str:
    return "over ten years" if days > 3650 else f"{days:,.0f} days"


def _gigabytes(size: float) -> str:
    return f"{size / _BYTES_PER_GB:,.1f} GB"
