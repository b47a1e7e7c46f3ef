"""The columns of a table, guessed from its first rows: which hold the observables, which describe.

Every column that holds observables is a candidate, with what its header and its cells say about it.
All columns that are not context give observables, each row's together. Two columns of one type that
nothing tells apart are a doubt: a guess must not decide which of two addresses is the attacker's.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from services.feeds.formats.address_ranges import range_columns
from services.feeds.formats.base import AmbiguousDocument, MalformedDocument
from services.feeds.formats.column_profiles import DESCRIBING, Profile, column_profile
from services.feeds.formats.table_headers import header_key, read_header
from services.feeds.formats.table_layout import column_list
from services.feeds.formats.type_words import (
    ADDRESSES,
    HASHES,
    SHAPELESS,
    Declared,
    is_type_word,
)
from shared.stix import ObservableType

_T = ObservableType
_SAMPLED_ROWS: Final = 50
_ONLY_CONTEXT: Final = "Only values that describe others"
_MAX_CHOICES: Final = 10
_NAMED_ALONE: Final = frozenset({_T.EMAIL, _T.VULNERABILITY})
"""Describing types that a table may be about."""
# fmt: off
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
    "description": ("description", "comment", "comments"),
    "type": (
        "ioc_type", "indicator_type", "observable_type", "value_type", "attribute_type", "type",
    ),
}
_MARKINGS: Final = frozenset({
    "tlp", "tlp_level", "tlp_marking", "tlp_label", "traffic_light_protocol", "tlp_color",
    "tlp_colour", "objectmarking", "object_marking", "object_markings", "marking", "markings",
    "pap", "pap_level", "pap_marking",
})
"""Headers of columns with markings."""
_TYPE_NAMES: Final = frozenset({
    "ioc_type", "indicator_type", "observable_type", "value_type", "attribute_type",
})
"""Headers of columns that hold types, whatever the words in them are."""
# fmt: on


class ColumnGuess(NamedTuple):
    """A guessed mapping.

    Attributes:
        columns: fields of `csv.Columns`.
        kinds: the types that cells of a column have to be of, by its index.
        notes: which columns were chosen, why, and which are left aside.
        types: the types of most of the values.
    """

    columns: dict[str, Any]
    kinds: dict[int, Declared]
    notes: list[str]
    types: frozenset[ObservableType]


def guess_columns(table: list[list[str]], names: list[str], where: str) -> ColumnGuess:
    """The columns of the observables and of what describes them, by the first 50 rows.

    Raises:
        AmbiguousDocument: two columns hold observables of one type, and nothing tells them apart;
            or only columns that describe others hold some.
        MalformedDocument: no column holds observables.
    """
    table = table[:_SAMPLED_ROWS]
    width = max((len(row) for row in table), default=0)
    width = max(width, len(names))
    profiles = [profile for at in range(width) if (profile := column_profile(table, names, at))]
    if not any(profile.hits for profile in profiles):
        columns = column_list(names) if names else f"there are {width} columns without names"
        raise MalformedDocument(f"no column holds observables; {columns}", where)
    profiles = _with_directions(profiles)
    ends = range_columns(table, names, profiles)
    start = ends.pop("start", None)
    # The last address of a range is no second observable, and a netmask is none at all.
    others = [
        profile.as_value() if profile.at == start else profile
        for profile in profiles
        if profile.at not in ends.values()
    ]
    values = _value_columns(others, where)
    has_link = len(values) > 1 and any(value.type is _T.URL for value in values)
    if has_link and len(table) == 1 and not names:
        # One row does not tell whether its link is an indicator or where to read about the other.
        values = [value for value in values if value.type is not _T.URL]
    mapping: dict[str, Any] = {
        "value": values[0].at if len(values) == 1 else [value.at for value in values]
    }
    mapping |= ends
    used = {value.at for value in values}
    mapping |= described_columns(table, names, used)
    used.update(at for at in mapping.values() if isinstance(at, int))
    if markings := marking_columns(names):
        mapping["marking"] = markings
    aside = [profile for profile in profiles if profile.at not in used]
    notes = [_note(values, len(table)), *_notes_aside(aside, values)]
    kinds = {value.at: value.binding for value in values if value.binding is not None}
    return ColumnGuess(mapping, kinds, notes, frozenset(value.type for value in values))


def _with_directions(profiles: list[Profile]) -> list[Profile]:
    """The columns of which those for the ends of connections are as probable as each other.

    Which end is the attacker's, no name of an end tells.
    """
    ends = [
        profile
        for profile in profiles
        if profile.type in ADDRESSES
        and profile.hits
        and profile.header.is_direction
        and not profile.header.is_excluded
    ]
    if len(ends) < 2:
        return profiles
    rank = max(1, *(profile.rank for profile in ends))
    places = {profile.at for profile in ends}
    return [profile.as_end(rank) if profile.at in places else profile for profile in profiles]


def declared_columns(names: Sequence[str]) -> dict[int, Declared]:
    """The types of columns whose header names one that cells do not tell by themselves."""
    headers = enumerate(map(read_header, names))
    return {at: kind for at, header in headers if (kind := header.declared) in SHAPELESS and kind}


def _holds_types(
    table: list[list[str]], names: list[str], at: int | None, values: Collection[int]
) -> bool:
    """Whether a column holds the types of the values, and no kinds of threats."""
    if at is None:
        return False
    if len(values) > 1 and not any(
        read_header(names[value]).is_general for value in values if value < len(names)
    ):
        return False
    if header_key(names[at]) in _TYPE_NAMES:
        return True
    return any(is_type_word(row[at]) for row in table if at < len(row) and row[at].strip())


def _note(values: Sequence[Profile], rows: int) -> str:
    if len(values) > 1:
        labels = ", ".join(value.label for value in values)
        return f"values taken from the columns {labels}; each row's describe each other"
    (value,) = values
    kind = f" as {value.binding}" if isinstance(value.binding, ObservableType) else ""
    return (
        f"values taken from column {value.label}{kind}: "
        f"{value.hits} of the first {rows} rows hold observables there"
    )


def _notes_aside(profiles: Sequence[Profile], values: Sequence[Profile]) -> list[str]:
    """A note on the columns that are not read."""
    profiles = [profile for profile in profiles if profile.hits]
    if not profiles:
        return []
    labels = ", ".join(f"{profile.label} ({profile.type})" for profile in profiles)
    several = ",".join(str(profile.at) for profile in [*values, profiles[0]])
    option = (
        "`--option columns.value=NAME` reads another column instead, and "
        f"`--option columns.value=[{several}]` reads {profiles[0].label} as well"
    )
    return [f"left aside as context: {labels}; {option}"]


def _value_columns(profiles: list[Profile], where: str) -> list[Profile]:
    """The columns that give observables, best first."""
    candidates = [profile for profile in profiles if profile.hits and not profile.is_context]
    candidates = candidates or [_repeated_column(profiles, where)]
    telling = [value for value in candidates if value.type not in DESCRIBING]
    named = [value for value in telling if value.rank] or [
        value for value in candidates if value.rank and value.type in _NAMED_ALONE
    ]
    if telling and named and not any(value.rank for value in telling):
        raise _ambiguous([*telling, *named], where)
    # Beside a column whose header says that it holds values, one that only looks so is context.
    candidates = _of_others(named if telling and named else telling or candidates)
    _refuse_unknown(candidates, where)
    empty = [profile for profile in profiles if not profile.hits]
    chosen: dict[object, Profile] = {}
    for candidate in [*sorted(candidates, key=lambda value: -value.score), *empty]:
        rival = chosen.setdefault(_family(candidate, chosen), candidate)
        is_as_full = 0 < rival.hits <= candidate.hits * 2
        if rival is not candidate and is_as_full and rival.rank == candidate.rank:
            family = _family(candidate, chosen)
            rivals = [other for other in candidates if _family(other, chosen) == family]
            raise _ambiguous([other for other in rivals if other.rank == rival.rank], where)
    return list(chosen.values())


def _of_others(candidates: list[Profile]) -> list[Profile]:
    """The columns without those that hold addresses of the reader's own network alone.

    Beside an address of the Internet such an address tells where the other one was seen.
    """
    has_others = any(value.type in ADDRESSES and not value.is_own for value in candidates)
    return [value for value in candidates if not (has_others and value.is_own)]


def _refuse_unknown(candidates: Sequence[Profile], where: str) -> None:
    """Refuse columns of several types whose headers name neither a type nor values.

    One of them may be about the reader, or about who reports.
    """
    is_unknown = all(value.header.name and not value.rank for value in candidates)
    families = {"hash" if value.type in HASHES else _family(value, {}) for value in candidates}
    if is_unknown and len(families) > 1:
        raise _ambiguous(candidates, where)


def _family(column: Profile, chosen: Mapping[object, Profile]) -> object:
    """What two columns may not share unless something tells them apart."""
    if column.type in ADDRESSES:
        return "address"
    if not column.hits and column.binding == HASHES:
        # What the hashes below are, its empty cells do not tell.
        return next((family for family in chosen if family in HASHES), column.type)
    return column.type


def _repeated_column(profiles: Sequence[Profile], where: str) -> Profile:
    """The best of columns that all look like context by their cells."""
    repeated = [profile for profile in profiles if profile.hits and not profile.is_described]
    if not repeated:
        raise _only_context([profile for profile in profiles if profile.hits], where)
    return max(repeated, key=lambda profile: profile.score)


def is_of_context(doubt: AmbiguousDocument) -> bool:
    """Whether the doubt is that only columns that describe others hold observables."""
    return _ONLY_CONTEXT in doubt.message


def _only_context(columns: Sequence[Profile], where: str) -> AmbiguousDocument:
    labels = ", ".join(f"{column.label} ({column.type})" for column in columns)
    return AmbiguousDocument(
        f"{_ONLY_CONTEXT} are observables, {labels}: say by the option "
        "`columns` if they are indicators.",
        where,
        [_choice(column) for column in columns[:_MAX_CHOICES]],
    )


def _choice(column: Profile) -> dict[str, Any]:
    options: dict[str, Any] = {"columns": {"value": column.at}}
    if column.type in SHAPELESS:
        options["type"] = str(column.type)
    return {"format": "csv", "options": options}


def _ambiguous(columns: Sequence[Profile], where: str) -> AmbiguousDocument:
    columns = sorted(columns, key=lambda column: column.at)[:_MAX_CHOICES]
    labels = " and ".join(f"{column.label} ({column.type})" for column in columns)
    both = {"columns": {"value": [column.at for column in columns]}}
    return AmbiguousDocument(
        f"The columns {labels} hold observables: say by the option `columns` which of them are "
        "indicators.",
        where,
        [*map(_choice, columns), {"format": "csv", "options": both}],
    )


def marking_columns(names: Sequence[str]) -> list[int]:
    """The columns that say to whom a row may be told: TLP and PAP."""
    return [at for at, name in enumerate(names) if header_key(name) in _MARKINGS]


def described_columns(
    table: list[list[str]], names: list[str], values: Collection[int]
) -> dict[str, int]:
    """The columns of times, tags and such, by their usual names.

    Args:
        table: the first rows.
        names: the header.
        values: the columns of the observables.
    """
    if not names:
        return {}
    keys = [header_key(name) for name in names]
    columns: dict[str, int] = {}
    for field, usual_names in _FIELDS.items():
        at = next((keys.index(name) for name in usual_names if name in keys), None)
        if at is not None and at not in values:
            columns[field] = at
    if not _holds_types(table[:_SAMPLED_ROWS], names, columns.get("type"), values):
        columns.pop("type", None)
    return columns
