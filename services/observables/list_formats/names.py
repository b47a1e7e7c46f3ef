"""Domain names as readers of zones and host files take them."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from services.observables.list_formats.base import (
    DOMAINS,
    FileAccount,
    LineListFormat,
    ListVersion,
    OptionCheck,
    Row,
    flag,
    is_set,
)

_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_MAX_NAME: Final = 253
BELOW: Final = "below"
"""The option that lets an entry stand for all names below it as well."""
BELOW_MEANING: Final = (
    "yes: an entry stands for the names below it as well, which is more than the observable names; "
    "no, without it"
)
UNWRITABLE: Final = "not a name that a zone can have"
"""The reason for leaving out what is no name of letters, digits, `-` and `_`, or too long."""


def is_writable(name: str, room: int = _MAX_NAME) -> bool:
    """Whether a zone can have a name, which may be so long."""
    return len(name) <= room and _NAME.fullmatch(name) is not None


class NameListFormat(LineListFormat):
    """A format with lines for each domain name."""

    types = DOMAINS

    def lines(self, rows: Sequence[Row], version: ListVersion, account: FileAccount) -> list[str]:
        """The lines of names; what is no writable name is left out."""
        names = [row[1] for row in rows if is_writable(row[1], self.room(version))]
        if len(names) < len(rows):
            account.left_out[UNWRITABLE] += len(rows) - len(names)
        account.entries += len(names)
        written = [self.name_lines(name, version) for name in names]
        lines = [line for group in written for line in group]
        account.entries -= len(lines)  # the caller counts lines
        return lines

    def room(self, version: ListVersion) -> int:  # noqa: ARG002  # zones have less
        """How long a name may be."""
        return _MAX_NAME

    def name_lines(self, name: str, version: ListVersion) -> Sequence[str]:
        """The lines of a name."""
        raise NotImplementedError


class BelowListFormat(NameListFormat):
    """A format of names with the option to say all names below an entry as well."""

    options: Mapping[str, str] = {BELOW: BELOW_MEANING}
    checks: Mapping[str, OptionCheck] = {BELOW: flag}

    def stands_for_below(self, version: ListVersion) -> bool:
        """Whether an entry stands for the names below it."""
        return is_set(version, BELOW)

    def head(self, version: ListVersion) -> list[str]:
        """The head tells when the file says more than the observables name."""
        head = super().head(version)
        if self.stands_for_below(version) and self.comment is not None:
            head.append(f"{self.comment} entries stand for the names below them as well")
        return head
