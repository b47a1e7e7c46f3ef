"""Comma-separated values with a head, as RFC 4180 has them, which no spreadsheet takes for code."""

import csv
import io
from collections.abc import Iterator

from services.observables.list_formats.base import (
    FileAccount,
    ListVersion,
    Pages,
    PlainTextFormat,
)

_FORMULA = frozenset("=+-@\t\r|%")
"""Spreadsheets take a cell that begins with one of these for a formula or a command."""
_REASON = "begins like a formula"


class CsvTableFormat(PlainTextFormat):
    """A row for each entry: value, type, score, when it joined, id."""

    name = "csv"
    summary = "value, type, score, joined_at, id; a value that begins like a formula is left out."
    media_type = "text/csv; charset=utf-8; header=present"

    def write(
        self,
        pages: Pages,
        version: ListVersion,  # noqa: ARG002  # the protocol's
        account: FileAccount,
    ) -> Iterator[bytes]:
        """Write the table."""
        yield b"value,type,score,joined_at,id\r\n"
        for page in pages:
            buffer = io.StringIO()
            table = [
                (value, type_, score, joined_at.isoformat(), str(identity))
                for type_, value, score, _, joined_at, identity in page
                if value[0] not in _FORMULA
            ]
            csv.writer(buffer).writerows(table)
            account.entries += len(table)
            if len(table) < len(page):
                account.left_out[_REASON] += len(page) - len(table)
            yield buffer.getvalue().encode()
