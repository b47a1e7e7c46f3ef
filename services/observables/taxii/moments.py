"""When objects count as added: whole milliseconds that every client can name.

Clients remember how far they have read by a time: some cut microseconds, some ask by dates alone,
some read `added_after` as if it included its moment, some add a millisecond to it. So that none of
them loses an object, a moment is an even millisecond, at most `MAX_SHARE` objects share it, and a
page of at least as many ends between two moments.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

MAX_SHARE: Final = 100
"""Objects of one moment."""
STEP: Final = timedelta(milliseconds=2)
"""The time between two moments."""

_TIMESTAMP: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


def assign_moments(
    now: datetime, last: datetime | None, share: int, count: int
) -> Iterator[tuple[datetime, int]]:
    """The moments of objects that are added, each with the number of objects that share it so far.

    Args:
        now: the database's time.
        last: the moment of the newest object; None if there is none.
        share: how many objects have that moment.
        count: how many are added.
    """
    moment = _round_up(now)
    if last is not None and moment <= last:
        moment = last
    else:
        share = 0
    for _ in range(count):
        if share == MAX_SHARE:
            moment += STEP
            share = 0
        share += 1
        yield moment, share


def _round_up(moment: datetime) -> datetime:
    """The first moment that is not before a time."""
    step = STEP // timedelta(microseconds=1)
    microseconds = -(-moment.microsecond // step) * step
    return moment.replace(microsecond=0) + timedelta(microseconds=microseconds)


def format_moment(moment: datetime) -> str:
    """A time as TAXII writes it: RFC 3339 in UTC, six digits."""
    text = moment.astimezone(UTC).isoformat(timespec="microseconds")
    return f"{text.removesuffix('+00:00')}Z"


def format_version(moment: datetime) -> str:
    """A version as STIX writes it: three digits, or six where three are not enough."""
    precision = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return f"{moment.astimezone(UTC).isoformat(timespec=precision).removesuffix('+00:00')}Z"


def parse_moment(text: str) -> datetime:
    """A time of a request or an object, with or without a fraction; digits past six are cut.

    Raises:
        ValueError: it is no timestamp of RFC 3339.
    """
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise ValueError("it is not a time like 2026-11-30T08:00:00.000Z")
    fraction = match[1] or ""
    if len(fraction) > 7:
        text = text.replace(fraction, fraction[:7], 1)
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError:
        raise ValueError("it is outside the years 1 to 9999") from None
