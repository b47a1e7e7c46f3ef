"""An ATT&CK bundle's bytes as a release: its objects by content, its techniques as cards. No I/O.

STIX 2.1 as attack-stix-data publishes it, and the 2.0 layout of mitre/cti, which has no collection
object, so that its version has to come with it. Only what the cards need is read strictly;
everything else stays as it came.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, TypeVar

import msgspec
from packaging.version import InvalidVersion, Version

from services.mitre.releases.cards import (
    BundleObjects,
    Technique,
    build_cards,
    build_usage,
)
from services.mitre.releases.domains import DOMAINS
from services.mitre.releases.usage import Usage
from shared.errors import InvalidInput

_BUNDLE: Final = "bundle"
_DIGEST_BYTES: Final = 16
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StixObject:
    """One object of a bundle.

    Attributes:
        stix_id, type: as in the object.
        digest: BLAKE2b-128 of the body.
        body: the object as JSON with sorted keys and no spaces: equal content has equal bytes.
    """

    stix_id: str
    type: str
    digest: bytes
    body: str


@dataclass(frozen=True, slots=True)
class ParsedRelease:
    """The content of a bundle.

    Attributes:
        domain: one of `DOMAINS`.
        version: as the collection names it, for instance 18.1.
        name: the collection's name.
        bundle_id, stix_version: needed, with the objects, to write the bundle again.
        digest: of all objects in any order.
        objects: in the bundle's order.
        techniques: cards by ATT&CK id.
        usage: of each technique that is used, by its ATT&CK id.
    """

    domain: str
    version: str
    name: str
    bundle_id: str
    stix_version: str
    digest: bytes
    objects: list[StixObject]
    techniques: dict[str, Technique]
    usage: dict[str, Usage]

    @property
    def counts(self) -> dict[str, int]:
        """Objects by STIX type, the largest first."""
        return dict(Counter(item.type for item in self.objects).most_common())


class _Bundle(msgspec.Struct):
    type: str
    objects: list[msgspec.Raw]
    id: str = ""
    spec_version: str = "2.1"


class _Head(msgspec.Struct):
    id: str
    type: str


def read_release(
    content: bytes, *, domain: str | None = None, version: str | None = None
) -> ParsedRelease:
    """Read a bundle.

    Args:
        content: a STIX bundle as JSON.
        domain: the domain it must be of, when that is known.
        version: the version it must be; needed when the bundle has no `x-mitre-collection`.

    Raises:
        InvalidInput: it is no JSON, no bundle, not ATT&CK, or of another domain or version;
            `where` names the place.
    """
    bundle = _decode_bundle(content)
    collected = BundleObjects()
    objects = [_read_object(index, raw, collected) for index, raw in enumerate(bundle.objects)]
    own_domain = _domain(collected, domain)
    own_version = _version(collected, version)
    techniques = build_cards(collected)
    collection = collected.collection
    digest = blake2b(
        b"".join(sorted(item.stix_id.encode() + item.digest for item in objects)),
        digest_size=_DIGEST_BYTES,
    )
    return ParsedRelease(
        domain=own_domain,
        version=own_version,
        name=collection.name if collection else f"{DOMAINS[own_domain].title} ATT&CK",
        bundle_id=bundle.id,
        stix_version=bundle.spec_version,
        digest=digest.digest(),
        objects=objects,
        techniques=techniques,
        usage=build_usage(collected.usage, techniques),
    )


def version_key(version: str) -> Version:
    """The key by which versions sort: 9.0 before 18.1, a beta before its release."""
    return Version(version)


def _decode_bundle(content: bytes) -> _Bundle:
    if content.lstrip()[:1] == b"<":
        raise InvalidInput(
            "This is a web page or XML, not an ATT&CK bundle in JSON.", where="byte 0"
        )
    try:
        bundle = msgspec.json.decode(content, type=_Bundle)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"This is JSON, but no STIX bundle: {error}.", where=_path(error) or "$"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        place = re.search(r"byte \d+", str(error))
        where = place[0] if place else f"byte {len(content)}"
        raise InvalidInput(
            f"The file is not whole JSON: {error}, at {where}.", where=where
        ) from error
    if bundle.type != _BUNDLE:
        raise InvalidInput(
            f"This is a STIX object of type {bundle.type!r}, not a bundle.", where="type"
        )
    return bundle


def _read_object(index: int, raw: msgspec.Raw, collected: BundleObjects) -> StixObject:
    where = f"objects[{index}]"
    try:
        tree = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(
            f"{where} is not JSON that can be read: {error}.", where=where
        ) from error
    head = _convert(tree, _Head, where)
    model = collected.model(head.type)
    if model is not None:
        collected.add(_convert(tree, model, where), where)
    body = msgspec.json.encode(tree, order="sorted")
    return StixObject(
        head.id, head.type, blake2b(body, digest_size=_DIGEST_BYTES).digest(), body.decode()
    )


def _convert(tree: Any, model: type[T], where: str) -> T:
    try:
        return msgspec.convert(tree, model)
    except msgspec.ValidationError as error:
        place = where + _path(error)
        raise InvalidInput(f"{place} is not as STIX has it: {error}.", where=place) from error


def _path(error: msgspec.ValidationError) -> str:
    """The path at the end of msgspec's message: "… - at `$.name`" gives ".name"."""
    return str(error).rpartition("`$")[2].rstrip("`") if "`$" in str(error) else ""


def _domain(collected: BundleObjects, expected: str | None) -> str:
    names = {name for name in collected.matrices if name in DOMAINS}
    if not names or not collected.patterns:
        missing = "attack-pattern" if names else "x-mitre-matrix"
        raise InvalidInput(
            f"This is a STIX bundle, but not of ATT&CK: it has no {missing} of {_list(DOMAINS)}.",
            where="objects",
        )
    if len(names) > 1:
        raise InvalidInput(f"The bundle mixes the domains {_list(sorted(names))}.", where="objects")
    name = names.pop()
    if expected not in {None, name}:
        raise InvalidInput(
            f"The bundle is of {name}, not of {expected}.",
            field="domain",
            where=collected.matrices[name],
        )
    return name


def _version(collected: BundleObjects, expected: str | None) -> str:
    own = collected.collection.x_mitre_version if collected.collection else None
    version = own or expected
    if version is None:
        raise InvalidInput(
            "The bundle has no x-mitre-collection that names its version: "
            "give the version with it, on the command line as "
            "`sentineliq mitre load FILE --version 18.1`.",
            field="version",
        )
    if own and expected and own != expected:
        raise InvalidInput(
            f"The bundle is version {own}, not {expected}.", field="version", where=collected.place
        )
    try:
        version_key(version)
    except InvalidVersion as error:
        raise InvalidInput(
            f"{version!r} is not a version such as 18.1.", field="version", where=collected.place
        ) from error
    return version


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
