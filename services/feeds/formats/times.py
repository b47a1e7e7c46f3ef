"""Times as sources write them, brought to RFC 3339 in UTC."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

_RFC3339: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)
_DATE_WITH_ZONE: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII | re.IGNORECASE
)
"""A date with a zone, as `xs:date` of XML Schema has it."""

_OFFSET: Final = re.compile(r"(?<=[0-9])[ ](?=[+-][0-9]{2}:?[0-9]{2}$)")
_EPOCH: Final = re.compile(r"([0-9]{9,19})(?:\.[0-9]+)?", re.ASCII)
_SCALES: Final = ((9, 0), (10, 0), (12, 3), (13, 3), (15, 6), (16, 6), (18, 9), (19, 9))
_EPOCH_SCALES: Final = {length: 10**digits for length, digits in _SCALES}
"""Units a second by the digits of a number since 1970: its day is from 1973 to 2286."""

_DIGITS: Final = {10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""Dates and times without separators, by their length."""

_CENTURIES: Final = ("19", "20")
_RFC2822: Final = re.compile(
    r"""(?:[A-Z]{3},?\s+)?(?P<day>[0-9]{1,2})\s+(?P<month>[A-Z]{3})\s+(?P<year>[0-9]{4})
    (?:\s+(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}))?
    (?:\s*(?P<half>[AP]M))?(?:\s*(?P<zone>[+-][0-9]{4}|[A-Z]{1,5}))?(?:\s*\([A-Z]{1,5}\))?)?""",
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
_DOTTED: Final = re.compile(
    r"([0-9]{1,2})\.\s?([0-9]{1,2})\.\s?([0-9]{4})"
    r"(?:,?\s+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?(?:\s+Uhr)?)?",
    re.ASCII,
)
"""Day, month and year between dots, as in German and most languages of Europe."""

_MONTH_NAMES: Final = "janfebmaraprmayjunjulaugsepoctnovdec"
_MONTHS: Final = tuple(_MONTH_NAMES[at : at + 3] for at in range(0, 36, 3))
_ZONES: Final = {
    **dict.fromkeys(("UT", "UTC", "GMT", "Z"), 0),
    "EDT": -4,
    "EST": -5,
    "CDT": -5,
    "CST": -6,
    "MDT": -6,
    "MST": -7,
    "PDT": -7,
    "PST": -8,
}
"""Names of zones that RFC 2822 §4.3 defines, in hours. Other names have several meanings."""


def timestamp(value: Any) -> str | None:
    """RFC 3339 in UTC, from the forms in which sources write times; None if it is none of them.

    They are ISO 8601 in its usual variants, RFC 2822, dates with a zone (`xs:date`), day, month and
    year between dots (`24.11.2026 13:05`), and seconds, milliseconds, microseconds or nanoseconds
    since 1970. A time without a zone is in UTC. Not
    guessed are an ambiguous order of day and month, a zone's name that RFC 2822 does not define,
    and ten digits that are an hour of a day as well as seconds since 1970.
    """
    if value is None or isinstance(value, bool):
        return None
    text = str(value).strip()
    try:
        if len(text) == 20 and _RFC3339.fullmatch(text):
            datetime.fromisoformat(text)
            return text
        if text[4:5] == "-" and text[-1:].isdigit() and text[10:11] not in "+-":
            moment = datetime.fromisoformat(text)  # the usual form
        else:
            moment = _moment(text.removesuffix("UTC").removesuffix("GMT").strip())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, TypeError):
        return None
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def _moment(text: str) -> datetime:
    """A time.

    Raises:
        ValueError, OverflowError, TypeError: it is none.
    """
    if epoch := _EPOCH.fullmatch(text):
        return _moment_of_digits(epoch[1])
    if date := _DATE_WITH_ZONE.fullmatch(text):
        return datetime.fromisoformat(f"{date[1]}T00:00:00{date[2].upper()}")
    if dotted := _DOTTED.fullmatch(text):
        day, month, year, hour, minute, second = map(int, dotted.groups(default="0"))
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    if parts := _RFC2822.fullmatch(text):
        return _moment_of_parts(parts)
    return datetime.fromisoformat(_OFFSET.sub("", text).upper().replace("/", "-"))


def _moment_of_digits(digits: str) -> datetime:
    """A time that is written in digits alone: a date and time, or a number since 1970."""
    pattern = _DIGITS.get(len(digits))
    if pattern is not None and digits.startswith(_CENTURIES):
        try:
            moment = datetime.strptime(digits, pattern).replace(tzinfo=UTC)
        except ValueError:
            pass  # no such month, day or hour: a number since 1970
        else:
            if len(digits) > 10:
                return moment
            raise ValueError("ten digits that may be an hour or seconds since 1970")
    scale = _EPOCH_SCALES.get(len(digits))
    if scale is None:
        return datetime.fromisoformat(digits)
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(digits) * 1_000_000 // scale)


def _moment_of_parts(parts: re.Match[str]) -> datetime:
    hour = int(parts["hour"] or 0)
    if parts["half"]:
        if not 1 <= hour <= 12:
            raise ValueError("no hour of half a day")
        hour = hour % 12 + 12 * (parts["half"].upper() == "PM")
    return datetime(
        int(parts["year"]),
        _MONTHS.index(parts["month"].lower()) + 1,
        int(parts["day"]),
        hour,
        int(parts["minute"] or 0),
        int(parts["second"] or 0),
        tzinfo=_zone(parts["zone"] or "UTC"),
    )


def _zone(name: str) -> timezone:
    if name[0] in "+-":
        minutes = int(name[1:3]) * 60 + int(name[3:5])
        return timezone(timedelta(minutes=-minutes if name[0] == "-" else minutes))
    if name.upper() not in _ZONES:
        raise ValueError("a zone that RFC 2822 does not define")
    return timezone(timedelta(hours=_ZONES[name.upper()]))
