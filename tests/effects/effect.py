"""A request, and what it does."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.effects.world import World


class Call(NamedTuple):
    """A request."""

    path: str
    params: dict[str, Any] | None = None
    json: Any = None
    content: bytes | None = None
    media_type: str | None = None


class Effect(NamedTuple):
    """What a request does.

    Attributes:
        operation: service, method and route.
        action: of the audit record; None where there is none.
        call: makes the request, and before it the objects that it is about.
        names_author: the rows that it writes say who wrote them.
        status: what it answers, if that is no success.
    """

    operation: tuple[str, str, str]
    action: str | None
    call: Callable[[World], Call]
    names_author: bool = False
    status: int | None = None


def effect_of(
    service: str,
    method: str,
    route: str,
    action: str | None,
    call: Callable[[World], Call],
    **options: Any,
) -> Effect:
    return Effect((service, method, route), action, call, **options)
