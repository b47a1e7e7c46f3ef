"""What a tenant may reach beyond the public internet."""

from functools import cache

from shared.errors import InvalidInput
from shared.http.errors import ForbiddenTarget
from shared.http.guard import Allowance, OutboundGrant
from shared.settings import Settings


def outbound_of(settings: Settings, tenant: str) -> tuple[Allowance, ...]:
    """The networks of the platform, and what an operator has granted to a tenant.

    Raises:
        InvalidInput: a grant in the settings is none.
    """
    return (*settings.outbound_allow, *_grants(settings.outbound_grants.get(tenant, ())))


@cache
def _grants(texts: tuple[str, ...]) -> tuple[OutboundGrant, ...]:
    try:
        return tuple(map(OutboundGrant.parse, texts))
    except (ValueError, ForbiddenTarget) as error:
        message = f"SENTINELIQ_OUTBOUND_GRANTS: {error}"
        raise InvalidInput(message, field="outbound_grants") from error
