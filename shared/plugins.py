"""Plug-ins of other packages: classes behind entry points."""

from collections.abc import Collection
from importlib.metadata import entry_points
from typing import Any

from shared.telemetry.logging import get_logger

log = get_logger(__name__)


def load_plugins(group: str, reserved: Collection[str]) -> dict[str, Any]:
    """Instantiate the plug-ins of a group of entry points, by their `name`.

    A plug-in that cannot be loaded, or whose name is not free, is logged and left out.

    Args:
        group: of entry points.
        reserved: names that are not free: those of the plug-ins that come with SentinelIQ.
    """
    plugins: dict[str, Any] = {}
    for entry in entry_points(group=group):
        try:
            plugin = entry.load()()
            name = plugin.name
        except Exception:  # a stranger's code may raise anything
            log.exception("plugin.not_loaded", group=group, entry_point=entry.value)
            continue
        if name in reserved or name in plugins:
            log.error("plugin.name_taken", group=group, entry_point=entry.value, name=name)
        else:
            plugins[name] = plugin
    return plugins
