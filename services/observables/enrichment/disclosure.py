"""What may leave this installation: whether an observable may be told to a provider. No I/O."""

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Final, get_args

import msgspec

from services.observables.providers.base import Query, RemoteEnricher, Tlp
from services.observables.reference.enrichers.network import host_of
from shared.http.guard import is_public_network
from shared.stix import ObservableType as Type

_ORDER: Final = {tlp: place for place, tlp in enumerate(get_args(Tlp))}
_ADDRESSES: Final = frozenset({Type.IPV4, Type.IPV6})
# RFC 6761, 6762, 7686, 8375, 9476; and what ICANN set aside for private use in 2024.
_LOCAL_NAMES: Final = (
    "alt", "arpa", "example", "example.com", "example.net", "example.org", "internal", "invalid", "local", "localhost",
    "onion", "test",
)  # fmt: skip
_context: Final = msgspec.json.Decoder(dict[str, dict[str, object]]).decode


class Refusal(msgspec.Struct, frozen=True):
    """Why a question is not asked: a stable code and a sentence."""

    code: str
    message: str


def strictest(markings: Iterable[str | None]) -> Tlp | None:
    """The strictest of some markings; None when there is none."""
    known: list[Tlp] = [tlp for tlp in get_args(Tlp) if tlp in set(markings)]
    return known[-1] if known else None


def refusal(
    asked: Query, enricher: RemoteEnricher, marking: Tlp | None, max_tlp: Tlp, context: str | None
) -> Refusal | None:
    """Why an observable may not be told to a provider; None when it may.

    Args:
        asked: the observable.
        enricher: who would be asked.
        marking: the strictest TLP of its sources and of whoever asks; None when nobody marked it.
        max_tlp: the strictest that may go there.
        context: what offline enrichers found, as JSON; a list of false positives among it refuses.
    """
    if asked.type not in enricher.types or not enricher.applies(asked):
        return Refusal("type", f"{enricher.title} is not asked about this {asked.type}.")
    if marking is not None and _ORDER[marking] > _ORDER[max_tlp]:
        return Refusal(
            "tlp", f"It is marked TLP:{marking.upper()}; at most TLP:{max_tlp.upper()} goes there."
        )
    if (place := _private(asked)) is not None:
        return Refusal("private", f"{place} is nobody's but ours to know about.")
    if context and (listed := _harmless(context)) is not None:
        return Refusal("allow-listed", f"It is known to be harmless: it is on the list {listed!r}.")
    return None


def _private(asked: Query) -> str | None:
    """The address or name that is not the world's; None when it is."""
    if asked.type in _ADDRESSES:
        return None if _is_public(asked.value) else asked.value
    if asked.type == Type.URL:
        host = host_of(asked.value)
        if host[:1] == "[" or host[-1:].isdigit():
            return None if _is_public(host.strip("[]")) else host
        return None if _is_public_name(host) else host
    if asked.type == Type.EMAIL:
        return None if _is_public_name(asked.value.rpartition("@")[2]) else asked.value
    if asked.type == Type.DOMAIN:
        return None if _is_public_name(asked.value) else asked.value
    return None


def _is_public(text: str) -> bool:
    """Whether an address, or all of a network, is public."""
    try:
        return is_public_network(ip_network(text))
    except ValueError:
        return False


def _is_public_name(name: str) -> bool:
    return "." in name and not any(
        name == local or name.endswith(f".{local}") for local in _LOCAL_NAMES
    )


def _harmless(context: str) -> str | None:
    """The list of false positives that a value is on. A list of what is merely well known says nothing."""
    hits = _context(context).get("allow_lists", {}).get("hits", [])
    if not isinstance(hits, list):
        return None
    return next((str(name) for name, category, *_ in hits if category == "false_positive"), None)
