"""Documents of other libraries, and a second reading of them: which values are meant to match."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shared.stix import NotAnObservable, ObservableType, normalise

_SCRIPT = Path(__file__).with_name("library_sources.py")
_FOLDERS = [Path(__file__).parents[3] / ".venv" / "documents"]
if "SENTINELIQ_LIBRARY_SOURCES" in os.environ:
    _FOLDERS.append(Path(os.environ["SENTINELIQ_LIBRARY_SOURCES"]))
_ADDRESSES = ("ipv4-addr", "ipv6-addr")
MISP_TYPES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("ip-src", "ip-dst", "ip"), _ADDRESSES),
    **dict.fromkeys(("domain", "hostname"), ("domain-name",)),
    **dict.fromkeys(("url", "uri", "link"), ("url",)),
    **dict.fromkeys(
        ("email", "email-src", "email-dst", "email-reply-to", "dns-soa-email"), ("email-addr",)
    ),
    **dict.fromkeys(("filename", "email-attachment"), ("file-name",)),
    **dict.fromkeys(("btc", "xmr", "dash"), ("cryptocurrency-wallet",)),
    **{
        name: (f"file-{name}",)
        for name in ("md5", "sha1", "sha256", "sha512", "ssdeep", "tlsh", "imphash")
    },
    "mac-address": ("mac-addr",),
    "AS": ("autonomous-system",),
    "vulnerability": ("vulnerability",),
    "regkey": ("windows-registry-key",),
    "mutex": ("mutex",),
    "ja3-fingerprint-md5": ("ja3",),
    "user-agent": ("user-agent",),
    "x509-fingerprint-sha1": ("x509-sha1",),
    "x509-fingerprint-sha256": ("x509-sha256",),
}
"""What the value of an attribute of a type may be, as MISP defines its types."""
_HASHES = {
    "MD5": "md5",
    "SHA-1": "sha1",
    "SHA-256": "sha256",
    "SHA-512": "sha512",
    "SSDEEP": "ssdeep",
    "TLSH": "tlsh",
    "IMPHASH": "imphash",
}
_STIX_VALUES = {
    **{kind: ("value", kind) for kind in (*_ADDRESSES, "domain-name", "url", "email-addr")},
    **{kind: ("value", kind) for kind in ("mac-addr", "user-agent", "ja3", "file-path")},
    "hostname": ("value", "domain-name"),
    "autonomous-system": ("number", "autonomous-system"),
    "windows-registry-key": ("key", "windows-registry-key"),
    "mutex": ("name", "mutex"),
    "vulnerability": ("name", "vulnerability"),
    "file": ("name", "file-name"),
}
"""Type of a cyber-observable -> the property with its value, and the type of that."""
_REFERENCES = (
    "network-traffic:dst_ref.value",
    "network-traffic:src_ref.value",
    "domain-name:resolves_to_refs[*].value",
)
_PATHS: dict[str, tuple[str, ...]] = {
    **{f"{kind}:{name}": (target,) for kind, (name, target) in _STIX_VALUES.items()},
    **dict.fromkeys(_REFERENCES, (*_ADDRESSES, "mac-addr", "domain-name")),
    "email-message:from_ref.value": ("email-addr",),
    "email-message:sender_ref.value": ("email-addr",),
}
Pair = tuple[str, str]
"""Type and canonical value."""


class MispAttribute(NamedTuple):
    """An attribute anywhere in a document.

    Attributes:
        owner: number of the object that it belongs to, or of its own.
        is_meant: whether it is for detection, and neither it nor its object is deleted.
    """

    owner: int
    type: str
    value: str
    is_meant: bool


@cache
def read_documents(library: str) -> dict[str, bytes]:
    """The documents in the tests of a library, by names.

    They are read from source archives. `make test` downloads that of PyMISP; the others publish
    their tests in their repositories only, whose archives a folder of your own may hold.
    """
    archives = (archive for folder in _FOLDERS for archive in folder.glob(f"{library}-*.tar.gz"))
    archive = next(archives, None)
    if archive is None:
        pytest.skip(f"no {library}-*.tar.gz in {' or '.join(map(str, _FOLDERS))}")
    output = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", str(_SCRIPT), str(archive)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    ).stdout
    return {name: json.dumps(document).encode() for name, document in json.loads(output).items()}


@cache
def default_flags() -> dict[str, bool]:
    """Whether attributes of a type are for detection where they do not say so."""
    import pymisp

    path = Path(pymisp.__file__).parent / "data" / "describeTypes.json"
    defaults = json.loads(path.read_text())["result"]["sane_defaults"]
    return {kind: bool(entry["to_ids"]) for kind, entry in defaults.items()}


def misp_attributes(document: Any) -> list[MispAttribute]:
    """All attributes of a document of MISP, in events, objects, and by themselves."""
    return list(_attributes(document, 0, [0], is_deleted=False))


def _attributes(
    node: Any, owner: int, count: list[int], *, is_deleted: bool
) -> Iterator[MispAttribute]:
    if isinstance(node, list):
        for child in node:
            count[0] += 1
            yield from _attributes(child, count[0], count, is_deleted=is_deleted)
    elif isinstance(node, dict):
        is_deleted = is_deleted or _is_set(node.get("deleted"))
        if isinstance(node.get("type"), str) and isinstance(node.get("value"), str):
            flag = node.get("to_ids", default_flags().get(node["type"], True))
            is_meant = _is_set(flag) and not is_deleted
            yield MispAttribute(owner, node["type"], node["value"], is_meant)
        for name, child in node.items():
            if isinstance(child, list) and name == "Attribute" and "template_uuid" in node:
                for entry in child:
                    yield from _attributes(entry, owner, count, is_deleted=is_deleted)
            else:
                yield from _attributes(child, owner, count, is_deleted=is_deleted)


def _is_set(flag: Any) -> bool:
    return flag in (True, 1, "1", "true")


def pairs_of_attribute(kind: str, value: str) -> set[Pair]:
    """What an attribute may be read as."""
    names = "filename|md5" if kind == "malware-sample" else kind
    texts = value.split("|", names.count("|"))
    pairs: set[Pair] = set()
    for name, text in zip(names.split("|"), texts, strict=False):
        for target in MISP_TYPES.get(name, ()):
            pairs |= canonical(target, text)
    return pairs


def canonical(kind: str, text: str) -> set[Pair]:
    """A value in its canonical form, with and without a port; empty if it is not of the type."""
    pairs = set()
    host = text.strip().rpartition(":")[0]
    for form in (text, host, host.strip("[]")):
        try:
            pairs.add((kind, normalise(ObservableType(kind), form)))
        except NotAnObservable:
            continue
    return pairs


def pairs_of_stix(document: Any) -> tuple[set[Pair], set[Pair]]:
    """The values of a bundle that are meant to match, and those that MISP only saw."""
    objects = document if isinstance(document, list) else document.get("objects", [document])
    if isinstance(objects, dict):
        objects = [document]
    seen_ids: set[str] = set()
    for entry in objects:
        if _is_of_misp(entry) and entry.get("type") == "observed-data":
            seen_ids.update(entry.get("object_refs", ()))
    pairs: dict[bool, set[Pair]] = defaultdict(set)
    for entry in objects:
        if not isinstance(entry, dict):
            continue
        if entry.get("type") == "indicator":
            pairs[True] |= _pattern_pairs(entry.get("pattern"))
            continue
        is_meant = not _is_of_misp(entry) and entry.get("id") not in seen_ids
        inner = entry.get("objects") if entry.get("type") == "observed-data" else None
        for observable in [entry, *(inner.values() if isinstance(inner, dict) else ())]:
            pairs[is_meant] |= _observable_pairs(observable)
    return pairs[True], pairs[False]


def _is_of_misp(entry: Any) -> bool:
    labels = entry.get("labels") if isinstance(entry, dict) else None
    return isinstance(labels, list) and any(str(label).startswith("misp:") for label in labels)


def _observable_pairs(observable: Any) -> set[Pair]:
    if not isinstance(observable, dict) or not isinstance(observable.get("type"), str):
        return set()
    pairs: set[Pair] = set()
    kind = observable["type"]
    if kind in _STIX_VALUES:
        name, target = _STIX_VALUES[kind]
        pairs |= canonical(target, str(observable.get(name)))
    hashes = observable.get("hashes")
    prefix = "x509" if kind == "x509-certificate" else "file"
    for name, value in (hashes if isinstance(hashes, dict) else {}).items():
        pairs |= _hash_pairs(prefix, name, str(value))
    return pairs


def _hash_pairs(prefix: str, name: str, value: str) -> set[Pair]:
    target = f"{prefix}-{_HASHES.get(name.upper(), '')}"
    return canonical(target, value) if target in set(ObservableType) else set()


def _pattern_pairs(pattern: Any) -> set[Pair]:
    from tests.feeds.formats.pattern_reader import read_values

    pairs: set[Pair] = set()
    for path, value, _ in read_values(pattern) if isinstance(pattern, str) else ():
        plain = path.replace("'", "")
        owner, _, name = plain.partition(":hashes.")
        if name:
            prefix = "x509" if owner == "x509-certificate" else "file"
            pairs |= _hash_pairs(prefix, name, value)
        for target in _PATHS.get(plain, ()):
            pairs |= canonical(target, value)
    return pairs
