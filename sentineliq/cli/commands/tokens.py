"""`sentineliq tokens`: make tokens for people and programs."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from sentineliq.cli import output
from sentineliq.cli.client import api
from sentineliq.cli.context import CommandContext, command
from shared.auth import RoleName, issue_token

tokens = typer.Typer(help="Tokens for the APIs.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(tokens, name="tokens")


@command(tokens, "create")
def create(
    context: CommandContext,
    *,
    role: Annotated[RoleName, typer.Option(help="What may be done with it.")] = "viewer",
    days: Annotated[int, typer.Option(min=1, max=3660, help="How long it is valid.")] = 30,
    actor: Annotated[
        str | None, typer.Option(help="Whose it is, as the audit trail names them.")
    ] = None,
) -> None:
    """Make a token for a tenant; it is shown once and kept nowhere."""
    actor, lifetime = actor or api.actor(), timedelta(days=days)
    token = issue_token(
        context.settings.secret_key,
        actor=actor,
        tenant=context.tenant,
        role=role,
        lifetime=lifetime,
    )
    expires = (datetime.now(UTC) + lifetime).isoformat(timespec="seconds")
    said = {
        "token": token,
        "tenant": context.tenant,
        "role": role,
        "actor": actor,
        "expires_at": expires,
    }
    # Bare, so that $(sentineliq tokens create) works; what it is for goes beside it.
    context.answer(said, output.cell(token))
    output.say(f"{role} of {context.tenant} as {actor}, until {expires}")
