"""`sentineliq tokens`."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from sentineliq.cli import output
from sentineliq.cli.client import api
from sentineliq.cli.context import CommandGroup, Context
from shared.tokens import RoleName, issue_token

tokens = CommandGroup("Tokens for the APIs.")


@tokens.command("create")
def create_token(
    ctx: Context,
    *,
    role: Annotated[RoleName, typer.Option(help="What its owner may do.")] = "viewer",
    days: Annotated[int, typer.Option(min=1, max=3660, help="How long it is valid.")] = 30,
    actor: Annotated[
        str | None,
        typer.Option(help="The owner's name in the audit trail; by default your user name."),
    ] = None,
) -> None:
    """Create a token for the tenant; it is shown once and stored nowhere."""
    owner = actor or api.actor()
    lifetime = timedelta(days=days)
    tenant = ctx.obj.tenant
    token = issue_token(
        ctx.obj.settings.secret_key, actor=owner, tenant=tenant, role=role, lifetime=lifetime
    )
    expires = (datetime.now(UTC) + lifetime).isoformat(timespec="seconds")
    data = {
        "token": token,
        "tenant": tenant,
        "role": role,
        "actor": owner,
        "expires_at": expires,
    }
    # Stdout holds the token alone, so that $(sentineliq tokens create) works.
    ctx.obj.answer(data, output.cell(token))
    output.print_note(f"{role} of {tenant} as {owner}, until {expires}")
