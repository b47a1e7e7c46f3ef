"""Plain lists with an observable per line: blocklists, hosts files, Maltrail's trails."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
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
    plain_texts,
    several_texts,
    text_of_column,
    uniform_texts,
)
from services.feeds.formats.streams import numbered_lines
from services.feeds.formats.unit_account import UnitAccount, account_of_lines
from shared.errors import InvalidInput
from shared.stix import NotAnObservable, ObservableType

_HEAD_LINES = 200
_WIDE_OPTION = "style: ranges"
_WHOLE_LINE_TYPES = frozenset(
    {ObservableType.FILE_NAME, ObservableType.MUTEX, ObservableType.REGISTRY_KEY}
)


class TextOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a list.

    Attributes:
        type: the type of every line; without it each line's type is detected.
        style: plain, hosts, adblock, dnsmasq, rpz, ranges or pairs; without it the first lines
            decide, and networks wider than /16 (IPv6: /32) are left out.
        column: index, from 0, of the column with the observable; white space separates columns.
        key: in the style `pairs` (`key=value …`), the key whose values are the observables.
        comment: beginnings of comment lines.
    """

    type: str | None = None
    style: str | None = None
    column: int | None = None
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
        notes: list[str] = []
        note_count = 0
        for number, lines in numbered_lines(stream, notes):
            if reader is None:
                reader = TextReader(lines[:_HEAD_LINES], text_options, in_order=True)
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
        if is_guessed and self._kind not in _WHOLE_LINE_TYPES:
            lines = [stripped for line in head if (stripped := self._data(line))]
            guess = guess_list(lines, styles.guess_style(head))
            style = guess.style
            column = guess.column
            key = guess.key
            self.notes = guess.notes
        self._style = style
        self._in_order = in_order
        self._zone = styles.zone_of(head) if style == "rpz" else ""
        self._line_texts = self._texts_of(style, column, key)
        if style is None and column is None and key is None and guess.sink:
            self._line_texts = partial(plain_texts, sink=guess.sink)
        elif guess.is_uniform:
            self._line_texts = uniform_texts
        layout = (self._kind, style, column, key, self._refuses_wide_networks)
        more = (self._zone, guess.sink) if self._zone or guess.sink else ()
        self.layout = repr((*layout, *more))

    def _data(self, line: str) -> str:
        """A line without the blanks around it; empty if it is a comment."""
        stripped = line.strip()
        return "" if stripped.startswith(self._comment) else stripped

    def _texts_of(self, style: str | None, column: int | None, key: str | None) -> styles.LineTexts:
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
            return partial(text_of_column, column)
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
        kind = self._kind
        comment = self._comment
        line_texts = self._line_texts
        refuses_wide = self._refuses_wide_networks
        # A list has millions of lines: bound methods save two look-ups on each.
        add_indicator = result.indicators.append
        add_line = result.lines.append
        is_of_ranges = refuses_wide and self._style == "ranges"
        for at, line in enumerate(lines):
            stripped = line.strip()
            if not stripped or stripped.startswith(comment):
                skipped += 1
                blank += not stripped
                continue
            texts = line_texts(stripped)
            if not texts and self._changes_origin(stripped):
                line_texts = self._line_texts
            if not texts and (item := self._empty_item(stripped, numbers[at], context)):
                result.dropped.append(item)
                reasons.append((at, item.reason))
            if is_of_ranges and len(texts) > 1 and (item := self._wide_item(texts, numbers[at])):
                result.dropped.append(item)
                reasons.append((at, item.reason))
                continue
            for text in texts:
                try:
                    type_, value = typed_value(kind, text)
                    if refuses_wide and "/" in value:
                        refuse_wide_network(type_, value, _WIDE_OPTION)
                    add_indicator(ParsedIndicator(type_, value))
                except NotAnObservable as refusal:
                    result.dropped.append(refused_item(f"line {numbers[at]}", stripped, refusal))
                    reasons.append((at, refusal.reason))
                else:
                    add_line(at)
        context["blank"] = blank
        context["comment"] = skipped - blank
        account = account_of_lines(len(lines), result.lines, reasons, context)
        return result._replace(account=account, dropped_lines=[at for at, _ in reasons])

    def _changes_origin(self, line: str) -> bool:
        """Whether the names of a zone are relative to another name from this line on.

        Raises:
            LinesNotIndependent: they are, and lines may be missing.
        """
        origin = styles.origin_of(line) if self._style == "rpz" else None
        if origin is None or (origin == self._zone and not self._in_order):
            return False
        if not self._in_order:
            raise LinesNotIndependent
        self._line_texts = partial(styles.rpz, zone=self._zone, origin=origin)
        return True

    def _wide_item(self, networks: Sequence[str], number: int) -> DroppedItem | None:
        """The item for a range that is too wide, which costs all its networks; None for others."""
        try:
            refuse_wide_range([typed_value(self._kind, text) for text in networks], _WIDE_OPTION)
        except NotAnObservable as refusal:
            return refused_item(f"line {number}", f"{networks[0]} …", refusal)
        return None

    def _empty_item(self, line: str, number: int, context: Counter[str]) -> DroppedItem | None:
        """The item for a line in which nothing is meant to match; None for one that is context."""
        kind = styles.context_kind(self._style, line)
        if kind is not None:
            context[kind] += 1
            return None
        detail = "nothing is at the place of the value"
        return DroppedItem(f"line {number}", excerpt(line), "no value", detail)
