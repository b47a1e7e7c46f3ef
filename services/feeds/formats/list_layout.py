"""The layout of a list, guessed from its first lines: which part of a line holds the observable."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple

from services.feeds.formats import styles
from services.feeds.formats.base import AmbiguousDocument
from services.feeds.formats.fields import is_own_address, type_of
from services.feeds.formats.log_columns import (
    address_columns,
    column_types,
    endpoint_text,
    refuse_rivals,
    rows_between_blanks,
    telling_columns,
)
from services.feeds.formats.styles import hosts
from shared.stix import ObservableType

SEVERAL: Final = "several"
"""The style of lists whose lines hold several observables of one type."""

# Ends a first column: a separator, a comment without a blank before it, a quote.
_END_OF_COLUMN = re.compile("[,;|#\"'<>]")
# Addresses to which hosts files send the names that they block. None of them is bound.
_SINKS = frozenset({"0.0.0.0", "127.0.0.1", "::", "::1", "255.255.255.255"})  # noqa: S104
_SEPARATORS: Final = re.compile(r"[\s,;|]+")
_NEXT_URL: Final = re.compile(r"[,;](?=[A-Za-z][A-Za-z0-9+.-]{0,30}+://)|\|")
"""Between the URLs of a list: other commas may belong to one."""
_ADDRESSES: Final = frozenset({ObservableType.IPV4, ObservableType.IPV6})
_COMMENT: Final = re.compile(r"(?:^|\s)(?:#|;|//|!).*$")
_SPACED_DOT: Final = re.compile(
    r"(?<!\s)\s++(?:dot|\.|[\[({]{1,3}(?:\.|dot)[\])}]{1,3})\s++", re.IGNORECASE
)
_SPACED_RANGE: Final = re.compile(r"-\s+([0-9a-fA-F.:]+)")
_SAMPLED: Final = 200
_SAMPLED_PIECES: Final = 50
_MAJORITY: Final = 0.5
_CLEAR: Final = 0.8
"""The share of lines from which a guess beside the first column is clear."""

Types = list[ObservableType | None]


class ListGuess(NamedTuple):
    """A guessed layout.

    Attributes:
        style: a style of `styles`, `SEVERAL`, or None for a plain list.
        column: index of the column with the observables, if it is not the first; or several.
        key: the key whose values are the observables.
        sink: the address to which every line of a hosts file sends its names.
        is_uniform: whether a line whose pieces are all of one type gives them all.
        is_hosts: whether it is a hosts file, which may hold other entries as well.
        notes: what was decided, and which option decides otherwise.
    """

    style: str | None = None
    column: int | list[int] | None = None
    key: str | None = None
    notes: tuple[str, ...] = ()
    sink: str | None = None
    is_uniform: bool = False
    is_hosts: bool = False


def guess_list(lines: Sequence[str], style: str | None) -> ListGuess:
    """The layout of a list.

    Args:
        lines: its first lines, without comments and the blanks around them.
        style: the style that its syntax tells, if any.

    Raises:
        AmbiguousDocument: several keys of `key=value`, or several parts of the lines, hold
            observables, and none is named.
    """
    if style is not None:
        return ListGuess(style, notes=(f"read as a list in the style of {style}",))
    lines = list(islice(lines, _SAMPLED))
    if not lines:
        return ListGuess()
    if _is_hosts(lines):
        note = (
            "read as a hosts file: the names that it sends nowhere; entries of other addresses "
            "are context (`--option style=plain` reads these, too)"
        )
        return ListGuess(is_hosts=True, notes=(note,))
    if len(styles.keys_of(lines)) > 0:
        return _guess_key(lines)
    return _guess_pieces(lines)


def _guess_pieces(lines: Sequence[str]) -> ListGuess:
    """The layout of a list without pairs, by the pieces of its lines."""
    if sink := _own_sink(lines):
        note = (
            f"every line begins with {sink}, to which a hosts file sends its names: the names are "
            "read; `--option column=0` reads the address"
        )
        return ListGuess(sink=sink, notes=(note,))
    rows = [_pieces(line)[:_SAMPLED_PIECES] for line in lines]
    wide = [row for row in rows if len(row) > 1]
    # A word on some of the lines makes no table of them.
    if any(map(_is_of_a_type, wide)) and sum(map(_holds_several, wide)) > len(wide) * _MAJORITY:
        if guess := _guess_of_others(lines):
            return guess
        note = (
            "lines hold several observables, and all are read; "
            "`--option style=plain` reads the first"
        )
        return ListGuess(SEVERAL, notes=(note,))
    first = sum(all(map(type_of, plain_texts(line))) for line in lines)
    if first > len(lines) * _MAJORITY:
        return _guess_address(lines) or ListGuess(notes=_note_on_others(lines), is_uniform=not wide)
    return _guess_column(lines, first)


def _guess_of_others(lines: Sequence[str]) -> ListGuess | None:
    """Of lines of addresses alone the columns that are not the reader's own."""
    columns = address_columns(rows_between_blanks(lines))
    telling = telling_columns(columns)
    if len(telling) == len(columns):
        return None
    places = [column.at for column in telling]
    return _guess_of(places[0] if len(places) == 1 else places)


def _guess_address(lines: Sequence[str]) -> ListGuess | None:
    """The column of addresses in lines that have several; None where they have none or one.

    Raises:
        AmbiguousDocument: nothing tells which of them is meant.
    """
    rows = rows_between_blanks(lines)
    columns = address_columns(rows)
    if len(columns) < 2:
        return None
    telling = telling_columns(columns)
    refuse_rivals(telling, rows)
    return _guess_of(telling[0].at)


def _guess_of(column: int | list[int]) -> ListGuess:
    """The guess for lines whose other addresses tell where these were seen."""
    option = str(column).replace(" ", "")
    note = (
        f"addresses are read from part {option} of the lines, counted from 0 "
        f"(`--option column={option}`); the others are of the own network, or the same throughout"
    )
    return ListGuess(column=column, notes=(note,))


def _is_hosts(lines: Sequence[str]) -> bool:
    return sum(line.split(None, 1)[0] in _SINKS for line in lines) > len(lines) * _MAJORITY


def _own_sink(lines: Sequence[str]) -> str | None:
    """The address to which a list sends its names, as a hosts file does; None for other lists."""
    rows = [row for line in lines if (row := _COMMENT.sub("", line).split())]
    rows = [row for row in rows if row[0] not in _SINKS]
    sinks = {row[0] for row in rows}
    if len(sinks) != 1 or type_of(rows[0][0]) not in _ADDRESSES:
        return None
    (sink,) = sinks
    names = {row[1] for row in rows if len(row) > 1 and type_of(row[1]) is ObservableType.DOMAIN}
    if len(names) < len(rows) * _CLEAR:
        return None
    # One line may tell what an address of the Internet is called.
    return sink if len(rows) > 1 or is_own_address(sink) else None


def _guess_key(lines: Sequence[str]) -> ListGuess:
    # Once over the lines, whatever number of keys they have.
    hits = Counter[str]()
    for line in lines:
        for key, values in styles.values_by_key(line).items():
            hits[key] += all(map(type_of, values))
    shares = {key for key, count in hits.items() if count >= len(lines) * _CLEAR}
    if len(shares) == 1:
        (key,) = shares
        note = (
            f"lines are pairs of key and value; the values of {key!r} are read "
            f"(`--option key={key}`)"
        )
        return ListGuess("pairs", key=key, notes=(note,))
    if shares:
        raise AmbiguousDocument(
            f"Observables stand under the keys {', '.join(sorted(shares))}: say by the options "
            "`style=pairs` and `key=…` which of them are indicators.",
            "line 1",
            [
                {"format": "text", "options": {"style": "pairs", "key": key}}
                for key in sorted(shares)
            ],
        )
    return ListGuess()


def _guess_column(lines: Sequence[str], first: int) -> ListGuess:
    """A later column, if nearly all lines have their observables there.

    Raises:
        AmbiguousDocument: several have addresses there, and nothing tells which of them is meant.
    """
    rows = rows_between_blanks(lines)
    addresses = address_columns(rows)
    telling = telling_columns(addresses)
    aside = {column.at for column in addresses} - {column.at for column in telling}
    columns = [at for at in range(1, max(map(len, rows))) if at not in aside]
    shares = {at: column_types(rows, at).total() / len(rows) for at in columns}
    # Of a log of queries the name tells more than the own host that asked for it.
    own = {column.at for column in telling if column.is_own}
    if own and any(share >= _CLEAR for at, share in shares.items() if at not in own):
        aside |= own
        telling = []
        shares = {at: share for at, share in shares.items() if at not in own}
    best = max(shares, key=lambda column: shares[column], default=0)
    if best and shares[best] >= _CLEAR and shares[best] * len(lines) > first:
        refuse_rivals(telling, rows)
        if aside and best in {column.at for column in telling}:
            return _guess_of(best)
        note = f"observables stand in column {best + 1} of the lines (`--option column={best}`)"
        return ListGuess(column=best, notes=(note,))
    return ListGuess()


def _note_on_others(lines: Sequence[str]) -> tuple[str, ...]:
    """A note if a later column holds observables that are left aside."""
    columns = [_COMMENT.sub("", line).split() for line in lines]
    for column in range(1, 4):
        cells = [row[column] for row in columns if column < len(row)]
        kinds = Counter(kind for cell in cells if (kind := type_of(cell)))
        if cells and kinds.total() >= len(lines) * _MAJORITY:
            kind = kinds.most_common(1)[0][0]
            note = (
                f"column {column + 1} holds observables as well ({kind}) and is left aside; "
                f"`--option column={column}` reads it instead, `--option column=[0,{column}]` both"
            )
            return (note,)
    return ()


def _pieces(line: str) -> list[str]:
    text = _COMMENT.sub("", line)
    if "/" not in text:
        return [piece for piece in _SEPARATORS.split(text) if piece]
    pieces: list[str] = []
    for token in text.split():
        if "://" in token or _has_path(token):
            pieces += [url.rstrip(",;") for url in _NEXT_URL.split(token)]
        else:
            pieces += _SEPARATORS.split(token)
    return [piece for piece in pieces if piece]


def _is_of_a_type(pieces: Sequence[str]) -> bool:
    """Whether all pieces are observables of one type."""
    kind = type_of(pieces[0])
    return kind is not None and all(type_of(piece) == kind for piece in pieces[1:])


def _holds_several(pieces: Sequence[str]) -> bool:
    """Whether most pieces of a line, and more than one, are observables of one type."""
    kinds = Counter(kind for piece in pieces if (kind := type_of(piece)))
    count = max(kinds.values(), default=0)
    return count > 1 and count > len(pieces) * _MAJORITY


def several_texts(line: str) -> list[str]:
    """All pieces of a line; those that are no observables are left out by their reasons."""
    return _pieces(line) or plain_texts(line)


def uniform_texts(line: str) -> list[str]:
    """All pieces of a line if they are observables of one type, else its first column."""
    columns = line.split(None, 1)
    if len(columns) == 1 and _END_OF_COLUMN.search(line) is None:
        return columns
    if len(columns) == 1 or columns[1][0] not in "#;!/":
        pieces = _pieces(line)
        if len(pieces) > 1 and _is_of_a_type(pieces):
            return pieces
    return plain_texts(line)


def texts_of_columns(columns: Sequence[int], line: str, *, has_ports: bool = False) -> list[str]:
    """The texts in columns between blanks: of ends of connections the addresses alone."""
    cells = line.split()
    return [
        endpoint_text(cells[column], has_ports=has_ports)
        for column in columns
        if column < len(cells)
    ]


def hosts_texts(line: str) -> list[str]:
    """The names of an entry of a hosts file; none of one that tells where a host is."""
    columns = line.split()
    if columns[0] in _SINKS:
        if len(columns) == 2 and "." in columns[1] and not columns[1].startswith("localhost."):
            return [columns[1]]  # as most lines are
        return hosts(line)
    if len(columns) > 1 and type_of(columns[0]) in _ADDRESSES:
        return []
    return plain_texts(line)


def texts_without_ports(line: str) -> list[str]:
    """As `plain_texts`, of a list whose addresses have a port behind a slash."""
    return [endpoint_text(text, has_ports=True) for text in plain_texts(line)]


def plain_texts(line: str, sink: str | None = None) -> list[str]:
    """The first column of a stripped line that is no comment, or the names of a hosts entry.

    Args:
        line: the line.
        sink: an address of which the entries are, beside the usual ones.
    """
    columns = line.split(None, 1)
    first = columns[0]
    if len(columns) > 1 and (first in _SINKS or first == sink):
        entry = re.split(r"\s#|\s;", f" {columns[1]}", maxsplit=1)[0]
        names = [name for name in entry.split() if not name.isdigit()]
        if names:
            return names
    if len(columns) > 1 and columns[1][0] in "-.dD[({":
        return [_spaced_text(line, first, columns[1])]
    return [_first_column(first) if _END_OF_COLUMN.search(first) else first]


def _spaced_text(line: str, first: str, rest: str) -> str:
    """The range or name that begins a line and has blanks around its hyphen or its dots."""
    if last := _SPACED_RANGE.match(rest):
        return f"{first}-{last[1]}"
    if _SPACED_DOT.match(f" {rest}"):
        return _SPACED_DOT.sub(".", line).split(None, 1)[0]
    return _first_column(first) if _END_OF_COLUMN.search(first) else first


def _first_column(token: str) -> str:
    """The token up to a comma or such; within a URL these may belong to it."""
    if token[0] in "\"'<":
        closing = {"<": ">"}.get(token[0], token[0])
        return token[1:].partition(closing)[0]
    if "://" in token or _has_path(token):
        return token.rstrip(",;|\"'>")
    return _END_OF_COLUMN.split(token, maxsplit=1)[0]


def _has_path(token: str) -> bool:
    """Whether a token without a scheme is a host with a path, which may hold commas.

    Of `192.0.2.0/24,x` the part behind the slash is a prefix and no path.
    """
    head, slash, rest = _END_OF_COLUMN.split(token, maxsplit=1)[0].partition("/")
    return bool(slash) and "." in head and not rest.isdigit()
