"""SANS ISC (DShield): how many sensors reported an address, and on which lists of the ISC it is.

Source: https://isc.sans.edu/api/#ip
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Finding,
    Query,
    RateLimit,
    RelatedObservable,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import (
    collect_facts,
    distinct,
    is_public_address,
    quote_segment,
)
from shared.stix import ObservableType as Type

_STEPS: Final = ((100, 0.5), (10, 0.35), (1, 0.2))


class _Address(msgspec.Struct):
    number: str
    count: int | None = None
    attacks: int | None = None
    mindate: str | None = None
    maxdate: str | None = None
    comment: str | None = None
    system: int | None = msgspec.field(name="as", default=None)
    asname: str | None = None
    ascountry: str | None = None
    asabusecontact: str | None = None
    network: str | None = None
    threatfeeds: dict[str, Any] | list[Any] | str | None = None
    """By name; PHP writes nothing as an empty list or text."""


class _Answer(msgspec.Struct):
    ip: _Address


class IscDShield(RemoteEnricher):
    """Reports of firewalls and honeypots that take part in DShield."""

    name: ClassVar[str] = "isc_dshield"
    title: ClassVar[str] = "SANS ISC (DShield)"
    documentation: ClassVar[str] = "https://isc.sans.edu/api/#ip"
    base_url: ClassVar[str] = "https://isc.sans.edu/api"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4})
    rate: ClassVar[RateLimit] = RateLimit(10, 60)
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=1)
    test_query: ClassVar[Query] = Query(Type.IPV4, "1.1.1.1")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:  # noqa: ARG002  # it wants no key
        """`GET /ip/{ip}?json`: the parameter has a name and no value."""
        return Request(f"/ip/{quote_segment(query.value)}?json")

    def read(self, query: Query, content: bytes) -> Finding | None:  # noqa: ARG002
        """Targets are a voice. A list is none: those of well-behaved scanners are among them."""
        # Numbers come as numbers or as texts.
        address = msgspec.json.decode(content, type=_Answer, strict=False).ip
        feeds = list(address.threatfeeds) if isinstance(address.threatfeeds, dict) else []
        if not (address.count or address.attacks or feeds or address.system):
            return None
        facts = collect_facts(
            reports=address.count,
            targets=address.attacks,
            first_reported=address.mindate,
            last_reported=address.maxdate,
            lists=distinct(feeds),
            comment=address.comment,
            asn=f"AS{address.system}" if address.system else None,
            as_name=address.asname,
            country=address.ascountry,
            network=address.network,
            abuse_contact=address.asabusecontact,
        )
        targets = address.attacks or 0
        weight = next((weight for least, weight in _STEPS if targets >= least), None)
        weights = (Weight(weight, f"{targets} targets reported it to DShield."),) if weight else ()
        related = (
            (RelatedObservable("belongs-to", Type.ASN, f"AS{address.system}"),)
            if address.system
            else ()
        )
        return Finding(facts, weights, related)

    def applies(self, query: Query) -> bool:
        """Addresses of the public network."""
        return query.type in self.types and is_public_address(query.value)
