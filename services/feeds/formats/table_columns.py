"""The columns of a table, guessed from its first rows: which hold the observables, which describe.

Every column that holds observables is a candidate, with what its header and its cells say about it.
All columns that are not context give observables, each row's together. Two columns of one type that
nothing tells apart are a doubt: a guess must not decide which of two addresses is the attacker's.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from services.feeds.formats.base import AmbiguousDocument, MalformedDocument
from services.feeds.formats.fields import TYPES_BY_NAME, type_of
from services.feeds.formats.table_layout import column_key, column_list
from shared.stix import ObservableType

_T = ObservableType
_SAMPLED_ROWS: Final = 50
_MANY: Final = 0.5
"""The share of filled cells that must be observables for a column to be a candidate."""
# fmt: off
_VALUE_NAMES: Final = frozenset({
    "value", "ioc", "ioc_value", "indicator", "indicator_value", "observable", "c2", "host",
    "ip", "ip_address", "ipaddress", "address", "network", "cidr", "hash", "cveid",
})
_FIELDS: Final = {
    "first_seen": (
        "first_seen", "first_seen_utc", "firstseen", "dateadded", "date_added", "first_submission",
    ),
    "last_seen": ("last_seen", "last_seen_utc", "lastseen", "last_online", "last_submission"),
    "valid_until": ("valid_until", "expires", "expiration"),
    "tags": ("tags", "tag", "labels"),
    "malware": (
        "malware_printable", "malware_family", "malware", "signature", "family", "malware_name",
    ),
    "confidence": ("confidence_level", "confidence", "score_confidence"),
    "type": ("ioc_type", "indicator_type", "type"),
}
_CONTEXT_WORDS: Final = frozenset({
    "link", "ref", "refs", "reference", "references", "source", "report", "reporter", "permalink",
    "screenshot", "info", "website", "homepage", "contact", "abuse", "email", "mail", "sensor",
    "honeypot", "victim", "author", "owner", "submitter", "registrar", "nameserver", "ns", "mx",
    "rdns", "ptr", "reverse", "country", "asn", "as", "isp", "org", "whois", "description",
    "comment", "note", "notes", "details", "provider", "reported", "detected", "urlhaus",
})
"""Words in the headers of columns that hold addresses and are seldom the observable."""
_ATTACKERS: Final = frozenset({"attacker", "malicious", "c2", "ioc"})
_PREFIXES: Final = frozenset({"prefix", "netblock", "mask", "netmask", "prefix_length", "cidr_len"})
_STARTS: Final = frozenset({
    "start", "start_ip", "first", "first_ip", "from", "network", "net", "subnet", "ip", "address",
})
_ENDS: Final = frozenset({"end", "end_ip", "last", "last_ip", "to"})
# fmt: on
_NETMASK: Final = re.compile(r"(?:[89]|[12][0-9]|3[0-2])|255\.(?:[0-9]{1,3}\.){2}[0-9]{1,3}")
_ADDRESSES: Final = frozenset({_T.IPV4, _T.IPV6})
_DESCRIBING: Final = frozenset({_T.EMAIL, _T.ASN, _T.VULNERABILITY, _T.MAC})
"""Types that describe where the row has observables of another type."""


class ColumnGuess(NamedTuple):
    """A guessed mapping.

    Attributes:
        columns: fields of `csv.Columns`.
        type: the type of all values, if they agree.
        notes: which columns were chosen, why, and which are left aside.
    """

    columns: dict[str, Any]
    type: ObservableType | None
    notes: list[str]


class _Profile(NamedTuple):
    """A column that holds observables.

    Attributes:
        at: its index.
        label: its name, quoted, or its number.
        hits: rows whose cell is an observable.
        filled: rows whose cell is not empty.
        type: the type of most of them.
        named_type: the type that its header names, if its cells agree.
        is_named: whether its header says that it holds observables.
        score: how probably its cells are what the table is about.
        is_context: whether header or cells show that it only describes the row.
    """

    at: int
    label: str
    hits: int
    filled: int
    type: ObservableType
    named_type: ObservableType | None
    is_named: bool
    score: float
    is_context: bool


def guess_columns(table: list[list[str]], names: list[str], where: str) -> ColumnGuess:
    """The columns of the observables and of what describes them, by the first 50 rows.

    Raises:
        AmbiguousDocument: two columns hold observables of one type, and nothing tells them apart.
        MalformedDocument: no column holds observables.
    """
    table = table[:_SAMPLED_ROWS]
    width = max((len(row) for row in table), default=0)
    profiles = [profile for at in range(width) if (profile := _profile(table, names, at))]
    if not profiles:
        columns = column_list(names) if names else f"there are {width} columns without names"
        raise MalformedDocument(f"no column holds observables; {columns}", where)
    networks = _network_columns(table, names, profiles)
    # The last address of a range is no second observable.
    ends = {at for at, name in enumerate(names) if networks and column_key(name) in _ENDS}
    values = _value_columns([profile for profile in profiles if profile.at not in ends], where)
    has_link = len(values) > 1 and any(value.type is _T.URL for value in values)
    if has_link and len(table) == 1 and not names:
        # One row does not tell whether its link is an indicator or where to read about the other.
        values = [value for value in values if value.type is not _T.URL]
    mapping: dict[str, Any] = {
        "value": values[0].at if len(values) == 1 else [value.at for value in values]
    }
    mapping |= networks
    mapping |= _described_by(names, {value.at for value in values})
    notes = [_note(values, len(table))]
    used = {value.at for value in values} | ends
    used.update(at for at in mapping.values() if isinstance(at, int))
    if aside := [profile for profile in profiles if profile.at not in used]:
        labels = ", ".join(f"{profile.label} ({profile.type})" for profile in aside)
        notes.append(
            f"left aside as context: {labels}; "
            "`--option columns.value=NAME` reads another column instead"
        )
    types = {value.named_type for value in values}
    return ColumnGuess(mapping, types.pop() if len(types) == 1 else None, notes)


def _note(values: Sequence[_Profile], rows: int) -> str:
    if len(values) > 1:
        labels = ", ".join(value.label for value in values)
        return f"values taken from the columns {labels}; each row's describe each other"
    (value,) = values
    kind = f" as {value.named_type}" if value.named_type else ""
    return (
        f"values taken from column {value.label}{kind}: "
        f"{value.hits} of the first {rows} rows hold observables there"
    )


def _profile(table: list[list[str]], names: list[str], at: int) -> _Profile | None:
    """What header and cells say about a column; None if it holds no observables."""
    cells = [cell for row in table if at < len(row) and (cell := row[at].strip())]
    kinds = Counter(kind for cell in cells for kind in _types_in(cell)[:1])
    hits = kinds.total()
    if not hits or hits < len(cells) * _MANY:
        return None
    kind = kinds.most_common(1)[0][0]
    name = names[at] if at < len(names) else ""
    key = column_key(name)
    words = set(key.split("_"))
    header_type = TYPES_BY_NAME.get(key) or TYPES_BY_NAME.get(key.replace("_", "-"))
    agrees = header_type is not None and kinds[header_type] * 5 >= hits * 4
    is_named = bool(
        (header_type and kinds.get(header_type)) or key in _VALUE_NAMES or words & _ATTACKERS
    )
    score = is_named + hits / max(len(table), 1) - at / 1000
    is_context = bool(words & _CONTEXT_WORDS) and not words & _ATTACKERS and not agrees
    is_context |= _is_repeated(cells, kind)
    label = f"{name!r}" if name else f"number {at + 1}"
    named_type = header_type if agrees else None
    return _Profile(at, label, hits, len(cells), kind, named_type, is_named, score, is_context)


def is_value_name(name: str) -> bool:
    """Whether a header is a usual name of a column with observables."""
    key = column_key(name)
    return key in _VALUE_NAMES or key in TYPES_BY_NAME or key.replace("_", "-") in TYPES_BY_NAME


def _types_in(cell: str) -> list[ObservableType]:
    """The types of a cell's observables: it is one, or a list of some."""
    if kind := type_of(cell):
        return [kind]
    pieces = split_cell(cell)
    kinds = [kind for piece in pieces if (kind := type_of(piece))]
    return kinds if len(pieces) > 1 and len(kinds) == len(pieces) else []


def split_cell(cell: str) -> list[str]:
    """The pieces of a cell that may hold a list, between blanks, commas, semicolons or bars."""
    return [piece for piece in re.split(r"[\s,;|]+", cell) if piece]


def _is_repeated(cells: Sequence[str], kind: ObservableType) -> bool:
    """Whether all cells are the same, or all links of the same site: the row's context."""
    if len(cells) > 2 and len(set(cells)) == 1:
        return True
    if len(cells) < 2 or kind is not _T.URL:
        return False
    hosts = Counter(re.sub(r"^[a-z]+://", "", cell.lower()).split("/", 1)[0] for cell in cells)
    return hosts.most_common(1)[0][1] == len(cells)


def _value_columns(profiles: list[_Profile], where: str) -> list[_Profile]:
    """The columns that give observables, best first."""
    candidates = [profile for profile in profiles if not profile.is_context]
    if telling := [value for value in candidates if value.type not in _DESCRIBING]:
        candidates = telling
    candidates = sorted(candidates or profiles, key=lambda value: -value.score)
    if not any(not profile.is_context for profile in profiles):
        return candidates[:1]
    chosen: dict[object, _Profile] = {}
    for candidate in candidates:
        family: object = "address" if candidate.type in _ADDRESSES else candidate.type
        rival = chosen.setdefault(family, candidate)
        is_as_full = candidate.hits * 2 >= rival.hits
        if rival is not candidate and is_as_full and rival.is_named == candidate.is_named:
            raise _ambiguous([rival, candidate], where)
    return list(chosen.values())


def _ambiguous(columns: Sequence[_Profile], where: str) -> AmbiguousDocument:
    labels = " and ".join(f"{column.label} ({column.type})" for column in columns)
    choices: list[int | list[int]] = [column.at for column in columns]
    choices.append([column.at for column in columns])
    return AmbiguousDocument(
        f"The columns {labels} hold observables: say by the option `columns` which of them are "
        "indicators.",
        where,
        [{"format": "csv", "options": {"columns": {"value": choice}}} for choice in choices],
    )


def _network_columns(
    table: list[list[str]], names: list[str], profiles: Sequence[_Profile]
) -> dict[str, int]:
    """The column of the prefix or netmask, or of the last address, beside a first address."""
    keys = [column_key(name) for name in names]
    has_start = any(
        profile.type in _ADDRESSES and profile.at < len(keys) and keys[profile.at] in _STARTS
        for profile in profiles
    )
    if not has_start:
        return {}
    for at, key in enumerate(keys):
        cells = [cell for row in table if at < len(row) and (cell := row[at].strip())]
        if key in _PREFIXES and cells and all(map(_NETMASK.fullmatch, cells)):
            return {"prefix": at}
    for at, key in enumerate(keys):
        if key in _ENDS:
            return {"end": at}
    return {}


def _described_by(names: list[str], values: set[int]) -> dict[str, int]:
    """The columns of times, tags and such, by their usual names."""
    keys = [column_key(name) for name in names]
    columns: dict[str, int] = {}
    for field, usual_names in _FIELDS.items():
        at = next((keys.index(name) for name in usual_names if name in keys), None)
        if at is not None and at not in values:
            columns[field] = at
    return columns
