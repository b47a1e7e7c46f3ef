"""STIX 2.0 and 2.1 bundles: indicators' patterns and cyber-observable objects.

Objects are decoded one by one into the properties that matter, so that one bad object costs only itself.
"""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, ClassVar

import msgspec

from services.feeds.formats import fields
from services.feeds.formats.base import (
    Batch,
    Dropped,
    MalformedDocument,
    Record,
    batched,
    cut,
    dropped,
    read_options,
    typed,
)
from services.feeds.formats.pattern import Comparison, PatternProblem, comparisons
from services.feeds.formats.reading import decode_json, document
from shared.stix import NotAnObservable, ObservableType

_T = ObservableType
_BY_VALUE = {kind: ObservableType(kind) for kind in ("ipv4-addr", "ipv6-addr", "domain-name", "url", "email-addr")}
_BY_VALUE["mac-addr"] = _T.MAC
_BY_NAME = {"mutex": _T.MUTEX, "vulnerability": _T.VULNERABILITY}
_FAMILIES = frozenset({"malware", "tool"})
_HASHED = {"file": "file-", "artifact": "file-", "x509-certificate": "x509-"}


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
    relationship_type: Any = None
    source_ref: Any = None
    target_ref: Any = None


class Stix:
    """STIX bundles. Indicators give the observables their patterns name, observables give themselves.

    Labels and indicator types become tags; a malware or tool that an indicator `indicates` becomes its family.
    """

    name: ClassVar[str] = "stix"
    incremental: ClassVar[bool] = False
    media: ClassVar[tuple[str, ...]] = ("application/stix+json", "application/taxii+json", ".stix", ".stix2")

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[Batch]:
        """See `Format.parse`."""
        read_options(Options, options)
        return batched(_items(stream))


def _items(stream: BinaryIO) -> Iterator[Record | Dropped]:
    objects: list[_Object | Dropped] = []
    for number, raw in enumerate(_objects(document(stream))):
        objects.append(_object(f"objects[{number}]", raw))
    families = _families(objects)
    for number, one in enumerate(objects):
        if isinstance(one, Dropped):
            yield one
        else:
            yield from _taken(f"objects[{number}]", one, families)


def _objects(data: bytes) -> list[msgspec.Raw]:
    bundle: _Bundle = decode_json(data, _Bundle)
    if bundle.type != "bundle" and bundle.objects is None:
        raise MalformedDocument('this is no STIX bundle: neither "type": "bundle" nor "objects" is there', "$")
    return bundle.objects or []


def _object(where: str, raw: msgspec.Raw) -> _Object | Dropped:
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        text = bytes(memoryview(raw)[:200]).decode("utf-8", "replace")
        return Dropped(where, cut(text), "malformed object", str(problem))


_decode = msgspec.json.Decoder(_Object).decode


def _families(objects: list[_Object | Dropped]) -> dict[str, str]:
    """Indicator id -> name of the first malware or tool that it indicates."""
    names = {
        one.id: name
        for one in objects
        if isinstance(one, _Object) and one.type in _FAMILIES and (name := fields.words(one.name, 128))
    }
    found: dict[str, str] = {}
    for one in objects:
        if isinstance(one, _Object) and one.relationship_type == "indicates" and isinstance(one.source_ref, str):
            name = names.get(one.target_ref) if isinstance(one.target_ref, str) else None
            if name:
                found.setdefault(one.source_ref, name)
    return found


def _taken(where: str, one: _Object, families: dict[str, str]) -> Iterator[Record | Dropped]:
    if one.revoked:
        yield Dropped(where, cut(one.id), "revoked", f"the source has revoked this {cut(one.type)}")
    elif one.type == "indicator":
        yield from _indicator(where, one, families)
    elif one.type == "observed-data" and isinstance(one.objects, dict):
        for name, inner in one.objects.items():
            yield from _observed(f"{where}.objects.{cut(name)}", inner, one.id)
    elif values := _values(one):
        for kind, value in values:
            yield _record(where, kind, value, one, {"ref": one.id or None})
    else:
        yield Dropped(where, cut(one.id), "not an indicator", cut(one.type))


def _indicator(where: str, one: _Object, families: dict[str, str]) -> Iterator[Record | Dropped]:
    where = f"{where}.pattern"
    if not isinstance(one.pattern, str) or (one.pattern_type or "stix") != "stix":
        yield Dropped(where, cut(one.pattern), "not a STIX pattern", f"pattern_type is {cut(one.pattern_type)}")
        return
    try:
        found = comparisons(one.pattern)
    except PatternProblem as problem:
        yield Dropped(where, cut(one.pattern), problem.reason, problem.detail)
        return
    context = _context(one)
    context["malware"] = families.get(one.id)
    for comparison in found:
        yield _compared(where, comparison, context)


def _compared(where: str, comparison: Comparison, context: dict[str, Any]) -> Record | Dropped:
    if not comparison.known:
        return Dropped(where, cut(comparison.value), "unsupported property", cut(comparison.path))
    try:
        return Record(*typed(comparison.type, comparison.value), **context)
    except NotAnObservable as refusal:
        return dropped(where, comparison.value, refusal)


def _context(one: _Object) -> dict[str, Any]:
    return {
        "confidence": fields.confidence(one.confidence),
        "tags": fields.tags(_listed(one.labels), _listed(one.indicator_types)),
        "first_seen": fields.timestamp(one.valid_from),
        "valid_until": fields.timestamp(one.valid_until),
        "description": fields.words(one.description) or fields.words(one.name),
        "ref": fields.words(one.id, 128),
    }


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
        return ObservableType(prefix + kind.removeprefix("file-")) if kind.startswith("file-") else None
    except ValueError:
        return None


def _record(
    where: str, kind: ObservableType | None, value: Any, one: _Object, context: dict[str, Any]
) -> Record | Dropped:
    if not isinstance(value, str):
        return Dropped(where, cut(value), "missing value", f"this {cut(one.type)} has no value we store")
    try:
        return Record(*typed(kind, value), tags=fields.tags(_listed(one.labels)), **context)
    except NotAnObservable as refusal:
        return dropped(where, value, refusal)


def _observed(where: str, inner: Any, ref: str) -> Iterator[Record | Dropped]:
    """A cyber-observable within observed-data, as STIX 2.0 has them."""
    try:
        one = msgspec.convert(inner, _Object)
    except msgspec.ValidationError as problem:
        yield Dropped(where, cut(inner), "malformed object", str(problem))
        return
    for kind, value in _values(one):
        yield _record(where, kind, value, one, {"ref": fields.words(ref, 128)})
