"""What attempts leave behind: the state of each delivery, the attempt, and the event of an end."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Literal, cast
from uuid import UUID

from sqlalchemy.orm import Session

from services.notifications.channel_types.attempt import AttemptResult
from services.notifications.channels.service import disable_channel
from services.notifications.deliveries import repository
from services.notifications.deliveries.records import (
    ClaimedDelivery,
    Delivery,
    DeliveryOutcome,
)
from services.notifications.deliveries.retry_policy import seconds_to_retry
from services.notifications.pauses.service import note_failures, note_successes
from shared.errors import SentinelIQError
from shared.events import Event, derived_id
from shared.events.notifications import DELIVERED, Delivered
from shared.kafka.outbox import publish
from shared.leases import LeaseLost
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

SOURCE: Final = "/services/notifications"

Result = tuple[ClaimedDelivery, AttemptResult]


def write_results(session: Session, results: Sequence[Result]) -> list[str | None]:
    """Record the results of attempts, and publish the events of those that are over.

    Returns:
        Each delivery's new state; None if another worker has claimed it meanwhile.
    """
    accepted = [(claimed, _outcome(result)) for claimed, result in results if result.error is None]
    completed = repository.complete_all(session, accepted) if accepted else set()
    states: list[str | None] = []
    for claimed, result in results:
        if result.error is not None:
            states.append(_write_failure(session, claimed, result, result.error))
        else:
            states.append("delivered" if claimed.delivery.id in completed else None)
    repository.add_attempts(session, [_attempt(claimed, result) for claimed, result in results])
    _note_health(session, results)
    publish(
        session,
        [
            ended_event(claimed.delivery, state, _error(result))
            for (claimed, result), state in zip(results, states, strict=True)
            if state is not None and state != "pending"
        ],
    )
    for (claimed, result), state in zip(results, states, strict=True):
        _log_end(claimed, result, state)
    return states


def _log_end(claimed: ClaimedDelivery, result: AttemptResult, state: str | None) -> None:
    delivery = claimed.delivery
    if state is None:
        log.warning("delivery.superseded", id=str(delivery.id))
        return
    log.info(
        "delivery.attempted",
        id=str(delivery.id),
        state=state,
        attempt=delivery.attempts,
        error=_error(result),
    )


def _error(result: AttemptResult) -> dict[str, Any] | None:
    return result.error.as_dict() if result.error else None


def _note_health(session: Session, results: Sequence[Result]) -> None:
    """Count the failures of channels in a row; a success among them ends the row."""
    working = {claimed.delivery.channel_id for claimed, result in results if result.error is None}
    failures: Counter[tuple[str, UUID]] = Counter()
    errors: dict[UUID, SentinelIQError] = {}
    for claimed, result in results:
        delivery = claimed.delivery
        if result.error and result.error.retryable and delivery.channel_id not in working:
            failures[delivery.tenant, delivery.channel_id] += 1
            errors[delivery.channel_id] = result.error
    # One order for all: two workers that need each other's rows would block.
    for (tenant, channel_id), count in sorted(failures.items()):
        note_failures(session, tenant, channel_id, count, errors[channel_id])
    if working:
        note_successes(session, sorted(working))


def _attempt(claimed: ClaimedDelivery, result: AttemptResult) -> dict[str, Any]:
    delivery = claimed.delivery
    outcome = "delivered" if result.error is None else "failed"
    return {
        "tenant": delivery.tenant,
        "delivery_id": delivery.id,
        "number": delivery.attempts,
        "milliseconds": result.milliseconds,
        "outcome": "unknown" if result.is_unknown else outcome,
        "response_status": result.status,
        "answer": result.answer,
        "error": _error(result),
    }


def _outcome(result: AttemptResult) -> DeliveryOutcome:
    return DeliveryOutcome(
        result.status, result.reference, result.is_unknown, result.is_maybe_repeated
    )


def _write_failure(
    session: Session, claimed: ClaimedDelivery, result: AttemptResult, error: SentinelIQError
) -> str | None:
    """Record a failed attempt; the delivery's new state, None if another worker has claimed it."""
    delivery = claimed.delivery
    outcome = _outcome(result)
    wait = seconds_to_retry(error, delivery.attempts)
    state = "failed" if wait is None else "pending"
    try:
        if wait is None:
            repository.fail(session, claimed, error.as_dict(), outcome)
        else:
            repository.retry(session, claimed, error.as_dict(), wait, outcome)
    except LeaseLost:
        # No statement failed: the results of the other deliveries can still be committed.
        return None
    if result.is_gone:
        disable_channel(session, delivery.channel_id, error.message)
    return state


def ended_event(delivery: Delivery, state: str, error: dict[str, Any] | None) -> Event[Delivered]:
    """The event that a delivery ended: delivered, failed or silenced."""
    data = Delivered(
        delivery_id=delivery.id,
        rule_id=delivery.rule_id,
        rule=delivery.rule,
        channel=delivery.channel,
        state=cast("Literal['delivered', 'failed', 'silenced']", state),
        matches=delivery.match_count,
        attempts=delivery.attempts,
        error={key: str(value) for key, value in error.items()} if error else None,
    )
    key = str(delivery.rule_id).encode()
    # By its claim: the attempts of a delivery that a person repeats are counted anew.
    event_id = derived_id(DELIVERED.name, delivery.id, state, delivery.holder)
    return Event(DELIVERED, data, delivery.tenant, SOURCE, key, event_id)
