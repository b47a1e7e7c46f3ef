"""Requests that are refused: in the audit of the service, or, without a token, in the log."""

import asyncio
import time
from typing import Final

from shared.auth import Principal
from shared.database import Database
from shared.errors import Unavailable
from shared.kafka.outbox import audit
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_REPEAT_SECONDS: Final = 60.0
_MAX_KEYS: Final = 10_000

_Key = tuple[str, str, str]


class RefusalAudit:
    """Records refusals, each kind at most once a minute: the number of repeats comes with the next.

    Args:
        database: the service's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._recorded_at: dict[_Key, float] = {}
        self._repeats: dict[_Key, int] = {}

    async def record(self, principal: Principal, route: str) -> None:
        """Record that a principal was refused at a route, as `POST /v1/feeds`."""
        key = (principal.tenant, principal.actor, route)
        now = time.monotonic()
        if now - self._recorded_at.get(key, -_REPEAT_SECONDS) < _REPEAT_SECONDS:
            self._repeats[key] = self._repeats.get(key, 0) + 1
            return
        if len(self._recorded_at) >= _MAX_KEYS:
            self._recorded_at.clear()
            self._repeats.clear()
        self._recorded_at[key] = now
        repeats = self._repeats.pop(key, 0)
        try:
            await asyncio.to_thread(self._write, principal, route, repeats)
        except Unavailable:
            log.warning("refusal.not_recorded", route=route, actor=principal.actor)

    def _write(self, principal: Principal, route: str, repeats: int) -> None:
        details = {"role": principal.role.name}
        if repeats:
            details["repeats"] = str(repeats)
        service = self._database.service
        with self._database.transaction(principal.tenant) as session:
            audit(
                session,
                service,
                principal.tenant,
                principal.actor,
                f"{service}.refuse",
                route,
                **details,
            )


class RefusalLog:
    """Logs requests without a valid token, a line in a second at most: anybody can send many."""

    def __init__(self) -> None:
        self._count = 0
        self._logged_at = 0.0

    def note(self, route: str) -> None:
        """Count a refusal; log it with those that had no line of their own."""
        self._count += 1
        now = time.monotonic()
        if now - self._logged_at >= 1:
            log.info("request.unauthenticated", route=route, count=self._count)
            self._logged_at = now
            self._count = 0
