"""Warning lists: values are found with the entries they match, as by a naive search."""

from ipaddress import ip_address, ip_network

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.observables.reference.warning_list_index import Hit, WarningListIndex
from services.observables.reference.warning_lists import bundled, pack
from shared.errors import InvalidInput

EVERYTHING = ["domain", "hostname", "url", "ip-dst", "email", "md5", "filename"]


def a_list(
    kind: str, *entries: str, name: str = "", about: list[str] | None = None, **more: object
) -> tuple:
    document = {
        "name": name or f"a {kind} list",
        "version": 20261101,
        "type": kind,
        "list": list(entries),
        **more,
    }
    document["matching_attributes"] = about or EVERYTHING
    return name or kind, msgspec.json.encode(document)


def opened(*lists: tuple) -> WarningListIndex:
    return WarningListIndex(pack(lists))


LISTS = opened(
    a_list("string", "Example.com", "d41d8cd98f00b204e9800998ecf8427e", "http://evil.com/exact"),
    a_list("hostname", "google.com", ".cdn.net", "münchen.de"),
    a_list("cidr", "8.8.8.0/24", "8.8.8.8", "8.0.0.0/8", "2001:db8::/32", "nonsense", "1.2.3.4/99"),
    a_list("substring", "mailinator.", "is.af"),
    a_list("regex", "/^abuse@/i", "(unclosed"),
)


@pytest.mark.parametrize(
    ("kind", "value", "entries"),
    [
        ("domain-name", "example.com", ["example.com"]),
        ("domain-name", "www.example.com", []),
        ("domain-name", "google.com", ["google.com"]),
        ("domain-name", "mail.google.com", ["google.com"]),
        ("domain-name", "notgoogle.com", []),
        ("domain-name", "a.cdn.net", ["cdn.net"]),
        ("domain-name", "xn--mnchen-3ya.de", ["xn--mnchen-3ya.de"]),
        ("domain-name", "www.mailinator.org", ["mailinator."]),
        ("url", "http://mail.google.com/x", ["google.com"]),
        ("url", "http://evil.com/exact", ["http://evil.com/exact"]),
        ("url", "http://evil.com/exactly", []),
        ("url", "http://8.8.8.8/x", ["8.8.8.8", "8.8.8.0/24", "8.0.0.0/8"]),
        ("url", "http://[2001:db8::1]/x", ["2001:db8::/32"]),
        ("ipv4-addr", "8.8.8.8", ["8.8.8.8", "8.8.8.0/24", "8.0.0.0/8"]),
        ("ipv4-addr", "8.8.8.9", ["8.8.8.0/24", "8.0.0.0/8"]),
        ("ipv4-addr", "8.8.0.0/16", ["8.0.0.0/8"]),
        ("ipv4-addr", "0.0.0.1", []),
        ("ipv6-addr", "2001:db8::1", ["2001:db8::/32"]),
        ("email-addr", "kim@google.com", ["google.com"]),
        ("email-addr", "abuse@evil.com", ["/^abuse@/i"]),
        ("file-md5", "d41d8cd98f00b204e9800998ecf8427e", ["d41d8cd98f00b204e9800998ecf8427e"]),
        ("mutex", "google.com", []),
    ],
)
def test_values_match_the_entries_of_each_kind(kind: str, value: str, entries: list[str]) -> None:
    assert [hit.entry for hit in LISTS.check(kind, value)] == entries


def test_a_hit_explains_itself() -> None:
    assert LISTS.check("domain-name", "google.com") == (
        Hit("a hostname list", "false_positive", "google.com", "hostname"),
    )


def test_a_list_only_applies_to_the_types_it_concerns() -> None:
    lists = opened(a_list("string", "evil.com", about=["md5"]))
    assert lists.check("domain-name", "evil.com") == ()


def test_popular_and_rented_values_are_known_and_not_harmless() -> None:
    lists = opened(
        a_list("string", "evil.com", name="Top 1000 websites"),
        a_list("string", "evil.com", category="known", name="x"),
    )
    assert {hit.category for hit in lists.check("domain-name", "evil.com")} == {"known"}


def test_special_purpose_ranges_are_neither_harmless_nor_known() -> None:
    lists = opened(a_list("cidr", "10.0.0.0/8", name="List of RFC 1918 CIDR blocks"))
    assert {hit.category for hit in lists.check("ipv4-addr", "10.1.2.3")} == {"special"}


def test_entries_that_cannot_be_used_are_counted() -> None:
    unusable = {info.kind: info.unusable for info in LISTS.lists}
    assert unusable["cidr"] == 2
    assert unusable["regex"] == 1


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"name": "x"}', b"\xff", b'{"name": 1, "version": 1, "type": "odd"}']
)
def test_a_file_that_is_no_list_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"dir/list\.json"):
        pack([("dir/list.json", content)])


def test_without_lists_no_value_is_on_one() -> None:
    assert opened().check_many("domain-name", ["a.com", "b.com"]) == [(), ()]


labels = st.sampled_from(["a", "b", "ab", "ba", "com", "evil"])
names = st.lists(labels, min_size=2, max_size=4).map(".".join)
addresses = st.integers(0x0A000000, 0x0A0003FF).map(lambda number: str(ip_address(number)))
networks = st.tuples(addresses, st.integers(20, 32)).map(
    lambda pair: str(ip_network("/".join(map(str, pair)), False))
)


@given(
    st.sets(names),
    st.sets(names),
    st.sets(st.text("ab.", min_size=1, max_size=4)),
    st.lists(names, max_size=8),
)
def test_names_are_found_as_a_naive_search_finds_them(
    exact: set, above: set, pieces: set, values: list[str]
) -> None:
    lists = opened(
        a_list("string", *exact), a_list("hostname", *above), a_list("substring", *pieces)
    )
    usable = {piece.strip() for piece in pieces} - {""}
    for value, hits in zip(values, lists.check_many("domain-name", values), strict=True):
        expected = [("string", value)] if value in exact else []
        expected += [
            ("hostname", name) for name in above if value == name or value.endswith(f".{name}")
        ]
        expected += [("substring", piece) for piece in usable if piece in value]
        assert sorted((hit.kind, hit.entry) for hit in hits) == sorted(expected)


@given(
    st.sets(networks),
    st.lists(addresses | networks.filter(lambda text: not text.endswith("/32")), max_size=8),
)
def test_networks_are_found_as_a_naive_search_finds_them(listed: set, values: list[str]) -> None:
    lists = opened(a_list("cidr", *listed))
    for value, hits in zip(values, lists.check_many("ipv4-addr", values), strict=True):
        expected = {
            ip_network(text) for text in listed if ip_network(value).subnet_of(ip_network(text))
        }
        assert {ip_network(hit.entry) for hit in hits} == expected


def test_the_bundled_lists_can_be_searched() -> None:
    lists = WarningListIndex(pack(bundled()))
    assert len(lists.lists) > 100
    assert "hostname" in {hit.kind for hit in lists.check("domain-name", "www.google.com")}
    assert lists.check("ipv4-addr", "10.1.2.3")
    assert not lists.check("domain-name", "xkqzjv-evil-host.ru")
