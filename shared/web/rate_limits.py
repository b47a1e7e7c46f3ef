"""How many requests a token may make, and whose request goes next.

A bucket for each token holds units, which come back with time; a request costs some by the class of
its route. The buckets are of one process: a service with several API processes allows as many times
more. Requests that are under way share slots, which tenants take in turns: a tenant has as many as
are free at most, so that a slot, a thread and a connection are there for the others.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from shared.auth import Principal
from shared.errors import RateExceeded, Unavailable
from shared.turns import TurnOrder

BURST_SECONDS: Final = 5.0
"""A bucket holds the units of so many seconds."""
READ_COST: Final = 1
WRITE_COST: Final = 5
HEAVY_COST: Final = 25
"""Documents, lists of many values, requests to other systems."""

_HEAVY: Final = frozenset(
    {
        ("POST", "/v1/enrichers/{name}/test"),
        ("POST", "/v1/enrichment-policies/dry-run"),
        ("POST", "/v1/enrichments"),
        ("POST", "/v1/extract"),
        ("POST", "/v1/channels/{channel_id}/test"),
        ("POST", "/v1/feeds/{feed_id}/reparse"),
        ("POST", "/v1/ingest"),
        ("POST", "/v1/lookup"),
        ("POST", "/v1/preview"),
        ("POST", "/v1/preview/document"),
        ("POST", "/v1/relations"),
        ("POST", "/v1/sightings"),
        ("POST", "/taxii2/{root}/collections/{collection_id}/objects"),
        ("POST", "/taxii2/{root}/collections/{collection_id}/objects/"),
    }
)
_LONG: Final = frozenset(
    {
        ("POST", "/v1/enrichers/{name}/test"),
        ("POST", "/v1/extract"),
        ("POST", "/v1/channels/{channel_id}/test"),
        ("POST", "/v1/ingest"),
        ("POST", "/v1/preview"),
        ("POST", "/v1/preview/document"),
        ("POST", "/taxii2/{root}/collections/{collection_id}/objects"),
        ("POST", "/taxii2/{root}/collections/{collection_id}/objects/"),
    }
)
"""Routes that wait for other systems, children, or the client's body, and hold no connection."""
_LONG_SLOTS: Final = 24
_WAIT_SECONDS: Final = 10.0
_MAX_BUCKETS: Final = 4096


def cost_of(method: str, path: str) -> int:
    """The units that a request costs, by its route's template."""
    if (method, path) in _HEAVY:
        return HEAVY_COST
    return READ_COST if method in ("GET", "HEAD") else WRITE_COST


class TokenBuckets:
    """The buckets of one process.

    Args:
        rate: units a second for each token; 0 lets every request pass.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._size = rate * BURST_SECONDS
        # By the token's id: the units that are left, and when that was.
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, principal: Principal, cost: int) -> None:
        """Take the units of a request.

        Raises:
            RateExceeded: too few are left; nothing was taken.
        """
        token = principal.token
        if not self._rate or token is None:
            return
        now = time.monotonic()
        level, moment = self._levels.get(token.id, (self._size, now))
        level = min(self._size, level + (now - moment) * self._rate)
        if level < cost:
            raise self._exceeded(cost, level)
        if len(self._levels) >= _MAX_BUCKETS:
            self._forget_full(now)
        self._levels[token.id] = (level - cost, now)

    def _exceeded(self, cost: int, level: float) -> RateExceeded:
        wait = (cost - level) / self._rate
        error = RateExceeded(
            f"This token may use {self._rate:g} units a second, and this request costs {cost}.",
            limit=self._rate,
            cost=cost,
            seconds=round(wait, 3),
        )
        error.retry_after = max(1.0, wait)
        return error

    def _forget_full(self, now: float) -> None:
        full_since = now - BURST_SECONDS
        self._levels = {
            token: state for token, state in self._levels.items() if state[1] > full_since
        }


class Slot:
    """A slot of a request; it can be released once.

    Args:
        leave: gives it to another.
    """

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave = leave
        self._is_held = True

    def release(self) -> None:
        """Give the slot to another request."""
        if self._is_held:
            self._is_held = False
            self._leave()


class RequestGate:
    """The slots of the requests that are under way in one process.

    Args:
        slots: how many there are.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._order = TurnOrder()
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def slot(self, tenant: str) -> AsyncIterator["Slot"]:
        """Have a slot while a block runs, or until the block releases it.

        Raises:
            Unavailable: the tenant's other requests still have all that it may have.
        """
        await self._enter(tenant)
        slot = Slot(partial(self._leave, tenant))
        try:
            yield slot
        finally:
            slot.release()

    async def _enter(self, tenant: str) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(turn)
        self._grant()
        if turn.done():
            return
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await turn
        except TimeoutError:
            if turn.cancelled():
                error = Unavailable("Too many requests of this tenant are under way: try again.")
                error.retry_after = 1.0
                raise error from None
            # Otherwise it was granted in the moment in which the time was over, and is used.
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(tenant)  # it was granted just now
            raise
        finally:
            turn.cancel()

    def _leave(self, tenant: str) -> None:
        self._running[tenant] -= 1
        if not self._running[tenant]:
            del self._running[tenant]
        self._grant()

    def _grant(self) -> None:
        while self._waiting:
            free = self._slots - self._running.total()
            chosen = self._order.choose(self._waiting, self._running, free=free, limit=1)
            if not chosen:
                return
            [tenant] = chosen
            turns = self._waiting[tenant]
            turn = turns.popleft()
            if not turns:
                del self._waiting[tenant]
            if not turn.done():  # its caller still waits
                self._running[tenant] += 1
                turn.set_result(None)


class RequestGates:
    """The gates of an API: one for requests that need the database, one for those that take long.

    Args:
        connections: transactions that the process may have at a time.
    """

    def __init__(self, connections: int) -> None:
        self._short = RequestGate(connections + connections // 2)
        self._long = RequestGate(_LONG_SLOTS)

    def gate_of(self, method: str, path: str) -> RequestGate:
        """The gate of a route."""
        return self._long if (method, path) in _LONG else self._short
