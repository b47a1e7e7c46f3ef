"""What installed packages offer beside what comes with SentinelIQ: classes behind entry points."""

from collections.abc import Collection
from importlib.metadata import entry_points
from typing import Any

from shared.telemetry.logging import get_logger

log = get_logger(__name__)


def load_plugins(group: str, taken: Collection[str]) -> dict[str, Any]:
    """Instances of the classes that packages offer in a group of entry points, by their `name`.

    What cannot be loaded, or has a name that is taken, is logged and left out: it must not cost the others.
    """
    found: dict[str, Any] = {}
    for entry in entry_points(group=group):
        try:
            one = entry.load()()
            name = one.name
        except Exception:  # other people's code may raise anything
            log.exception("plugin.not_loaded", group=group, entry_point=entry.value)
            continue
        if name in taken or name in found:
            log.error("plugin.name_taken", group=group, entry_point=entry.value, name=name)
        else:
            found[name] = one
    return found
