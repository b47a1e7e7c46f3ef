"""Plain lists."""

import io

import pytest

from services.feeds.formats.text import TextFormat
from shared.errors import InvalidInput
from tests.feeds.formats.contract import FormatContract, drops, pairs, parse

LIST = b"""# a list
; of addresses
// and
! names

192.0.2.1
192.0.2.2:8080
192.0.2.3\t7
192.0.2.4,malware,2026-01-01
192.0.2.0/24 ; SBL1234
198.51.100.7 # seen today
198.51.100.8#seen today
hxxp://example[.]com/a,b;c?d#e
"evil.example.net","botnet"
Evil.Example.ORG.
\xef\xbb\xbf.example.com
2001:DB8::1
a@example.com
d41d8cd98f00b204e9800998ecf8427e  setup.exe
"""
HOSTS = b"""127.0.0.1 localhost
::1 localhost ip6-localhost
0.0.0.0 ads.example.com tracker.example.com # both
127.0.0.1\tevil.example.net\r
0.0.0.0 5
"""


class TestText(FormatContract):
    format = TextFormat()
    samples = (LIST, HOSTS, b"192.0.2.1\r\n192.0.2.2", b"\n" * 3000 + b"192.0.2.1\n" * 3000)


def test_a_list():
    whole = parse(TextFormat(), LIST)
    assert pairs(whole) == [
        ("ipv4-addr", "192.0.2.1"),
        ("ipv4-addr", "192.0.2.2"),
        ("ipv4-addr", "192.0.2.3"),
        ("ipv4-addr", "192.0.2.4"),
        ("ipv4-addr", "192.0.2.0/24"),
        ("ipv4-addr", "198.51.100.7"),
        ("ipv4-addr", "198.51.100.8"),
        ("url", "http://example.com/a,b;c?d#e"),
        ("domain-name", "evil.example.net"),
        ("domain-name", "evil.example.org"),
        ("ipv6-addr", "2001:db8::1"),
        ("email-addr", "a@example.com"),
        ("file-md5", "d41d8cd98f00b204e9800998ecf8427e"),
    ]
    assert drops(whole) == [("line 16", "control character")]


def test_a_hosts_file_gives_its_names():
    whole = parse(TextFormat(), HOSTS)
    assert [value for _, value in pairs(whole)] == [
        "ads.example.com",
        "tracker.example.com",
        "evil.example.net",
    ]
    assert drops(whole) == []
    assert whole.account is not None
    assert whole.account.context["local name"] == 3


def test_a_trail_says_what_it_leaves_out_and_where():
    trail = (
        b"# Reference: https://example.com/report\n\n/gate.php\n"
        b"evil.example.com/gate.php\nsetup.exe\n192.0.2.1:443\n"
    )
    whole = parse(TextFormat(), trail)
    assert pairs(whole) == [("url", "http://evil.example.com/gate.php"), ("ipv4-addr", "192.0.2.1")]
    assert drops(whole) == [("line 3", "path without a host"), ("line 5", "not a public suffix")]


def test_a_given_type_is_used_for_every_line():
    whole = parse(TextFormat(), b"Global\\a mutex\n#x\n", type="mutex")
    assert pairs(whole) == [("mutex", "Global\\a mutex")]
    assert drops(parse(TextFormat(), b"192.0.2.1\n", type="file-md5")) == [
        ("line 1", "malformed hash")
    ]


def test_an_unknown_type_names_the_option():
    with pytest.raises(InvalidInput) as problem:
        parse(TextFormat(), b"192.0.2.1\n", type="ipv5")
    assert problem.value.details["field"] == "options.type"


def test_one_endless_line_costs_only_itself():
    data = b"192.0.2.1\n" + b"a" * 10_000_000 + b"\n192.0.2.2\n"
    whole = parse(TextFormat(), data)
    assert pairs(whole) == [("ipv4-addr", "192.0.2.1"), ("ipv4-addr", "192.0.2.2")]
    assert drops(whole) == [("line 2", "too long")]


def test_bytes_that_are_no_text_cost_only_their_line():
    whole = parse(
        TextFormat(),
        b"192.0.2.1\nev\xffl.com\n# caf\xe9\n192.0.2.2 caf\xe9\n"
        + b"#\n" * 40_000
        + b"\x00\n192.0.2.3",
    )
    assert [value for _, value in pairs(whole)] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert drops(whole) == [("line 2", "not UTF-8"), ("line 40005", "control character")]


def test_line_numbers_hold_across_blocks():
    lines = [b"192.0.2.%d" % (number % 250 + 1) for number in range(50_000)]
    lines[33_333] = b"nonsense"
    batches = list(TextFormat().parse(io.BytesIO(b"\n".join(lines)), {}))
    assert sum(len(batch.indicators) for batch in batches) == 49_999
    assert [piece.where for batch in batches for piece in batch.dropped] == ["line 33334"]


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("8.0.0.1 - 12.0.0.5", "198.51.100.1 - 198.51.100.9"),
        ("20.1.128.0 - 20.3.255.255", "203.0.113.0 - 203.0.113.255"),
        ("2001:db0::1 - 2001:dc0::5", "2001:db8::1 - 2001:db8::2"),
    ],
)
def test_a_wide_range_costs_its_whole_line_unless_the_style_is_named(wide, narrow):
    document = f"{wide}\n{narrow}\n{narrow}".encode()
    whole = parse(TextFormat(), document)
    assert drops(whole) == [("line 1", "network too wide")]
    assert "style: ranges" in whole.dropped[0].detail
    named = parse(TextFormat(), document, style="ranges")
    assert drops(named) == []
    assert len(named.indicators) > len(whole.indicators)
