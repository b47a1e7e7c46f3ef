"""Ask every other service to enqueue again what its queue lost."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, Final, Literal

from shared.auth import issue_token
from shared.database import PUBLIC
from shared.errors import SentinelIQError
from shared.http import GuardedClient, Limits
from shared.settings import SERVICES, Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

# The services have private addresses. Link-local ones, where clouds publish secrets, stay out.
_OWN_NETWORKS: Final = tuple(
    ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "::1/128",
        "fc00::/7",
    )
)
_LIMITS: Final = Limits(
    connect=2.0, total=8.0, max_bytes=64 * 1024, max_expanded=64 * 1024, redirects=0
)
_OTHER_SERVICES: Final = tuple(name for name in SERVICES if name != "scheduler")


@dataclass(frozen=True, slots=True)
class ServiceReconciliation:
    """The result of a reconciliation.

    Attributes:
        status: degraded if a service did not answer, or answered with an error.
        services: each service's answer, or its `error`.
    """

    status: Literal["ok", "degraded"]
    services: dict[str, dict[str, Any]]


async def reconcile_services(settings: Settings) -> ServiceReconciliation:
    """Ask all services at once; one that does not answer does not stop the others."""
    token = issue_token(
        settings.secret_key,
        actor="scheduler",
        tenant=PUBLIC,
        role="operator",
        lifetime=timedelta(minutes=1),
    )
    async with GuardedClient(allow=_OWN_NETWORKS, limits=_LIMITS) as client:
        answers = await asyncio.gather(
            *(_reconcile(client, settings.service_url(name), token) for name in _OTHER_SERVICES)
        )
    services = dict(zip(_OTHER_SERVICES, answers, strict=True))
    failed = {name: answer["error"] for name, answer in services.items() if "error" in answer}
    if failed:
        log.warning("services.reconcile_failed", services=failed)
    return ServiceReconciliation("degraded" if failed else "ok", services)


async def _reconcile(client: GuardedClient, base_url: str, token: str) -> dict[str, Any]:
    try:
        response = await client.request(
            "POST", f"{base_url}/v1/reconcile", auth_headers={"Authorization": f"Bearer {token}"}
        )
        response.raise_for_status()
        answer = response.json()
    except SentinelIQError as error:
        return {"status": "failed", "error": error.as_dict()}
    if not isinstance(answer, dict):
        return {"status": "failed", "error": {"message": "The answer is no object."}}
    return answer
