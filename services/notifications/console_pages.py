"""Addresses of the console's pages, which messages name for their readers."""

from typing import Final
from uuid import UUID

from shared.settings import Settings

_DELIVERIES: Final = "/console/notifications/deliveries"


def delivery_page(settings: Settings, delivery_id: UUID) -> str:
    """The page with all matches of a delivery.

    Args:
        settings: name the address at which people reach the gateway; without one it is the
            gateway's own, which is good on this machine.
        delivery_id: the delivery.
    """
    base = settings.public_url or settings.service_url("gateway")
    return f"{base.rstrip('/')}{_DELIVERIES}/{delivery_id}"
