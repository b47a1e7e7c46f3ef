"""The link with which the first person signs in to an installation that has nobody yet."""

from collections.abc import Mapping
from typing import Final

from sentineliq.cli.client.api import Client, Json

MINUTES: Final = 10
"""How long the link is valid."""


def make_first_link(client: Client, minutes: int = MINUTES) -> Json:
    """Make a link whose account is an operator; it is valid once.

    Raises:
        SentinelIQError: the gateway does not answer, or refuses.
    """
    body = {"role": "operator", "minutes": minutes}
    created: Json = client.post("gateway", "/v1/invitations", body)
    return created


def link_for_first_start(environment: Mapping[str, str], tenant: str) -> str | None:
    """Make the first link of a tenant; None if it has a member already.

    Args:
        environment: of the stack, with the installation's secret.
        tenant: where the first person works.

    Raises:
        SentinelIQError: the gateway does not answer, or refuses.
    """
    with Client(environment, tenant) as client:
        if next(client.items("gateway", "/v1/members", most=1), None) is not None:
            return None
        return str(make_first_link(client)["link"])
