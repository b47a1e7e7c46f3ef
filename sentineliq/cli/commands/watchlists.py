"""`sentineliq watchlists`."""

from pathlib import Path
from typing import Annotated

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.context import CommandGroup, Context
from sentineliq.cli.parameters import read_upload, without_none

watchlists = CommandGroup("Watchlists: own networks, domains, brands for filters.")

_PATH = "/v1/watchlists"
_COLUMNS = ("name", "entries", "description", "id")
_ENTRY_COLUMNS = ("value", "kind", "note")

WatchlistReference = Annotated[
    str, typer.Argument(metavar="WATCHLIST", help="The watchlist's name or id.")
]
Values = Annotated[list[str], typer.Argument(metavar="VALUE...", help="The values.")]
Kind = Annotated[
    str | None,
    typer.Option(help="What the values are, such as network, domain or brand; else it is guessed."),
]
Note = Annotated[str | None, typer.Option(help="A note on each.")]


@watchlists.command("list")
def list_watchlists(ctx: Context) -> None:
    """List watchlists by name."""
    documents = list(ctx.obj.client.items("notifications", _PATH))
    rows = [
        (each["name"], each.get("entry_count"), each.get("description"), each["id"])
        for each in documents
    ]
    ctx.obj.answer(documents, output.table(_COLUMNS, rows, empty="no watchlists"))


@watchlists.command("show")
def show_watchlist(ctx: Context, watchlist: WatchlistReference) -> None:
    """Show a watchlist."""
    document = ctx.obj.client.find("notifications", _PATH, watchlist)
    ctx.obj.answer(document, output.details(document))


@watchlists.command("add")
def add_watchlist(
    ctx: Context,
    name: Annotated[str, typer.Argument(help="What filters call it.")],
    *,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
) -> None:
    """Add an empty watchlist."""
    body = without_none({"name": name, "description": description})
    document = ctx.obj.client.post("notifications", _PATH, body)
    ctx.obj.answer(document, output.details(document))


@watchlists.command("edit")
def edit_watchlist(
    ctx: Context,
    watchlist: WatchlistReference,
    *,
    description: Annotated[str, typer.Option(help="What it is for.")],
) -> None:
    """Change the description of a watchlist."""
    item = ctx.obj.client.resolve("notifications", _PATH, watchlist)
    body: Json = {"description": description}
    document = ctx.obj.client.patch("notifications", f"{_PATH}/{item.id}", body)
    ctx.obj.answer(document, output.details(document))


@watchlists.command("delete")
def delete_watchlist(ctx: Context, watchlist: WatchlistReference) -> None:
    """Delete a watchlist that no filter refers to."""
    item = ctx.obj.client.resolve("notifications", _PATH, watchlist)
    ctx.obj.client.delete("notifications", f"{_PATH}/{item.id}")
    ctx.obj.answer({"deleted": item.id}, output.cell(f"{item.name} is deleted"))


@watchlists.command("entries")
def list_entries(
    ctx: Context,
    watchlist: WatchlistReference,
    *,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 100,
) -> None:
    """List the entries of a watchlist by kind and value."""
    item = ctx.obj.client.resolve("notifications", _PATH, watchlist)
    path = f"{_PATH}/{item.id}/entries"
    documents = list(ctx.obj.client.items("notifications", path, most=limit))
    rows = [(each["value"], each["kind"], each["note"]) for each in documents]
    ctx.obj.answer(documents, output.table(_ENTRY_COLUMNS, rows, empty="no entries"))


@watchlists.command("put")
def add_entries(
    ctx: Context,
    watchlist: WatchlistReference,
    entries: Values,
    *,
    kind: Kind = None,
    note: Note = None,
) -> None:
    """Put values into a watchlist."""
    _send_entries(ctx, watchlist, "entries", entries, kind, note)


@watchlists.command("remove")
def remove_entries(
    ctx: Context, watchlist: WatchlistReference, entries: Values, *, kind: Kind = None
) -> None:
    """Take values out of a watchlist."""
    _send_entries(ctx, watchlist, "entries/remove", entries, kind, None)


def _send_entries(  # what the two commands share
    ctx: Context, watchlist: str, verb: str, entries: list[str], kind: str | None, note: str | None
) -> None:
    item = ctx.obj.client.resolve("notifications", _PATH, watchlist)
    details = without_none({"kind": kind, "note": note})
    body: Json = {"entries": [{"value": value, **details} for value in entries]}
    document = ctx.obj.client.post("notifications", f"{_PATH}/{item.id}/{verb}", body)
    ctx.obj.answer(document, output.details(document))


@watchlists.command("import")
def import_csv(
    ctx: Context,
    watchlist: WatchlistReference,
    csv: Annotated[Path, typer.Argument(help="A CSV file: value, kind, note.")],
    *,
    replace: Annotated[bool, typer.Option(help="Replace all entries by the file's.")] = False,
) -> None:
    """Add the entries of a CSV file. One wrong row changes nothing."""
    item = ctx.obj.client.resolve("notifications", _PATH, watchlist)
    try:
        text = read_upload(csv).decode()
    except UnicodeDecodeError:
        raise typer.BadParameter("the file is not UTF-8", param_hint="CSV") from None
    body: Json = {"csv": text, "replace": replace}
    document = ctx.obj.client.post("notifications", f"{_PATH}/{item.id}/import", body)
    ctx.obj.answer(document, output.details(document))
