"""`sentineliq lists entries|changes|diff|why`: what lists have, had, and why."""

from typing import Annotated, Final

import typer
from rich.console import RenderableType

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.commands.lists.references import ListReference, Value, list_id
from sentineliq.cli.context import CommandGroup, Context

version_commands = CommandGroup()

_PATH: Final = "/v1/lists"
_ENTRY_COLUMNS: Final = ("value", "type", "score", "since", "leaves")
_CHANGE_COLUMNS: Final = ("version", "time", "kind", "value", "score", "reason")


@version_commands.command("entries")
def list_entries(
    ctx: Context,
    name: ListReference,
    *,
    as_of: Annotated[
        str | None, typer.Option(help="As of this moment, such as 2026-11-30T12:00:00Z.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1_000,
) -> None:
    """List the entries of the published version, or as of a moment."""
    path = f"{_PATH}/{list_id(ctx.obj, name)}/entries"
    documents = list(ctx.obj.client.items("observables", path, most=limit, as_of=as_of))
    rows = [
        (
            entry["value"],
            entry["type"],
            entry["score"],
            output.format_time(entry["joined_at"]),
            output.format_time(entry["leaves_at"]),
        )
        for entry in documents
    ]
    ctx.obj.answer(documents, output.table(_ENTRY_COLUMNS, rows, empty="no entries"))


@version_commands.command("changes")
def list_changes(
    ctx: Context,
    name: ListReference,
    *,
    after: Annotated[int, typer.Option(min=0, help="Behind this version.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="At most so many.")] = 100,
) -> None:
    """List what joined and left behind a version, in order."""
    path = f"{_PATH}/{list_id(ctx.obj, name)}/changes"
    page = ctx.obj.client.get("observables", path, after=after, limit=limit)
    ctx.obj.answer(page, _changes_table(page["items"]))


@version_commands.command("diff")
def compare_versions(
    ctx: Context,
    name: ListReference,
    before: Annotated[int, typer.Argument(min=0, help="A version.")],
    after: Annotated[int, typer.Argument(min=0, help="A later version.")],
) -> None:
    """Compare two versions of a list."""
    path = f"{_PATH}/{list_id(ctx.obj, name)}/diff"
    difference = ctx.obj.client.get("observables", path, before=before, after=after)
    ctx.obj.answer(difference, _changes_table([*difference["joined"], *difference["left"]]))


def _changes_table(changes: list[Json]) -> RenderableType:
    rows = [
        (
            change["number"],
            output.format_time(change["changed_at"]),
            change["kind"],
            change["value"],
            change["score"],
            change["reason"],
        )
        for change in changes
    ]
    return output.table(_CHANGE_COLUMNS, rows, empty="no changes")


@version_commands.command("why")
def explain_value(ctx: Context, name: ListReference, value: Value) -> None:
    """Say why a value is in a list or not, and since when."""
    path = f"{_PATH}/{list_id(ctx.obj, name)}/why"
    answer = ctx.obj.client.get("observables", path, value=value)
    blocks = [
        output.cell(answer["sentence"]),
        output.details(
            {
                "state": answer["state"],
                "since": output.format_time(answer["since"]),
                "leaves": output.format_time(answer["leaves_at"]),
                "score": answer["score"],
            }
        ),
        _changes_table(answer["changes"]),
    ]
    ctx.obj.answer(answer, *blocks)
