"""`sentineliq lists list|show|add|change|delete|release|protect`: what lists select."""

from typing import Annotated, Any, Final

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.commands.lists.references import ListReference, Value, list_id
from sentineliq.cli.context import CommandGroup, Context
from sentineliq.cli.parameters import without_none
from shared.errors import InvalidInput

setting_commands = CommandGroup()

_PATH: Final = "/v1/lists"
_PROTECTED: Final = "/v1/protected-values"
_COLUMNS: Final = ("name", "state", "entries", "refused", "version", "filter")

Capacity = Annotated[int | None, typer.Option(min=1, help="The most entries.")]
Order = Annotated[str | None, typer.Option(help="The order in files: score or value.")]
Profile = Annotated[
    str | None, typer.Option(help="How wide a network may be: strict, standard or wide.")
]
Ceiling = Annotated[str | None, typer.Option("--tlp", help="The strictest marking of an entry.")]
Grace = Annotated[
    int | None, typer.Option(min=0, help="Seconds that an entry stays after it faded.")
]
Growth = Annotated[
    int | None, typer.Option(min=0, help="Per cent of growth that stop the list; 0 for any.")
]
Shrink = Annotated[
    int | None, typer.Option(min=0, help="Per cent of loss that stop the list; 0 for any.")
]
Description = Annotated[str | None, typer.Option(help="What it is for.")]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--format-option",
        metavar="FORMAT.NAME=VALUE",
        help="An option of a format, such as rpz.zone=rpz.example.com; you may repeat this option.",
    ),
]
Collection = Annotated[
    bool | None, typer.Option("--collection/--no-collection", help="Offer it over TAXII.")
]


@setting_commands.command("list")
def list_lists(ctx: Context) -> None:
    """List the tenant's lists, by name."""
    documents = list(ctx.obj.client.items("observables", _PATH))
    rows = output.table(_COLUMNS, map(_row, documents), empty="no lists yet")
    ctx.obj.answer(documents, rows)


def _row(document: Json) -> tuple[Any, ...]:
    return (
        document["name"],
        document["state"] if document["is_filled"] else "filling",
        f"{document['members']:,}",
        output.format_counts(document["refused"]),
        document["published_version"],
        document["filter"],
    )


@setting_commands.command("show")
def show_list(ctx: Context, name: ListReference) -> None:
    """Show a list: what it selects, refuses, and why it is stopped."""
    document = ctx.obj.client.get("observables", f"{_PATH}/{list_id(ctx.obj, name)}")
    ctx.obj.answer(document, output.details(document))


@setting_commands.command("add")
def add_list(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    name: Annotated[str, typer.Argument(help="Letters, digits, - and _.")],
    filter_: Annotated[str, typer.Argument(metavar="FILTER", help="Which observables.")],
    *,
    description: Description = None,
    order: Order = None,
    capacity: Capacity = None,
    profile: Profile = None,
    tlp: Ceiling = None,
    grace: Grace = None,
    max_growth: Growth = None,
    max_shrink: Shrink = None,
    format_option: Options = None,
    collection: Collection = None,
) -> None:
    """Add a list; its entries are selected within seconds."""
    body = {"name": name, "filter": filter_, **_limits(max_growth, max_shrink)}
    body |= _fields(description, order, capacity, profile, tlp, grace, format_option, collection)
    document = ctx.obj.client.post("observables", _PATH, body)
    ctx.obj.answer(document, output.details(document))


@setting_commands.command("change")
def change_list(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    list_: ListReference,
    *,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    filter_: Annotated[str | None, typer.Option("--filter", help="Which observables.")] = None,
    description: Description = None,
    order: Order = None,
    capacity: Capacity = None,
    profile: Profile = None,
    tlp: Ceiling = None,
    grace: Grace = None,
    max_growth: Growth = None,
    max_shrink: Shrink = None,
    format_option: Options = None,
    collection: Collection = None,
    unlimited: Annotated[
        bool, typer.Option("--unlimited", help="Let it have any number of entries.")
    ] = False,
) -> None:
    """Change a list; its entries are selected anew where needed."""
    body = without_none({"name": name, "filter": filter_}) | _limits(max_growth, max_shrink)
    body |= _fields(description, order, capacity, profile, tlp, grace, format_option, collection)
    if unlimited:
        body["capacity"] = None
    if not body:
        raise typer.BadParameter("name at least one setting to change")
    document = ctx.obj.client.patch("observables", f"{_PATH}/{list_id(ctx.obj, list_)}", body)
    ctx.obj.answer(document, output.details(document))


def _fields(  # noqa: PLR0913, PLR0917  # the options of two commands
    description: str | None,
    order: str | None,
    capacity: int | None,
    profile: str | None,
    tlp: str | None,
    grace: int | None,
    options: list[str] | None,
    collection: bool | None,
) -> Json:
    """The fields as the API takes them; options that were not used are left out."""
    return without_none(
        {
            "description": description,
            "order_by": order,
            "capacity": capacity,
            "profile": profile,
            "tlp_ceiling": tlp,
            "grace_seconds": grace,
            "format_options": _format_options(options),
            "is_collection": collection,
        }
    )


def _limits(growth: int | None, shrink: int | None) -> Json:
    """The limits of growth and loss; 0 stands for none."""
    limits = without_none({"max_growth": growth, "max_shrink": shrink})
    return {name: value or None for name, value in limits.items()}


def _format_options(options: list[str] | None) -> dict[str, dict[str, str]] | None:
    if options is None:
        return None
    by_format: dict[str, dict[str, str]] = {}
    for option in options:
        place, is_set, value = option.partition("=")
        format_, is_named, name = place.partition(".")
        if not is_set or not is_named:
            raise InvalidInput(f"{option!r} is not FORMAT.NAME=VALUE", field="format_options")
        by_format.setdefault(format_, {})[name] = value
    return by_format


@setting_commands.command("delete")
def delete_list(ctx: Context, name: ListReference) -> None:
    """Delete a list with its history."""
    identity = list_id(ctx.obj, name)
    ctx.obj.client.delete("observables", f"{_PATH}/{identity}")
    ctx.obj.answer({"deleted": identity}, output.cell(f"{name} is deleted"))


@setting_commands.command("release")
def release_list(ctx: Context, name: ListReference) -> None:
    """Let the newest version of a stopped list leave."""
    document = ctx.obj.client.post("observables", f"{_PATH}/{list_id(ctx.obj, name)}/release")
    ctx.obj.answer(document, output.details(document))


@setting_commands.command("protected")
def list_protected(ctx: Context) -> None:
    """List the names and networks that no list may have."""
    documents = ctx.obj.client.get("observables", _PROTECTED)
    rows = [(each["value"], each["note"], each["created_by"]) for each in documents]
    columns = ("value", "note", "by")
    ctx.obj.answer(documents, output.table(columns, rows, empty="nothing is protected"))


@setting_commands.command("protect")
def protect_value(
    ctx: Context,
    value: Value,
    *,
    note: Annotated[str | None, typer.Option(help="Why.")] = None,
) -> None:
    """Keep a name and all below it, or a network, out of all lists."""
    body = {"value": value, **without_none({"note": note})}
    document = ctx.obj.client.post("observables", _PROTECTED, body)
    ctx.obj.answer(document, output.cell(f"{document['value']} is protected"))


@setting_commands.command("unprotect")
def unprotect_value(ctx: Context, value: Value) -> None:
    """Protect a name or network no more."""
    ctx.obj.client.call("DELETE", "observables", _PROTECTED, {"value": value})
    ctx.obj.answer({"unprotected": value}, output.cell(f"{value} is protected no more"))
