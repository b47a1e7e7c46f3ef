"""`sentineliq collections pushes`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.client.format_options import parse_options
from sentineliq.cli.commands.collections.settings import find_collection
from sentineliq.cli.context import CommandContext, CommandGroup, Context
from sentineliq.cli.parameters import without_none
from shared.errors import NotFound

pushes = CommandGroup("Pushes: what a collection gets is sent to another system.")

_PATH: Final = "/v1/pushes"
_COLUMNS: Final = ("name", "to", "collection", "sent", "refused", "behind", "last sent", "state")

PushReference = Annotated[str, typer.Argument(metavar="PUSH", help="The push's name or id.")]
Option = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Say where to: url of taxii; servers, topic, tls and mechanism of kafka; you may "
        "repeat this option.",
    ),
]
Credentials = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A JSON file with username and password, or token; - reads the input.",
    ),
]


@pushes.command("list")
def list_pushes(ctx: Context) -> None:
    """List the tenant's pushes, how far each is, and which fail."""
    documents = ctx.obj.client.get("observables", _PATH)
    ctx.obj.answer(documents, output.table(_COLUMNS, map(_row, documents), empty="no pushes yet"))


def _row(push: Json) -> tuple[Any, ...]:
    state = "on" if push["enabled"] else "off"
    if push["error"]:
        state = f"fails: {push['error'].get('message', '')}"
    return (
        push["name"],
        push["kind"],
        push["collection_id"],
        f"{push['pushed_count']:,}",
        f"{push['refused_count']:,}",
        f"{push['behind']:,}",
        output.format_time(push["pushed_at"]),
        state,
    )


@pushes.command("show")
def show_push(ctx: Context, push: PushReference) -> None:
    """Show a push, with the reason why its last attempt failed."""
    document = _resolve(ctx.obj, push)
    ctx.obj.answer(document, output.details(document))


@pushes.command("add")
def add_push(
    ctx: Context,
    name: Annotated[str, typer.Argument(help="What the push is called.")],
    collection: Annotated[str, typer.Argument(help="The title or id of what is pushed.")],
    kind: Annotated[str, typer.Argument(help="Where to: taxii or kafka.")],
    *,
    option: Option = None,
    credentials: Credentials = None,
    disabled: Annotated[bool, typer.Option(help="Add it without starting it.")] = False,
) -> None:
    """Push a collection to another system.

    All of it is sent first, then what is new.
    """
    source = find_collection(ctx.obj, collection)
    body: Json = {"name": name, "collection_id": source["id"], "kind": kind}
    body |= {"config": parse_options(option or []), "enabled": not disabled}
    body |= without_none({"credentials": _read_credentials(credentials)})
    document = ctx.obj.client.post("observables", _PATH, body)
    ctx.obj.answer(document, output.details(document))


@pushes.command("change")
def change_push(
    ctx: Context,
    push: PushReference,
    *,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    option: Option = None,
    credentials: Credentials = None,
    disabled: Annotated[
        bool | None, typer.Option("--disabled/--enabled", help="Stop it, or let it go on.")
    ] = None,
) -> None:
    """Change a push; what you do not name stays.

    With another target it begins anew. One that waits after a failure is tried again at once.
    """
    document = _resolve(ctx.obj, push)
    changes: Json = without_none({"name": name, "credentials": _read_credentials(credentials)})
    if option:
        changes["config"] = {**document["config"], **parse_options(option)}
    if disabled is not None:
        changes["enabled"] = not disabled
    if not changes:
        raise typer.BadParameter("name at least one setting to change")
    changed = ctx.obj.client.patch("observables", f"{_PATH}/{document['id']}", changes)
    ctx.obj.answer(changed, output.details(changed))


@pushes.command("delete")
def delete_push(ctx: Context, push: PushReference) -> None:
    """Delete a push.

    Its target keeps what it has.
    """
    document = _resolve(ctx.obj, push)
    ctx.obj.client.delete("observables", f"{_PATH}/{document['id']}")
    ctx.obj.answer({"deleted": document["id"]}, output.cell(f"{document['name']} is deleted"))


def _resolve(context: CommandContext, reference: str) -> Json:
    documents: list[Json] = context.client.get("observables", _PATH)
    for document in documents:
        if reference in (document["id"], document["name"]):
            return document
    raise NotFound(f"there is no push {reference!r} in the tenant {context.tenant}")


def _read_credentials(path: Path | None) -> Json | None:
    """The secrets of a file, so that none stands on a command line."""
    if path is None:
        return None
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text()
        document = json.loads(text)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise typer.BadParameter(str(reason), param_hint="--credentials") from None
    if not isinstance(document, dict):
        raise typer.BadParameter("it is no JSON object", param_hint="--credentials")
    return document
