"""One value a line, of all types."""

from collections.abc import Sequence

from services.observables.list_formats.base import (
    FileAccount,
    LineListFormat,
    ListVersion,
    Row,
)

_MISREAD = "its reader would read it otherwise"


class PlainFormat(LineListFormat):
    """One value a line; `#` begins a comment."""

    name = "plain"
    needs_values_alone = True
    summary = "One value a line, of all types; lines that begin with # are comments."

    def lines(
        self,
        rows: Sequence[Row],
        version: ListVersion,  # noqa: ARG002  # the protocol's
        account: FileAccount,
    ) -> list[str]:
        """The values; those that would be read as a comment, or trimmed, are left out."""
        values = [row[1] for row in rows]
        text = "\n".join(values)
        if "\n#" not in text and " " not in text and not text.startswith("#"):
            return values
        faithful = [value for value in values if value[:1] != "#" and value == value.strip()]
        if len(faithful) < len(values):
            account.left_out[_MISREAD] += len(values) - len(faithful)
        return faithful
