"""Disclosure: each reason to refuse a query, and no private address or name in any type."""

import json
from ipaddress import IPv4Address, IPv6Address, ip_network
from itertools import product
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.observables.enrichment.disclosure import refusal, strictest
from services.observables.providers.base import Query, Tlp
from shared.http.guard import is_public
from shared.stix import NotAnObservable, ObservableType, normalise
from tests.observables.enrichment.enrichers import Probe

TLPS: tuple[Tlp, ...] = get_args(Tlp)


class Anything(Probe):
    types = frozenset(ObservableType)


class Choosy(Anything):
    def applies(self, query: Query) -> bool:
        return query.value != "45.33.32.156"


def code(
    type_: str,
    value: str,
    *,
    marking: Tlp | None = None,
    max_tlp: Tlp = "red",
    context: str | None = None,
):
    refused = refusal(Query(type_, value), Anything(), marking, max_tlp, context)
    return refused and refused.code


def test_a_public_value_may_be_sent() -> None:
    assert code("ipv4-addr", "45.33.32.156") is None


def test_a_type_outside_the_enrichers_is_refused() -> None:
    refused = refusal(Query("url", "https://a.example.com/"), Probe(), None, "red", None)
    assert refused is not None
    assert (refused.code, refused.message) == ("type", "Probe is not asked about this url.")
    assert refusal(Query("ipv4-addr", "45.33.32.156"), Choosy(), None, "red", None).code == "type"


@pytest.mark.parametrize(("marking", "most"), list(product(TLPS, TLPS)))
def test_a_marking_goes_no_further_than_it_may(marking: Tlp, most: Tlp) -> None:
    may = TLPS.index(marking) <= TLPS.index(most)
    assert code("ipv4-addr", "45.33.32.156", marking=marking, max_tlp=most) == (
        None if may else "tlp"
    )


@pytest.mark.parametrize("most", TLPS)
def test_an_unmarked_value_may_be_sent(most: Tlp) -> None:
    assert code("ipv4-addr", "45.33.32.156", max_tlp=most) is None


def test_a_message_names_both_markings() -> None:
    refused = refusal(Query("ipv4-addr", "45.33.32.156"), Probe(), "amber+strict", "green", None)
    assert refused is not None
    assert refused.message == "It is marked TLP:AMBER+STRICT; Probe may receive at most TLP:GREEN."


@given(st.lists(st.none() | st.sampled_from(TLPS)))
def test_the_strictest_marking_counts(markings: list[Tlp | None]) -> None:
    places = [TLPS.index(marking) for marking in markings if marking is not None]
    assert strictest(markings) == (TLPS[max(places)] if places else None)


PRIVATE = [
    ("ipv4-addr", "10.0.0.1"),
    ("ipv4-addr", "127.0.0.1"),
    ("ipv4-addr", "169.254.169.254"),
    ("ipv4-addr", "100.64.0.1"),
    ("ipv4-addr", "192.168.0.0/16"),
    ("ipv4-addr", "224.0.0.1"),
    ("ipv4-addr", "0.0.0.0/0"),
    ("ipv4-addr", "192.0.0.0/2"),
    ("ipv6-addr", "::1"),
    ("ipv6-addr", "fe80::1"),
    ("ipv6-addr", "fd00::/8"),
    ("ipv6-addr", "::ffff:10.0.0.1"),
    ("ipv6-addr", "::ffff:45.33.32.156"),
    ("ipv6-addr", "2002:a00:1::1"),
    ("ipv6-addr", "64:ff9b::10.0.0.1"),
    ("ipv6-addr", "2001:db8::/32"),
    ("ipv6-addr", "::/0"),
    ("url", "http://10.0.0.1/"),
    ("url", "http://user:secret@10.0.0.1:8080/a?b"),
    ("url", "http://45.33.32.156%40x@192.168.1.1/"),
    ("url", "ftp://172.16.0.9/"),
    ("url", "ssh://user@[fe80::1]:22/"),
    ("url", "https://[::ffff:a00:1]:8443/"),
    ("url", "http://[2002:a00:1::1]/"),
    ("url", "http://localhost/"),
    ("url", "http://printer/"),
    ("url", "http://user@wiki.corp.internal:8080/x"),
    ("domain-name", "localhost"),
    ("domain-name", "printer"),
    ("domain-name", "nas.local"),
    ("domain-name", "db.internal"),
    ("domain-name", "router.home.arpa"),
    ("domain-name", "x.test"),
    ("domain-name", "expyuzz4wqqyqhjn.onion"),
    ("domain-name", "www.example.com"),
    ("email-addr", "root@localhost"),
    ("email-addr", "anna@mail.internal"),
    ("email-addr", '"a@b.com"@nas.local'),
]

PUBLIC = [
    ("ipv4-addr", "45.33.32.0/24"),
    ("ipv6-addr", "2600:3c01::f03c:91ff:fe18:bb2f"),
    ("ipv6-addr", "2600:3c01::/32"),
    ("url", "http://user:secret@45.33.32.156:8080/"),
    ("url", "https://[2600:3c01::1]:8443/"),
    ("url", "https://a.b.co.uk/?u=http://10.0.0.1/"),
    ("domain-name", "notlocal.com"),
    ("domain-name", "mylocalhost.org"),
    ("domain-name", "internal.company.com"),
    ("email-addr", "10.0.0.1@company.com"),
    ("file-md5", "d41d8cd98f00b204e9800998ecf8427e"),
    ("vulnerability", "CVE-2021-44228"),
    ("autonomous-system", "AS15169"),
]


@pytest.mark.parametrize(("type_", "value"), PRIVATE)
def test_private_values_are_refused(type_: str, value: str) -> None:
    assert code(type_, value) == "private"


@pytest.mark.parametrize(("type_", "value"), PUBLIC)
def test_public_values_may_be_sent(type_: str, value: str) -> None:
    assert code(type_, value) is None


@pytest.mark.parametrize("value", ["1.0.0.10.in-addr.arpa", "8.e.f.ip6.arpa"])
def test_the_reverse_name_of_a_private_address_is_refused(value: str) -> None:
    assert code("domain-name", value) == "private"


NOT_PUBLIC = [
    *(value for type_, value in PRIVATE if type_.startswith("ip")),
    "10.0.0.0/8",
    "172.16.0.0/12",
    "fc00::/7",
]
addresses = st.one_of(
    st.ip_addresses(), *(st.ip_addresses(network=ip_network(network)) for network in NOT_PUBLIC)
)


def canonical(type_: str, value: str) -> str | None:
    """A value as it would be stored; None when it is no observable at all."""
    try:
        return normalise(type_, value)
    except NotAnObservable:
        return None


@given(addresses, st.data())
def test_no_type_carries_a_private_address_out(
    address: IPv4Address | IPv6Address, data: st.DataObject
) -> None:
    assume(not is_public(address))
    family = "ipv4-addr"
    host = str(address)
    if address.version == 6:
        family = "ipv6-addr"
        host = f"[{address}]"
    scheme = data.draw(st.sampled_from(["http", "https", "ftp", "ssh", "redis", "tcp"]))
    user = data.draw(
        st.sampled_from(
            ["", "user@", "user:secret@", "45.33.32.156@", "a%40b:c@", "www.company.com:80@"]
        )
    )
    port = data.draw(st.sampled_from(["", ":22", ":8080"]))
    path = data.draw(
        st.sampled_from(["", "/", "/a@45.33.32.156/", "?u=https://company.com", "#company.com"])
    )
    shapes = {
        family: str(address),
        "url": f"{scheme}://{user}{host}{port}{path}",
        "email-addr": f"anna@{host}",
    }
    for type_, value in shapes.items():
        stored = canonical(type_, value)
        assert stored is None or code(type_, stored) == "private", stored


@given(addresses, st.integers(0, 16))
def test_a_network_of_private_addresses_alone_is_refused(
    address: IPv4Address | IPv6Address, bits: int
) -> None:
    assume(not is_public(address))
    network = ip_network((address, address.max_prefixlen - bits % 9), strict=False)
    family = "ipv4-addr" if address.version == 4 else "ipv6-addr"
    assert code(family, str(network)) == "private"


@pytest.mark.parametrize(
    ("type_", "value"),
    [("ipv4-addr", "8.0.0.0/5"), ("ipv4-addr", "160.0.0.0/3"), ("ipv6-addr", "2000::/3")],
)
def test_a_network_with_private_addresses_in_its_middle_is_refused(type_: str, value: str) -> None:
    assert normalise(type_, value) == value
    assert code(type_, value) == "private"


LABELS = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)


@given(
    LABELS,
    st.sampled_from(
        ["local", "internal", "localhost", "home.arpa", "test", "invalid", "onion", "example"]
    ),
)
def test_a_local_name_is_refused_in_any_type(label: str, top: str) -> None:
    name = f"{label}.{top}"
    for type_, value in (
        ("domain-name", name),
        ("url", f"https://{name}/"),
        ("url", f"ssh://user@{name}:22/"),
        ("email-addr", f"anna@{name}"),
    ):
        assert code(type_, value) == "private"


def allow_lists(*hits: tuple[str, str]) -> str:
    rows = [[name, category, "x"] for name, category in hits]
    return json.dumps({"allow_lists": {"hits": rows}, "network": {"a": 1}})


def test_values_on_a_list_of_false_positives_are_refused() -> None:
    listed = allow_lists(("Top 1000", "known"), ("Public DNS resolvers", "false_positive"))
    assert code("ipv4-addr", "8.8.8.8", context=listed) == "allow-listed"
    refused = refusal(Query("ipv4-addr", "8.8.8.8"), Anything(), None, "red", listed)
    assert refused is not None
    assert "'Public DNS resolvers'" in refused.message


@pytest.mark.parametrize(
    "context",
    [
        None,
        "",
        "{}",
        allow_lists(),
        allow_lists(("Cloud provider", "known")),
        '{"allow_lists": {}}',
    ],
)
def test_values_on_lists_of_well_known_ones_may_be_sent(context: str | None) -> None:
    assert code("ipv4-addr", "8.8.8.8", context=context) is None


def test_the_first_reason_is_reported() -> None:
    listed = allow_lists(("x", "false_positive"))
    assert refusal(Query("url", "http://10.0.0.1/"), Probe(), "red", "clear", listed).code == "type"
    assert code("ipv4-addr", "10.0.0.1", marking="red", max_tlp="clear", context=listed) == "tlp"
    assert code("ipv4-addr", "10.0.0.1", context=listed) == "private"
