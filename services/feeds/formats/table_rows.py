"""Rows of a table: their observables, and what describes these."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from services.feeds.formats import fields, table_layout
from services.feeds.formats.base import (
    DroppedItem,
    ParsedIndicator,
    excerpt,
    refuse_wide_network,
    refuse_wide_range,
    refused_item,
)
from services.feeds.formats.column_profiles import split_cell
from services.feeds.formats.entry_relations import relate, set_own_aside
from services.feeds.formats.misp_attributes import MispAttribute, attribute_items, tag_names
from services.feeds.formats.styles import networks_of_range
from services.feeds.formats.table_columns import described_columns, marking_columns
from services.feeds.formats.table_layout import is_placeholder
from services.feeds.formats.type_words import Declared, TypeWords, value_of
from shared.stix import NotAnObservable, ObservableType

Column = str | int


class Columns(msgspec.Struct, forbid_unknown_fields=True):
    """The column of each field: a name in the header, or an index from 0.

    Attributes:
        value: the observable; several columns give several observables per row.
        prefix: the prefix length or netmask of the network that begins at the value.
        end: the last address of the range that begins at the value.
        type: the observable's type in the source's words; the others are fields of
            `ParsedIndicator`.
        marking: the level of TLP or PAP, which becomes a tag; several columns give several. Columns
            of this meaning are read by their names where no option names one.
    """

    value: Column | list[Column]
    prefix: Column | None = None
    end: Column | None = None
    type: Column | None = None
    confidence: Column | None = None
    tags: Column | list[Column] | None = None
    marking: Column | list[Column] | None = None
    malware: Column | None = None
    first_seen: Column | None = None
    last_seen: Column | None = None
    valid_until: Column | None = None
    description: Column | None = None
    ref: Column | None = None


class RowOptions(NamedTuple):
    """What else is to be known about rows.

    Attributes:
        types: type names in the column `type` beyond the usual ones.
        family: malware family of all rows that name none.
        split: column -> the separator of several values in one of its cells.
        width: the number of cells that rows have.
        refuses_wide_networks: whether networks wider than /16 (IPv6: /32) are left out.
    """

    types: Mapping[str, str]
    family: str | None
    split: Mapping[str, str]
    width: int
    refuses_wide_networks: bool


_MAX_NETWORKS: Final = 64
"""Networks of one range. More of them, and its ends are no ends of networks."""


class MispRowReader:
    """Reads the rows of an export of MISP attributes."""

    def __init__(self, names: Sequence[str]) -> None:
        self._at = {name.lower(): at for at, name in enumerate(names)}

    def indicators(self, row: list[str], number: int) -> Sequence[ParsedIndicator | DroppedItem]:
        """The observables of the row's attribute."""
        return [*self._items(row, number)]

    def _items(self, row: list[str], number: int) -> Iterator[ParsedIndicator | DroppedItem]:
        cells = {name: row[at].strip() for name, at in self._at.items() if at < len(row)}
        if not cells.get("value"):
            yield DroppedItem(f"line {number}", excerpt(",".join(row)), "empty")
            return
        attribute = MispAttribute(
            type=cells.get("type", ""),
            value=cells["value"],
            to_ids=cells.get("to_ids", "0").lower(),
            uuid=cells.get("uuid"),
            comment=cells.get("comment"),
            first_seen=cells.get("first_seen"),
            last_seen=cells.get("last_seen"),
        )
        event_tags = [{"name": tag} for tag in fields.tags(cells.get("attribute_tag"))]
        yield from attribute_items(f"line {number}", attribute, tag_names(event_tags))


class RowReader:
    """Takes rows apart by a mapping whose columns are resolved to their indices.

    Args:
        mapping: the columns.
        names: the header.
        where: the table's place, for errors.
        kind: the type of every value, if it is given.
        options: what else the table's options say.
        kinds: the types that cells of a column have to be of, by its index.
    """

    def __init__(
        self,
        mapping: Columns,
        names: list[str],
        where: str,
        kind: ObservableType | None,
        options: RowOptions,
        kinds: Mapping[int, Declared],
    ) -> None:
        def index(column: Column) -> int:
            return table_layout.column_index(column, names, where)

        def indices(columns: Column | list[Column] | None) -> list[int]:
            if columns is None:
                return []
            return [index(column) for column in _as_list(columns)]

        self._values = indices(mapping.value)
        self._tags = indices(mapping.tags)
        self._markings = [
            (at, names[at] if at < len(names) else "tlp") for at in indices(mapping.marking)
        ]
        self._type = None if mapping.type is None else index(mapping.type)
        self._words = TypeWords(fields.types_option(options.types), kind)
        self._kinds = {at: kinds.get(at, kind) for at in self._values}
        if self._type is not None and len(self._values) > 1:
            # The words of types are about the column that names no type itself.
            self._own_kinds = {at: own for at, own in kinds.items() if at in self._kinds}
        else:
            self._own_kinds = {}
        self._family = options.family
        self._width = options.width
        self._refuses_wide_networks = options.refuses_wide_networks
        self._prefix = None if mapping.prefix is None else index(mapping.prefix)
        self._end = None if mapping.end is None else index(mapping.end)
        self._separators = {
            index(int(column) if column.isdigit() else column): separator
            for column, separator in options.split.items()
        }
        self._is_simple = (
            len(self._values) == 1
            and self._prefix is None
            and self._end is None
            and not self._separators
        )
        self._context_columns = [
            (name, index(column), read_field)
            for name, read_field in _FIELD_READERS.items()
            if (column := getattr(mapping, name)) is not None
        ]

    def unread_times(self, rows: Sequence[Sequence[str]], names: Sequence[str]) -> list[str]:
        """A note for each column of times of which some rows cannot be read."""
        notes = []
        for name, at, read_field in self._context_columns:
            if read_field is not fields.timestamp:
                continue
            cells = [cell for row in rows if (cell := _cell_at(row, at))]
            unread = [cell for cell in cells if fields.timestamp(cell) is None]
            if unread and len(unread) * 10 > len(cells):
                label = repr(names[at]) if at < len(names) else f"number {at + 1}"
                shown = excerpt(unread[0])[:40]
                notes.append(f"times for {name} in column {label} are not understood: {shown!r}")
        return notes

    def indicators(self, row: list[str], number: int) -> Sequence[ParsedIndicator | DroppedItem]:
        """The row's indicators, which know of each other unless they make up a range."""
        if self._is_simple and (indicator := self._single_indicator(row)):
            return (indicator,)
        items = [*self._items(row, number)]
        if len(self._values) > 1 and len(items) > 1:
            items = set_own_aside(items, f"line {number}")
        return relate(items) if len(items) > 1 and self._end is None else items

    def _single_indicator(self, row: list[str]) -> ParsedIndicator | None:
        """The indicator of a row with one value, which is the usual case; None in all others."""
        at = self._values[0]
        cell = _cell_at(row, at)
        if not cell:
            return None
        try:
            kind = self._kinds[at] if self._type is None else self._kind_of(row, at)
            type_, value = value_of(kind, cell)
            if self._refuses_wide_networks and "/" in value:
                refuse_wide_network(type_, value, "columns")
        except NotAnObservable:
            return None
        return ParsedIndicator(type_, value, **self._context(row))

    def _items(self, row: list[str], number: int) -> Iterator[ParsedIndicator | DroppedItem]:
        """The row's indicators. Empty cells count only if all cells of values are empty."""
        cells = self._filled_cells(row)
        if not cells:
            short = f"the row has {len(row)} columns, the value is in column {self._values[0] + 1}"
            yield DroppedItem(f"line {number}", excerpt(",".join(row)), "missing column", short)
            return
        context = self._context(row)
        for at, cell in cells:
            try:
                values = self._observables(self._kind_of(row, at), cell, row)
                if self._refuses_wide_networks:
                    for type_, value in values:
                        refuse_wide_network(type_, value, "columns")
            except NotAnObservable as refusal:
                surplus = len(row) - self._width
                if surplus > 0:
                    # A name before the value holds the delimiter: count from the row's end.
                    yield from self._items(row[surplus:], number)
                    return
                yield refused_item(f"line {number}", cell or ",".join(row), refusal)
            else:
                for type_, value in values:
                    yield ParsedIndicator(type_, value, **context)

    def _filled_cells(self, row: list[str]) -> list[tuple[int, str]]:
        """The cells of the values with their columns; empty ones only if all are empty."""
        cells = [
            (at, cell) for at in self._values if at < len(row) for cell in self._cells(row, at)
        ]
        filled = [(at, cell) for at, cell in cells if cell]
        if len(filled) > 1:
            filled = [(at, cell) for at, cell in filled if not is_placeholder(cell)] or filled
        return filled or cells[:1]

    def _observables(
        self, kind: Declared | None, cell: str, row: list[str]
    ) -> list[tuple[str, str]]:
        """The observables of a cell: one, those of a list, or the networks of a range."""
        prefix = _cell_at(row, self._prefix)
        if prefix and "/" not in cell:
            return [value_of(kind, f"{cell}/{prefix}")]
        end = _cell_at(row, self._end)
        if end and "/" not in cell:
            networks = networks_of_range(cell, end)
            if not 0 < len(networks) <= _MAX_NETWORKS:
                raise NotAnObservable("malformed range", f"{excerpt(cell)} to {excerpt(end)}")
            values = [value_of(kind, network) for network in networks]
            if self._refuses_wide_networks:
                refuse_wide_range(values, "columns")
            return values
        try:
            return [value_of(kind, cell)]
        except NotAnObservable:
            pieces = split_cell(cell)
            if len(pieces) < 2:
                raise
            try:
                return [value_of(kind, piece) for piece in pieces]
            except NotAnObservable:
                pass  # it is no list: the cell as a whole is refused
            raise

    def _cells(self, row: list[str], at: int) -> list[str]:
        separator = self._separators.get(at)
        if separator is None:
            return [row[at].strip()]
        return [cell.strip() for cell in row[at].split(separator)]

    def _kind_of(self, row: list[str], at: int) -> Declared | None:
        """The declared type of a cell, if one is declared.

        Raises:
            NotAnObservable: the row declares one that is no type.
        """
        if self._type is None or self._type >= len(row) or at in self._own_kinds:
            return self._kinds[at]
        return self._words.type_of(row[self._type])

    def _context(self, row: list[str]) -> dict[str, Any]:
        context: dict[str, Any] = {
            name: read_field(row[at])
            for name, at, read_field in self._context_columns
            if at < len(row)
        }
        if self._tags:
            context["tags"] = fields.tags(
                *(cell for at in self._tags if at < len(row) for cell in self._cells(row, at))
            )
        markings = [
            tag
            for at, name in self._markings
            if at < len(row)
            for tag in fields.marking(name, row[at])
        ]
        if markings:
            context["tags"] = fields.tags(context.get("tags", ()), markings)
        if self._family and not context.get("malware"):
            context["malware"] = self._family
        return context


def with_described(
    columns: Columns, table: list[list[str]], names: list[str], where: str, notes: list[str]
) -> Columns:
    """Columns of which the value alone is given, with those that describe it.

    Raises:
        MalformedDocument: there is no such column.
    """
    options = msgspec.structs.asdict(columns)
    if columns.marking is None and (markings := marking_columns(names)):
        # A marking binds, whatever else an option names.
        labels = ", ".join(repr(names[at]) for at in markings)
        notes.append(f"columns of markings: {labels}; they become tags")
        columns = msgspec.structs.replace(columns, marking=[*markings])
    if any(option is not None for name, option in options.items() if name != "value"):
        return columns
    places = [columns.value] if isinstance(columns.value, str | int) else columns.value
    values = {table_layout.column_index(column, names, where) for column in places}
    described = described_columns(table, names, values)
    if described:
        labels = ", ".join(f"{names[at]!r} as {name}" for name, at in described.items())
        notes.append(f"columns that describe the value: {labels}")
    return msgspec.structs.replace(columns, **described)


def context_of(columns: Columns, row: Sequence[str]) -> dict[str, Any]:
    """The fields that describe the values of a row, by columns that are indices."""
    fields_ = {
        name: read_field(row[at])
        for name, read_field in _FIELD_READERS.items()
        if isinstance(at := getattr(columns, name), int) and at < len(row)
    }
    if isinstance(columns.tags, int) and columns.tags < len(row):
        fields_["tags"] = fields.tags(row[columns.tags])
    return {name: value for name, value in fields_.items() if value}


def _cell_at(row: Sequence[str], at: int | None) -> str:
    return row[at].strip() if at is not None and at < len(row) else ""


def _as_list(columns: Column | list[Column]) -> list[Column]:
    return columns if isinstance(columns, list) else [columns]


_FIELD_READERS: dict[str, Callable[[str], Any]] = {
    "confidence": fields.confidence,
    "malware": table_layout.name_or_none,
    "first_seen": fields.timestamp,
    "last_seen": fields.timestamp,
    "valid_until": fields.timestamp,
    "description": fields.short_text,
    "ref": fields.short_text,
}
