"""Moments that everything behind an API can hold: those that exist in UTC."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator


def in_utc(moment: datetime) -> datetime:
    """A moment in UTC; without an offset it is UTC already.

    Raises:
        ValueError: in UTC it would be before the year 1 or after the year 9999, which neither Python nor JSON's readers
            know: `0001-01-01T00:00:00+14:00`.
    """
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{moment.isoformat()} is outside the years 1 to 9999 in UTC") from None


@lru_cache(maxsize=4096)  # events of one cause share theirs
def parse_timestamp(text: str) -> datetime:
    """A time as RFC 3339 writes it, in UTC; without an offset it is UTC already.

    Raises:
        ValueError: it is none, or none that UTC has.
    """
    return in_utc(datetime.fromisoformat(text))


Timestamp = Annotated[datetime, AfterValidator(in_utc)]
"""A time in a request, RFC 3339, understood as UTC when it names no offset."""
