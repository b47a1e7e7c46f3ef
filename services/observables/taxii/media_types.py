"""What a client may send, and what it accepts: TAXII 2.1 §1.6.8.

Clients that accept anything, or JSON, get TAXII's own media type.
"""

import re
from typing import Final

from shared.errors import SentinelIQError

TAXII: Final = "application/taxii+json;version=2.1"
STIX: Final = "application/stix+json;version=2.1"

_ACCEPTED: Final = frozenset({"*/*", "application/*", "application/json"})
_VERSION: Final = re.compile(r"\s*version\s*=\s*\"?(2\.1)\"?\s*", re.IGNORECASE)


class NotAcceptable(SentinelIQError):
    """The client accepts no media type that the server has."""

    status = 406
    code = "not-acceptable"


class UnsupportedMedia(SentinelIQError):
    """The client sends a media type that the server does not read."""

    status = 415
    code = "unsupported-media-type"


def require_acceptable(accept: str) -> None:
    """Require that a client accepts TAXII 2.1, or leaves it open.

    Raises:
        NotAcceptable: it accepts other media types or versions alone.
    """
    if accept.strip() and not any(map(_is_acceptable, accept.split(","))):
        raise NotAcceptable(f"This server answers {TAXII}.")


def require_envelope(content_type: str) -> None:
    """Require that a client sends TAXII 2.1.

    Raises:
        UnsupportedMedia: it sends something else.
    """
    name, _, parameters = content_type.partition(";")
    if name.strip().lower() != "application/taxii+json" or not _allows_version(parameters):
        raise UnsupportedMedia(f"Send an envelope as {TAXII}.")


def _is_acceptable(part: str) -> bool:
    name, _, parameters = part.partition(";")
    name = name.strip().lower()
    if re.search(r";\s*q\s*=\s*0(?:\.0*)?\s*(?:;|$)", f";{parameters}"):
        return False
    if name in _ACCEPTED:
        return True
    return name == "application/taxii+json" and _allows_version(parameters)


def _allows_version(parameters: str) -> bool:
    """Whether parameters name version 2.1, or none."""
    versions = [text for text in parameters.split(";") if "version" in text.lower()]
    return all(_VERSION.fullmatch(text) for text in versions)
