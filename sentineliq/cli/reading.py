"""`sentineliq feeds preview`, `reparse`, `confirm`: looking before something is taken."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from sentineliq.cli import output
from sentineliq.cli.client import Json
from sentineliq.cli.feeds import Format, Options, Reference, feeds, parse_options, read_file
from sentineliq.cli.front import Front, command
from sentineliq.cli.ingesting import follow

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
    front: Front,
    source: Annotated[str, typer.Argument(metavar="FILE|URL")],
    *,
    format: Format = None,  # noqa: A002  # the option's name
    option: Options = None,
) -> None:
    """The first 50 records of a file or an address, and what would be left out; nothing is stored."""
    options = parse_options(option or [])
    if "://" in source:
        wanted = {"url": source, "format": format, "options": options}
        found = front.client.post("feeds", "/v1/preview", wanted)
    else:
        content, name = read_file(Path(source)), Path(source).name
        found = front.client.upload(
            "feeds",
            "/v1/preview/document",
            content,
            name=name,
            format=format,
            options=output.as_json(options),
        )
    front.answer(found, _preview(found))


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
    front: Front,
    feed: Reference,
    *,
    format: Format = None,  # noqa: A002  # the option's name
    option: Options = None,
    apply: Annotated[
        bool, typer.Option(help="Read the feed so from now on, and take its last payload again.")
    ] = False,
) -> None:
    """Read a feed's last payload in another way, and show what would change."""
    found = front.client.find("feeds", "/v1/feeds", feed)
    changes: Json = {"apply": apply}
    if format is not None:
        changes["format"] = format
    if option is not None:
        changes["options"] = parse_options(option)
    difference = front.client.post("feeds", f"/v1/feeds/{found['id']}/reparse", changes)
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
        outcome = follow(front.client, difference["run"])
        parts.append(output.cell(outcome.line()))
    front.answer(difference, Group(*parts))


def confirm(front: Front, feed: Reference) -> None:
    """Let a list that was held back, because it lost more than half, go live."""
    found = front.client.find("feeds", "/v1/feeds", feed)
    outcome = follow(front.client, front.client.post("feeds", f"/v1/feeds/{found['id']}/confirm"))
    front.answer(outcome.as_dict(), output.cell(outcome.line()))
