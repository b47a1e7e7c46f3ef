"""Pieces that several providers' requests and answers are made of."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from services.observables.remote.base import Fact, Scalar

_MOST_ITEMS: Final = 50


def quoted(value: str) -> str:
    """A value as one segment of a path: slashes and all."""
    return quote(value, safe="")


def listed(values: Iterable[str | int | float | None], most: int = _MOST_ITEMS) -> list[str | int | float] | None:
    """Distinct values in their order, at most `most`; None when there are none."""
    return list(dict.fromkeys(value for value in values if value is not None and value != ""))[:most] or None


def told(**facts: Fact) -> dict[str, Fact]:
    """Facts without those that say nothing: None, an empty text, an empty list."""
    return {name: fact for name, fact in facts.items() if fact is not None and fact not in ("", [])}


def from_epoch(seconds: float | None) -> str | None:
    """A Unix time as RFC 3339; None and nonsense give None."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else None
    except (OverflowError, OSError, ValueError):
        return None


def share(part: int, whole: int) -> float:
    """A part of a whole, 0 to 1; 0 of nothing is 0."""
    return min(1.0, max(0.0, part / whole)) if whole > 0 else 0.0


def first(mapping: Mapping[str, Scalar], *names: str) -> Scalar:
    """The first of some entries that says something."""
    return next((mapping[name] for name in names if mapping.get(name) not in {None, ""}), None)
