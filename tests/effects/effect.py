"""A request, and what it does."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests.effects.world import World


class Call(NamedTuple):
    """A request."""

    path: str
    params: dict[str, Any] | None = None
    json: Any = None
    content: bytes | None = None
    media_type: str | None = None
    headers: Mapping[str, str] = {}


class Effect(NamedTuple):
    """What a request does.

    Attributes:
        operation: service, method and route.
        action: of the audit record; None where there is none.
        call: makes the request, and before it the objects that it is about.
        names_author: the rows that it writes say who wrote them.
        is_preparation: what it writes counts for nothing until another request uses it, which
            leaves a record.
        by_person: somebody who has signed in makes it: it is about a person's own account.
        status: what it answers, if that is no success.
    """

    operation: tuple[str, str, str]
    action: str | None
    call: Callable[[World], Call]
    names_author: bool = False
    is_preparation: bool = False
    by_person: bool = False
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
