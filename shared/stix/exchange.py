"""Objects and ids of observables as they leave the house: those of the STIX 2.1 standard.

Inside, an observable has a key that no two types share (`ids`). Others compute the id that the
standard describes (§2.9), so that is what they get: a mutex and a certificate have it as well. For
types that STIX lacks it is a UUIDv5 of the value in STIX's namespace, as other platforms compute
it, and the type comes with an extension definition (§7.3) that says what it is.

`python -m shared.stix.exchange` prints these definitions: `docs/stix-extensions.json`.
"""

import sys
from collections.abc import Iterable
from typing import Any, Final
from uuid import uuid5

import msgspec

from shared.stix.ids import SCO_NAMESPACE, SENTINELIQ_NAMESPACE, shape_of, stix_id
from shared.stix.vocabulary import ObservableType as Type

_CREATED: Final = "2026-11-30T00:00:00.000Z"
_EPOCH: Final = "1970-01-01T00:00:00.000Z"
_EXTENSIONS: Final[dict[str, str]] = {
    Type.FILE_PATH: "966e4ef3-05f1-4071-8d47-136712b73f8c",
    Type.JA3: "98dfbdcd-f461-4b8a-8866-594ea37a7ff5",
    Type.JA4: "94609b63-4b31-4d66-aaaf-bfea4521b7fa",
    Type.USER_AGENT: "d412afa6-d794-4e8e-be1f-c54dc61836a4",
    Type.WALLET: "e6979a6a-9abd-4aa2-b333-17d8c0d7b6a2",
}
"""Random ids of the extension definitions, given once; they never change."""
_OWN_TYPES: Final[dict[str, str]] = {
    Type.FILE_PATH: "The whole path of a file on a host.",
    Type.JA3: "The JA3 fingerprint of a TLS client: the MD5 of its greeting.",
    Type.JA4: "The JA4 fingerprint of a TLS client.",
    Type.USER_AGENT: "The value of the header User-Agent of HTTP requests.",
    Type.WALLET: "An address of a cryptocurrency.",
}
"""Types that STIX has no object for, and what their `value` is."""

_TYPED: Final = frozenset(
    {
        *_OWN_TYPES,
        Type.IMPHASH,
        Type.MUTEX,
        Type.X509_SHA1,
        Type.X509_SHA256,
    }
)
"""Types whose key inside differs from the id outside."""

_IDENTITY: Final[dict[str, Any]] = {
    "type": "identity",
    "spec_version": "2.1",
    "id": "identity--8bf8e296-0bdf-4e51-9a9e-631b181929f3",
    "created": _CREATED,
    "modified": _CREATED,
    "name": "SentinelIQ",
    "identity_class": "system",
}


def has_standard_key(kind: Type | str) -> bool:
    """Whether the id of a type outside is the same as its key inside."""
    return kind not in _TYPED


def standard_id(kind: Type | str, value: str) -> str:
    """The id that the STIX standard describes for an observable; `value` must be canonical."""
    if has_standard_key(kind):
        return stix_id(kind, value)
    name = msgspec.json.encode(_properties(kind, value), order="sorted").decode()
    return f"{shape_of(kind)[0]}--{uuid5(SCO_NAMESPACE, name)}"


def sco(kind: Type | str, value: str) -> dict[str, Any]:
    """Return the STIX 2.1 object of an observable; `value` must be canonical.

    A vulnerability is a domain object, for which STIX requires times: they are the epoch, and
    callers that know when it was first seen replace them.
    """
    stix_object: dict[str, Any] = {
        "type": shape_of(kind)[0],
        "spec_version": "2.1",
        "id": standard_id(kind, value),
        **_properties(kind, value),
    }
    if kind == Type.VULNERABILITY:
        stix_object |= {"created": _EPOCH, "modified": _EPOCH}
        stix_object["external_references"] = [{"source_name": "cve", "external_id": value}]
    if kind in _OWN_TYPES:
        stix_object["extensions"] = {_extension_id(kind): {"extension_type": "new-sco"}}
    return stix_object


def _properties(kind: Type | str, value: str) -> dict[str, Any]:
    """The properties that identify an observable."""
    _, head, tail = shape_of(kind)
    text = msgspec.json.encode(value) if kind != Type.ASN else value[2:].encode()
    properties: dict[str, Any] = msgspec.json.decode(head.encode() + text + tail.encode())
    if kind == Type.IMPHASH:
        # STIX has a property for it, requires the kind of image beside it, and of a file a hash
        # or a name (§6.7): what it does not list as a hash begins with `x_`. Imports are hashed
        # of images that can be loaded.
        properties = {"hashes": {"x_imphash": value}}
        image = {"imphash": value, "pe_type": "exe"}
        properties["extensions"] = {"windows-pebinary-ext": image}
    return properties


def _extension_id(kind: Type | str) -> str:
    return f"extension-definition--{_EXTENSIONS[kind]}"


def extension_definitions(kinds: Iterable[Type | str] = tuple(_OWN_TYPES)) -> list[dict[str, Any]]:
    """The extension definitions of the own types among some types, and who made them."""
    definitions = [_definition(kind) for kind in sorted(set(kinds)) if kind in _OWN_TYPES]
    return [_IDENTITY, *definitions] if definitions else []


def _definition(kind: Type | str) -> dict[str, Any]:
    name = shape_of(kind)[0]
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"type": {"const": name}, "value": {"type": "string", "minLength": 1}},
        "required": ["type", "id", "value"],
    }
    return {
        "type": "extension-definition",
        "spec_version": "2.1",
        "id": _extension_id(kind),
        "created_by_ref": _IDENTITY["id"],
        "created": _CREATED,
        "modified": _CREATED,
        "name": name,
        "description": _OWN_TYPES[kind],
        "schema": msgspec.json.encode(schema).decode(),
        "version": "1.0.0",
        "extension_types": ["new-sco"],
    }


def extensions_bundle() -> bytes:
    """All extension definitions as one bundle."""
    objects = extension_definitions()
    name = msgspec.json.encode(objects, order="sorted").decode()
    bundle = {
        "type": "bundle",
        "id": f"bundle--{uuid5(SENTINELIQ_NAMESPACE, name)}",
        "objects": objects,
    }
    return msgspec.json.format(msgspec.json.encode(bundle), indent=2) + b"\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(extensions_bundle())
