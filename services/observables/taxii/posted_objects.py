"""What a posted object has to be before it may stand in a collection."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from services.observables.taxii.moments import parse_moment
from services.observables.taxii.page_request import is_object_id
from shared.stix.markings import CLOSED, STRICTNESS, Marking, marking_of_tag, strictest, tlp_tag

MAX_OBJECT_BYTES: Final = 256 * 1024

_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9-]{2,249}", re.ASCII)
_WITHOUT_TIMES: Final = frozenset(
    {
        *("artifact", "autonomous-system", "directory", "domain-name", "email-addr"),
        *("email-message", "file", "ipv4-addr", "ipv6-addr", "mac-addr", "mutex"),
        *("network-traffic", "process", "software", "url", "user-account"),
        *("windows-registry-key", "x509-certificate"),
    }
)
"""Cyber-observable objects: STIX 2.1 §6 gives them neither `created` nor `modified`."""
_UNCHANGING: Final = frozenset({"marking-definition"})
"""Objects with `created` alone: STIX 2.1 §7.2."""
_OWN_EXTENSION: Final = "new-sco"
_TLP_EXTENSION: Final = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
_TLP: Final[dict[str, Marking]] = {
    # STIX 2.1 §7.2.1.4, and the definitions of TLP 2.0 that OASIS published.
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": "clear",
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": "green",
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": "amber",
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": "red",
    "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487": "clear",
    "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb": "green",
    "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421": "amber",
    "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003": "amber+strict",
    "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1": "red",
}
MARKING_IDS: Final[dict[str, str]] = {
    level: identity for identity, level in _TLP.items() if level != CLOSED
}
"""The definition of each level of TLP; of two, that of TLP 2.0."""


class UnfitObjectError(ValueError):
    """What is wrong with a posted object."""


class PostedObject(msgspec.Struct, array_like=True):
    """An object of an envelope, checked.

    Attributes:
        object_id: its id, or its place in the envelope if it has no usable one.
        version: see `NewObject`.
        type: of STIX.
        spec_version: of STIX.
        is_revoked: whether it is taken back.
        payload: the object as JSON; empty of what is refused.
        message: why it is refused; empty of what is not.
    """

    object_id: str
    version: datetime | None = None
    type: str = ""
    spec_version: str = "2.1"
    is_revoked: bool = False
    payload: bytes = b""
    message: str = ""


class MarkingDefinitions:
    """What the markings of an envelope mean.

    Args:
        objects: those of the envelope, among them marking definitions.
    """

    def __init__(self, objects: Iterable[Any]) -> None:
        self._levels: dict[str, Marking | None] = {}
        for stix_object in objects:
            if isinstance(stix_object, dict) and stix_object.get("type") == "marking-definition":
                self._levels[str(stix_object.get("id"))] = _defined_level(stix_object)
        self._levels |= _TLP

    def marking_of(self, stix_object: Mapping[str, Any]) -> Marking | None:
        """The strictest marking of an object and its parts; an unknown one is closed."""
        references = list(_list_of(stix_object.get("object_marking_refs")))
        references += [
            part.get("marking_ref")
            for part in _list_of(stix_object.get("granular_markings"))
            if isinstance(part, dict) and part.get("marking_ref") is not None
        ]
        levels = [self._levels.get(str(reference), CLOSED) for reference in references]
        return strictest(levels)


def check_object(
    raw: bytes, stix_object: Any, place: int, definitions: MarkingDefinitions, ceiling: str
) -> PostedObject:
    """Check an object of an envelope.

    Args:
        raw: its JSON, as it was sent.
        stix_object: the same, decoded.
        place: its place in the envelope, from 0.
        definitions: of the envelope's markings.
        ceiling: the strictest marking that the collection takes.
    """
    posted = PostedObject(f"objects.{place}")
    try:
        _read_identity(posted, stix_object)
        _read_version(posted, stix_object)
        _check_size(raw)
        _check_marking(definitions.marking_of(stix_object), ceiling)
        if posted.type == "indicator":
            _check_indicator(stix_object)
    except UnfitObjectError as error:
        posted.message = f"{error}."
        return posted
    posted.payload = msgspec.json.encode(stix_object)
    return posted


def _read_identity(posted: PostedObject, stix_object: Any) -> None:
    if not isinstance(stix_object, dict):
        raise UnfitObjectError("it is no JSON object")
    object_id = stix_object.get("id")
    if not isinstance(object_id, str) or not is_object_id(object_id):
        raise UnfitObjectError("id is not a type, two hyphens and a UUID in lower case")
    posted.object_id = object_id
    kind = stix_object.get("type")
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        raise UnfitObjectError("type is missing, or is no type of STIX")
    if object_id.partition("--")[0] != kind:
        raise UnfitObjectError("id does not begin with the object's type")
    posted.type = kind
    written = stix_object.get("spec_version")
    if written is None:
        # STIX 2.1 §3.2: what names no version is 2.0, except for cyber-observable objects.
        posted.spec_version = "2.1" if _is_timeless(stix_object) else "2.0"
    elif written in ("2.0", "2.1"):
        posted.spec_version = written
    else:
        raise UnfitObjectError("spec_version is neither 2.0 nor 2.1")


def _read_version(posted: PostedObject, stix_object: Mapping[str, Any]) -> None:
    created = _time_of(stix_object, "created")
    modified = _time_of(stix_object, "modified")
    posted.version = modified or created
    revoked = stix_object.get("revoked", False)
    if not isinstance(revoked, bool):
        raise UnfitObjectError("revoked is neither true nor false")
    posted.is_revoked = revoked
    if _is_timeless(stix_object):
        return
    if created is None:
        raise UnfitObjectError("created is missing")
    if modified is None and stix_object["type"] not in _UNCHANGING:
        raise UnfitObjectError("modified is missing")
    if modified is not None and modified < created:
        raise UnfitObjectError("modified is before created")


def _time_of(stix_object: Mapping[str, Any], name: str) -> datetime | None:
    text = stix_object.get(name)
    if text is None:
        return None
    if not isinstance(text, str) or not text.endswith("Z"):
        raise UnfitObjectError(f"{name} is no timestamp in UTC")
    try:
        return parse_moment(text)
    except ValueError as error:
        raise UnfitObjectError(f"{name}: {error}") from None


def _is_timeless(stix_object: Mapping[str, Any]) -> bool:
    """Whether an object is a cyber-observable, one of STIX or of an extension."""
    if stix_object.get("type") in _WITHOUT_TIMES:
        return True
    extensions = stix_object.get("extensions")
    return isinstance(extensions, dict) and any(
        isinstance(extension, dict) and extension.get("extension_type") == _OWN_EXTENSION
        for extension in extensions.values()
    )


def _check_size(raw: bytes) -> None:
    if len(raw) > MAX_OBJECT_BYTES:
        raise UnfitObjectError(f"an object may have {MAX_OBJECT_BYTES:,} bytes")


def _check_marking(marking: Marking | None, ceiling: str) -> None:
    if marking is not None and STRICTNESS[marking] > STRICTNESS[ceiling]:
        shown = "an unknown marking" if marking == CLOSED else f"TLP:{marking.upper()}"
        raise UnfitObjectError(
            f"it has {shown}, and the collection takes up to TLP:{ceiling.upper()}"
        )


def _check_indicator(stix_object: Mapping[str, Any]) -> None:
    if not isinstance(stix_object.get("pattern"), str) or not stix_object["pattern"]:
        raise UnfitObjectError("an indicator needs a pattern")
    if _time_of(stix_object, "valid_from") is None:
        raise UnfitObjectError("an indicator needs valid_from")


def _defined_level(definition: Mapping[str, Any]) -> Marking | None:
    """The level of TLP that a definition gives; None of a statement, closed of what is unknown."""
    if definition.get("definition_type") == "statement":
        return None
    level = definition.get("definition")
    extensions = definition.get("extensions")
    if isinstance(extensions, dict) and isinstance(extensions.get(_TLP_EXTENSION), dict):
        word = str(extensions[_TLP_EXTENSION].get("tlp_2_0", ""))
    else:
        word = str(level.get("tlp", "")) if isinstance(level, dict) else ""
    return marking_of_tag(tlp_tag(word)) or CLOSED


def _list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
