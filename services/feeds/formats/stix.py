"""STIX 2.0 and 2.1 bundles: the patterns of indicators, and cyber-observable objects.

Only the properties that matter are decoded. If the bundle does not decode at once, its objects are
decoded one by one, so that a bad object costs only itself.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, BinaryIO, ClassVar

import msgspec

from services.feeds.formats import fields
from services.feeds.formats.base import (
    BATCH_SIZE,
    DroppedItem,
    MalformedDocument,
    ParsedBatch,
    ParsedIndicator,
    excerpt,
    read_options,
    refused_item,
    typed_value,
)
from services.feeds.formats.stix_pattern import Comparison, PatternProblem, comparisons
from services.feeds.formats.streams import decode_json, gc_paused, read_text_document
from shared.stix import NotAnObservable, ObservableType

_T = ObservableType
_TYPES_WITH_VALUE = {
    kind: ObservableType(kind)
    for kind in ("ipv4-addr", "ipv6-addr", "domain-name", "url", "email-addr")
}
_TYPES_WITH_VALUE["mac-addr"] = _T.MAC
_TYPES_WITH_NAME = {"mutex": _T.MUTEX, "vulnerability": _T.VULNERABILITY}
_HASH_PREFIXES = {"file": "file-", "artifact": "file-", "x509-certificate": "x509-"}
_FAMILY_TYPES = frozenset({"malware", "tool"})

_TLP = {
    # STIX 2.1 §7.2.1.4, and the TLP 2.0 definitions that OASIS published for it.
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": "tlp:clear",
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": "tlp:green",
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": "tlp:amber",
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": "tlp:red",
    "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487": "tlp:clear",
    "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb": "tlp:green",
    "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421": "tlp:amber",
    "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003": "tlp:amber+strict",
    "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1": "tlp:red",
}


class StixOptions(msgspec.Struct, forbid_unknown_fields=True):
    """STIX has no options: a bundle describes itself."""


class _Bundle(msgspec.Struct):
    type: str | None = None
    objects: list[msgspec.Raw] | None = None


class _Object(msgspec.Struct, gc=False):
    """An object's properties that matter.

    They are `Any` where custom objects use the name of a property for other types.
    """

    type: str
    id: str = ""
    revoked: bool = False
    name: Any = None
    description: Any = None
    value: Any = None
    number: Any = None
    key: Any = None
    hashes: Any = None
    objects: Any = None
    pattern: Any = None
    pattern_type: Any = None
    labels: Any = None
    indicator_types: Any = None
    confidence: Any = None
    valid_from: Any = None
    valid_until: Any = None
    modified: Any = None
    kill_chain_phases: Any = None
    external_references: Any = None
    object_marking_refs: Any = None
    definition: Any = None
    definition_type: Any = None
    relationship_type: Any = None
    source_ref: Any = None
    target_ref: Any = None


class _DecodedBundle(msgspec.Struct):
    type: str | None = None
    objects: list[_Object] | None = None


class StixFormat:
    """STIX bundles and TAXII envelopes: indicators by their patterns, and cyber-observables.

    Labels and indicator types become tags. So do TLP markings (`tlp:amber`), techniques that an
    indicator `indicates` or refers to (`attack:T1059`), and ATT&CK tactics in its kill chain
    (`attack:initial-access`). A malware or tool that it `indicates` becomes its family. A revoked
    object retracts. Of several versions of an object the newest counts.
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
        objects = _objects(read_text_document(stream))
        references = _References(objects)
        batch = ParsedBatch()
        for number, stix_object in enumerate(objects):
            for item in _object_items(number, stix_object, references):
                if isinstance(item, ParsedIndicator):
                    batch.indicators.append(item)
                else:
                    batch.dropped.append(item)
            if len(batch.indicators) + len(batch.dropped) >= BATCH_SIZE:
                yield batch
                batch = ParsedBatch()
        if batch.indicators or batch.dropped:
            yield batch


def _objects(data: bytes) -> Sequence[_Object | DroppedItem]:
    try:
        # Decoding all objects at once takes half the time of decoding each by itself.
        with gc_paused():
            bundle = _decode_bundle(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raw_bundle: _Bundle = decode_json(data, _Bundle)
        if raw_bundle.objects is not None:
            return [
                _decode_object(f"objects[{number}]", raw)
                for number, raw in enumerate(raw_bundle.objects)
            ]
        bundle = _DecodedBundle(raw_bundle.type)
    if bundle.type != "bundle" and bundle.objects is None:
        raise MalformedDocument(
            'this is no STIX bundle: neither "type": "bundle" nor "objects" is there', "$"
        )
    return bundle.objects or []


def _decode_object(where: str, raw: msgspec.Raw) -> _Object | DroppedItem:
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        text = bytes(memoryview(raw)[:200]).decode("utf-8", "replace")
        return DroppedItem(where, excerpt(text), "malformed object", str(problem))


_decode = msgspec.json.Decoder(_Object).decode
_decode_bundle = msgspec.json.Decoder(_DecodedBundle).decode


class _References:
    """What the objects of a bundle state about each other.

    Attributes:
        newest: time of an object's newest version, for ids that have several versions.
        families: indicator id -> name of the first malware or tool that it indicates.
        techniques: indicator id -> tags of the ATT&CK techniques that it indicates.
        markings: id of a marking definition -> its TLP as a tag.
    """

    def __init__(self, objects: Sequence[_Object | DroppedItem]) -> None:
        self._plain_tags_cache: dict[tuple[Any, ...], tuple[str, ...]] = {}
        self.newest = _newest_versions(objects)
        self.families: dict[str, str] = {}
        self.techniques: dict[str, list[str]] = {}
        self.markings = dict(_TLP)
        names: dict[str, str] = {}
        attack_tags: dict[str, list[str]] = {}
        indicates: list[tuple[str, str]] = []
        for stix_object in objects:
            if not isinstance(stix_object, _Object):
                continue
            if stix_object.type in _FAMILY_TYPES and (
                name := fields.short_text(stix_object.name, 128)
            ):
                names[stix_object.id] = name
            elif stix_object.type == "attack-pattern":
                attack_tags[stix_object.id] = _techniques(stix_object)
            elif stix_object.type == "marking-definition" and (tlp := _tlp(stix_object)):
                self.markings[stix_object.id] = tlp
            elif stix_object.relationship_type == "indicates" and isinstance(
                stix_object.source_ref, str
            ):
                indicates.append((stix_object.source_ref, str(stix_object.target_ref)))
        for source, target in indicates:
            if target in names:
                self.families.setdefault(source, names[target])
            self.techniques.setdefault(source, []).extend(attack_tags.get(target, ()))

    def is_old(self, stix_object: _Object) -> bool:
        """Whether the bundle holds a newer version of the object."""
        return bool(self.newest) and str(stix_object.modified or "") < self.newest.get(
            stix_object.id, ""
        )

    def tags(self, indicator: _Object) -> tuple[str, ...]:
        """An indicator's tags."""
        labels = _as_list(indicator.labels)
        types = _as_list(indicator.indicator_types)
        if not (
            indicator.kill_chain_phases
            or indicator.external_references
            or indicator.object_marking_refs
            or self.techniques
        ):
            return self._plain_tags(labels, types)
        phases = [
            f"attack:{phase['phase_name']}"
            for phase in _as_list(indicator.kill_chain_phases)
            if isinstance(phase, dict)
            and phase.get("kill_chain_name") == "mitre-attack"
            and "phase_name" in phase
        ]
        markings = [
            self.markings[ref]
            for ref in _as_list(indicator.object_marking_refs)
            if ref in self.markings
        ]
        attack = [*_techniques(indicator), *self.techniques.get(indicator.id, ()), *phases]
        return fields.tags(labels, types, attack, markings)

    def _plain_tags(self, labels: list[Any], types: list[Any]) -> tuple[str, ...]:
        """Tags of labels and types alone; a bundle repeats few combinations, which are cached."""
        key = (*labels, None, *types)
        try:
            tags = self._plain_tags_cache.get(key)
        except TypeError:  # a label is no text
            return fields.tags(labels, types)
        if tags is None:
            tags = fields.tags(labels, types)
            self._plain_tags_cache[key] = tags
        return tags


def _newest_versions(objects: Sequence[_Object | DroppedItem]) -> dict[str, str]:
    newest: dict[str, str] = {}
    versions: dict[str, str] = {}
    for stix_object in objects:
        if isinstance(stix_object, _Object) and stix_object.id:
            version = str(stix_object.modified or "")
            before = versions.setdefault(stix_object.id, version)
            if before != version:
                versions[stix_object.id] = newest[stix_object.id] = max(before, version)
    return newest


def _techniques(stix_object: _Object) -> list[str]:
    return [
        f"attack:{reference['external_id']}"
        for reference in _as_list(stix_object.external_references)
        if isinstance(reference, dict)
        and reference.get("source_name") == "mitre-attack"
        and isinstance(reference.get("external_id"), str)
    ]


def _tlp(marking: _Object) -> str | None:
    definition = marking.definition if isinstance(marking.definition, dict) else {}
    level = definition.get("tlp") if marking.definition_type == "tlp" else None
    if level is None and isinstance(marking.name, str) and marking.name.upper().startswith("TLP:"):
        level = marking.name[4:]
    return f"tlp:{level.lower()}" if isinstance(level, str) else None


def _object_items(
    number: int, stix_object: _Object | DroppedItem, references: _References
) -> Iterable[ParsedIndicator | DroppedItem]:
    if isinstance(stix_object, DroppedItem):
        return (stix_object,)
    if references.is_old(stix_object):
        newer = "a newer version of this object is there"
        where = f"objects[{number}]"
        return (DroppedItem(where, excerpt(stix_object.id), "older version", newer),)
    if stix_object.type == "indicator":
        return _indicator_items(number, stix_object, references)
    return _observable_items(f"objects[{number}]", stix_object)


def _indicator_items(
    number: int, indicator: _Object, references: _References
) -> list[ParsedIndicator | DroppedItem]:
    pattern = indicator.pattern
    if not isinstance(pattern, str) or (indicator.pattern_type or "stix") != "stix":
        detail = f"pattern_type is {excerpt(indicator.pattern_type)}"
        where = f"objects[{number}].pattern"
        return [DroppedItem(where, excerpt(pattern), "not a STIX pattern", detail)]
    try:
        values = comparisons(pattern)
    except PatternProblem as problem:
        where = f"objects[{number}].pattern"
        return [DroppedItem(where, excerpt(pattern), problem.reason, problem.detail)]
    context = () if indicator.revoked else _context(indicator, references)
    return [_compared_item(number, value, context, indicator.revoked) for value in values]


def _compared_item(
    number: int, comparison: Comparison, context: tuple[Any, ...], retracted: bool
) -> ParsedIndicator | DroppedItem:
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
    if retracted:
        return ParsedIndicator(kind, value, retracted=True)
    return ParsedIndicator(kind, value, *context)


def _context(indicator: _Object, references: _References) -> tuple[Any, ...]:
    """The fields of a `ParsedIndicator` behind its value, from `confidence` to `ref`."""
    description = indicator.description
    text = None if description is None else fields.short_text(description)
    since = indicator.valid_from
    until = indicator.valid_until
    return (
        fields.confidence(indicator.confidence),
        references.tags(indicator),
        references.families.get(indicator.id),
        _timestamp(since) if isinstance(since, str) else None,
        None,
        _timestamp(until) if isinstance(until, str) else None,
        text or fields.short_text(indicator.name),
        fields.short_text(indicator.id, 128),
    )


_timestamp = lru_cache(maxsize=65_536)(fields.timestamp)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _observable_items(where: str, stix_object: _Object) -> Iterator[ParsedIndicator | DroppedItem]:
    """The items of an object that is no indicator."""
    if stix_object.type == "observed-data" and isinstance(stix_object.objects, dict):
        for name, inner in stix_object.objects.items():
            inner_where = f"{where}.objects.{excerpt(name)}"
            yield from _observed_items(inner_where, inner, stix_object.id)
    elif values := _observable_values(stix_object):
        for kind, value in values:
            item = _observable_item(where, kind, value, stix_object, stix_object.id or None)
            if stix_object.revoked and isinstance(item, ParsedIndicator):
                item = ParsedIndicator(item.type, item.value, retracted=True)
            yield item
    else:
        yield DroppedItem(
            where, excerpt(stix_object.id), "not an indicator", excerpt(stix_object.type)
        )


def _observed_items(where: str, inner: Any, ref: str) -> Iterator[ParsedIndicator | DroppedItem]:
    """The items of a cyber-observable within the observed-data of STIX 2.0."""
    try:
        observable = msgspec.convert(inner, _Object)
    except msgspec.ValidationError as problem:
        yield DroppedItem(where, excerpt(inner), "malformed object", str(problem))
        return
    for kind, value in _observable_values(observable):
        yield _observable_item(where, kind, value, observable, fields.short_text(ref, 128))


def _observable_values(stix_object: _Object) -> list[tuple[ObservableType | None, Any]]:
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


def _hash_values(prefix: str, stix_object: _Object) -> list[tuple[ObservableType | None, Any]]:
    """The hashes of a file, artifact or certificate; of a file without hashes its name."""
    hashes = stix_object.hashes if isinstance(stix_object.hashes, dict) else {}
    values: dict[ObservableType | None, Any] = {
        kind: value for name, value in hashes.items() if (kind := _hash_type(prefix, name))
    }
    if not values and stix_object.type == "file":
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
    stix_object: _Object,
    ref: str | None,
) -> ParsedIndicator | DroppedItem:
    if not isinstance(value, str):
        detail = f"this {excerpt(stix_object.type)} has no value we store"
        return DroppedItem(where, excerpt(value), "missing value", detail)
    try:
        type_, canonical = typed_value(kind, value)
    except NotAnObservable as refusal:
        return refused_item(where, value, refusal)
    return ParsedIndicator(
        type_, canonical, tags=fields.tags(_as_list(stix_object.labels)), ref=ref
    )
