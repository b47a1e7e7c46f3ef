"""Timestamps in UTC, limited to those that Python, PostgreSQL and JSON readers can represent."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator


def in_utc(moment: datetime) -> datetime:
    """Convert a time to UTC; one without an offset is in UTC already.

    Raises:
        ValueError: in UTC it is before the year 1 or after 9999, as `0001-01-01T00:00:00+14:00`.
    """
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{moment.isoformat()} is outside the years 1 to 9999 in UTC") from None


@lru_cache(maxsize=4096)  # events of one run share their times
def parse_timestamp(text: str) -> datetime:
    """Parse an RFC 3339 time to UTC; one without an offset is in UTC already.

    Raises:
        ValueError: it is not a time, or cannot be represented in UTC.
    """
    return in_utc(datetime.fromisoformat(text))


def _refuse_number(value: object) -> object:
    """Refuse what Pydantic would read as the seconds since 1970."""
    if not isinstance(value, str | int | float):
        return value
    try:
        float(value)
    except (ValueError, OverflowError):
        if isinstance(value, str):
            return value
    raise ValueError("write the time as text, as in 2026-11-30T08:00:00Z")


Timestamp = Annotated[datetime, BeforeValidator(_refuse_number), AfterValidator(in_utc)]
"""A time in a request, in RFC 3339; without an offset it is in UTC."""
