"""`sentineliq inhibitions`."""

from typing import Annotated

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.context import CommandContext, CommandGroup, Context
from sentineliq.cli.parameters import without_none

inhibitions = CommandGroup("Inhibitions: what is held while something else fires.")

_PATH = "/v1/inhibitions"
_COLUMNS = ("name", "enabled", "what", "seconds", "author", "id")

InhibitionReference = Annotated[
    str, typer.Argument(metavar="INHIBITION", help="The inhibition's name or id.")
]
SourceFilter = Annotated[
    str | None,
    typer.Option("--source", help="The matches that make it fire, e.g. 'rule.name == \"Ours\"'."),
]
TargetFilter = Annotated[
    str | None,
    typer.Option("--target", help="The matches that it holds, e.g. 'rule.severity == \"low\"'."),
]
RequiredSource = Annotated[
    str,
    typer.Option("--source", help="The matches that make it fire, e.g. 'rule.name == \"Ours\"'."),
]
RequiredTarget = Annotated[
    str,
    typer.Option("--target", help="The matches that it holds, e.g. 'rule.severity == \"low\"'."),
]
Equal = Annotated[
    list[str] | None,
    typer.Option(
        help="A field that both have to have in common, e.g. observable.value; you may repeat "
        "this option. `any` empties the list."
    ),
]
HoldSeconds = Annotated[
    int | None, typer.Option(min=10, help="How long it holds after what made it fire last.")
]


@inhibitions.command("list")
def list_inhibitions(ctx: Context) -> None:
    """List inhibitions by name."""
    documents = list(ctx.obj.client.items("notifications", _PATH))
    rows = [
        (
            each["name"],
            each["enabled"],
            each["sentence"],
            each["hold_seconds"],
            each["author"],
            each["id"],
        )
        for each in documents
    ]
    ctx.obj.answer(documents, output.table(_COLUMNS, rows, empty="no inhibitions"))


@inhibitions.command("show")
def show_inhibition(ctx: Context, inhibition: InhibitionReference) -> None:
    """Show an inhibition, and what it holds now."""
    item = ctx.obj.client.resolve("notifications", _PATH, inhibition)
    document = ctx.obj.client.get("notifications", f"{_PATH}/{item.id}")
    ctx.obj.answer(document, output.details(document))


@inhibitions.command("add")
def add_inhibition(
    ctx: Context,
    name: Annotated[str, typer.Argument(help="What the inhibition is called.")],
    *,
    source: RequiredSource,
    target: RequiredTarget,
    equal: Equal = None,
    hold_seconds: HoldSeconds = None,
    disabled: Annotated[bool, typer.Option(help="Leave it switched off for now.")] = False,
) -> None:
    """Hold what one filter matches while another fires."""
    body = _body(name, source, target, equal, hold_seconds)
    if disabled:
        body["enabled"] = False
    document = ctx.obj.client.post("notifications", _PATH, body)
    ctx.obj.answer(document, output.details(document))


@inhibitions.command("edit")
def edit_inhibition(
    ctx: Context,
    inhibition: InhibitionReference,
    *,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    source: SourceFilter = None,
    target: TargetFilter = None,
    equal: Equal = None,
    hold_seconds: HoldSeconds = None,
) -> None:
    """Change an inhibition; what you do not name stays."""
    changes = _body(name, source, target, equal, hold_seconds)
    if not changes:
        raise typer.BadParameter("name at least one setting to change")
    item = ctx.obj.client.resolve("notifications", _PATH, inhibition)
    document = ctx.obj.client.patch("notifications", f"{_PATH}/{item.id}", changes)
    ctx.obj.answer(document, output.details(document))


@inhibitions.command("enable")
def enable_inhibition(ctx: Context, inhibition: InhibitionReference) -> None:
    """Enable an inhibition."""
    _switch(ctx.obj, inhibition, enabled=True)


@inhibitions.command("disable")
def disable_inhibition(ctx: Context, inhibition: InhibitionReference) -> None:
    """Disable an inhibition; it holds nothing any more."""
    _switch(ctx.obj, inhibition, enabled=False)


@inhibitions.command("delete")
def delete_inhibition(ctx: Context, inhibition: InhibitionReference) -> None:
    """Delete an inhibition; what it holds is told now."""
    item = ctx.obj.client.resolve("notifications", _PATH, inhibition)
    ctx.obj.client.delete("notifications", f"{_PATH}/{item.id}")
    ctx.obj.answer({"deleted": item.id}, output.cell(f"{item.name} is deleted"))


@inhibitions.command("preview")
def preview_inhibition(
    ctx: Context,
    *,
    source: RequiredSource,
    target: RequiredTarget,
    equal: Equal = None,
    hold_seconds: HoldSeconds = None,
    hours: Annotated[int, typer.Option(min=1, max=168, help="How far to look back.")] = 24,
) -> None:
    """Show what an inhibition would have held lately."""
    inhibition = _body("preview", source, target, equal, hold_seconds)
    body: Json = {"inhibition": inhibition, "hours": hours}
    document = ctx.obj.client.post("notifications", f"{_PATH}/preview", body)
    pairs = {name: value for name, value in document.items() if name != "examples"}
    ctx.obj.answer(document, output.details(pairs))


def _body(
    name: str | None,
    source: str | None,
    target: str | None,
    equal: list[str] | None,
    hold_seconds: int | None,
) -> Json:
    values: Json = {
        "name": name,
        "source_filter": source,
        "target_filter": target,
        "hold_seconds": hold_seconds,
    }
    body = without_none(values)
    if equal:
        body["equal"] = [] if equal == ["any"] else equal
    return body


def _switch(context: CommandContext, reference: str, *, enabled: bool) -> None:
    item = context.client.resolve("notifications", _PATH, reference)
    changed = context.client.patch("notifications", f"{_PATH}/{item.id}", {"enabled": enabled})
    context.answer(changed, output.cell(f"{changed['name']} is {'on' if enabled else 'off'}"))
