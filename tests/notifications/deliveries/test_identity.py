"""Ids of deliveries are in the order of events, and the same for the same notification."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.notifications.deliveries.identity import delivery_id

RULE = UUID(int=1)
CHANNEL = UUID(int=2)
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_a_delivery_has_one_id_and_other_deliveries_have_others() -> None:
    first = delivery_id(RULE, CHANNEL, "event", NOON)
    assert delivery_id(RULE, CHANNEL, "event", NOON) == first
    others = [
        delivery_id(CHANNEL, RULE, "event", NOON),
        delivery_id(RULE, CHANNEL, "another", NOON),
    ]
    assert first not in others
    assert (first.version, first.variant) == (7, "specified in RFC 4122")


def test_ids_are_in_the_order_of_the_events() -> None:
    ids = [delivery_id(RULE, CHANNEL, "e", NOON + timedelta(milliseconds=n)) for n in range(50)]
    assert ids == sorted(ids)
    assert delivery_id(RULE, CHANNEL, "e", datetime(1, 1, 1, tzinfo=UTC)).int >> 80 == 0
