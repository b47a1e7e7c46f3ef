"""Identity providers of the tenant, and the rules by which roles follow from their claims."""

from typing import Final

from starlette.responses import Response

from services.gateway.console.api_client import ApiRefusal, Json
from services.gateway.console.visits import ConsoleVisit, Screen
from shared.auth import Role
from shared.errors import InvalidInput

_HERE: Final = "/administration/providers"
_FIELDS: Final = ("name", "issuer", "client_id", "client_secret", "rules")


async def show_providers(visit: ConsoleVisit) -> Response:
    """The providers, and the form of a new one."""
    return await _providers_page(visit)


async def _providers_page(visit: ConsoleVisit, refusal: ApiRefusal | None = None) -> Response:
    answer = await visit.get("gateway", "/v1/providers")
    return visit.page(
        "providers.html",
        status=422 if refusal else 200,
        answer=answer,
        form=visit.form,
        refusal=refusal,
        is_beside=refusal is not None and refusal.is_beside(_FIELDS),
        roles=[role.name for role in Role if role <= visit.principal.role],
    )


async def save_provider(visit: ConsoleVisit) -> Response:
    """Add a provider with at most one rule; its secret is sealed."""
    form = visit.form
    body: Json = {name: form.text(name) for name in ("name", "issuer", "client_id")}
    if form.raw("client_secret"):
        body["client_secret"] = form.raw("client_secret")
    rule = {name: form.text(name) for name in ("claim", "value", "role")}
    if rule["claim"] or rule["value"]:
        body["rules"] = [rule]
    answer = await visit.post("gateway", "/v1/providers", body)
    if answer.refusal is not None:
        return await _providers_page(visit, answer.refusal)
    return visit.moved(_HERE, done="saved")


async def act_on_provider(visit: ConsoleVisit) -> Response:
    """Delete a provider."""
    if visit.place("act") != "delete":
        raise InvalidInput("There is no such act.", field="act")
    answer = await visit.delete("gateway", f"/v1/providers/{visit.place('provider_id')}")
    if answer.refusal is not None:
        return await _providers_page(visit, answer.refusal)
    return visit.moved(_HERE, done="deleted")


SCREENS: Final = [
    Screen("GET", _HERE, show_providers, "providers:write"),
    Screen("POST", _HERE, save_provider),
    Screen("POST", f"{_HERE}/{{provider_id}}/{{act}}", act_on_provider),
]
