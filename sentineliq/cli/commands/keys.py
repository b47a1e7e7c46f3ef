"""`sentineliq keys`."""

from typing import Annotated

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.context import CommandGroup, Context
from shared.tokens import RoleName

keys = CommandGroup("API keys: what programs sign in with.")

_COLUMNS = ("id", "name", "owner", "role", "scopes", "until", "last used", "revoked")
KeyId = Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.")]


@keys.command("create")
def create_key(
    ctx: Context,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    *,
    role: Annotated[RoleName, typer.Option(help="The most that it may do.")] = "viewer",
    scope: Annotated[
        list[str] | None,
        typer.Option(help="A permission that it is for; you may repeat this option."),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(help="A network where it may be used; you may repeat this option."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=730, help="How long it is valid.")] = 90,
) -> None:
    """Create an API key that acts as you; it is shown once."""
    body = {
        "name": name,
        "role": role,
        "scopes": scope or None,
        "networks": network or [],
        "days": days,
    }
    _show_key(ctx, ctx.obj.client.post("gateway", "/v1/api-keys", body))


@keys.command("list")
def list_keys(ctx: Context) -> None:
    """List your API keys; for admins those of the tenant."""
    items = list(ctx.obj.client.items("gateway", "/v1/api-keys"))
    rows = [
        (
            item["id"],
            item["name"],
            item["created_by"],
            item["role"],
            "all" if item["scopes"] is None else " ".join(item["scopes"]),
            output.format_time(item["expires_at"]),
            output.format_time(item["used_at"]),
            output.format_time(item["revoked_at"]),
        )
        for item in items
    ]
    ctx.obj.answer(items, output.table(_COLUMNS, rows, empty="there is no API key yet"))


@keys.command("rotate")
def rotate_key(
    ctx: Context,
    key_id: KeyId,
    *,
    overlap_hours: Annotated[
        int, typer.Option(min=0, max=168, help="How long the old key goes on.")
    ] = 24,
) -> None:
    """Replace a key; the old one goes on for a while."""
    path = f"/v1/api-keys/{key_id}/rotate"
    body = {"overlap_minutes": overlap_hours * 60}
    _show_key(ctx, ctx.obj.client.post("gateway", path, body))


@keys.command("revoke")
def revoke_keys(
    ctx: Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="As `keys list` shows them.")],
) -> None:
    """Revoke keys: the gateway refuses them within a second."""
    for key_id in ids:
        ctx.obj.client.delete("gateway", f"/v1/api-keys/{key_id}")
    ctx.obj.answer({"revoked": ids}, *(output.cell(f"{key_id} is revoked") for key_id in ids))


def _show_key(ctx: Context, created: Json) -> None:
    # Stdout holds the key alone, so that $(sentineliq keys create) works.
    ctx.obj.answer(created, output.cell(created["key"]))
    key = created["api_key"]
    until = output.format_time(key["expires_at"])
    output.print_note(f"{key['id']}: {key['role']} of {key['tenant']}, until {until}")
