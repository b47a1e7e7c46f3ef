"""`sentineliq members` and `sentineliq invite`."""

from typing import Annotated

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.context import CommandGroup, Context
from shared.errors import NotFound
from shared.tokens import RoleName

members = CommandGroup("Members of the tenant: list, change, remove.")
invite = CommandGroup()

_COLUMNS = ("login", "name", "role", "since", "state")
Login = Annotated[str, typer.Argument(metavar="LOGIN", help="As `members list` shows it.")]


@members.command("list")
def list_members(ctx: Context) -> None:
    """List the members of the tenant."""
    items = list(ctx.obj.client.items("gateway", "/v1/members"))
    rows = [
        (
            item["login"],
            item["name"],
            item["role"],
            output.format_time(item["created_at"]),
            "active" if item["is_active"] else "frozen",
        )
        for item in items
    ]
    ctx.obj.answer(items, output.table(_COLUMNS, rows, empty="the tenant has no member yet"))


@members.command("change")
def change_member(
    ctx: Context,
    login: Login,
    *,
    role: Annotated[RoleName | None, typer.Option(help="The new role.")] = None,
    frozen: Annotated[
        bool | None, typer.Option("--freeze/--unfreeze", help="Whether the member may act.")
    ] = None,
) -> None:
    """Change a member's role, or freeze the member."""
    member = _find(ctx.obj.client, login)
    values = {"role": role, "frozen": frozen}
    body = {name: value for name, value in values.items() if value is not None}
    changed = ctx.obj.client.patch("gateway", f"/v1/members/{member['person_id']}", body)
    state = "" if changed["is_active"] else ", frozen"
    ctx.obj.answer(changed, output.cell(f"{login}: {changed['role']}{state}"))


@members.command("remove")
def remove_member(ctx: Context, login: Login) -> None:
    """End a membership; sessions and keys act in the tenant no more."""
    member = _find(ctx.obj.client, login)
    ctx.obj.client.delete("gateway", f"/v1/members/{member['person_id']}")
    ctx.obj.answer({"removed": login}, output.cell(f"{login} is no member any more"))


@members.command("reset")
def let_reset(ctx: Context, login: Login) -> None:
    """Print a link with which a member chooses a new password."""
    member = _find(ctx.obj.client, login)
    created = ctx.obj.client.post("gateway", f"/v1/members/{member['person_id']}/reset")
    _show_link(ctx, created)


@invite.command("invite")
def invite_person(
    ctx: Context,
    login: Annotated[
        str | None,
        typer.Argument(metavar="[LOGIN]", help="Only this login may accept it."),
    ] = None,
    *,
    role: Annotated[RoleName, typer.Option(help="What the person may do.")] = "viewer",
    hours: Annotated[int, typer.Option(min=1, max=720, help="How long the link is valid.")] = 168,
) -> None:
    """Print a link that makes a person a member of the tenant."""
    body = {"role": role, "login": login, "minutes": hours * 60}
    _show_link(ctx, ctx.obj.client.post("gateway", "/v1/invitations", body))


def _show_link(ctx: Context, created: Json) -> None:
    # Stdout holds the link alone, so that $(sentineliq invite) works.
    ctx.obj.answer(created, output.cell(created["link"]))
    invitation = created["invitation"]
    until = output.format_time(invitation["expires_at"])
    output.print_note(f"{invitation['role']} of {invitation['tenant']}; valid once, until {until}")


def _find(client: Client, login: str) -> Json:
    for item in client.items("gateway", "/v1/members"):
        if item["login"] == login.lower():
            return item
    raise NotFound(f"the tenant has no member {login}")
