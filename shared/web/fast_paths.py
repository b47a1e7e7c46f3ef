"""Plain cases of hot routes, which are answered before FastAPI."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from shared.auth import Principal


class FastPath(NamedTuple):
    """The plain case of a hot GET, answered before FastAPI, whose routing costs more than a lookup.

    The route of the same path answers all other cases, among them tokens that are not valid.

    Attributes:
        path: the route's path.
        permission: the permission that the route requires.
        answer: computes the JSON body from the principal and the query string; None leaves the
            request to the route.
    """

    path: str
    permission: str
    answer: Callable[[Principal, bytes], Awaitable[bytes | None]]
