"""From a delivery's row to the message that a channel sends."""

from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID

from services.notifications.channel_types.base import Notification, NotificationKind, Severity
from services.notifications.console_pages import delivery_page
from services.notifications.deliveries.records import Delivery
from services.notifications.signed_links import LinkVerb, SignedLink
from shared.settings import Settings

_LATE_AFTER: Final = timedelta(minutes=1)
_ACKNOWLEDGE_FOR: Final = timedelta(days=30)
_UNSUBSCRIBE_FOR: Final = timedelta(days=365)


def notification_of(
    delivery: Delivery,
    matches: list[dict[str, Any]],
    settings: Settings,
    receipt: str | None = None,
) -> Notification:
    """The message of a delivery.

    Args:
        delivery: the row.
        matches: those to show, highest scores first.
        settings: name the addresses, and have the keys of links.
        receipt: what the channel answered to the message that opened the delivery's group.
    """
    due = delivery.due_at
    return Notification(
        id=delivery.id,
        tenant=delivery.tenant,
        rule_id=delivery.rule_id,
        rule=delivery.rule,
        source=delivery.source,
        match_count=delivery.match_count,
        matches=matches,
        created_at=delivery.created_at,
        url=delivery_page(settings, delivery.id),
        kind=cast("NotificationKind", delivery.kind),
        group_id=delivery.group_id,
        total_count=delivery.total_count or delivery.match_count,
        severity=cast("Severity", delivery.severity),
        labels=delivery.labels,
        reason=delivery.reason,
        due_at=due,
        is_late=due is not None and delivery.created_at - due > _LATE_AFTER,
        receipt=receipt,
        acknowledge_url=_acknowledge_url(delivery, settings),
        unsubscribe_url=_link(
            "unsubscribe", delivery, delivery.channel_id, _UNSUBSCRIBE_FOR, settings
        ),
    )


def _acknowledge_url(delivery: Delivery, settings: Settings) -> str | None:
    """None where there is nothing to acknowledge."""
    if delivery.group_id is None or delivery.kind not in ("open", "update", "reminder"):
        return None
    return _link("acknowledge", delivery, delivery.group_id, _ACKNOWLEDGE_FOR, settings)


def _link(
    verb: LinkVerb, delivery: Delivery, subject_id: UUID, lifetime: timedelta, settings: Settings
) -> str:
    """A signed address; the same in every attempt, since it ends by the delivery's own time."""
    until = delivery.created_at + lifetime
    link = SignedLink(verb, delivery.tenant, subject_id, delivery.channel_id, until)
    return link.address(settings)
