"""`sentineliq collections`: collections themselves."""

from typing import Annotated, Any, Final

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.context import CommandContext, CommandGroup, Context
from sentineliq.cli.parameters import without_none
from shared.errors import NotFound

collections = CommandGroup("Collections: STIX objects that others poll over TAXII 2.1.")

_PATH: Final = "/v1/collections"
_COLUMNS: Final = ("title", "filled by", "tlp", "objects", "last added", "path")

CollectionReference = Annotated[
    str, typer.Argument(metavar="COLLECTION", help="The collection's title or id.")
]


@collections.command("list")
def list_collections(ctx: Context) -> None:
    """List the tenant's collections, the oldest first."""
    documents = ctx.obj.client.get("observables", _PATH)
    empty = "no collections yet"
    ctx.obj.answer(documents, output.table(_COLUMNS, map(_row, documents), empty=empty))


def _row(collection: Json) -> tuple[Any, ...]:
    return (
        collection["title"],
        "clients" if collection["is_writable"] else "a list",
        collection["tlp"],
        f"{collection['object_count']:,}",
        output.format_time(collection["last_added"]),
        collection["path"],
    )


@collections.command("show")
def show_collection(ctx: Context, collection: CollectionReference) -> None:
    """Show a collection, with its path in TAXII."""
    document = find_collection(ctx.obj, collection)
    ctx.obj.answer(document, output.details(document))


@collections.command("add")
def add_collection(
    ctx: Context,
    title: Annotated[str, typer.Argument(help="Its title, unique in the tenant.")],
    *,
    from_list: Annotated[
        str | None,
        typer.Option("--list", metavar="ID", help="Fill it with the entries of this list."),
    ] = None,
    writable: Annotated[
        bool, typer.Option("--writable", help="Let clients add objects and delete them.")
    ] = False,
    description: Annotated[str | None, typer.Option(help="What it is, for its readers.")] = None,
    tlp: Annotated[
        str | None, typer.Option(help="The strictest marking of an object in it.")
    ] = None,
    empty_list: Annotated[
        bool, typer.Option("--empty-list", help="Answer an empty list where nothing is new.")
    ] = False,
) -> None:
    """Add a collection that a list fills, or that clients write into.

    Name --list or --writable.
    """
    body = {"title": title, "is_writable": writable, "has_empty_list": empty_list}
    body |= without_none({"list_id": from_list, "description": description, "tlp": tlp})
    document = ctx.obj.client.post("observables", _PATH, body)
    ctx.obj.answer(document, output.details(document))


@collections.command("change")
def change_collection(
    ctx: Context,
    collection: CollectionReference,
    *,
    title: Annotated[str | None, typer.Option(help="A new title.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is, for its readers.")] = None,
    empty_list: Annotated[
        bool | None,
        typer.Option(
            "--empty-list/--no-empty-list", help="What a client gets where nothing is new."
        ),
    ] = None,
) -> None:
    """Change a collection."""
    changes = without_none(
        {"title": title, "description": description, "has_empty_list": empty_list}
    )
    if not changes:
        raise typer.BadParameter("name at least one setting to change")
    document = find_collection(ctx.obj, collection)
    changed = ctx.obj.client.patch("observables", f"{_PATH}/{document['id']}", changes)
    ctx.obj.answer(changed, output.details(changed))


@collections.command("delete")
def delete_collection(ctx: Context, collection: CollectionReference) -> None:
    """Delete a collection with everything in it.

    Its readers keep what they have.
    """
    document = find_collection(ctx.obj, collection)
    ctx.obj.client.delete("observables", f"{_PATH}/{document['id']}")
    ctx.obj.answer({"deleted": document["id"]}, output.cell(f"{document['title']} is deleted"))


def find_collection(context: CommandContext, reference: str) -> Json:
    """A collection of the tenant, by its title or id.

    Raises:
        NotFound: there is none.
    """
    documents: list[Json] = context.client.get("observables", _PATH)
    for document in documents:
        if reference in (document["id"], document["title"]):
            return document
    raise NotFound(f"there is no collection {reference!r} in the tenant {context.tenant}")
