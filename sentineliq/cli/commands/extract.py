"""`sentineliq extract`."""

import mimetypes
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.context import CommandGroup, Context
from shared.errors import InvalidInput

extract = CommandGroup()

_COLUMNS: Final = ("value", "type", "times", "score", "allow-lists")
_MEDIA_TYPES: Final = {
    ".md": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "application/xhtml+xml",
    ".pdf": "application/pdf",
}
_KNOWN: Final = frozenset(_MEDIA_TYPES.values())


@extract.command("extract")
def extract_report(
    ctx: Context,
    source: Annotated[
        str,
        typer.Argument(metavar="FILE|-", help="Text, Markdown, HTML or PDF; - is standard input."),
    ],
    *,
    media_type: Annotated[
        str | None,
        typer.Option("--as", help="The media type, e.g. text/html; by default by the ending."),
    ] = None,
) -> None:
    """List the observables and ATT&CK ids that a report names.

    It shows what is known of each. Nothing is stored: `sentineliq ingest` stores a report.
    """
    content = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    if not content.strip():
        raise InvalidInput(f"{source} is empty: there is nothing to extract")
    kind = media_type or _MEDIA_TYPES.get(Path(source).suffix.lower()) or _guess(source)
    document = ctx.obj.client.upload("observables", "/v1/extract", content, media_type=kind)
    if not (document["observables"] or document["attack"]):
        output.print_note(
            f"{source}: no value and no ATT&CK id in {document['characters']:,} characters"
        )
    ctx.obj.answer(
        document,
        output.table(_COLUMNS, map(_row, document["observables"]), empty="no observables"),
        output.table(
            ("ATT&CK id", "kind", "times"),
            [(item["value"], item["type"], item["count"]) for item in document["attack"]],
            empty="",
        ),
        *map(output.cell, document["notes"]),
    )


def _guess(source: str) -> str:
    """The media type by the ending; text where it tells nothing."""
    guessed, _ = mimetypes.guess_type(source)
    return guessed if guessed is not None and guessed in _KNOWN else "text/plain"


def _row(item: Json) -> tuple[Any, ...]:
    stored = item["observable"]
    lists = [hit[0] for hit in item["allow_lists"]]
    return (
        item["value"],
        item["type"],
        item["count"],
        stored["score"] if stored else None,
        lists or None,
    )
