"""Events that PyMISP builds: every object template, every type of attribute, every flag."""

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from pymisp import MISPEvent, MISPObject

_TEXTS: Final = {
    "ip-src": "198.51.{high}.{low}",
    "ip-dst": "203.0.{high}.{low}",
    "domain": "d{n}.example.com",
    "hostname": "h{n}.example.org",
    "url": "https://u{n}.example.com/a",
    "uri": "https://i{n}.example.com/a",
    "link": "https://l{n}.example.com/a",
    "AS": "AS{n}",
    "vulnerability": "CVE-2026-{n:05}",
    "weakness": "CWE-{n}",
    "filename": "f{n}.exe",
    "email-attachment": "t{n}.doc",
    "regkey": "HKEY_LOCAL_MACHINE\\Software\\k{n}",
    "mac-address": "02:00:00:00:{high:02x}:{low:02x}",
    "port": "{low}",
    "size-in-bytes": "{n}",
    "counter": "{n}",
    "integer": "{n}",
    "float": "{n}.5",
    "boolean": "1",
    "datetime": "2026-01-01T00:00:00.000000+00:00",
    "uuid": "12345678-1234-4234-8234-{n:012}",
}
"""A value of each type whose values have a form; n is different in each."""
_HASHES: Final = {
    "md5": "md5",
    "sha1": "sha1",
    "sha224": "sha224",
    "sha256": "sha256",
    "sha384": "sha384",
    "sha512": "sha512",
    "imphash": "md5",
    "ja3-fingerprint-md5": "md5",
    "x509-fingerprint-md5": "md5",
    "x509-fingerprint-sha1": "sha1",
    "x509-fingerprint-sha256": "sha256",
}
_FLAGS: Final = ({"to_ids": True}, {"to_ids": False}, {"to_ids": True, "deleted": True})


def sample_value(kind: str, n: int) -> str:
    """A value of a type of attribute."""
    if kind == "malware-sample":
        kind = "filename|md5"
    if "|" in kind:
        return "|".join(sample_value(part, n) for part in kind.split("|"))
    if kind in _HASHES:
        return hashlib.new(_HASHES[kind], str(n).encode(), usedforsecurity=False).hexdigest()
    if kind.startswith("email") and kind.removeprefix("email").removeprefix("-") in (
        *("", "src", "dst", "reply-to"),
    ):
        return f"m{n}@example.net"
    form = _TEXTS.get(kind, "text {n}")
    return form.format(n=n, high=n // 250 % 250, low=n % 250 + 1)


@cache
def _data_folder() -> Path:
    import pymisp

    return Path(pymisp.__file__).parent / "data"


def attribute_types() -> list[str]:
    """All types of attributes that MISP defines."""
    description = json.loads((_data_folder() / "describeTypes.json").read_text())
    return sorted(description["result"]["types"])


def template_names() -> list[str]:
    """All object templates that PyMISP brings."""
    folder = _data_folder() / "misp-objects" / "objects"
    return sorted(path.parent.name for path in folder.glob("*/definition.json"))


def event_of_attributes() -> dict[str, Any]:
    """An event with every type of attribute, each with every flag, and without one."""
    event = MISPEvent()
    event.info = "every type"
    for at, kind in enumerate(attribute_types()):
        for number, flags in enumerate((*_FLAGS, {})):
            value = sample_value(kind, 40_000 + at * 4 + number)
            data = {"data": base64.b64encode(b"x").decode()} if kind == "malware-sample" else {}
            event.add_attribute(kind, value, **flags, **data)
    document: dict[str, Any] = json.loads(event.to_json())
    return {"Event": document}


def event_of_objects(names: list[str], first: int, *, with_deleted: bool) -> dict[str, Any]:
    """An event with objects of some templates, each with all its attributes.

    Args:
        names: of the templates.
        first: number of the first value.
        with_deleted: whether every third attribute is deleted; otherwise it is not for detection.
    """
    event = MISPEvent()
    event.info = "objects"
    n = first
    for name in names:
        misp_object = MISPObject(name, force_timestamps=True)
        definitions = sorted(misp_object._definition["attributes"].items())
        for at, (relation, definition) in enumerate(definitions):
            kind = definition["misp-attribute"]
            flags = _FLAGS[(at + n) % (3 if with_deleted else 2)]
            n += 1
            if kind in ("attachment", "malware-sample"):
                continue
            value = next(iter(definition.get("sane_default", ())), sample_value(kind, n))
            misp_object.add_attribute(relation, value, **flags)
        if misp_object.attributes:
            event.add_object(misp_object)
    document: dict[str, Any] = json.loads(event.to_json())
    return {"Event": document}
