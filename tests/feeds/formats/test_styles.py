"""Lists in the syntax of the programs that they are made for."""

from time import process_time

import pytest

from services.feeds.formats import MalformedDocument
from services.feeds.formats.log_pairs import pairs_of
from services.feeds.formats.text import TextFormat
from shared.errors import InvalidInput
from tests.feeds.formats.contract import drops, pairs, parse

LISTS = {
    "hosts": (
        (
            b"# a hosts file\n127.0.0.1 localhost localhost.localdomain\n"
            b"0.0.0.0 ads.example.com track.example.com # two\n"
        ),
        ["ads.example.com", "track.example.com"],
    ),
    "adblock": (
        (
            b"[Adblock Plus 2.0]\n! Title: a list\n"
            b"||evil.example.com^\n||bad.example.net^$third-party\n"
            b"@@||good.example.com^\nexample.org##.banner\n||path.example.com/only/this\n/regex/\n"
        ),
        ["evil.example.com", "bad.example.net"],
    ),
    "dnsmasq": (
        (
            b"# dnsmasq\naddress=/evil.example.com/0.0.0.0\nserver=/bad.example.net/\n"
            b"local=/a.example.com/b.example.com/\n"
            b"cache-size=1000\n"
        ),
        ["evil.example.com", "bad.example.net", "a.example.com", "b.example.com"],
    ),
    "rpz": (
        (
            b"$TTL 300\n@ IN SOA localhost. root.localhost. 1 3600 600 86400 300\n"
            b"@ IN NS localhost.\n"
            b"evil.example.com CNAME .\n*.evil.example.com CNAME .\n"
            b"bad.example.net 300 IN CNAME *.\n"
            b"good.example.com CNAME rpz-passthru.\n"
            b"24.0.113.0.203.rpz-ip CNAME .\n48.zz.db8.2001.rpz-ip CNAME . ; six\n"
        ),
        [
            "evil.example.com",
            "evil.example.com",
            "bad.example.net",
            "203.0.113.0/24",
            "2001:db8::/48",
        ],
    ),
    "ranges": (
        (
            b"203.0.113.0 - 203.0.113.255\nSome name:198.51.100.0-198.51.100.127\n"
            b"001.002.016.000 - 001.002.016.003 , 100 , x\n"
            b"198.18.0.1 - 198.18.0.2\n"
        ),
        ["203.0.113.0/24", "198.51.100.0/25", "1.2.16.0/30", "198.18.0.1", "198.18.0.2"],
    ),
}


@pytest.mark.parametrize("style", LISTS)
def test_a_style_gives_what_it_blocks(style):
    data, expected = LISTS[style]
    assert [value for _, value in pairs(parse(TextFormat(), data, style=style))] == expected


@pytest.mark.parametrize("style", ["adblock", "dnsmasq", "rpz", "ranges"])
def test_a_style_is_told_by_the_first_lines(style):
    data, expected = LISTS[style]
    batch = parse(TextFormat(), data)
    assert [value for _, value in pairs(batch)] == expected
    assert batch.notes == [f"read as a list in the style of {style}"]


def test_a_plain_list_has_no_style():
    assert parse(TextFormat(), b"203.0.113.1\nevil.example.com\n").notes == []


def test_a_range_that_is_none_is_left_out_with_its_place():
    batch = parse(TextFormat(), b"203.0.113.9 - 203.0.113.1\n", style="ranges")
    assert drops(batch)[0][0] == "line 1"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"2001:db8::-2001:db8::ff", "2001:db8::/120"),
        (b"name:2001:db8:: - 2001:db8::ff , 000 , x", "2001:db8::/120"),
        (b"Bad 10-20: 203.0.113.0-203.0.113.255", "203.0.113.0/24"),
    ],
)
def test_a_range_of_either_family_with_or_without_a_name(line, expected):
    batch = parse(TextFormat(), line + b"\n", style="ranges")
    assert [value for _, value in pairs(batch)] == [expected]


@pytest.mark.parametrize("style", [None, "ranges"])
@pytest.mark.parametrize("line", [b":" * 60_000, b":" * 30_000 + b" " + b":" * 30_000 + b"x"])
def test_the_time_of_a_long_line_is_linear(style, line):
    start = process_time()
    parse(TextFormat(), (line + b"\n") * 10, **({"style": style} if style else {}))
    assert process_time() - start < 5


def test_the_time_of_many_keys_is_linear():
    line = b" ".join(b"k%d=203.0.113.1" % number for number in range(3000))
    start = process_time()
    with pytest.raises(MalformedDocument):
        parse(TextFormat(), (line + b"\n") * 10)
    assert process_time() - start < 20


def test_a_column_of_a_list():
    data = b"# network netmask attacks\n203.0.113.0\t203.0.113.255\t24\n"
    assert pairs(parse(TextFormat(), data, column=1)) == [("ipv4-addr", "203.0.113.255")]


def test_other_comments():
    assert pairs(parse(TextFormat(), b"% no\n203.0.113.1\n", comment=["%"])) == [
        ("ipv4-addr", "203.0.113.1")
    ]


def test_an_unknown_style_is_named():
    with pytest.raises(
        InvalidInput, match="plain, several, pairs, hosts, adblock, dnsmasq, rpz, ranges"
    ):
        parse(TextFormat(), b"203.0.113.1", style="pihole")


CEF = "CEF:0|Vendor|Product|1.0|100|a \\| b|10|"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('time=1 src=192.0.2.1 msg="a b"', [("time", "1"), ("src", "192.0.2.1"), ("msg", "a b")]),
        (
            CEF + "src=192.0.2.1 msg=seen a \\= b request=http://example.com/a?b\\=c end=1",
            [
                ("src", "192.0.2.1"),
                ("msg", "seen a = b"),
                ("request", "http://example.com/a?b=c"),
                ("end", "1"),
            ],
        ),
        ("Jan  1 10:00:00 host " + CEF + "src=192.0.2.1", [("src", "192.0.2.1")]),
        ("CEF:0|too|short|src=192.0.2.1", []),
        (
            "LEEF:1.0|Vendor|Product|4.0 SP1|15345|src=192.0.2.1\turl=http://example.com/x y",
            [("src", "192.0.2.1"), ("url", "http://example.com/x y")],
        ),
        ("LEEF:2.0|V|P|1.0|41|^|src=192.0.2.1^sev=5", [("src", "192.0.2.1"), ("sev", "5")]),
        ("LEEF:2.0|V|P|1.0|41|x7C|src=192.0.2.1|sev=5", [("src", "192.0.2.1"), ("sev", "5")]),
        ("LEEF:2.0|V|P|1.0|41|src=192.0.2.1\tsev=5", [("src", "192.0.2.1"), ("sev", "5")]),
        ("LEEF:2.0|V|P", []),
    ],
)
def test_pairs_of_logs(line, expected):
    assert pairs_of(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        CEF + "src=203.0.113.{n} act=blocked it",
        "<13>Jan 1 10:00:00 fw LEEF:2.0|V|P|1.0|41|^|src=203.0.113.{n}^sev=5",
        "LEEF:1.0|V|P|4.0|1|src=203.0.113.{n}\tsev=5",
    ],
)
def test_logs_in_the_formats_of_siem_systems(line):
    from services.feeds.formats import format_named, guess_format

    document = "\n".join(line.replace("{n}", str(n)) for n in range(1, 5)).encode()
    assert guess_format("events.log", document)[0] == "text"
    whole = parse(format_named("text"), document)
    assert [value for _, value in pairs(whole)] == [f"203.0.113.{n}" for n in range(1, 5)]
    assert "'src'" in whole.notes[0]


@pytest.mark.parametrize("pump", ["a=", "a =", "\\", "|", "CEF:0|", "LEEF:2.0|", " a"])
def test_pairs_take_linear_time(pump):
    for prefix in ("", CEF, "LEEF:1.0|a|b|c|d|"):
        pairs_of(prefix + pump * (65_536 // len(pump)))
