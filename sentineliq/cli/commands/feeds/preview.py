"""`sentineliq feeds preview|reparse`: shows what a document would bring before it is stored."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.client.documents import UnitCounts, decode, left_out_lines
from sentineliq.cli.client.follow_run import follow_run
from sentineliq.cli.client.format_options import parse_options
from sentineliq.cli.commands.feeds.settings import Collector, CollectorOptions
from sentineliq.cli.context import CommandGroup, Context
from sentineliq.cli.credential_prompts import (
    AuthKind,
    AuthName,
    CertificateFile,
    KeyFile,
    feed_credentials,
)
from sentineliq.cli.parameters import (
    FeedReference,
    Format,
    FormatOptions,
    file_name,
    read_upload,
    without_none,
)

preview_commands = CommandGroup()

_CONTEXT_FIELDS = (
    "confidence",
    "tags",
    "malware",
    "first_seen",
    "last_seen",
    "valid_until",
    "ref",
    "description",
)


@preview_commands.command("preview")
def preview(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    source: Annotated[
        str, typer.Argument(metavar="FILE|URL", help="A file here, or an address to fetch.")
    ],
    *,
    format: Format = None,  # noqa: A002  # the option's name
    option: FormatOptions = None,
    collector: Collector = None,
    collector_option: CollectorOptions = None,
    auth: AuthKind = None,
    auth_name: AuthName = None,
    certificate: CertificateFile = None,
    key: KeyFile = None,
) -> None:
    """Show the first 50 records of a file or an address.

    It also shows what would be left out. Nothing is stored.
    """
    client = ctx.obj.client
    options = parse_options(option or [])
    if "://" in source:
        address = {
            "collector": collector,
            "collector_options": parse_options(collector_option) if collector_option else None,
            "auth": feed_credentials(auth, auth_name, certificate, key),
        }
        body = {"url": source, "format": format, "options": options, **without_none(address)}
        document = client.post("feeds", "/v1/preview", body)
    else:
        path = Path(source)
        document = client.upload(
            "feeds",
            "/v1/preview/document",
            read_upload(path),
            file=file_name(path),
            format=format,
            options=output.to_json(options),
        )
    ctx.obj.answer(document, _preview(document))


def _preview(document: Json) -> RenderableType:
    types = output.format_counts(document["types"])
    head = (
        f"{document['taken']:,} observables ({types}), read as {document['format']}: "
        f"{document['reason']}"
    )
    account = document.get("account")
    counts = decode(UnitCounts, account) if account else None
    left_out = left_out_lines(counts, document["dropped"]) or ["nothing is left out"]
    examples = [
        (example["where"], example["reason"], example["raw"], example.get("detail"))
        for example in document["examples"]
    ]
    return Group(
        output.cell(head),
        *map(output.cell, left_out),
        *map(output.cell, document["notes"]),
        _records(document["records"]),
        output.table(("where", "reason", "what", "detail"), examples, empty=""),
    )


def _records(records: list[Json]) -> RenderableType:
    present = {name for record in records for name, value in record.items() if value}
    context = [name for name in _CONTEXT_FIELDS if name in present]
    columns = ("type", "value", *context)
    rows = [list(map(record.get, columns)) for record in records]
    return output.table(columns, rows, empty="no records")


@preview_commands.command("reparse")
def reparse(
    ctx: Context,
    feed: FeedReference,
    *,
    format: Format = None,  # noqa: A002  # the option's name
    option: FormatOptions = None,
    apply: Annotated[
        bool,
        typer.Option(help="Keep these settings, and take the feed's last document again."),
    ] = False,
) -> None:
    """Parse a feed's last document with other settings.

    It shows what would change, and changes nothing without --apply.
    """
    client = ctx.obj.client
    item = client.resolve("feeds", "/v1/feeds", feed)
    body: Json = {"apply": apply}
    if format is not None:
        body["format"] = format
    if option is not None:
        body["options"] = parse_options(option)
    difference = client.post("feeds", f"/v1/feeds/{item.id}/reparse", body)
    before = f"{difference['before']:,} observables before"
    blocks: list[RenderableType] = [
        output.cell(f"{item.name}: {before}, {difference['taken']:,} then")
    ]
    for kind in ("new", "changed", "gone"):
        blocks.append(output.cell(f"{kind}: {difference[kind]['count']:,}"))
        blocks.append(_records(difference[kind]["records"]))
    if apply:
        outcome = follow_run(client, difference["run"])
        blocks.append(output.cell(outcome.line()))
    ctx.obj.answer(difference, Group(*blocks))
