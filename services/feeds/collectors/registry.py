"""The collectors there are."""

from functools import cache
from importlib import import_module
from typing import Final

from services.feeds.collectors.base import Collector
from shared.errors import InvalidInput
from shared.plugins import load_plugins

GROUP: Final = "sentineliq.collectors"
"""Entry points of this group are classes that keep `Collector`."""

_OURS: Final = {"http": "HttpCollector", "taxii": "TaxiiCollector", "misp": "MispCollector"}


def collector_names() -> list[str]:
    """Names of all collectors: ours, and those that installed packages offer."""
    return [*_OURS, *_offered()]


@cache
def collector_named(name: str) -> Collector:
    """The collector of that name; what it needs is imported when it is first asked for.

    Raises:
        InvalidInput: there is none; says which there are.
    """
    if name in _OURS:
        found: Collector = getattr(
            import_module(f"services.feeds.collectors.{name}"), _OURS[name]
        )()
        return found
    if name in _offered():
        return _offered()[name]
    raise InvalidInput(
        f"{name!r} is no collector; one of {', '.join(collector_names())}", field="collector"
    )


@cache
def _offered() -> dict[str, Collector]:
    return load_plugins(GROUP, _OURS)
