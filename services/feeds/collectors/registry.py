"""The collectors by name."""

from functools import cache
from importlib import import_module
from typing import Final

from services.feeds.collectors.base import Collector
from shared.errors import InvalidInput
from shared.plugins import load_plugins

GROUP: Final = "sentineliq.collectors"
"""Entry points of this group are classes that implement `Collector`."""

_BUILT_IN: Final = {"http": "HttpCollector", "taxii": "TaxiiCollector", "misp": "MispCollector"}
"""Module and class of each collector. Modules are imported late: some need large libraries."""


def collector_names() -> list[str]:
    """Names of all collectors: the built-in ones, then those of installed packages."""
    return [*_BUILT_IN, *_plugins()]


@cache
def collector_named(name: str) -> Collector:
    """The collector of that name.

    Raises:
        InvalidInput: there is no such collector; the message lists the collectors.
    """
    if name in _BUILT_IN:
        module = import_module(f"services.feeds.collectors.{name}")
        collector: Collector = getattr(module, _BUILT_IN[name])()
        return collector
    if name in _plugins():
        return _plugins()[name]
    raise InvalidInput(
        f"{name!r} is no collector; one of {', '.join(collector_names())}", field="collector"
    )


@cache
def _plugins() -> dict[str, Collector]:
    return load_plugins(GROUP, _BUILT_IN)
