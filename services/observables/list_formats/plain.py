"""One value a line, of all types.

Its readers know no types, so that what reads as an address, a name or a URL and is none is left
out: a file name `update.zip` would block a domain.
"""

from collections.abc import Sequence

from services.observables.list_formats.base import (
    FileAccount,
    LineListFormat,
    ListVersion,
    Row,
)
from services.observables.list_formats.readings import DISTINCT, readings_of

_MISREAD = "its reader would read it otherwise"


class PlainFormat(LineListFormat):
    """One value a line; `#` begins a comment."""

    name = "plain"
    needs_values_alone = True
    summary = (
        "One value a line, of all types, unless it reads as another; lines that begin with # are "
        "comments."
    )

    def lines(
        self,
        rows: Sequence[Row],
        version: ListVersion,  # noqa: ARG002  # the protocol's
        account: FileAccount,
    ) -> list[str]:
        """The values; those that would be read as something else, or trimmed, are left out."""
        values = [row[1] for row in rows if row[0] in DISTINCT or not readings_of(row[0], row[1])]
        if len(values) < len(rows):
            account.left_out[_MISREAD] += len(rows) - len(values)
        text = "\n".join(values)
        if "\n#" not in text and " " not in text and not text.startswith("#"):
            return values
        faithful = [value for value in values if value[:1] != "#" and value == value.strip()]
        if len(faithful) < len(values):
            account.left_out[_MISREAD] += len(values) - len(faithful)
        return faithful
