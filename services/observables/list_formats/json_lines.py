"""A JSON object a line."""

from collections.abc import Iterator

import msgspec

from services.observables.list_formats.base import (
    FileAccount,
    ListVersion,
    Pages,
    PlainTextFormat,
)

_FIELDS = ("type", "value", "score", "number", "joined_at", "id")


class JsonLinesFormat(PlainTextFormat):
    """An object for each entry."""

    name = "jsonl"
    summary = "A JSON object a line: type, value, score, number, joined_at, id."
    media_type = "application/x-ndjson"

    def write(
        self,
        pages: Pages,
        version: ListVersion,  # noqa: ARG002  # the protocol's
        account: FileAccount,
    ) -> Iterator[bytes]:
        """Write the objects."""
        encode_lines = msgspec.json.Encoder().encode_lines
        for page in pages:
            account.entries += len(page)
            yield encode_lines([dict(zip(_FIELDS, row, strict=True)) for row in page])
