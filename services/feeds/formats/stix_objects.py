"""The objects of a STIX bundle, with the properties that matter.

If the bundle does not decode at once, its objects are decoded one by one, so that a bad object
costs only itself.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from services.feeds.formats.base import DroppedItem, MalformedDocument, excerpt
from services.feeds.formats.streams import decode_json, gc_paused, json_lines


class _Bundle(msgspec.Struct):
    type: str | None = None
    objects: list[msgspec.Raw] | None = None


class BundleObject(msgspec.Struct, gc=False):
    """An object's properties that matter.

    They are `Any` where custom objects use the name of a property for other types, and stand in the
    order in which programs write them, which is how they are decoded fastest.
    """

    type: str
    id: str = ""
    created: Any = None
    modified: Any = None
    revoked: bool = False
    name: Any = None
    description: Any = None
    indicator_types: Any = None
    pattern: Any = None
    pattern_type: Any = None
    valid_from: Any = None
    valid_until: Any = None
    kill_chain_phases: Any = None
    labels: Any = None
    confidence: Any = None
    external_references: Any = None
    object_marking_refs: Any = None
    granular_markings: Any = None
    value: Any = None
    number: Any = None
    key: Any = None
    hashes: Any = None
    objects: Any = None
    sighting_of_ref: Any = None
    last_seen: Any = None
    count: Any = None
    opinion: Any = None
    definition_type: Any = None
    definition: Any = None
    extensions: Any = None
    relationship_type: Any = None
    source_ref: Any = None
    target_ref: Any = None
    object_refs: Any = None


class _DecodedHead(msgspec.Struct):
    type: Any = None
    id: Any = None


class _DecodedBundle(_DecodedHead):
    objects: list[BundleObject] | None = None


def read_objects(data: bytes) -> Sequence[BundleObject | DroppedItem]:
    """The objects of a bundle or envelope, in its order; those that do not decode are dropped.

    An object by itself, a list of objects or bundles, and JSON Lines are read as a bundle of them,
    and so are those that stand under a name, as in `{"data": [bundle]}`.

    Raises:
        MalformedDocument: this is no bundle.
    """
    if data.lstrip()[:1] == b"[":
        raw_objects: list[msgspec.Raw] = decode_json(data, list[msgspec.Raw])
        if not raw_objects:
            raise MalformedDocument("this is no STIX bundle: it is an empty list", "$")
        return _decode_entries(raw_objects)
    if lines := json_lines(data):
        return _decode_entries([msgspec.Raw(line) for line in lines])
    try:
        # Decoding all objects at once takes half the time of decoding each by itself.
        with gc_paused():
            bundle = _decode_bundle(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        head: _DecodedHead = decode_json(data, _DecodedHead)
        if not _is_object(head):
            raw_bundle: _Bundle = decode_json(data, _Bundle)
            if raw_bundle.objects is not None:
                return _decode_objects(raw_bundle.objects)
        bundle = _DecodedBundle(head.type, head.id)
    if _is_object(bundle):
        return _decode_objects([msgspec.Raw(data.strip())])
    if bundle.type != "bundle" and bundle.objects is None:
        if wrapped := _wrapped_entries(data):
            return _decode_entries(wrapped)
        raise MalformedDocument(
            'this is no STIX bundle: neither "type": "bundle" nor "objects" is there', "$"
        )
    return bundle.objects or []


def _wrapped_entries(data: bytes) -> list[msgspec.Raw]:
    """The bundles and objects under the names of a document that is none itself."""
    wrapper: dict[str, msgspec.Raw] = decode_json(data, dict[str, msgspec.Raw])
    wrapped: list[msgspec.Raw] = []
    for raw in wrapper.values():
        entries = [raw]
        if bytes(memoryview(raw)[:1]) == b"[":
            entries = decode_json(bytes(raw), list[msgspec.Raw])
        # What is no object beside others is dropped with its reason; other lists are not meant.
        if any(map(_is_bundle_or_object, entries)):
            wrapped += entries
    return wrapped


def _is_bundle_or_object(raw: msgspec.Raw) -> bool:
    try:
        head = _decode_head(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return head.type == "bundle" or _is_object(head)


def _is_object(bundle: _DecodedHead) -> bool:
    """Whether a document is an object that may stand in a bundle: its id begins with its type."""
    return (
        isinstance(bundle.type, str)
        and bundle.type != "bundle"
        and isinstance(bundle.id, str)
        and bundle.id.startswith(f"{bundle.type}--")
    )


def _decode_entries(raws: Sequence[msgspec.Raw]) -> list[BundleObject | DroppedItem]:
    """The objects of a list, in which bundles may stand as well."""
    raw_objects: list[msgspec.Raw] = []
    for raw in raws:
        try:
            bundle = _decode_envelope(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            bundle = None
        is_bundle = bundle is not None and bundle.type in ("bundle", None)
        if bundle is not None and is_bundle and bundle.objects is not None:
            raw_objects += bundle.objects
        else:
            raw_objects.append(raw)
    return _decode_objects(raw_objects)


def _decode_objects(raws: Sequence[msgspec.Raw]) -> list[BundleObject | DroppedItem]:
    return [_decode_object(f"objects[{number}]", raw) for number, raw in enumerate(raws)]


def _decode_object(where: str, raw: msgspec.Raw) -> BundleObject | DroppedItem:
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        text = bytes(memoryview(raw)[:200]).decode("utf-8", "replace")
        return DroppedItem(where, excerpt(text), "malformed object", str(problem))


_decode_envelope = msgspec.json.Decoder(_Bundle).decode
_decode = msgspec.json.Decoder(BundleObject).decode
_decode_head = msgspec.json.Decoder(_DecodedHead).decode
_decode_bundle = msgspec.json.Decoder(_DecodedBundle).decode


def as_list(value: Any) -> list[Any]:
    """A value that should be a list; empty if it is none."""
    return value if isinstance(value, list) else []


def as_dict(value: Any) -> dict[str, Any]:
    """A value that should be an object; empty if it is none."""
    return value if isinstance(value, dict) else {}
