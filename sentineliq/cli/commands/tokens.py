"""`sentineliq tokens`."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from sentineliq.cli import output
from sentineliq.cli.client import api
from sentineliq.cli.client.api import Json
from sentineliq.cli.context import CommandGroup, Context
from shared.errors import InvalidInput
from shared.service_names import SERVICES
from shared.tokens import MAX_LIFETIME, RoleName, issue_token, token_id

tokens = CommandGroup("Tokens for the APIs.")

_COLUMNS = ("id", "tenant", "owner", "role", "until", "last used", "revoked")


@tokens.command("create")
def create_token(
    ctx: Context,
    *,
    role: Annotated[RoleName, typer.Option(help="What its owner may do.")] = "viewer",
    days: Annotated[
        int, typer.Option(min=1, max=MAX_LIFETIME.days, help="How long it is valid.")
    ] = 30,
    actor: Annotated[
        str | None,
        typer.Option(help="The owner's name in the audit trail; by default your user name."),
    ] = None,
) -> None:
    """Create a token for the tenant; it is shown once and stored nowhere.

    Its id, which `tokens revoke` takes, is shown beside it.
    """
    owner = actor or api.actor()
    lifetime = timedelta(days=days)
    tenant = ctx.obj.tenant
    secret = ctx.obj.settings.secret_key
    if secret is None:
        raise InvalidInput(
            "Only the installation's secret makes tokens: set SENTINELIQ_SECRET_KEY, or --data-dir."
        )
    token = issue_token(secret, actor=owner, tenant=tenant, role=role, lifetime=lifetime)
    expires = (datetime.now(UTC) + lifetime).isoformat(timespec="seconds")
    data = {
        "id": token_id(token),
        "token": token,
        "tenant": tenant,
        "role": role,
        "actor": owner,
        "expires_at": expires,
    }
    # Stdout holds the token alone, so that $(sentineliq tokens create) works.
    ctx.obj.answer(data, output.cell(token))
    output.print_note(f"{token_id(token)}: {role} of {tenant} as {owner}, until {expires}")


@tokens.command("list")
def list_tokens(ctx: Context) -> None:
    """List the tokens that were used and have not expired."""
    merged: dict[str, Json] = {}
    for service in SERVICES:
        for item in ctx.obj.client.items(service, "/v1/tokens"):
            merged[item["id"]] = _newer(merged.get(item["id"]), item)
    documents = sorted(merged.values(), key=lambda item: (item["tenant"], item["expires_at"]))
    rows = [
        (
            item["id"],
            item["tenant"],
            item["actor"],
            item["role"],
            output.format_time(item["expires_at"]),
            output.format_time(item["seen_at"]),
            output.format_time(item["revoked_at"]),
        )
        for item in documents
    ]
    ctx.obj.answer(documents, output.table(_COLUMNS, rows, empty="no token was used yet"))


@tokens.command("revoke")
def revoke_tokens(
    ctx: Context,
    ids: Annotated[
        list[str],
        typer.Argument(metavar="ID", help="As `tokens create` and `list` show them."),
    ],
) -> None:
    """Revoke tokens: every service refuses them within five seconds.

    If a service does not answer, the command fails: call it again when the service is back.
    """
    for token in ids:
        for service in SERVICES:
            ctx.obj.client.post(service, f"/v1/tokens/{token}/revoke")
    ctx.obj.answer({"revoked": ids}, *(output.cell(f"{token} is revoked") for token in ids))


def _newer(other: Json | None, item: Json) -> Json:
    """What two services say of a token: the last use of both, revoked if any of them says so."""
    if other is None:
        return item
    return {
        name: max(filter(None, (other[name], value)), default=None) for name, value in item.items()
    }
