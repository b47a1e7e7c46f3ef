"""RDAP: to whom a domain, a network or an autonomous system is registered, since when, and whom to tell of abuse.

rdap.org redirects each question to the registry's own server.

Source: https://www.rfc-editor.org/rfc/rfc9083 for the answers, RFC 9082 for the questions, RFC 7095 for the cards in
them, https://bitbucket.org/nroecg/nro-rdap-cidr/ for `cidr0_cidrs`, and https://about.rdap.org/ for the redirects.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec

from services.observables.providers.base import Finding, Query, RateLimit, RemoteEnricher, Request
from services.observables.providers.fields import collect_facts, distinct, quote_segment
from shared.stix import ObservableType as Type
from shared.stix.domains import split_domain


class _Event(msgspec.Struct, rename="camel"):
    event_action: str
    event_date: str | None = None


class _Entity(msgspec.Struct, rename="camel"):
    roles: list[str] | None = None
    vcard_array: list[Any] | None = None
    entities: "list[_Entity] | None" = None

    def says(self, name: str) -> str | None:
        """The first text under a name on its card: `["vcard", [["fn", {}, "text", "Example Ltd."], …]]`."""
        card = self.vcard_array[1] if self.vcard_array and len(self.vcard_array) > 1 else None
        for entry in card if isinstance(card, list) else ():
            if (
                isinstance(entry, list)
                and len(entry) > 3
                and entry[0] == name
                and isinstance(entry[3], str)
            ):
                return entry[3] or None
        return None


class _Host(msgspec.Struct, rename="camel"):
    ldh_name: str | None = None


class _SecureDns(msgspec.Struct, rename="camel"):
    delegation_signed: bool | None = None


class _Cidr(msgspec.Struct):
    length: int
    v4prefix: str | None = None
    v6prefix: str | None = None

    def __str__(self) -> str:
        return f"{self.v4prefix or self.v6prefix}/{self.length}"


class _Object(msgspec.Struct, rename="camel"):
    """A domain, an IP network or an autnum: what one of them does not have is None."""

    object_class_name: str
    handle: str | None = None
    name: str | None = None
    ldh_name: str | None = None
    type: str | None = None
    country: str | None = None
    start_address: str | None = None
    end_address: str | None = None
    status: list[str] | None = None
    events: list[_Event] | None = None
    entities: list[_Entity] | None = None
    nameservers: list[_Host] | None = None
    secure_dns: _SecureDns | None = msgspec.field(name="secureDNS", default=None)
    cidrs: list[_Cidr] | None = msgspec.field(name="cidr0_cidrs", default=None)

    def when(self, action: str) -> str | None:
        return next(
            (event.event_date for event in self.events or () if event.event_action == action), None
        )

    def whose(self, role: str, name: str) -> str | None:
        """What the card of the nearest entity in a role says."""
        return next(
            (
                text
                for one in _entities(self.entities)
                if role in (one.roles or ()) and (text := one.says(name))
            ),
            None,
        )


class RDAP(RemoteEnricher):
    """What the registry of a domain, a network or an autonomous system has on record."""

    name: ClassVar[str] = "rdap"
    title: ClassVar[str] = "RDAP"
    documentation: ClassVar[str] = "https://www.rfc-editor.org/rfc/rfc9083"
    base_url: ClassVar[str] = "https://rdap.org"
    types: ClassVar[frozenset[str]] = frozenset({Type.DOMAIN, Type.IPV4, Type.IPV6, Type.ASN})
    rate: ClassVar[RateLimit] = RateLimit(10, 60)
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(days=7)
    test_query: ClassVar[Query] = Query(Type.DOMAIN, "example.com")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:  # noqa: ARG002  # it wants no key
        """`GET /domain/{name}` about the name that is registered, `/ip/{address}[/{length}]` or `/autnum/{number}`."""
        return Request(_path(query), headers={"Accept": "application/rdap+json"})

    def read(self, query: Query, content: bytes) -> Finding | None:  # noqa: ARG002
        """Registration is neither good nor bad. What no registry knows is a 404."""
        found = msgspec.json.decode(content, type=_Object)
        hosts = (
            host.ldh_name.lower().removesuffix(".")
            for host in found.nameservers or ()
            if host.ldh_name
        )
        # A domain's registrant may be a person; a network's is who runs it.
        organisation = (
            None if found.object_class_name == "domain" else found.whose("registrant", "fn")
        )
        facts = collect_facts(
            object=found.object_class_name,
            domain=found.ldh_name.lower().removesuffix(".") if found.ldh_name else None,
            name=found.name,
            handle=found.handle,
            allocation=found.type,
            country=found.country,
            cidr=distinct(map(str, found.cidrs or ())),
            first_address=found.start_address,
            last_address=found.end_address,
            status=distinct(found.status or ()),
            registered=found.when("registration"),
            changed=found.when("last changed"),
            expires=found.when("expiration"),
            organisation=organisation,
            registrar=found.whose("registrar", "fn"),
            abuse_contact=found.whose("abuse", "email"),
            name_servers=distinct(hosts),
            signed=found.secure_dns.delegation_signed if found.secure_dns else None,
        )
        return Finding(facts)

    def applies(self, query: Query) -> bool:
        """What registries give away: no names below a company's suffix, no private networks."""
        if query.type == Type.DOMAIN:
            registrable, _, private = split_domain(query.value)
            return registrable is not None and not private
        if query.type in {Type.IPV4, Type.IPV6}:
            return ip_network(query.value).is_global
        return query.type in self.types


def _path(query: Query) -> str:
    if query.type == Type.ASN:
        return f"/autnum/{quote_segment(query.value.removeprefix('AS'))}"
    if query.type == Type.DOMAIN:
        return f"/domain/{quote_segment(split_domain(query.value).registrable or query.value)}"
    return f"/ip/{quote(query.value, safe=':/')}"  # bare, as RFC 9082 writes them


def _entities(entities: Sequence[_Entity] | None) -> Iterator[_Entity]:
    """Entities and those within them, the nearest first."""
    level = list(entities or ())
    while level:
        yield from level
        level = [one for entity in level for one in entity.entities or ()]
