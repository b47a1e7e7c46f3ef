"""Logs and lists whose lines hold more than one address, a port, a range or a name in words."""

from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.formats.base import AmbiguousDocument
from services.feeds.formats.text import TextFormat
from tests.feeds.formats.contract import parse
from tests.feeds.formats.test_field_cases import read, values

OWN = st.one_of(
    st.tuples(st.just("10.{}.{}.{}"), *[st.integers(0, 254)] * 3),
    st.tuples(st.just("192.168.{}.{}"), *[st.integers(0, 254)] * 2),
    st.tuples(st.just("172.{}.{}.9"), st.integers(16, 31), st.integers(0, 254)),
).map(lambda parts: parts[0].format(*parts[1:]))
FOREIGN = st.tuples(
    st.sampled_from(("45.155", "185.220", "198.51")), st.integers(0, 254), st.integers(1, 254)
).map(lambda parts: ".".join(map(str, parts)))
LOG_TIMES = st.sampled_from(
    ("2026-11-29 10:00:01 ", "Nov 29 10:00:01 fw1 ", "<134>1 2026-11-29T10:00:01Z ", "")
)
WORDS = st.sampled_from(("DENY", "drop tcp", "blocked by rule 7", "conn"))


def pairs_of_addresses(size: int) -> st.SearchStrategy[list[tuple[str, str]]]:
    """Own and foreign addresses of some lines."""
    unique = (itemgetter(0), itemgetter(1))
    return st.lists(st.tuples(OWN, FOREIGN), min_size=size, max_size=8, unique_by=unique)


@given(pairs_of_addresses(2), LOG_TIMES, WORDS, st.sampled_from((" ", "\t", "  ")), st.booleans())
def test_the_own_host_of_a_log_is_no_indicator(pairs, time, words, blank, is_first):
    """At 929fb88 the first of two addresses was read, whoever it was."""
    lines = [
        f"{time}{words}{blank}{blank.join(pair if is_first else pair[::-1])}{blank}443"
        for pair in pairs
    ]
    document = "\n".join(lines).encode()
    assert values(document, "fw.log") == [foreign for _, foreign in pairs]
    _, whole = read(document, "fw.log")
    assert any("--option column" in note for note in whole.notes)


@given(st.lists(st.tuples(FOREIGN, FOREIGN), min_size=2, max_size=6, unique=True), LOG_TIMES)
def test_two_addresses_that_nothing_tells_apart_are_a_doubt(pairs, time):
    lines = [f"{time}accept {first} ssh {last}" for first, last in pairs]
    document = "\n".join(lines).encode()
    if len({first for first, _ in pairs}) == 1 or len({last for _, last in pairs}) == 1:
        return  # one of them may be the same throughout, which tells them apart
    with pytest.raises(AmbiguousDocument) as doubt:
        read(document, "fw.log")
    *single, both = doubt.value.alternatives
    for choice, expected in zip(single, zip(*pairs, strict=True), strict=True):
        whole = parse(TextFormat(), document, **choice["options"])
        assert [indicator.value for indicator in whole.indicators] == list(expected)
    whole = parse(TextFormat(), document, **both["options"])
    assert len(whole.indicators) == 2 * len(pairs)


def test_an_address_that_each_line_repeats_is_where_the_others_were_seen():
    document = b"".join(b"203.0.113.10 ssh 45.155.205.%d\n" % at for at in range(1, 5))
    assert values(document, "fw.log") == [f"45.155.205.{at}" for at in range(1, 5)]


@given(pairs_of_addresses(2), st.integers(1, 65535), st.integers(1, 65535))
def test_cisco_writes_a_port_behind_a_slash(pairs, far, near):
    """At 929fb88 these were networks (`10.0.0.0/22`) and URLs (`http://…/51234`)."""
    lines = [
        f"Nov 29 2026 10:01:12 asa1 : %ASA-4-106023: Deny tcp src outside:{foreign}/{far} dst "
        f'inside:{own}/{near} by access-group "outside_in" [0x0, 0x0]'
        for own, foreign in pairs
    ]
    assert values("\n".join(lines).encode(), "asa.log") == [foreign for _, foreign in pairs]


@given(st.lists(FOREIGN, min_size=2, max_size=8, unique=True), st.integers(129, 65535))
def test_a_list_with_ports_behind_slashes_has_no_networks(addresses, port):
    ports = [port, *[22] * len(addresses)]
    lines = [f"{address}/{port}" for address, port in zip(addresses, ports, strict=False)]
    assert values("\n".join(lines).encode()) == addresses


@given(
    st.lists(st.tuples(FOREIGN, FOREIGN), min_size=2, max_size=6, unique_by=lambda pair: pair),
    st.sampled_from(("{0}:443 -> {1}:22", "IP {0}.443 > {1}.22: Flags [S]", "{0}:1 {1}:2 6")),
)
def test_flows_are_pairs_of_addresses(pairs, form):
    pairs = [pair for pair in pairs if pair[0] != pair[1]]
    if len({first for first, _ in pairs}) < 2 or len({last for _, last in pairs}) < 2:
        return
    lines = [f"2026-11-29 10:00:0{at} 0.000 {form.format(*pair)}" for at, pair in enumerate(pairs)]
    header = "Date first seen Duration Src IP Addr:Port Dst IP Addr:Port"
    with pytest.raises(AmbiguousDocument) as doubt:
        read("\n".join([header, *lines]).encode(), "flows.txt")
    first = parse(TextFormat(), "\n".join(lines).encode(), **doubt.value.alternatives[0]["options"])
    assert [indicator.value for indicator in first.indicators] == [pair[0] for pair in pairs]


def test_the_name_of_a_log_of_queries_counts_and_not_the_own_host_that_asks():
    document = b"".join(
        b"29-Nov-2026 10:00:00.123 client @0x7f 10.1.1.%d#5353 (e): query: evil-%d.com IN A\n"
        % (at, at)
        for at in range(1, 4)
    )
    assert values(document, "query.log") == ["evil-1.com", "evil-2.com", "evil-3.com"]


@given(st.integers(0, 260), st.sampled_from(("0.0.0.0", "127.0.0.1", "::")))  # noqa: S104
def test_a_hosts_file_is_known_behind_any_comment(comments, sink):
    """At 929fb88 the entry of the own server became an indicator."""
    entries = [f"{sink} evil-{at}.com" for at in range(4)]
    own = ["127.0.0.1 localhost", "::1 localhost ip6-localhost", "10.1.1.5 intranet.example.org"]
    text = "\n".join(["# a list of the proxy team"] * comments + own + entries)
    whole = parse(TextFormat(), text.encode())
    assert [item.value for item in whole.indicators] == [f"evil-{at}.com" for at in range(4)]
    assert whole.dropped == []
    assert any("hosts file" in note for note in whole.notes)


@given(
    st.lists(FOREIGN, min_size=3, max_size=8, unique=True),
    st.integers(0, 8),
    st.sampled_from(
        ("192.0.2.0-192.0.2.255", "192.0.2.0 - 192.0.2.255", "192.0.2.0 -  192.0.2.255 # x")
    ),
)
def test_a_range_stands_among_other_values(addresses, place, line):
    lines = list(addresses)
    lines.insert(place, line)
    expected = list(addresses)
    expected.insert(place, "192.0.2.0/24")
    assert values("\n".join(lines).encode()) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("evil-shop dot com", "evil-shop.com"),
        ("www DOT evil-shop DOT com", "www.evil-shop.com"),
        ("evil-a . com", "evil-a.com"),
        ("evil-a [.] com", "evil-a.com"),
        ("SHA256: " + "ab12" * 16, "ab12" * 16),
        ("Domain name: evil-b.com", "evil-b.com"),
    ],
)
def test_a_value_in_words_or_behind_a_label_stands_among_others(line, expected):
    document = f"45.155.205.233\nevil-login.com\n{line}\nevil-bank.com\n".encode()
    assert values(document) == ["45.155.205.233", "evil-login.com", expected, "evil-bank.com"]


def test_several_columns_of_a_line_can_be_read():
    document = b"45.155.205.233 evil-login.com\n185.220.101.34 evil-bank.com\n"
    _, whole = read(document)
    assert any("--option column=[0,1]" in note for note in whole.notes)
    both = parse(TextFormat(), document, column=[0, 1])
    assert len(both.indicators) == 4
