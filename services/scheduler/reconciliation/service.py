"""Asks every other service to enqueue again what its queue lost."""

import asyncio
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, Final

from shared.auth import issue_token
from shared.database import PUBLIC
from shared.errors import SentinelIQError
from shared.http import GuardedClient, Limits
from shared.settings import SERVICES, Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

# Our own services are where private addresses are; link-local ones, where clouds keep their secrets, stay out.
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
_OTHERS: Final = tuple(name for name in SERVICES if name != "scheduler")


async def reconcile_services(settings: Settings) -> dict[str, Any]:
    """Ask all of them at once.

    Returns:
        `status` (ok, or degraded when a service did not answer well) and `services`: each one's answer or error.
    """
    token = issue_token(
        settings.secret_key,
        actor="scheduler",
        tenant=PUBLIC,
        role="operator",
        lifetime=timedelta(minutes=1),
    )
    async with GuardedClient(allow=_OWN_NETWORKS, limits=_LIMITS) as client:
        answers = await asyncio.gather(
            *(_ask(client, settings.service_url(name), token) for name in _OTHERS)
        )
    services = dict(zip(_OTHERS, answers, strict=True))
    failed = {name: answer["error"] for name, answer in services.items() if "error" in answer}
    if failed:
        log.warning("services.not_reconciled", services=failed)
    return {"status": "degraded" if failed else "ok", "services": services}


async def _ask(client: GuardedClient, base_url: str, token: str) -> dict[str, Any]:
    try:
        answer = await client.request(
            "POST", f"{base_url}/v1/reconcile", auth_headers={"Authorization": f"Bearer {token}"}
        )
        answer.raise_for_status()
        told = answer.json()
    except SentinelIQError as error:
        return {"status": "failed", "error": error.as_dict()}
    return (
        told
        if isinstance(told, dict)
        else {"status": "failed", "error": {"message": "The answer is no object."}}
    )
