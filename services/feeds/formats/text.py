"""Plain lists with an observable per line: blocklists, hosts files, Maltrail's trails."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, BinaryIO, ClassVar

import msgspec

from services.feeds.formats import styles
from services.feeds.formats.base import (
    BATCH_SIZE,
    DroppedItem,
    LinesNotIndependent,
    ParsedBatch,
    ParsedIndicator,
    ReadLines,
    excerpt,
    read_options,
    refuse_wide_network,
    refuse_wide_range,
    refused_item,
    typed_value,
)
from services.feeds.formats.fields import type_option
from services.feeds.formats.list_layout import (
    SEVERAL,
    ListGuess,
    guess_list,
    hosts_texts,
    plain_texts,
    several_texts,
    texts_of_columns,
    texts_without_ports,
    uniform_texts,
)
from services.feeds.formats.log_columns import has_ports
from services.feeds.formats.streams import numbered_lines
from services.feeds.formats.type_words import ADDRESSES
from services.feeds.formats.unit_account import UnitAccount, account_of_lines
from shared.errors import InvalidInput
from shared.stix import NotAnObservable, ObservableType, canonical_type

_SAMPLED_LINES = 200
_WIDE_OPTION = "style: ranges"
_WHOLE_LINE_TYPES = frozenset(
    {ObservableType.FILE_NAME, ObservableType.MUTEX, ObservableType.REGISTRY_KEY}
)


_LABELLED = re.compile(r"[A-Za-z][\w()/-]{0,20}+(?:[ ][\w()/-]{1,20}+){0,2}+:[ \t]++(\S++)")
"""A line that says what its only value is: `SHA256: e3b0…`."""


class TextOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a list.

    Attributes:
        type: the type of every line; without it each line's type is detected.
        style: plain, hosts, adblock, dnsmasq, rpz, ranges or pairs; without it the first lines
            decide, and networks wider than /16 (IPv6: /32) are left out.
        column: index, from 0, of the column with the observable, or a list of such indices; white
            space separates columns.
        key: in the style `pairs` (`key=value …`), the key whose values are the observables.
        comment: beginnings of comment lines.
    """

    type: str | None = None
    style: str | None = None
    column: int | list[int] | None = None
    key: str | None = None
    comment: list[str] = msgspec.field(
        default_factory=lambda: ["#", ";", "//", "!", "--", "REM ", "rem "]
    )


class TextFormat:
    """Lists with comments (`#`, `;`, `//`, `!`, `--`, `REM`; some also behind a value).

    The first column counts. Where the lines hold several observables of one type, all of them do,
    and so they do on a single line that holds nothing else;
    where a later column holds the observables, that one, as a note tells. In hosts files
    (`0.0.0.0 name …`) the names count. Ports are dropped, defanged forms understood. `styles` reads
    the syntax of other programs' lists.
    """

    name: ClassVar[str] = "text"
    incremental: ClassVar[bool] = True
    media: ClassVar[tuple[str, ...]] = (
        "text/plain",
        ".txt",
        ".list",
        ".ioc",
        ".ipset",
        ".netset",
        ".hosts",
    )

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """See `Format.parse`."""
        text_options = read_options(TextOptions, options)
        reader: TextReader | None = None
        is_known = False
        notes: list[str] = []
        note_count = 0
        for number, lines in numbered_lines(stream, notes):
            # A layout is guessed by the first lines that hold data, however long the comment is.
            if reader is None or not is_known:
                reader = TextReader(lines, text_options, in_order=True)
                is_known = reader.is_known
                notes += reader.notes
            result = reader.read(lines, range(number, number + len(lines)))
            yield from _batches(result, notes[note_count:])
            note_count = len(notes)
        if reader is None or len(notes) > note_count:
            yield ParsedBatch(notes=notes[note_count:], account=UnitAccount("line"))

    def reader(self, head: Sequence[str], options: Mapping[str, Any]) -> "TextReader":
        """See `LineFormat.reader`."""
        return TextReader(head, read_options(TextOptions, options))


def _batches(result: ReadLines, notes: list[str]) -> Iterator[ParsedBatch]:
    """What some lines gave, in batches: a line may hold thousands of values."""
    count = max(len(result.indicators), len(result.dropped), 1)
    for at in range(0, count, BATCH_SIZE):
        end = at + BATCH_SIZE
        yield ParsedBatch(
            result.indicators[at:end],
            result.dropped[at:end],
            notes if at == 0 else [],
            result.account if end >= count else None,
        )


class TextReader:
    """Reads the lines of a list, each independently.

    Args:
        head: its first lines.
        options: of the format.
        in_order: whether all its lines come, and in their order; then the names of a zone may
            change what they are relative to.

    Attributes:
        is_known: whether lines with data told the layout.
    """

    def __init__(
        self, head: Sequence[str], options: TextOptions, *, in_order: bool = False
    ) -> None:
        self._kind = type_option(options.type)
        self._comment = tuple(options.comment)
        self.notes: Sequence[str] = ()
        style = options.style
        column = options.column
        key = options.key
        self._refuses_wide_networks = style is None
        guess = ListGuess()
        is_guessed = style is None and column is None and key is None
        data = (stripped for line in head if (stripped := self._data(line)))
        lines = list(islice(data, _SAMPLED_LINES))
        self.is_known = bool(lines)
        if is_guessed and self._kind not in _WHOLE_LINE_TYPES:
            guess = guess_list(lines, styles.guess_style(head))
            style = guess.style
            column = guess.column
            key = guess.key
            self.notes = guess.notes
        self._style = style
        self._in_order = in_order
        self._zone = styles.zone_of(head) if style == "rpz" else ""
        self._context_style = "hosts" if guess.is_hosts else style
        ports = has_ports(lines)
        self._line_texts = self._texts_of(style, column, key, ports=ports)
        if guess.is_hosts:
            self._line_texts = hosts_texts
        elif style is None and column is None and key is None and guess.sink:
            self._line_texts = partial(plain_texts, sink=guess.sink)
        elif is_guessed and ports and self._line_texts is plain_texts:
            self._line_texts = texts_without_ports
        elif guess.is_uniform:
            self._line_texts = uniform_texts
        layout = (self._kind, style, column, key, self._refuses_wide_networks)
        more = (self._zone, guess.sink, guess.is_hosts, ports)
        self.layout = repr((*layout, *more) if any(more) else layout)

    def _data(self, line: str) -> str:
        """A line without the blanks around it; empty if it is a comment."""
        stripped = line.strip()
        return "" if stripped.startswith(self._comment) else stripped

    def _texts_of(
        self, style: str | None, column: int | list[int] | None, key: str | None, *, ports: bool
    ) -> styles.LineTexts:
        """The function that gives the observables' texts of a line."""
        if key is not None or style == "pairs":
            if key is None:
                raise InvalidInput("The style pairs needs a key.", field="options.key")
            return partial(styles.values_of_key, key)
        if style not in (None, "plain", SEVERAL) and style not in styles.STYLES:
            names = ", ".join(("plain", SEVERAL, "pairs", *styles.STYLES))
            raise InvalidInput(
                f"{style!r} is no style of a list; one of {names}", field="options.style"
            )
        if column is not None:
            columns = column if isinstance(column, list) else [column]
            return partial(texts_of_columns, columns, has_ports=ports)
        if self._kind in _WHOLE_LINE_TYPES:
            return lambda line: [line]
        if style == SEVERAL:
            return several_texts
        if style == "rpz":
            return partial(styles.rpz, zone=self._zone)
        return styles.STYLES.get(style or "plain", plain_texts)

    def read(self, lines: Sequence[str], numbers: Sequence[int]) -> ReadLines:
        """See `LineReader.read`."""
        result = ReadLines([], [], [])
        reasons: list[tuple[int, str]] = []
        context = Counter[str]()
        skipped = 0
        blank = 0
        comment = self._comment
        is_detected = self._kind is None
        is_plain = is_detected and self._line_texts in (plain_texts, uniform_texts)
        # A list has millions of lines: bound methods save two look-ups on each.
        add_indicator = result.indicators.append
        add_line = result.lines.append
        for at, line in enumerate(lines):
            stripped = line.strip()
            if not stripped or stripped.startswith(comment):
                skipped += 1
                blank += not stripped
                continue
            texts = [stripped] if is_plain else self._line_texts(stripped)
            if is_detected and len(texts) == 1 and (kind := canonical_type(texts[0])):
                add_indicator(ParsedIndicator(kind, texts[0]))  # as most lines are
                add_line(at)
            else:
                texts = self._line_texts(stripped) if is_plain else texts
                items = self._line_items(stripped, texts, numbers[at], context)
                dropped = [item for item in items if isinstance(item, DroppedItem)]
                reasons += [(at, item.reason) for item in dropped]
                result.dropped.extend(dropped)
                if len(dropped) < len(items):
                    read = [item for item in items if isinstance(item, ParsedIndicator)]
                    result.indicators.extend(read)
                    result.lines.extend([at] * len(read))
        context["blank"] = blank
        context["comment"] = skipped - blank
        account = account_of_lines(len(lines), result.lines, reasons, context)
        return result._replace(account=account, dropped_lines=[at for at, _ in reasons])

    def _line_items(
        self, line: str, texts: Sequence[str], number: int, context: Counter[str]
    ) -> Sequence[ParsedIndicator | DroppedItem]:
        """The items of a line that holds some texts; `context` counts those that are context."""
        if not texts:
            # A line of a zone may say what the names of the next lines are relative to.
            self._change_origin(line)
            item = self._empty_item(line, number, context)
            return (item,) if item else ()
        is_of_range = self._refuses_wide_networks and self._style == "ranges"
        if is_of_range and len(texts) > 1 and (item := self._wide_item(texts, number)):
            return (item,)
        items: list[ParsedIndicator | DroppedItem] = []
        for text in texts:
            try:
                type_, value = typed_value(self._kind, text)
                if self._refuses_wide_networks and "/" in value:
                    refuse_wide_network(type_, value, _WIDE_OPTION)
                items.append(ParsedIndicator(type_, value))
            except NotAnObservable as refusal:
                networks, reason = self._second_reading(text, line, refusal)
                items += networks or [refused_item(f"line {number}", line, reason)]
        return items

    def _second_reading(
        self, text: str, line: str, refusal: NotAnObservable
    ) -> tuple[list[ParsedIndicator], NotAnObservable]:
        """The networks of a range, or the value behind a label; where there are none, why."""
        first, hyphen, last = text.partition("-")
        networks: list[str] = []
        if ":" in line and (label := _LABELLED.fullmatch(line)):
            networks = [label[1]]
        elif hyphen and self._kind in (None, *ADDRESSES):
            networks = styles.networks_of_range(first, last)
        try:
            values = [typed_value(self._kind, network) for network in networks]
            if self._refuses_wide_networks:
                refuse_wide_range(values, _WIDE_OPTION)
        except NotAnObservable as problem:
            return [], problem
        return [ParsedIndicator(*value) for value in values], refusal

    def _change_origin(self, line: str) -> None:
        """Read the names of a zone relative to another name from this line on, if it says so.

        Raises:
            LinesNotIndependent: it does, and lines may be missing.
        """
        origin = styles.origin_of(line) if self._style == "rpz" else None
        if origin is None or (origin == self._zone and not self._in_order):
            return
        if not self._in_order:
            raise LinesNotIndependent
        self._line_texts = partial(styles.rpz, zone=self._zone, origin=origin)

    def _wide_item(self, networks: Sequence[str], number: int) -> DroppedItem | None:
        """The item for a range that is too wide, which costs all its networks; None for others."""
        try:
            refuse_wide_range([typed_value(self._kind, text) for text in networks], _WIDE_OPTION)
        except NotAnObservable as refusal:
            return refused_item(f"line {number}", f"{networks[0]} …", refusal)
        return None

    def _empty_item(self, line: str, number: int, context: Counter[str]) -> DroppedItem | None:
        """The item for a line in which nothing is meant to match; None for one that is context."""
        kind = styles.context_kind(self._context_style, line)
        if kind is not None:
            context[kind] += 1
            return None
        detail = "nothing is at the place of the value"
        return DroppedItem(f"line {number}", excerpt(line), "no value", detail)
