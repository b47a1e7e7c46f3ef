"""`sentineliq feeds preview`, `reparse`, `confirm`: looking before something is taken."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.client.follow_run import follow
from sentineliq.cli.commands.feeds.subscriptions import (
    Format,
    Options,
    Reference,
    feeds,
    parse_options,
    read_file,
)
from sentineliq.cli.context import CommandContext, command

_CONTEXT = (
    "confidence",
    "tags",
    "malware",
    "first_seen",
    "last_seen",
    "valid_until",
    "ref",
    "description",
)


def register() -> None:
    """Add the commands."""
    command(feeds, "preview")(preview)
    command(feeds, "reparse")(reparse)
    command(feeds, "confirm")(confirm)


def preview(
    context: CommandContext,
    source: Annotated[str, typer.Argument(metavar="FILE|URL")],
    *,
    format: Format = None,  # noqa: A002  # the option's name
    option: Options = None,
) -> None:
    """The first 50 records of a file or an address, and what would be left out; nothing is stored."""
    options = parse_options(option or [])
    if "://" in source:
        wanted = {"url": source, "format": format, "options": options}
        found = context.client.post("feeds", "/v1/preview", wanted)
    else:
        content, name = read_file(Path(source)), Path(source).name
        found = context.client.upload(
            "feeds",
            "/v1/preview/document",
            content,
            name=name,
            format=format,
            options=output.as_json(options),
        )
    context.answer(found, _preview(found))


def _preview(found: Json) -> RenderableType:
    head = f"{found['taken']:,} observables ({output.counted(found['types'])}), read as {found['format']}: "
    dropped = [
        (one["where"], one["reason"], one["raw"], one.get("detail")) for one in found["examples"]
    ]
    return Group(
        output.cell(head + found["reason"]),
        *(output.cell(note) for note in found["notes"]),
        _records(found["records"]),
        output.cell(
            f"left out: {output.counted(found['dropped'])}"
            if found["dropped"]
            else "nothing is left out"
        ),
        output.table(("where", "reason", "what", "detail"), dropped, empty=""),
    )


def _records(records: list[Json]) -> RenderableType:
    present = [name for name in _CONTEXT if any(record.get(name) for record in records)]
    rows: list[list[Any]] = [
        [record.get(name) for name in ("type", "value", *present)] for record in records
    ]
    return output.table(("type", "value", *present), rows, empty="no records")


def reparse(
    context: CommandContext,
    feed: Reference,
    *,
    format: Format = None,  # noqa: A002  # the option's name
    option: Options = None,
    apply: Annotated[
        bool, typer.Option(help="Read the feed so from now on, and take its last payload again.")
    ] = False,
) -> None:
    """Read a feed's last payload in another way, and show what would change."""
    found = context.client.find("feeds", "/v1/feeds", feed)
    changes: Json = {"apply": apply}
    if format is not None:
        changes["format"] = format
    if option is not None:
        changes["options"] = parse_options(option)
    difference = context.client.post("feeds", f"/v1/feeds/{found['id']}/reparse", changes)
    parts: list[RenderableType] = [
        output.cell(
            f"{found['name']}: {difference['before']:,} observables before, {difference['taken']:,} then"
        )
    ]
    for sort in ("new", "changed", "gone"):
        parts += [
            output.cell(f"{sort}: {difference[sort]['count']:,}"),
            _records(difference[sort]["records"]),
        ]
    if apply:
        outcome = follow(context.client, difference["run"])
        parts.append(output.cell(outcome.line()))
    context.answer(difference, Group(*parts))


def confirm(context: CommandContext, feed: Reference) -> None:
    """Let a list that was held back, because it lost more than half, go live."""
    found = context.client.find("feeds", "/v1/feeds", feed)
    outcome = follow(
        context.client, context.client.post("feeds", f"/v1/feeds/{found['id']}/confirm")
    )
    context.answer(outcome.as_dict(), output.cell(outcome.line()))
