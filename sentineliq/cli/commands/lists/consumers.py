"""`sentineliq lists consumers|holders|formats`: devices and tools that poll lists."""

from typing import Annotated, Any, Final

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.commands.lists.references import Value, list_id
from sentineliq.cli.context import CommandContext, CommandGroup, Context
from sentineliq.cli.parameters import without_none

consumers = CommandGroup("Devices and tools that poll lists, each with a token.")
holder_commands = CommandGroup()

_PATH: Final = "/v1/list-consumers"
_COLUMNS: Final = ("name", "list", "format", "polled", "version", "newest", "entries", "lag")

ConsumerReference = Annotated[
    str, typer.Argument(metavar="CONSUMER", help="The consumer's name or id.")
]
ListNames = Annotated[
    list[str] | None,
    typer.Option("--list", help="A list that it may poll; you may repeat this option."),
]
Networks = Annotated[
    list[str] | None,
    typer.Option("--network", help="From which it may poll; you may repeat this option."),
]
Silence = Annotated[
    int | None, typer.Option(min=60, help="Seconds without a poll, after which there is an event.")
]


@consumers.command("list")
def list_consumers(ctx: Context) -> None:
    """List the consumers, with what each has of its lists."""
    documents = list(ctx.obj.client.items("observables", _PATH))
    rows = [row for document in documents for row in _rows(document)]
    ctx.obj.answer(documents, output.table(_COLUMNS, rows, empty="no consumers yet"))


def _rows(consumer: Json) -> list[tuple[Any, ...]]:
    state = "revoked" if consumer["revoked_at"] else "never"
    if not consumer["polls"]:
        return [(consumer["name"], "", "", state, "", "", "", "")]
    return [
        (
            consumer["name"],
            poll["list"],
            poll["format"],
            output.format_time(poll["polled_at"]),
            poll["version"],
            poll["published_version"],
            f"{poll['entries']:,}",
            f"{poll['lag_seconds']:.0f} s",
        )
        for poll in consumer["polls"]
    ]


@consumers.command("show")
def show_consumer(ctx: Context, consumer: ConsumerReference) -> None:
    """Show a consumer."""
    path = f"{_PATH}/{_id(ctx.obj, consumer)}"
    document = ctx.obj.client.get("observables", path)
    ctx.obj.answer(document, output.details(document))


@consumers.command("add")
def add_consumer(
    ctx: Context,
    name: Annotated[str, typer.Argument(help="Its name.")],
    *,
    list_: Annotated[
        list[str],
        typer.Option("--list", help="A list that it may poll; you may repeat this option."),
    ],
    network: Networks = None,
    silent_after: Silence = None,
) -> None:
    """Add a consumer, and show its token this once."""
    ids = [list_id(ctx.obj, each) for each in list_]
    body = {"name": name, "list_ids": ids}
    body |= without_none({"networks": network, "silent_after_seconds": silent_after})
    document = ctx.obj.client.post("observables", _PATH, body)
    ctx.obj.answer(document, output.details(document))


@consumers.command("change")
def change_consumer(
    ctx: Context,
    consumer: ConsumerReference,
    *,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    list_: ListNames = None,
    network: Networks = None,
    silent_after: Silence = None,
) -> None:
    """Change a consumer; its token stays."""
    body = without_none({"name": name, "networks": network, "silent_after_seconds": silent_after})
    if list_:
        body["list_ids"] = [list_id(ctx.obj, each) for each in list_]
    if not body:
        raise typer.BadParameter("name at least one setting to change")
    document = ctx.obj.client.patch("observables", f"{_PATH}/{_id(ctx.obj, consumer)}", body)
    ctx.obj.answer(document, output.details(document))


@consumers.command("renew")
def renew_token(ctx: Context, consumer: ConsumerReference) -> None:
    """Give a consumer another token; the old one ends."""
    document = ctx.obj.client.post("observables", f"{_PATH}/{_id(ctx.obj, consumer)}/token")
    ctx.obj.answer(document, output.details(document))


@consumers.command("revoke")
def revoke_token(ctx: Context, consumer: ConsumerReference) -> None:
    """Refuse a consumer's token from now on."""
    document = ctx.obj.client.post("observables", f"{_PATH}/{_id(ctx.obj, consumer)}/revoke")
    ctx.obj.answer(document, output.details(document))


@consumers.command("delete")
def delete_consumer(ctx: Context, consumer: ConsumerReference) -> None:
    """Delete a consumer."""
    consumer_id = _id(ctx.obj, consumer)
    ctx.obj.client.delete("observables", f"{_PATH}/{consumer_id}")
    ctx.obj.answer({"deleted": consumer_id}, output.cell(f"{consumer} is deleted"))


@holder_commands.command("holders")
def list_holders(ctx: Context, value: Value) -> None:
    """List the consumers that still have a value."""
    answer = ctx.obj.client.get("observables", f"{_PATH}/holders", value=value)
    rows = [
        (
            each["consumer"],
            each["list"],
            each["format"],
            each["version"],
            output.format_time(each["polled_at"]),
        )
        for each in answer["holders"]
    ]
    columns = ("consumer", "list", "format", "version", "polled")
    ctx.obj.answer(answer, output.table(columns, rows, empty="no consumer has it"))


@holder_commands.command("formats")
def show_formats(ctx: Context) -> None:
    """List the formats in which lists can be polled."""
    documents = ctx.obj.client.get("observables", "/v1/list-formats")
    rows = [(each["name"], each["summary"], ", ".join(each["options"])) for each in documents]
    columns = ("format", "what it is", "options")
    ctx.obj.answer(documents, output.table(columns, rows, empty="no formats"))


def _id(context: CommandContext, reference: str) -> str:
    return context.client.resolve("observables", _PATH, reference).id
