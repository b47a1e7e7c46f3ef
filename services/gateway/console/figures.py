"""Numbers, times and values as a reader sees them. No I/O."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from babel import Locale
from babel.dates import format_datetime, format_timedelta
from babel.numbers import format_decimal, format_percent

from shared.stix.defang import defang

_ABSENT: Final = "\N{EN DASH}"
_MINUS: Final = "\N{MINUS SIGN}"
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_NETWORK_TYPES: Final = frozenset(
    {"ipv4-addr", "ipv6-addr", "domain-name", "url", "email-addr", ""}
)
"""Types whose values a program could make a link; the empty one is a type that is not stated."""


class Figures:
    """Formats for one language.

    Args:
        locale: of the language.
    """

    def __init__(self, locale: Locale) -> None:
        self._locale = locale

    def number(self, value: Any) -> str:
        """A number with the language's separators; a dash for what is none."""
        if not isinstance(value, int | float):
            return _ABSENT
        return str(format_decimal(value, locale=self._locale))

    def percent(self, share: float) -> str:
        """A share between 0 and 1."""
        return str(format_percent(share, locale=self._locale))

    def points(self, value: float) -> str:
        """Points of a score, with their sign and one decimal."""
        text = format_decimal(abs(value), "0.0", locale=self._locale)
        return f"{'+' if value >= 0 else _MINUS}{text}"

    def size(self, count: int) -> str:
        """A number of bytes."""
        value = float(count)
        for unit in _UNITS:
            if value < 1024 or unit == _UNITS[-1]:
                break
            value /= 1024
        pattern = "#,##0.#" if unit != "B" else "#,##0"
        return f"{format_decimal(value, pattern, locale=self._locale)} {unit}"

    def duration(self, seconds: Any) -> str:
        """A span of time, in its largest unit; a dash for what is none."""
        if not isinstance(seconds, int | float):
            return _ABSENT
        if 0 < abs(seconds) < 1:
            return f"{self.number(round(seconds * 1000))} ms"
        span = timedelta(seconds=seconds)
        return str(format_timedelta(span, threshold=2, format="short", locale=self._locale))

    def moment(self, value: datetime) -> str:
        """A moment in UTC."""
        text = format_datetime(value.astimezone(UTC), "medium", locale=self._locale)
        return f"{text} UTC"

    def age(self, value: datetime, now: datetime) -> str:
        """How long ago a moment is, or how far ahead."""
        return str(format_timedelta(value - now, add_direction=True, locale=self._locale))


def read_moment(value: Any) -> datetime | None:
    """A moment of a JSON document; None if there is none, or if it is no moment."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def defanged(value: Any, kind: str = "") -> str:
    """A value so written that nothing makes a link of it; other values as they are."""
    text = str(value)
    return defang(text) if kind in _NETWORK_TYPES else text


def clipped(text: Any, length: int = 200) -> str:
    """A text that is cut where it is too long for its place."""
    plain = str(text)
    return plain if len(plain) <= length else f"{plain[: length - 1]}…"
