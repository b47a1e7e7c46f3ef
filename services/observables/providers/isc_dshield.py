"""SANS ISC (DShield): reports of an address by sensors, and the ISC's lists that it is on.

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
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import (
    autonomous_system,
    collect_facts,
    distinct,
    is_public,
    quote_segment,
    relations,
)
from shared.stix import ObservableType as Type

_STEPS: Final = ((100, 0.5), (10, 0.35), (1, 0.2))
"""The weight from each number of targets on."""


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
    """By name; PHP writes an empty mapping as a list or a text."""


class _Answer(msgspec.Struct):
    ip: _Address


class IscDShield(RemoteEnricher):
    """Reports of the firewalls and honeypots in DShield."""

    name: ClassVar[str] = "isc_dshield"
    title: ClassVar[str] = "SANS ISC (DShield)"
    origin: ClassVar[str] = "sans-isc"
    documentation: ClassVar[str] = "https://isc.sans.edu/api/#ip"
    base_url: ClassVar[str] = "https://isc.sans.edu/api"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4})
    rate: ClassVar[RateLimit] = RateLimit(10, 60)
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=1)
    test_query: ClassVar[Query] = Query(Type.IPV4, "1.1.1.1")

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /ip/{ip}?json`: the parameter has a name and no value."""
        return Request(f"/ip/{quote_segment(query.value)}?json")

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read reports, targets and lists.

        The number of targets is a claim. A list is none: well-behaved scanners are on some.
        """
        # Numbers come as numbers or as texts.
        address = msgspec.json.decode(content, type=_Answer, strict=False).ip
        feeds = list(address.threatfeeds) if isinstance(address.threatfeeds, dict) else []
        if not any([address.count, address.attacks, feeds, address.system]):
            return None
        asn = autonomous_system(address.system)
        facts = collect_facts(
            reports=address.count,
            targets=address.attacks,
            first_reported=address.mindate,
            last_reported=address.maxdate,
            lists=distinct(feeds),
            comment=address.comment,
            asn=asn,
            as_name=address.asname,
            country=address.ascountry,
            network=address.network,
            abuse_contact=address.asabusecontact,
        )
        related = relations("belongs-to", Type.ASN, [asn])
        return Finding(facts, _weights(address.attacks or 0), related)


def _weights(targets: int) -> tuple[Weight, ...]:
    weight = next((weight for minimum, weight in _STEPS if targets >= minimum), None)
    return (Weight(weight, f"{targets} targets reported it to DShield."),) if weight else ()
