"""What belongs together stands together: keys against a naive model of what lies below what."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.observables.store.search_keys import beginning, key_of, under
from shared.errors import InvalidInput
from shared.stix import detect

labels = st.sampled_from(["a", "b", "evil", "login", "x-1"])
names = st.lists(labels, min_size=1, max_size=4).map(lambda parts: ".".join([*parts, "com"]))
fours = st.integers(0x01000000, 0x0100FFFF).map(lambda number: str(ip_address(number)))
sixes = st.integers(0, 0xFFFF).map(lambda number: str(ip_address((0x20010DB8 << 96) + number)))
networks = st.one_of(
    st.tuples(fours, st.integers(8, 31)), st.tuples(sixes, st.integers(32, 127))
).map(lambda pair: str(ip_network(f"{pair[0]}/{pair[1]}", strict=False)))


def lies(text: str, value: str, kind: str) -> bool:
    key = key_of(kind, value)
    return any(low <= key < high for low, high in under(text))


@given(names, names)
def test_a_domain_has_itself_and_what_ends_with_it_below_it(above: str, below: str) -> None:
    assert lies(above, below, "domain-name") == (below == above or below.endswith(f".{above}"))


@given(names, names, st.sampled_from(["", ":8443"]), st.sampled_from(["/", "/a?b=.c", "/x/y#z"]))
def test_a_domain_has_the_urls_of_its_hosts_below_it(
    above: str, host: str, port: str, path: str
) -> None:
    within = host == above or host.endswith(f".{above}")
    assert lies(above, f"http://{host}{port}{path}", "url") == within
    assert lies(above, f"kim@{host}", "email-addr") == within


@given(networks, st.one_of(fours, sixes))
def test_a_network_has_its_addresses_below_it(network: str, address: str) -> None:
    within = ip_address(address) in ip_network(network)
    assert lies(network, address, f"ipv{ip_address(address).version}-addr") == within
    host = f"[{address}]" if ":" in address else address
    assert lies(network, f"https://{host}/x", "url") == within


@given(networks, networks)
def test_a_network_has_the_networks_within_it_below_it(above: str, below: str) -> None:
    outer = ip_network(above)
    inner = ip_network(below)
    within = outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]
    if inner.network_address != outer.network_address:
        assert lies(above, below, f"ipv{inner.version}-addr") == within


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("http://evil.com/a/b", "http://evil.com/a/b/c?d"),
        ("https://evil.com/a", "http://evil.com/ab"),
        ("d41d8cd9", "d41d8cd98f00b204e9800998ecf8427e"),
        ("hxxp://evil[.]com/", "http://evil.com/x"),
    ],
)
def test_other_values_begin_with_what_is_asked_for(text: str, value: str) -> None:
    assert lies(text, value, detect(value).type)


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "x" * 9000])
def test_what_no_value_can_begin_with_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        under(text)


def test_keys_have_a_length_that_an_index_takes() -> None:
    assert len(key_of("url", "http://evil.com/" + "a" * 8000)) == 250


groups = st.lists(st.sampled_from([0, 1, 0xA, 0xAB, 0x2001, 0xFFFF]), min_size=8, max_size=8)
scattered = st.one_of(
    st.integers(0x01000000, 0xDFFFFFFF).map(lambda number: str(IPv4Address(number))),
    groups.map(lambda parts: str(IPv6Address(int("".join(f"{part:04x}" for part in parts), 16)))),
)


@given(
    st.one_of(scattered, networks, st.text("0123456789abcdef", min_size=32, max_size=32)), st.data()
)
def test_no_value_is_missed_where_what_begins_like_it_stands(
    value: str, data: st.DataObject
) -> None:
    kind = (
        "file-md5"
        if len(value) == 32 and value.isalnum()
        else "ipv6-addr"
        if ":" in value
        else "ipv4-addr"
    )
    start = value[: data.draw(st.integers(1, len(value)))]
    assert any(low <= key_of(kind, value) < high for low, high in beginning(start))


@pytest.mark.parametrize(
    ("start", "other"), [("198.5", "198.60.0.1"), ("10.0.0.", "10.0.1.0"), ("2001:d", "2001:e::")]
)
def test_what_begins_otherwise_stands_elsewhere(start: str, other: str) -> None:
    key = key_of("ipv6-addr" if ":" in other else "ipv4-addr", other)
    assert not any(low <= key < high for low, high in beginning(start))
