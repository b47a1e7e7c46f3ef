"""The protocol of list formats, and what they share.

A format writes bytes from pages of rows. It never says more than an observable names: what it
cannot say exactly is left out and counted by reason. The same version gives the same bytes.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol
from uuid import UUID

from shared.errors import InvalidInput

Row = tuple[str, str, int, int, datetime, UUID]
"""Type, value, score, number of the change by which it joined, when that was, observable's id."""

Pages = Iterable[Sequence[Row]]
"""The rows of a list in its order, in pages."""

OptionCheck = Callable[[str], object]
"""Checks the value of an option, and raises `ValueError`."""

ADDRESSES: Final = frozenset({"ipv4-addr", "ipv6-addr"})
"""The types of addresses and networks."""
DOMAINS: Final = frozenset({"domain-name"})
"""The type of names."""
ALL_TYPES: Final[frozenset[str]] = frozenset()
"""Stands for every type."""


@dataclass(frozen=True, slots=True)
class ListVersion:
    """The version of a list that is written.

    Attributes:
        list_id: the list.
        name: its name: letters, digits, `-`, `_`.
        number: of its newest change.
        changed_at: when that was.
        options: of the format, as the list sets them.
        tlp: the strictest marking that an entry may have.
        departed: what left the list lately, with the number and the time of that; it is there for
            formats that `tell_departed`.
    """

    list_id: UUID
    name: str
    number: int
    changed_at: datetime
    options: Mapping[str, str] = field(default_factory=dict)
    tlp: str = ""
    departed: Pages = ()

    @property
    def timestamp(self) -> str:
        """When the version came to be, as RFC 3339 to a second."""
        return self.changed_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True)
class FileAccount:
    """What became of the rows of a list in a file.

    Attributes:
        entries: how many the file says.
        left_out: how many it does not say, by reason.
    """

    entries: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


class ListFormat(Protocol):
    """Writes lists for one kind of reader.

    Attributes:
        name: also the ending of the addresses that consumers poll.
        summary: one sentence for people.
        media_type: of the file.
        types: of observables that it can say; none stands for all.
        options: the names of its options, each with its meaning.
    """

    name: str
    summary: str
    media_type: str
    types: frozenset[str]
    options: Mapping[str, str]

    def check_options(self, options: Mapping[str, str]) -> None:
        """Check the options that a list sets.

        Raises:
            InvalidInput: one of them is unknown, or cannot be used.
        """

    def write(self, pages: Pages, version: ListVersion, account: FileAccount) -> Iterator[bytes]:
        """Write a version of a list, in pieces, and count what became of its rows."""


class PlainTextFormat:
    """What formats have in common whose options are checked one by one.

    Attributes:
        tells_departed: whether it takes back what left a list, because its readers keep what a
            file no longer has.
        needs_values_alone: whether type and value are all that it reads of a row. Its rows are then
            read faster, without the rest.
        checks: of the values of options, by name; each raises `ValueError`.
    """

    name: str = ""
    summary: str = ""
    media_type: str = "text/plain; charset=utf-8"
    types: frozenset[str] = ALL_TYPES
    options: Mapping[str, str] = {}
    checks: Mapping[str, OptionCheck] = {}
    needs_values_alone: bool = False
    tells_departed: bool = False

    def check_options(self, options: Mapping[str, str]) -> None:
        """Check the options that a list sets.

        Raises:
            InvalidInput: one of them is unknown, or cannot be used.
        """
        for name, value in options.items():
            field_name = f"format_options.{self.name}.{name}"
            if name not in self.options:
                raise InvalidInput(f"{self.name} has no option {name}.", field=field_name)
            try:
                self.checks.get(name, str)(value)
            except ValueError as error:
                raise InvalidInput(f"{name}: {error}.", field=field_name) from None

    def speakable(self, page: Sequence[Row], account: FileAccount) -> Sequence[Row]:
        """The rows of a page whose type the format can say; the others are counted."""
        if not self.types:
            return page
        types = self.types
        rows = [row for row in page if row[0] in types]
        if len(rows) < len(page):
            others = Counter(row[0] for row in page if row[0] not in types)
            account.left_out.update({f"type {type_}": others[type_] for type_ in others})
        return rows


class LineListFormat(PlainTextFormat):
    """A format with a line for each entry.

    Attributes:
        comment: what begins a line that its reader passes over; None if there is no such line.
    """

    comment: str | None = "#"

    def write(self, pages: Pages, version: ListVersion, account: FileAccount) -> Iterator[bytes]:
        """Write a head, a line for each entry that can be said, and a foot."""
        yield "".join(f"{line}\n" for line in self.head(version)).encode()
        for page in pages:
            lines = self.lines(self.speakable(page, account), version, account)
            if lines:
                account.entries += len(lines)
                lines.append("")
                yield "\n".join(lines).encode()
        yield "".join(f"{line}\n" for line in self.foot(version)).encode()

    def head(self, version: ListVersion) -> list[str]:
        """The lines before the entries."""
        return [] if self.comment is None else head_comment(self.comment, version)

    def foot(self, version: ListVersion) -> list[str]:  # noqa: ARG002  # others need it
        """The lines behind the entries."""
        return []

    def lines(self, rows: Sequence[Row], version: ListVersion, account: FileAccount) -> list[str]:
        """The lines of some rows; what cannot be said is counted."""
        lines = []
        for row in rows:
            line = self.line(row, version)
            if line.startswith(REFUSED):
                account.left_out[line[1:]] += 1
            else:
                lines.append(line)
        return lines

    def line(self, row: Row, version: ListVersion) -> str:
        """The line of a row, or what `refuse` returns."""
        raise NotImplementedError


REFUSED: Final = "\x00"
"""Begins what stands for a line that cannot be written; no line can begin like that."""


def refuse(reason: str) -> str:
    """What stands for the line of an entry that a format cannot say, with the reason."""
    return f"{REFUSED}{reason}"


def head_comment(prefix: str, version: ListVersion) -> list[str]:
    """Comments that tell which version of which list a file is."""
    return [
        f"{prefix} list: {version.name}",
        f"{prefix} version: {version.number}",
        f"{prefix} changed: {version.timestamp}",
    ]


def flag(value: str) -> bool:
    """Read an option that is `yes` or `no`.

    Raises:
        ValueError: it is neither.
    """
    if value not in {"yes", "no"}:
        raise ValueError("say yes or no")
    return value == "yes"


def is_set(version: ListVersion, name: str) -> bool:
    """Whether an option of `yes` or `no` is `yes`."""
    return version.options.get(name, "no") == "yes"
