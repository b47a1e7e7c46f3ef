"""Turns by tenant: who is served next of the tenants that share slots.

Slots are whatever a process has a few of: attempts at a time, workers. The tenant that has the
fewest goes first, and of equals the one that was served the longest ago, so that nobody waits
behind the backlog of another.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Final

_ALONE_SECONDS: Final = 300.0
"""A tenant is alone if no other wanted a slot for so long."""


class TurnOrder:
    """Remembers when this process served which tenant."""

    def __init__(self) -> None:
        self._times = count(1)
        self._served: dict[str, int] = {}

    def choose(
        self,
        waiting: Iterable[str],
        running: Mapping[str, int],
        *,
        free: int,
        limit: int,
        most: int | None = None,
    ) -> list[str]:
        """Choose whose work begins next.

        Args:
            waiting: tenants with work that could begin.
            running: how many slots each tenant has; those that are left out have none.
            free: slots that nobody has.
            limit: how many to choose.
            most: slots that a tenant may have. Without it, a tenant may have as many as are free:
                those that it leaves are there for the tenants that come later.

        Returns:
            A tenant for each slot that is given away; a tenant may be named repeatedly.
        """
        tenants = sorted(set(waiting))
        slots = Counter(running)
        chosen: list[str] = []
        while len(chosen) < min(limit, free):
            bound = free - len(chosen) if most is None else most
            candidates = [tenant for tenant in tenants if slots[tenant] < bound]
            if not candidates:
                break
            tenant = min(candidates, key=lambda name: (slots[name], self._served.get(name, 0)))
            self._served[tenant] = next(self._times)
            slots[tenant] += 1
            chosen.append(tenant)
        return chosen


class TurnGate:
    """A few slots that threads wait for, in the turn of their tenants.

    A tenant may have all slots while it is alone, and leaves one to the others when it is not.

    Args:
        slots: how many there are.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._order = TurnOrder()
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[object]] = {}
        self._granted: set[object] = set()
        self._times: dict[str, float] = {}
        self._changed = threading.Condition()

    def acquire(self, tenant: str, seconds: float) -> bool:
        """Wait for a slot; whether there was one in time."""
        ticket = object()
        with self._changed:
            self._times[tenant] = time.monotonic()
            self._waiting.setdefault(tenant, deque()).append(ticket)
            self._grant()
            try:
                is_granted = self._changed.wait_for(lambda: ticket in self._granted, seconds)
            except BaseException:  # a time limit of Celery, or Ctrl-C: nobody will use the slot
                if ticket in self._granted:
                    self._granted.remove(ticket)
                    self._give_back(tenant)
                else:
                    self._stop_waiting(tenant, ticket)
                raise
            if is_granted:
                self._granted.remove(ticket)
            else:
                self._stop_waiting(tenant, ticket)
        return is_granted

    def release(self, tenant: str) -> None:
        """Give a slot back."""
        with self._changed:
            self._give_back(tenant)

    def _give_back(self, tenant: str) -> None:
        self._running[tenant] -= 1
        self._grant()

    def _stop_waiting(self, tenant: str, ticket: object) -> None:
        self._waiting[tenant].remove(ticket)
        self._drop_empty(tenant)

    def _grant(self) -> None:
        most = self._slots if self._is_single() else max(1, self._slots - 1)
        while chosen := self._order.choose(
            self._waiting,
            self._running,
            free=self._slots - self._running.total(),
            limit=1,
            most=most,
        ):
            [tenant] = chosen
            self._granted.add(self._waiting[tenant].popleft())
            self._running[tenant] += 1
            self._drop_empty(tenant)
        self._changed.notify_all()

    def _is_single(self) -> bool:
        recent = time.monotonic() - _ALONE_SECONDS
        self._times = {name: moment for name, moment in self._times.items() if moment > recent}
        return len(self._times) < 2

    def _drop_empty(self, tenant: str) -> None:
        if not self._waiting.get(tenant):
            self._waiting.pop(tenant, None)
