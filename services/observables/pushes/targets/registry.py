"""The push targets by name."""

from functools import cache
from typing import Final

from services.observables.pushes.targets.base import PushTarget
from services.observables.pushes.targets.kafka import KafkaTarget
from services.observables.pushes.targets.taxii import TaxiiTarget
from shared.errors import InvalidInput
from shared.plugins import load_plugins

GROUP: Final = "sentineliq.push_targets"
"""Entry points of this group are classes that implement `PushTarget`."""

_BUILT_IN: Final[tuple[PushTarget, ...]] = (TaxiiTarget(), KafkaTarget())


@cache
def push_targets() -> dict[str, PushTarget]:
    """All push targets by name: the built-in ones, then those of installed packages."""
    built_in = {each.name: each for each in _BUILT_IN}
    return built_in | load_plugins(GROUP, built_in)


def push_target_named(name: str) -> PushTarget:
    """Return the target of that name.

    Raises:
        InvalidInput: there is none; the message lists the names.
    """
    target = push_targets().get(name)
    if target is None:
        names = ", ".join(sorted(push_targets()))
        raise InvalidInput(f"There is no kind of push {name}; there are {names}.", field="kind")
    return target
