"""`sentineliq sessions`."""

from typing import Annotated

import typer

from sentineliq.cli import output
from sentineliq.cli.context import CommandGroup, Context

sessions = CommandGroup("Your sessions: where you are signed in.")

_COLUMNS = ("id", "where", "how", "address", "since", "last used", "")


@sessions.command("list")
def list_sessions(ctx: Context) -> None:
    """List your open sessions."""
    items = ctx.obj.client.get("gateway", "/v1/sessions")
    rows = [
        (
            item["id"],
            item["kind"],
            " ".join(item["methods"]),
            item["address"],
            output.format_time(item["created_at"]),
            output.format_time(item["seen_at"]),
            "this one" if item["is_current"] else "",
        )
        for item in items
    ]
    ctx.obj.answer(items, output.table(_COLUMNS, rows, empty="you have no open session"))


@sessions.command("end")
def end_sessions(
    ctx: Context,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="As `sessions list` shows them.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="End all, this one too.")] = False,
) -> None:
    """End some of your sessions, or all."""
    if every:
        ended = ctx.obj.client.call("DELETE", "gateway", "/v1/sessions", {})["ended"]
        ctx.obj.answer({"ended": ended}, output.cell(f"{ended} sessions are ended"))
        return
    if not ids:
        raise typer.BadParameter("name sessions, or give --all", param_hint="ID")
    for session_id in ids:
        ctx.obj.client.delete("gateway", f"/v1/sessions/{session_id}")
    ctx.obj.answer({"ended": len(ids)}, output.cell(f"{len(ids)} sessions are ended"))
