"""Recording results one by one, where those of a round cannot be recorded together.

One result that PostgreSQL refuses, or one row that somebody keeps locked, costs nobody else's.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from services.notifications.channel_types.attempt import AttemptResult
from services.notifications.channel_types.base import ChannelGone
from services.notifications.deliveries.results import Result, write_results
from shared.database import PLATFORM, Database
from shared.errors import SentinelIQError, Unavailable, UpstreamError
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_MAX_STATUS: Final = 999


def record_each(database: Database, results: Sequence[Result]) -> list[str | None]:
    """Record each result in a transaction of its own.

    What cannot be recorded as it is, is recorded without what its receiver said. What cannot be
    recorded at all is left to its lease: another worker asks the receiver, or sends it again.

    Returns:
        Each delivery's new state; None if it was not recorded.

    Raises:
        Unavailable: the database answers for none of them; the first two are enough to know.
    """
    states: list[str | None] = []
    outage: Unavailable | None = None
    for result in results:
        try:
            states.append(_record(database, result))
        except Unavailable as error:
            log.warning("delivery.not_recorded", id=str(result[0].delivery.id), reason=str(error))
            if outage is not None and not states:
                raise
            outage = error
    if outage is not None and not states:
        raise outage
    return states


def _record(database: Database, result: Result) -> str | None:
    claimed, attempt = result
    for version in (attempt, _bare(attempt)):
        try:
            with database.transaction(PLATFORM) as session:
                return write_results(session, [(claimed, version)])[0]
        except Unavailable:
            raise
        except Exception:
            # Of whatever kind: it must not hold the results of others.
            log.exception("delivery.result_refused", id=str(claimed.delivery.id))
    return None


def _bare(attempt: AttemptResult) -> AttemptResult:
    """What a result says, without anything that the receiver said."""
    status = attempt.status if isinstance(attempt.status, int) else None
    return replace(
        attempt,
        status=status if status is not None and 0 <= status <= _MAX_STATUS else None,
        error=_bare_error(attempt),
        reference=None,
        answer=None,
    )


def _bare_error(attempt: AttemptResult) -> SentinelIQError | None:
    if attempt.error is None:
        return None
    message = "The attempt failed; its error cannot be stored."
    if attempt.is_gone:
        return ChannelGone(message)
    return UpstreamError(message, retryable=bool(attempt.error.retryable))
