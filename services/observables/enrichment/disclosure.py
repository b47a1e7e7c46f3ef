"""Disclosure: whether an observable may be sent to a provider.

Pure functions. A query leaves the installation only if its type, its marking, its address and the
lists of false positives allow it.
"""

from ipaddress import ip_network
from typing import Final

import msgspec

from services.observables.providers.base import Query, RemoteEnricher, Tlp
from services.observables.reference.hosts import host_of
from shared.http.guard import is_public_network
from shared.stix import ObservableType as Type
from shared.stix.markings import CLOSED, STRICTNESS, Marking, strictest

_ADDRESSES: Final = frozenset({Type.IPV4, Type.IPV6})
# RFC 6761, 6762, 7686, 8375, 9476, and the name that ICANN reserved for private use in 2024.
_LOCAL_NAMES: Final = (
    "alt", "arpa", "example", "example.com", "example.net", "example.org", "internal", "invalid",
    "local", "localhost", "onion", "test",
)  # fmt: skip
_CLOSED_MESSAGE: Final = (
    "It is marked PAP:RED, or by a marking that is unknown here: no provider is asked about it."
)
_WORD: Final = 2
"""The place of its word behind a hit's category."""
_HARMLESS: Final = frozenset({"harmless", "own"})
_decode_context: Final = msgspec.json.Decoder(dict[str, dict[str, object]]).decode


__all__ = ("Refusal", "refusal", "strictest")


class Refusal(msgspec.Struct, frozen=True):
    """Why a query is not sent: a stable code and a sentence."""

    code: str
    message: str


def refusal(
    query: Query,
    enricher: RemoteEnricher,
    marking: Marking | None,
    max_tlp: Tlp,
    context: str | None,
) -> Refusal | None:
    """Why an observable may not be sent to a provider; None when it may.

    Args:
        query: the observable.
        enricher: the provider's.
        marking: the strictest of its assertions, their sources and the requester; None when it
            has none.
        max_tlp: the strictest marking that this provider may receive.
        context: offline enrichment as JSON; a hit on a list of false positives refuses.
    """
    if query.type not in enricher.types or not enricher.applies(query):
        return Refusal("type", f"{enricher.title} is not asked about this {query.type}.")
    if marking == CLOSED:
        return Refusal("tlp", _CLOSED_MESSAGE)
    if marking is not None and STRICTNESS[marking] > STRICTNESS[max_tlp]:
        return Refusal(
            "tlp",
            f"It is marked TLP:{marking.upper()}; {enricher.title} may receive at most"
            f" TLP:{max_tlp.upper()}.",
        )
    if (private := _private_part(query)) is not None:
        return Refusal("private", f"Not sent: {private} is private or reserved.")
    if context and (list_name := _false_positive_list(context)) is not None:
        return Refusal("allow-listed", f"Not sent: the list {list_name!r} says it is harmless.")
    return None


def _private_part(query: Query) -> str | None:
    """The private address or name in a query; None when it is public."""
    if query.type in _ADDRESSES:
        return None if _is_public_address(query.value) else query.value
    if query.type == Type.URL:
        host = host_of(query.value)
        if host[:1] == "[" or host[-1:].isdigit():
            return None if _is_public_address(host.strip("[]")) else host
        return None if _is_public_name(host) else host
    if query.type == Type.EMAIL:
        return None if _is_public_name(query.value.rpartition("@")[2]) else query.value
    if query.type == Type.DOMAIN:
        return None if _is_public_name(query.value) else query.value
    return None


def _is_public_address(text: str) -> bool:
    """Whether an address, or all of a network, is public."""
    try:
        return is_public_network(ip_network(text))
    except ValueError:
        return False


def _is_public_name(name: str) -> bool:
    if "." not in name:
        return False
    return not any(name == local or name.endswith(f".{local}") for local in _LOCAL_NAMES)


def _false_positive_list(context: str) -> str | None:
    """The list that says that the value itself is harmless.

    Lists of well-known values do not count, and no list of hosts for what lies on a host.
    """
    hits = _decode_context(context).get("allow_lists", {}).get("hits", [])
    if not isinstance(hits, list):
        return None
    return next((str(name) for name, *about in hits if _is_harmless(*about)), None)


def _is_harmless(category: str, *about: str) -> bool:
    """Whether a hit says so; one that was stored before hits had words, by its list's category."""
    return category == "false_positive" if len(about) <= _WORD else about[_WORD] in _HARMLESS
