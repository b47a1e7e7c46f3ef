"""STIX 2.0 and 2.1 bundles: indicators' patterns and cyber-observable objects.

Objects are decoded one by one into the properties that matter, so that one bad object costs only itself.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, BinaryIO, ClassVar

import msgspec

from services.feeds.formats import fields
from services.feeds.formats.base import (
    BATCH,
    DroppedItem,
    MalformedDocument,
    ParsedBatch,
    ParsedIndicator,
    cut,
    dropped,
    read_options,
    typed,
)
from services.feeds.formats.pattern import Comparison, PatternProblem, comparisons
from services.feeds.formats.streams import decode_json, document, uncollected
from shared.stix import NotAnObservable, ObservableType

_T = ObservableType
_BY_VALUE = {
    kind: ObservableType(kind)
    for kind in ("ipv4-addr", "ipv6-addr", "domain-name", "url", "email-addr")
}
_BY_VALUE["mac-addr"] = _T.MAC
_BY_NAME = {"mutex": _T.MUTEX, "vulnerability": _T.VULNERABILITY}
_FAMILIES = frozenset({"malware", "tool"})
_HASHED = {"file": "file-", "artifact": "file-", "x509-certificate": "x509-"}


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


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """A bundle says everything itself: there are no options."""


class _Bundle(msgspec.Struct):
    type: str | None = None
    objects: list[msgspec.Raw] | None = None


class _Object(msgspec.Struct, gc=False):
    """What is read of an object. `Any` where custom objects use a property's name for something else."""

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


class _Whole(msgspec.Struct):
    type: str | None = None
    objects: list[_Object] | None = None


class StixFormat:
    """STIX bundles and TAXII envelopes. Indicators give the observables their patterns name, observables themselves.

    Labels and indicator types become tags, TLP markings `tlp:amber`, techniques that an indicator `indicates` or refers
    to `attack:T1059`, ATT&CK tactics in its kill chain `attack:initial-access`. A malware or tool that it `indicates`
    becomes its family. What is revoked is taken back. Of several versions of an object the newest counts.
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
        read_options(Options, options)
        objects = _objects(document(stream))
        about = _About(objects)
        batch = ParsedBatch()
        for number, one in enumerate(objects):
            for found in _taken(number, one, about):
                if isinstance(found, ParsedIndicator):
                    batch.indicators.append(found)
                else:
                    batch.dropped.append(found)
            if len(batch.indicators) + len(batch.dropped) >= BATCH:
                yield batch
                batch = ParsedBatch()
        if batch.indicators or batch.dropped:
            yield batch


def _objects(data: bytes) -> Sequence[_Object | DroppedItem]:
    try:
        # All at once costs half; one object that is none makes it worth looking at each.
        with uncollected():
            whole = _decode_whole(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        bundle: _Bundle = decode_json(data, _Bundle)
        if bundle.objects is not None:
            return [_object(f"objects[{number}]", raw) for number, raw in enumerate(bundle.objects)]
        whole = _Whole(bundle.type)
    if whole.type != "bundle" and whole.objects is None:
        raise MalformedDocument(
            'this is no STIX bundle: neither "type": "bundle" nor "objects" is there', "$"
        )
    return whole.objects or []


def _object(where: str, raw: msgspec.Raw) -> _Object | DroppedItem:
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        text = bytes(memoryview(raw)[:200]).decode("utf-8", "replace")
        return DroppedItem(where, cut(text), "malformed object", str(problem))


_decode = msgspec.json.Decoder(_Object).decode
_decode_whole = msgspec.json.Decoder(_Whole).decode


class _About:
    """What objects say about other objects.

    Attributes:
        newest: when an object's newest version was made, for ids that stand there in several.
        families: indicator id -> name of the first malware or tool that it indicates.
        techniques: indicator id -> tags of the ATT&CK techniques that it indicates.
        markings: id of a marking definition -> its TLP as a tag.
    """

    def __init__(self, objects: Sequence[_Object | DroppedItem]) -> None:
        self._usual: dict[tuple[Any, ...], tuple[str, ...]] = {}
        self.newest: dict[str, str] = {}
        self.families: dict[str, str] = {}
        self.techniques: dict[str, list[str]] = {}
        self.markings = dict(_TLP)
        names: dict[str, str] = {}
        attack: dict[str, list[str]] = {}
        indicates: list[tuple[str, str]] = []
        self._find_newest(objects)
        for one in objects:
            if not isinstance(one, _Object):
                continue
            if one.type in _FAMILIES and (name := fields.words(one.name, 128)):
                names[one.id] = name
            elif one.type == "attack-pattern":
                attack[one.id] = _techniques(one)
            elif one.type == "marking-definition" and (tlp := _tlp(one)):
                self.markings[one.id] = tlp
            elif one.relationship_type == "indicates" and isinstance(one.source_ref, str):
                indicates.append((one.source_ref, str(one.target_ref)))
        for source, target in indicates:
            if target in names:
                self.families.setdefault(source, names[target])
            self.techniques.setdefault(source, []).extend(attack.get(target, ()))

    def _find_newest(self, objects: Sequence[_Object | DroppedItem]) -> None:
        seen: dict[str, str] = {}
        for one in objects:
            if isinstance(one, _Object) and one.id:
                version = str(one.modified or "")
                before = seen.setdefault(one.id, version)
                if before != version:
                    seen[one.id] = self.newest[one.id] = max(before, version)

    def is_old(self, one: _Object) -> bool:
        """Whether a newer version of the object is there."""
        return bool(self.newest) and str(one.modified or "") < self.newest.get(one.id, "")

    def tags(self, one: _Object) -> tuple[str, ...]:
        """An indicator's tags."""
        if not (
            one.kill_chain_phases
            or one.external_references
            or one.object_marking_refs
            or self.techniques
        ):
            return self._usual_tags(_listed(one.labels), _listed(one.indicator_types))
        phases = [
            f"attack:{phase['phase_name']}"
            for phase in _listed(one.kill_chain_phases)
            if isinstance(phase, dict)
            and phase.get("kill_chain_name") == "mitre-attack"
            and "phase_name" in phase
        ]
        marks = [
            self.markings[ref] for ref in _listed(one.object_marking_refs) if ref in self.markings
        ]
        attack = [*_techniques(one), *self.techniques.get(one.id, ()), *phases]
        return fields.tags(_listed(one.labels), _listed(one.indicator_types), attack, marks)

    def _usual_tags(self, labels: list[Any], types: list[Any]) -> tuple[str, ...]:
        """The same few combinations come again and again."""
        key = (*labels, None, *types)
        try:
            found = self._usual.get(key)
        except TypeError:  # a label that is no text
            return fields.tags(labels, types)
        if found is None:
            found = self._usual[key] = fields.tags(labels, types)
        return found


def _techniques(one: _Object) -> list[str]:
    return [
        f"attack:{reference['external_id']}"
        for reference in _listed(one.external_references)
        if isinstance(reference, dict)
        and reference.get("source_name") == "mitre-attack"
        and isinstance(reference.get("external_id"), str)
    ]


def _tlp(one: _Object) -> str | None:
    definition = one.definition if isinstance(one.definition, dict) else {}
    level = definition.get("tlp") if one.definition_type == "tlp" else None
    if level is None and isinstance(one.name, str) and one.name.upper().startswith("TLP:"):
        level = one.name[4:]
    return f"tlp:{level.lower()}" if isinstance(level, str) else None


def _taken(
    number: int, one: _Object | DroppedItem, about: _About
) -> Iterable[ParsedIndicator | DroppedItem]:
    if isinstance(one, DroppedItem):
        return (one,)
    if about.is_old(one):
        newer = "a newer version of this object is there"
        return (DroppedItem(f"objects[{number}]", cut(one.id), "older version", newer),)
    return (
        _indicator(number, one, about)
        if one.type == "indicator"
        else _others(f"objects[{number}]", one)
    )


def _others(where: str, one: _Object) -> Iterator[ParsedIndicator | DroppedItem]:
    """What an object says that is no indicator."""
    if one.type == "observed-data" and isinstance(one.objects, dict):
        for name, inner in one.objects.items():
            yield from _observed(f"{where}.objects.{cut(name)}", inner, one.id)
    elif values := _values(one):
        for kind, value in values:
            found = _record(where, kind, value, one, {"ref": one.id or None})
            yield (
                _taken_back(found) if one.revoked and isinstance(found, ParsedIndicator) else found
            )
    else:
        yield DroppedItem(where, cut(one.id), "not an indicator", cut(one.type))


def _taken_back(record: ParsedIndicator) -> ParsedIndicator:
    return ParsedIndicator(record.type, record.value, retracted=True)


def _indicator(number: int, one: _Object, about: _About) -> list[ParsedIndicator | DroppedItem]:
    if not isinstance(one.pattern, str) or (one.pattern_type or "stix") != "stix":
        where = f"objects[{number}].pattern"
        return [
            DroppedItem(
                where,
                cut(one.pattern),
                "not a STIX pattern",
                f"pattern_type is {cut(one.pattern_type)}",
            )
        ]
    try:
        found = comparisons(one.pattern)
    except PatternProblem as problem:
        where = f"objects[{number}].pattern"
        return [DroppedItem(where, cut(one.pattern), problem.reason, problem.detail)]
    context = () if one.revoked else _context(one, about)
    return [_compared(number, comparison, context, one.revoked) for comparison in found]


def _compared(
    number: int, comparison: Comparison, context: tuple[Any, ...], retracted: bool
) -> ParsedIndicator | DroppedItem:
    if not comparison.known:
        return DroppedItem(
            f"objects[{number}].pattern",
            cut(comparison.value),
            "unsupported property",
            cut(comparison.path),
        )
    try:
        kind, value = typed(comparison.type, comparison.value)
    except NotAnObservable as refusal:
        return dropped(f"objects[{number}].pattern", comparison.value, refusal)
    return (
        ParsedIndicator(kind, value, retracted=True)
        if retracted
        else ParsedIndicator(kind, value, *context)
    )


def _context(one: _Object, about: _About) -> tuple[Any, ...]:
    """The fields of a `ParsedIndicator` behind its value, up to `ref`."""
    until = one.valid_until
    described = None if one.description is None else fields.words(one.description)
    return (
        fields.confidence(one.confidence),
        about.tags(one),
        about.families.get(one.id),
        _when(one.valid_from) if isinstance(one.valid_from, str) else None,
        None,
        _when(until) if isinstance(until, str) else None,
        described or fields.words(one.name),
        fields.words(one.id, 128),
    )


_when = lru_cache(maxsize=65_536)(fields.timestamp)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _values(one: _Object) -> list[tuple[ObservableType | None, Any]]:
    """The observables a cyber-observable object is; none for any other object."""
    if kind := _BY_VALUE.get(one.type):
        return [(kind, one.value)]
    if kind := _BY_NAME.get(one.type):
        return [(kind, one.name)]
    if one.type == "autonomous-system":
        return [(_T.ASN, str(one.number))]
    if one.type == "windows-registry-key":
        return [(_T.REGISTRY_KEY, one.key)]
    if prefix := _HASHED.get(one.type):
        hashes = one.hashes if isinstance(one.hashes, dict) else {}
        kinds = {kind: text for name, text in hashes.items() if (kind := _hash_type(prefix, name))}
        return [*kinds.items()] or ([(_T.FILE_NAME, one.name)] if one.type == "file" else [])
    return []


def _hash_type(prefix: str, name: str) -> ObservableType | None:
    kind = fields.TYPES.get(name.lower(), "")
    try:
        return (
            ObservableType(prefix + kind.removeprefix("file-"))
            if kind.startswith("file-")
            else None
        )
    except ValueError:
        return None


def _record(
    where: str, kind: ObservableType | None, value: Any, one: _Object, context: dict[str, Any]
) -> ParsedIndicator | DroppedItem:
    if not isinstance(value, str):
        return DroppedItem(
            where, cut(value), "missing value", f"this {cut(one.type)} has no value we store"
        )
    try:
        return ParsedIndicator(
            *typed(kind, value), tags=fields.tags(_listed(one.labels)), **context
        )
    except NotAnObservable as refusal:
        return dropped(where, value, refusal)


def _observed(where: str, inner: Any, ref: str) -> Iterator[ParsedIndicator | DroppedItem]:
    """A cyber-observable within observed-data, as STIX 2.0 has them."""
    try:
        one = msgspec.convert(inner, _Object)
    except msgspec.ValidationError as problem:
        yield DroppedItem(where, cut(inner), "malformed object", str(problem))
        return
    for kind, value in _values(one):
        yield _record(where, kind, value, one, {"ref": fields.words(ref, 128)})
