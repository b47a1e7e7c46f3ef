"""STIX 2.0 and 2.1 bundles: the patterns of indicators, and cyber-observable objects.

Source: STIX 2.1 §4.7 (indicators) and §6 (cyber-observable objects).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, ClassVar

import msgspec

from services.feeds.formats import fields
from services.feeds.formats.base import (
    BATCH_SIZE,
    DroppedItem,
    ParsedBatch,
    ParsedIndicator,
    count_unit,
    excerpt,
    read_options,
    refused_item,
    typed_value,
)
from services.feeds.formats.pattern_relations import TYPES_OF_REFERENCES, pattern_relations
from services.feeds.formats.stix_objects import (
    BundleObject,
    as_dict,
    as_list,
    read_objects,
)
from services.feeds.formats.stix_pattern import Comparison, PatternProblem, comparisons
from services.feeds.formats.stix_references import (
    DETECTION_FLAG,
    References,
    ends_early,
    is_for_detection,
    is_of_misp,
    read_time,
    stix_time,
)
from services.feeds.formats.streams import read_text_document
from services.feeds.formats.unit_account import UnitAccount
from shared.stix import NotAnObservable, ObservableType

_T = ObservableType
_TYPES_WITH_VALUE = {
    kind: ObservableType(kind)
    for kind in ("ipv4-addr", "ipv6-addr", "domain-name", "url", "email-addr")
}
_TYPES_WITH_VALUE["mac-addr"] = _T.MAC
_TYPES_WITH_VALUE["hostname"] = _T.DOMAIN  # an object of OpenCTI
# Types that STIX lacks, by the names under which this platform writes them.
_TYPES_WITH_VALUE |= {
    str(kind): kind for kind in (_T.FILE_PATH, _T.JA3, _T.JA4, _T.USER_AGENT, _T.WALLET)
}
_TYPES_WITH_VALUE |= {f"x-{kind}": kind for kind in (_T.FILE_PATH, _T.JA3, _T.JA4)}
_TYPES_WITH_NAME = {"mutex": _T.MUTEX, "vulnerability": _T.VULNERABILITY}
_OBSERVED_TYPES = frozenset(
    {
        *_TYPES_WITH_VALUE,
        *_TYPES_WITH_NAME,
        *("observed-data", "autonomous-system", "windows-registry-key"),
        *("file", "artifact", "x509-certificate"),
    }
)
"""Types of the objects that are cyber-observables, or hold some."""
_HASH_PREFIXES = {"file": "file-", "artifact": "file-", "x509-certificate": "x509-"}


class StixOptions(msgspec.Struct, forbid_unknown_fields=True):
    """STIX has no options: a bundle describes itself."""


class StixFormat:
    """STIX bundles and TAXII envelopes: indicators by their patterns, and cyber-observables.

    Labels and indicator types become tags. So do markings (`tlp:amber`, `pap:red`, `statement:…`,
    `marking:unknown`), techniques that an indicator `indicates` or refers to (`attack:T1059`), and
    ATT&CK tactics in its kill chain (`attack:initial-access`). A malware or tool that it
    `indicates` becomes its family. A revoked object retracts. Of several versions of an object the
    newest counts. What was observed, is benign or is not valid yet is no indicator. An indicator is
    as old as the newest date that it or a sighting of it states. Times in the year 9999 stand for
    no time, and an end that is not later than the beginning is passed over with a note.
    """

    name: ClassVar[str] = "stix"
    incremental: ClassVar[bool] = False
    media: ClassVar[tuple[str, ...]] = (
        "application/stix+json",
        "application/taxii+json",
        ".stix",
        ".stix2",
    )

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """See `Format.parse`."""
        read_options(StixOptions, options)
        data = read_text_document(stream)
        objects = read_objects(data)
        references = References(objects, has_flags=DETECTION_FLAG in data)
        account = UnitAccount("object", len(objects))
        batch = ParsedBatch(notes=references.notes())
        for number, stix_object in enumerate(objects):
            items = _object_items(number, stix_object, references)
            if len(items) == 1 and isinstance(items[0], ParsedIndicator):
                batch.indicators.append(items[0])
                account.read += 1
            else:
                batch.indicators += [item for item in items if isinstance(item, ParsedIndicator)]
                batch.dropped += [item for item in items if isinstance(item, DroppedItem)]
                count_unit(items, account)
            if len(batch.indicators) + len(batch.dropped) >= BATCH_SIZE:
                yield batch
                batch = ParsedBatch()
        batch.account = account
        yield batch


def _object_items(
    number: int, stix_object: BundleObject | DroppedItem, references: References
) -> Sequence[ParsedIndicator | DroppedItem]:
    if isinstance(stix_object, DroppedItem):
        return (stix_object,)
    if references.newest and references.is_old(stix_object):
        newer = "a newer version of this object is there"
        where = f"objects[{number}]"
        return (DroppedItem(where, excerpt(stix_object.id), "older version", newer),)
    if stix_object.type == "indicator":
        return _indicator_items(number, stix_object, references)
    where = f"objects[{number}]"
    if stix_object.type in _OBSERVED_TYPES and references.is_context(stix_object):
        return (_undetected_item(where, stix_object),)
    return [*_observable_items(where, stix_object, references)]


def _indicator_items(
    number: int, indicator: BundleObject, references: References
) -> list[ParsedIndicator | DroppedItem]:
    pattern = indicator.pattern
    if references.has_flags and not is_for_detection(indicator.labels):
        return [_undetected_item(f"objects[{number}]", indicator)]
    if not isinstance(pattern, str) or (indicator.pattern_type or "stix") != "stix":
        detail = f"pattern_type is {excerpt(indicator.pattern_type)}"
        where = f"objects[{number}].pattern"
        return [DroppedItem(where, excerpt(pattern), "not a STIX pattern", detail)]
    try:
        values = comparisons(pattern)
    except PatternProblem as problem:
        where = f"objects[{number}].pattern"
        return [DroppedItem(where, excerpt(pattern), problem.reason, problem.detail)]
    if not indicator.revoked and (refusal := _no_claim(number, indicator, references)):
        return [refusal]
    context = () if indicator.revoked else _context(indicator, references)
    return [_compared_item(number, value, context, indicator.revoked) for value in values]


def _no_claim(number: int, indicator: BundleObject, references: References) -> DroppedItem | None:
    """The item for an indicator that says nothing against its values now; None if it does."""
    since = stix_time(indicator.valid_from)
    if "benign" in as_list(indicator.indicator_types) or "benign" in as_list(indicator.labels):
        reason = "benign"
        detail = "its type says that this is no sign of harm by itself"
    elif since is not None and since[:19] > references.now:
        reason = "not valid yet"
        detail = f"valid_from is {since}"
    elif references.opinions and references.opinions.get(indicator.id) == 1.0:
        reason = "disputed"
        detail = "an opinion in this bundle strongly disagrees"
    else:
        return None
    return DroppedItem(f"objects[{number}]", excerpt(indicator.pattern), reason, detail)


def _undetected_item(where: str, stix_object: BundleObject) -> DroppedItem:
    """The item for what somebody saw and does not seek; indicators come by themselves."""
    reason = "not for detection" if is_of_misp(stix_object) else "observed"
    detail = f"this {excerpt(stix_object.type)} was seen, which says nothing against it"
    return DroppedItem(where, excerpt(stix_object.id), reason, detail)


def _compared_item(
    number: int, comparison: Comparison, context: tuple[Any, ...], retracted: bool
) -> ParsedIndicator | DroppedItem:
    if comparison.is_context:
        return DroppedItem(
            f"objects[{number}].pattern",
            excerpt(comparison.value),
            "context",
            "alone it does not satisfy the pattern",
        )
    if not comparison.is_known:
        return DroppedItem(
            f"objects[{number}].pattern",
            excerpt(comparison.value),
            "unsupported property",
            excerpt(comparison.path),
        )
    try:
        kind, value = typed_value(comparison.type, comparison.value)
    except NotAnObservable as refusal:
        return refused_item(f"objects[{number}].pattern", comparison.value, refusal)
    if comparison.type is None and kind not in TYPES_OF_REFERENCES:
        detail = f"{excerpt(comparison.path)} refers to addresses and names of hosts"
        where = f"objects[{number}].pattern"
        return DroppedItem(where, excerpt(value), "not of the declared type", detail)
    if retracted:
        return ParsedIndicator(kind, value, retracted=True)
    indicator = ParsedIndicator(kind, value, *context)
    if comparison.beside:
        indicator.relations = pattern_relations(kind, value, comparison.beside)
    return indicator


def _context(indicator: BundleObject, references: References) -> tuple[Any, ...]:
    """The fields of a `ParsedIndicator` behind its value, from `confidence` to `ref`."""
    description = indicator.description
    text = None if description is None else fields.short_text(description)
    since = indicator.valid_from
    until = indicator.valid_until
    if references.early_ends and ends_early(indicator):
        until = None
    confidence = fields.confidence(indicator.confidence)
    if references.opinions and (doubt := references.opinions.get(indicator.id)):
        confidence = round((50 if confidence is None else confidence) * (1 - doubt))
    return (
        confidence,
        references.tags(indicator),
        references.families.get(indicator.id),
        read_time(since) if isinstance(since, str) else None,
        references.last_seen(indicator),
        read_time(until) if isinstance(until, str) else None,
        text or fields.short_text(indicator.name),
        fields.short_text(indicator.id, 128),
    )


def _observable_items(
    where: str, stix_object: BundleObject, references: References
) -> Iterator[ParsedIndicator | DroppedItem]:
    """The items of an object that is no indicator."""
    markings = references.marking_tags(stix_object)
    if values := _observable_values(stix_object):
        for kind, value in values:
            item = _observable_item(where, kind, value, stix_object, references, markings)
            yield _retracted(item) if stix_object.revoked else item
    elif stix_object.type == "file" and stix_object.hashes:
        yield _unread_hashes(where, stix_object)
    else:
        yield DroppedItem(
            where, excerpt(stix_object.id), "not an indicator", excerpt(stix_object.type)
        )


def _retracted(item: ParsedIndicator | DroppedItem) -> ParsedIndicator | DroppedItem:
    """What a revoked object said, taken back."""
    if isinstance(item, DroppedItem):
        return item
    return ParsedIndicator(item.type, item.value, retracted=True)


def _unread_hashes(where: str, file: BundleObject) -> DroppedItem:
    """The item for a file of whose hashes none is read; a name alone would match other files."""
    names = ", ".join(map(str, file.hashes)) if isinstance(file.hashes, dict) else "hashes"
    return DroppedItem(
        where, excerpt(file.name), "unsupported property", f"{excerpt(names)} of a file"
    )


def _observable_values(stix_object: BundleObject) -> list[tuple[ObservableType | None, Any]]:
    """The observables that a cyber-observable object is; none for any other object."""
    if kind := _TYPES_WITH_VALUE.get(stix_object.type):
        return [(kind, stix_object.value)]
    if kind := _TYPES_WITH_NAME.get(stix_object.type):
        return [(kind, stix_object.name)]
    if stix_object.type == "autonomous-system":
        return [(_T.ASN, str(stix_object.number))]
    if stix_object.type == "windows-registry-key":
        return [(_T.REGISTRY_KEY, stix_object.key)]
    if prefix := _HASH_PREFIXES.get(stix_object.type):
        return _hash_values(prefix, stix_object)
    return []


def _hash_values(prefix: str, stix_object: BundleObject) -> list[tuple[ObservableType | None, Any]]:
    """The hashes of a file, artifact or certificate; of a file without hashes its name."""
    hashes = stix_object.hashes if isinstance(stix_object.hashes, dict) else {}
    values: dict[ObservableType | None, Any] = {
        kind: value for name, value in hashes.items() if (kind := _hash_type(prefix, name))
    }
    image = as_dict(as_dict(stix_object.extensions).get("windows-pebinary-ext"))
    if stix_object.type == "file" and isinstance(imphash := image.get("imphash"), str):
        values[_T.IMPHASH] = imphash
    if not hashes and stix_object.type == "file" and not stix_object.hashes:
        return [(_T.FILE_NAME, stix_object.name)]
    return [*values.items()]


def _hash_type(prefix: str, name: str) -> ObservableType | None:
    kind = fields.TYPES_BY_NAME.get(name.lower(), "")
    if not kind.startswith("file-"):
        return None
    try:
        return ObservableType(prefix + kind.removeprefix("file-"))
    except ValueError:
        return None


def _observable_item(
    where: str,
    kind: ObservableType | None,
    value: Any,
    stix_object: BundleObject,
    references: References,
    markings: list[str],
) -> ParsedIndicator | DroppedItem:
    if not isinstance(value, str):
        detail = f"this {excerpt(stix_object.type)} has no value we store"
        return DroppedItem(where, excerpt(value), "missing value", detail)
    try:
        type_, canonical = typed_value(kind, value)
    except NotAnObservable as refusal:
        return refused_item(where, value, refusal)
    tags = fields.tags(as_list(stix_object.labels), markings)
    seen = references.last_seen(stix_object)
    return ParsedIndicator(type_, canonical, tags=tags, last_seen=seen, ref=stix_object.id or None)
