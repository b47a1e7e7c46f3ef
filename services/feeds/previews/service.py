"""What a document would give, or would give if it were read differently; nothing is stored and nothing is sent."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, aclosing
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
import numpy as np

from services.feeds.collectors import credentials
from services.feeds.collectors.base import FeedSource
from services.feeds.collectors.registry import collector_named
from services.feeds.formats.base import ParsedIndicator
from services.feeds.formats.registry import format_named, guess_format
from services.feeds.runs.payloads import Payloads
from services.feeds.runs.report import RunReport
from services.feeds.runs.unpack import unpack
from services.feeds.snapshots.document_reader import DocumentReader
from services.feeds.snapshots.indicator_texts import Indices
from services.feeds.snapshots.snapshot import FeedSnapshot, compare
from services.feeds.subscriptions import schemas
from shared.errors import InvalidInput
from shared.http import GuardedClient, Limits
from shared.settings import Settings

_LIMITS: Final = Limits(total=20.0, max_bytes=32 << 20, max_expanded=64 << 20)

SHOWN: Final = 50
"""Records shown of each sort."""
_HEAD: Final = 64 * 1024

Opened = Callable[[], AbstractContextManager[BinaryIO]]


def preview(
    document: Opened, name: str, format_: str | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """The first records of a document, and what would be left out.

    Args:
        document: opens it.
        name: its file name or address, which may tell its format.
        format_: guessed when None.
        options: the format's.

    Raises:
        MalformedDocument, InvalidInput: it cannot be read so.
    """
    reason = "it was given"
    if format_ is None:
        with document() as stream:
            format_, reason = guess_format(name, stream.read(_HEAD))
    report = RunReport()
    reader = DocumentReader(format_named(format_), options, "", None, report)
    for _ in reader.read(document):
        continue
    difference = compare(None, version := reader.version())
    if repeated := report.named - difference.listed:
        report.dropped["duplicate"] += repeated
    return {
        "format": format_,
        "reason": reason,
        "taken": difference.listed,
        "types": difference.types,
        "records": _shown(version, difference.seen),
        "retracted": [msgspec.to_builtins(record) for record in reader.retracted[:SHOWN]],
        "dropped": dict(report.dropped),
        "examples": [msgspec.to_builtins(one) for one in report.examples],
        "notes": report.notes,
    }


def preview_file(
    file: Path, name: str, format_: str | None, options: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """The same for a file that may be wrapped in gzip, zip or zstd."""
    content = folder / "content"
    with file.open("rb") as source, content.open("wb") as sink:
        unpacked = unpack(source, sink)
    return {"bytes": unpacked.size, **preview(partial(_opened, content), name, format_, options)}


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


async def preview_address(
    settings: Settings, payloads: Payloads, wanted: schemas.Preview
) -> dict[str, Any]:
    """The same for the first document that a collector brings from an address.

    Raises:
        UpstreamError: the source failed or refused.
        InvalidInput: it brings nothing.
    """
    with payloads.scratch() as folder:
        async with credentials.open_credentials(wanted.auth, folder) as (given, certificate):
            client = GuardedClient(settings.outbound_allow, _LIMITS, certificate=certificate)
            source = FeedSource(wanted.url, wanted.collector_options, {}, given)
            async with (
                client,
                aclosing(
                    collector_named(wanted.collector).collect(source, client, folder)
                ) as parts,
            ):
                part = await anext(parts, None)
        if part is None:
            raise InvalidInput("There is nothing at this address.", field="url")
        format_ = wanted.format or part.format
        return await asyncio.to_thread(
            preview_file, part.path, wanted.url, format_, wanted.options, folder
        )


def reread(
    document: Opened, before: FeedSnapshot | None, format_: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """What would change if a stored document were read in another way.

    Args:
        document: opens it.
        before: the feed's version as it stands.
        format_: the format to read it in.
        options: the format's.

    Raises:
        MalformedDocument, InvalidInput: it cannot be read so.
    """
    report = RunReport()
    reader = DocumentReader(
        format_named(format_), options, before.provenance_digest if before else "", None, report
    )
    for _ in reader.read(document):
        continue
    version = reader.version()
    difference = compare(before, version)
    known = (
        np.isin(version.ids[difference.seen], before.ids)
        if before
        else np.zeros(len(difference.seen), bool)
    )
    new, changed = difference.seen[~known], difference.seen[known]
    return {
        "taken": difference.listed,
        "before": difference.before,
        "types": difference.types,
        "new": {"count": len(new), "records": _shown(version, new)},
        "changed": {"count": len(changed), "records": _shown(version, changed)},
        "gone": {
            "count": len(difference.gone),
            "records": _shown(before, difference.gone) if before else [],
        },
        "dropped": dict(report.dropped),
        "examples": [msgspec.to_builtins(one) for one in report.examples],
        "notes": report.notes,
    }


def _shown(version: FeedSnapshot, rows: Indices) -> list[dict[str, Any]]:
    records = [
        msgspec.json.decode(text, type=ParsedIndicator) for text in version.indicators(rows[:SHOWN])
    ]
    return [msgspec.to_builtins(record) for record in records]
