"""RDAP: the registration of a domain, a network or an autonomous system, and its abuse contact.

rdap.org redirects each request to the registry's own server.

Source: https://www.rfc-editor.org/rfc/rfc9083 for the responses, RFC 9082 for the requests, RFC
7095 for the cards in them, https://bitbucket.org/nroecg/nro-rdap-cidr/ for `cidr0_cidrs`, and
https://about.rdap.org/ for the redirects.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec

from services.observables.providers.base import (
    Fact,
    Finding,
    Query,
    RateLimit,
    RemoteEnricher,
    Request,
)
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

    def card_text(self, name: str) -> str | None:
        """The first text under a name on the card; None when it is empty or missing.

        A card is `["vcard", [["fn", {}, "text", "Example Ltd."], …]]`.
        """
        card = self.vcard_array[1] if self.vcard_array and len(self.vcard_array) > 1 else None
        for entry in card if isinstance(card, list) else ():
            # Entries come from registries in all shapes: check each part before use.
            if isinstance(entry, list) and len(entry) > 3 and entry[0] == name:
                text = entry[3]
                if isinstance(text, str):
                    return text or None
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
    """A domain, an IP network or an autnum; None for the fields that its class does not have."""

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

    def event_date(self, action: str) -> str | None:
        for event in self.events or ():
            if event.event_action == action:
                return event.event_date
        return None

    def contact(self, role: str, name: str) -> str | None:
        """The property of the nearest entity in a role that has it on its card."""
        for entity in self._all_entities():
            if role in (entity.roles or ()):
                text = entity.card_text(name)
                if text:
                    return text
        return None

    def _all_entities(self) -> Iterator[_Entity]:
        """Entities and those within them, the nearest first."""
        level = list(self.entities or ())
        while level:
            yield from level
            level = [inner for entity in level for inner in entity.entities or ()]


class RDAP(RemoteEnricher):
    """The records of registries."""

    name: ClassVar[str] = "rdap"
    title: ClassVar[str] = "RDAP"
    documentation: ClassVar[str] = "https://www.rfc-editor.org/rfc/rfc9083"
    base_url: ClassVar[str] = "https://rdap.org"
    types: ClassVar[frozenset[str]] = frozenset({Type.DOMAIN, Type.IPV4, Type.IPV6, Type.ASN})
    rate: ClassVar[RateLimit] = RateLimit(10, 60)
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(days=7)
    test_query: ClassVar[Query] = Query(Type.DOMAIN, "example.com")

    def applies(self, query: Query) -> bool:
        """Registries answer about no names below a company's suffix, and no private networks."""
        if query.type == Type.DOMAIN:
            parts = split_domain(query.value)
            return parts.registrable is not None and not parts.private
        if query.type in {Type.IPV4, Type.IPV6}:
            return ip_network(query.value).is_global
        return super().applies(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /domain/{registered name}`, `/ip/{address}[/{length}]` or `/autnum/{number}`."""
        return Request(_path(query), headers={"Accept": "application/rdap+json"})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read a registration; an unknown one is a 404. It is neither good nor bad."""
        registration = msgspec.json.decode(content, type=_Object)
        facts = (
            _object_facts(registration)
            | _event_facts(registration)
            | _contact_facts(registration)
            | _delegation_facts(registration)
        )
        return Finding(facts)


def _path(query: Query) -> str:
    if query.type == Type.ASN:
        return f"/autnum/{quote_segment(query.value.removeprefix('AS'))}"
    if query.type == Type.DOMAIN:
        return f"/domain/{quote_segment(split_domain(query.value).registrable or query.value)}"
    return f"/ip/{quote(query.value, safe=':/')}"  # bare, as RFC 9082 writes them


def _object_facts(registration: _Object) -> dict[str, Fact]:
    name = registration.ldh_name
    return collect_facts(
        object=registration.object_class_name,
        domain=_bare(name) if name else None,
        name=registration.name,
        handle=registration.handle,
        allocation=registration.type,
        country=registration.country,
        cidr=distinct(map(str, registration.cidrs or ())),
        first_address=registration.start_address,
        last_address=registration.end_address,
        status=distinct(registration.status),
    )


def _event_facts(registration: _Object) -> dict[str, Fact]:
    """Times as the registry writes them, in RFC 3339."""
    return collect_facts(
        registered=registration.event_date("registration"),
        changed=registration.event_date("last changed"),
        expires=registration.event_date("expiration"),
    )


def _contact_facts(registration: _Object) -> dict[str, Fact]:
    # The registrant of a domain may be a person; that of a network is its operator.
    is_domain = registration.object_class_name == "domain"
    return collect_facts(
        organisation=None if is_domain else registration.contact("registrant", "fn"),
        registrar=registration.contact("registrar", "fn"),
        abuse_contact=registration.contact("abuse", "email"),
    )


def _delegation_facts(registration: _Object) -> dict[str, Fact]:
    hosts = [host.ldh_name for host in registration.nameservers or () if host.ldh_name]
    secure_dns = registration.secure_dns or _SecureDns()
    return collect_facts(
        name_servers=distinct(map(_bare, hosts)), signed=secure_dns.delegation_signed
    )


def _bare(name: str) -> str:
    return name.lower().removesuffix(".")
