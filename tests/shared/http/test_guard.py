"""The address policy: nothing outside the public internet, in whatever notation."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http import ForbiddenTarget, OutboundPolicy, Target, is_public

PRIVATE_V4 = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
]  # fmt: skip
PRIVATE_V6 = [
    "::/127", "fe80::/10", "fc00::/7", "ff00::/8", "::ffff:0:0/96", "64:ff9b::/96",
    "64:ff9b:1::/48", "2002::/16",
    "2001::/32", "2001:db8::/32", "100::/64", "fec0::/10",
]  # fmt: skip


def inside(networks):
    """Any address of any of these networks."""
    return (
        st.sampled_from(networks)
        .map(ip_network)
        .flatmap(
            lambda network: st.integers(0, network.num_addresses - 1).map(lambda n: network[n])
        )
    )


def dotted(address: IPv4Address, bases: list[str], parts: int) -> str:
    """An IPv4 address as inet_aton knows it: 1 to 4 parts, each octal, decimal or hexadecimal."""
    octets = list(address.packed)
    values = [*octets[: parts - 1], int.from_bytes(octets[parts - 1 :], "big")]
    return ".".join(
        {"o": "0{:o}", "d": "{}", "x": "0x{:x}"}[b].format(v)
        for b, v in zip(bases, values, strict=False)
    )


NOTATIONS = st.tuples(st.lists(st.sampled_from("odx"), min_size=4, max_size=4), st.integers(1, 4))


def vet(url: str, policy: OutboundPolicy) -> None:
    target = Target.parse(url)
    policy.vet(target.host, target.port, [target.host])


def refused(url: str, policy: OutboundPolicy = OutboundPolicy()) -> None:  # noqa: B008
    with pytest.raises(ForbiddenTarget):
        vet(url, policy)


@given(
    inside(PRIVATE_V4),
    NOTATIONS,
    st.sampled_from(["http://{}/", "https://{}./", "http:\\\\{}", "//{}/x"]),
)
def test_no_private_ipv4_address_passes_in_any_notation(address, notation, frame):
    text = frame.format(dotted(address, *notation))
    refused(text if text.startswith("http") else f"http:{text}")


@given(inside(PRIVATE_V6), st.booleans())
def test_no_private_ipv6_address_passes_in_any_notation(address, long):
    refused(f"http://[{address.exploded if long else address}]/")


@given(
    inside(PRIVATE_V4),
    st.sampled_from(
        [0xFFFF << 32, 0x64FF9B << 96, 0, 0x2002 << 112, 0x20014860_0000_0000_00005EFE << 32]
    ),
)
def test_no_private_ipv4_address_passes_inside_an_ipv6_address(address, prefix):
    embedded = int(address) << 80 if prefix == 0x2002 << 112 else int(address)
    refused(f"http://[{IPv6Address(prefix | embedded)}]/")


@given(st.ip_addresses())
def test_what_the_standard_library_calls_private_is_never_public(address):
    if not address.is_global or address.is_multicast:
        assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4001::1"]
)
def test_public_addresses_pass(address):
    assert [str(a) for a in OutboundPolicy().vet("example.org", 443, [address])] == [address]


@pytest.mark.parametrize(
    "url",
    [
        "http://0x7f.1/", "http://2130706433/", "http://0177.0.0.1/", "http://127.1/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::1]/", "http://[::]/",
        "http://0/",
        "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/",
        "http://100.100.100.200/",
        "http://168.63.129.16/", "http://[64:ff9b::a9fe:a9fe]/", "http://%31%32%37.0.0.1/",
        "http://0.0.0.0:80/",
    ],
)  # fmt: skip
def test_known_disguises_are_refused(url):
    refused(url)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://example.org/", "gopher://x/", "javascript:1", "//example.org/",
     "example.org", "",
     "http://", "http://user@example.org/", "http://user:pass@example.org/",
     "http://:pass@example.org/",
     "http://a b/", "http://[fe80::1%25eth0]/", "http://999.1.1.1/", "http://\ud800/",
     "http://example.org:99999/"],
)  # fmt: skip
def test_urls_of_another_kind_are_refused(url):
    with pytest.raises(ForbiddenTarget) as caught:
        Target.parse(url)
    assert "pass@" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "host"),
    [("http://example.org\\@127.0.0.1/", "example.org"),
     ("http://127.0.0.1#@example.org/", "127.0.0.1"),
     ("http://127.0.0.1\t.example.org/", "127.0.0.1.example.org"),
     ("http://BÜCHER.example", "xn--bcher-kva.example")],
)  # fmt: skip
def test_the_vetted_host_is_the_one_that_is_connected_to(url, host):
    target = Target.parse(url)
    assert target.host == host
    assert target.authority == host


def test_one_private_answer_among_public_ones_refuses_the_name():
    with pytest.raises(ForbiddenTarget) as caught:
        OutboundPolicy().vet("rebind.example", 80, ["1.1.1.1", "10.1.2.3"])
    assert "rebind.example" in caught.value.message
    assert "10.1.2.3" not in str(caught.value.as_dict())
    assert (caught.value.status, caught.value.retryable) == (422, False)


def test_allowed_networks_open_their_addresses_on_any_port_and_nothing_else():
    policy = OutboundPolicy((ip_network("10.0.0.0/8"), ip_network("fd00::/8")))
    assert policy.vet("taxii.internal", 9443, ["10.1.2.3", "fd00::5"])
    refused("http://127.0.0.1/", policy)
    refused("http://[::ffff:10.1.2.3]/", policy)
    with pytest.raises(ForbiddenTarget, match="port 9443"):
        policy.vet("mixed.example", 9443, ["10.1.2.3", "1.1.1.1"])


@pytest.mark.parametrize(("port", "ports", "passes"), [
    (80, None, True), (8443, None, True), (22, None, False), (6379, None, False), (0, None, False),
    (6379, {6379}, True), (443, {6379}, False),
])  # fmt: skip
def test_ports_of_public_addresses_are_limited(port, ports, passes):
    policy = OutboundPolicy(ports=frozenset(ports)) if ports else OutboundPolicy()
    if passes:
        assert policy.vet("example.org", port, ["1.1.1.1"])
    else:
        with pytest.raises(ForbiddenTarget, match="port"):
            policy.vet("example.org", port, ["1.1.1.1"])


def test_a_target_shows_no_path_or_query():
    target = Target.parse("https://hooks.example/services/T0/SECRET?key=SECRET#frag")
    assert "SECRET" not in repr(target)
    assert target.origin == "https://hooks.example"
    assert target.path == "/services/T0/SECRET?key=SECRET"
