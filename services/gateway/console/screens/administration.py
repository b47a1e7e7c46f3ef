"""Administration: the audit of every service, tokens, quotas, and what each role may do."""

import asyncio
from typing import Any, Final

from starlette.responses import Response

from services.gateway.console.visits import ConsoleVisit, Screen
from shared.auth import PERMISSIONS, Role
from shared.settings import SERVICES, ServiceName

_SERVICES: Final[tuple[ServiceName, ...]] = tuple(
    service for service in SERVICES if service != "gateway"
)
_PAGE: Final = 50


async def show_audit(visit: ConsoleVisit) -> Response:
    """Who did what to what: of one service, newest first."""
    service = _service(visit.query("service"))
    state = {name: visit.query(name) for name in ("actor", "action", "target")}
    answer = await visit.get(service, "/v1/audit", after=visit.query("after"), limit=_PAGE, **state)
    return visit.page(
        "audit.html",
        fragment="table",
        answer=answer,
        service=service,
        services=_SERVICES,
        state=state,
    )


async def show_tokens(visit: ConsoleVisit) -> Response:
    """Tokens that a service has seen, and what each role may do."""
    answers = await asyncio.gather(
        *(visit.get(service, "/v1/tokens", limit=500) for service in _SERVICES)
    )
    tokens: dict[str, Any] = {}
    for answer in answers:
        for token in answer.items:
            known_token = tokens.get(token["id"])
            if known_token is None or (token["seen_at"] or "") > (known_token["seen_at"] or ""):
                tokens[token["id"]] = token
    refusals = [answer.refusal for answer in answers if answer.refusal is not None]
    return visit.page(
        "tokens.html",
        tokens=sorted(tokens.values(), key=lambda token: token["expires_at"]),
        refusals=refusals,
        own_id=visit.principal.token.id if visit.principal.token else "",
        roles=_roles(),
    )


def _roles() -> dict[str, list[str]]:
    """By role, the permissions that it adds to those before it."""
    roles: dict[str, list[str]] = {role.name: [] for role in Role}
    for name, lowest in PERMISSIONS.items():
        roles[lowest.name].append(name)
    return roles


async def revoke_token(visit: ConsoleVisit) -> Response:
    """Take a token back, in every service."""
    token_id = visit.place("token_id")
    answers = await asyncio.gather(
        *(visit.post(service, f"/v1/tokens/{token_id}/revoke") for service in _SERVICES)
    )
    refusal = next((answer.refusal for answer in answers if answer.refusal is not None), None)
    if refusal is not None:
        return visit.refused(refusal)
    return visit.moved("/administration/tokens", done="revoked")


async def show_quotas(visit: ConsoleVisit) -> Response:
    """What the tenant may have, and has."""
    answers = await asyncio.gather(*(visit.get(service, "/v1/quotas") for service in _SERVICES))
    quotas = [
        {**quota, "service": service}
        for service, answer in zip(_SERVICES, answers, strict=True)
        for quota in answer.items
    ]
    # Services without quotas answer 404.
    refusals = [item.refusal for item in answers if item.refusal and item.refusal.status != 404]
    return visit.page("quotas.html", quotas=quotas, refusals=refusals)


def _service(name: str) -> ServiceName:
    return next((service for service in _SERVICES if service == name), _SERVICES[0])


SCREENS: Final = [
    Screen("GET", "/administration", show_audit),
    Screen("GET", "/administration/tokens", show_tokens),
    Screen("POST", "/administration/tokens/{token_id}/revoke", revoke_token),
    Screen("GET", "/administration/quotas", show_quotas),
]
