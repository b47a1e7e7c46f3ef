"""Small inputs of the kinds that people have: each is read rightly, or refused aloud."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.formats import ParsedBatch, format_named, guess_format
from shared.errors import InvalidInput
from tests.feeds.formats.contract import drops


def read(document: bytes, name: str = "list.txt", **options: object) -> tuple[str, ParsedBatch]:
    """A document as a preview reads it: its guessed format, and what comes out."""
    format_name, _ = guess_format(name, document[:65536])
    whole = ParsedBatch()
    for batch in format_named(format_name).parse(io.BytesIO(document), options):
        whole.indicators += batch.indicators
        whole.dropped += batch.dropped
        whole.notes += batch.notes
    return format_name, whole


def values(document: bytes, name: str = "list.txt", **options: object) -> list[str]:
    """The values of a document as a preview reads it."""
    return [indicator.value for indicator in read(document, name, **options)[1].indicators]


ADDRESSES = ["198.51.100.7", "198.51.100.8", "203.0.113.9"]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        # Addresses, networks and ranges
        (b"198.51.100.7 203.0.113.9\n198.51.100.8 203.0.113.10\n", 4),
        (b"198.51.100.7\n198.51.100.8 203.0.113.9\n203.0.113.10\n", 4),
        (b"198.51.100.7,198.51.100.8,203.0.113.9\n", ADDRESSES),
        (b"198.51.100.7\r198.51.100.8\r203.0.113.9\r", ADDRESSES),
        (b"198.51.100.7-198.51.100.8\n203.0.113.9-203.0.113.9\n", ADDRESSES),
        (b"198.51.100.0/255.255.255.0\n203.0.113.0/24\n", ["198.51.100.0/24", "203.0.113.0/24"]),
        (b"[2001:db8::7]:443\n[2001:db8::8]:80\n", ["2001:db8::7", "2001:db8::8"]),
        (b"198.051.100.007\n198.051.100.008\n", ["198.51.100.7", "198.51.100.8"]),
        # Lines with something before the value
        (b"01/08/2024,198.51.100.7\n02/08/2024,198.51.100.8\n03/08/2024,203.0.113.9", ADDRESSES),
        (b"IP: 198.51.100.7\nIP: 198.51.100.8\nIP: 203.0.113.9\n", ADDRESSES),
        (b"CNC 198.51.100.7\nTornode 198.51.100.8\nx 203.0.113.9\n", ADDRESSES),
        (b"t=1 src=198.51.100.7\nt=2 src=198.51.100.8\nt=3 src=203.0.113.9\n", ADDRESSES),
        (
            b"2026-01-01 10:00:01 198.51.100.7 GET\n2026-01-01 10:00:02 198.51.100.8 GET\n",
            ADDRESSES[:2],
        ),
        # Comments and lists of other programs
        (b"-- list\nREM more\n198.51.100.7 ; one\n198.51.100.8 # two\n203.0.113.9\n", ADDRESSES),
        (b"[Adblock Plus 2.0]\n! x\n||one.example.com^\n@@||two.example.com^\n", 1),
        (b"||one.example.com^\n||two.example.net^$important\n", 2),
        # URLs
        (
            b"one.example.com/gate.php?a=1;b=2\none.example.com/x,y/z\n",
            ["http://one.example.com/gate.php?a=1;b=2", "http://one.example.com/x,y/z"],
        ),
        (
            b"hxxps[:]//www[.]example[.]com[/]a[.]php\nhxxp://one[.]example[.]net[/]b\n",
            ["https://www.example.com/a.php", "http://one.example.net/b"],
        ),
        # Prose
        (
            b"IOC drop:\nhxxp://one[.]example[.]com/a\nC2 is 198[.]51[.]100[.]7:80\nor two[.]ru\n",
            ["http://one.example.com/a", "198.51.100.7", "two.ru"],
        ),
        # Tables
        (
            b"198.51.100.7,http://one.example.com/a\n203.0.113.9,https://two.example.net/b\n",
            [
                "198.51.100.7",
                "http://one.example.com/a",
                "203.0.113.9",
                "https://two.example.net/b",
            ],
        ),
        (b'ip,desc\n198.51.100.7,"half\n198.51.100.8,b\n203.0.113.9,c\n', ADDRESSES),
        (b'ip,data\n198.51.100.7,ok\n198.51.100.8,"a\x00b"\n203.0.113.9,ok\n', ADDRESSES),
    ],
)
def test_it_is_read_as_it_is_meant(document: bytes, expected: list[str] | int) -> None:
    assert (
        values(document) == expected
        if isinstance(expected, list)
        else len(values(document)) == expected
    )


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"198.51.100.7\n198.51.100.0/33\n203.0.113.9\n", "malformed network"),
        (b"198.51.100.7\n01/08/2024\n203.0.113.9\n", "malformed IPv4 address"),
        (b"198.51.100.7\n10.0.0.0/8\n203.0.113.9\n", "network too wide"),
        (b"198.51.100.7\n10.0.0.0-11.255.255.255\n203.0.113.9\n", "network too wide"),
        (b"198.51.100.7\n198.51.100.040\n203.0.113.9\n", "malformed IPv4 address"),
        (b"198.51.100.7\nTue May 2\n203.0.113.9\n", "single label"),
        (b"198.51.100.7\n12:30:45\n203.0.113.9\n", "malformed domain name"),
    ],
)
def test_what_is_none_is_left_out_with_its_reason(document: bytes, reason: str) -> None:
    _, whole = read(document)
    assert [indicator.value for indicator in whole.indicators] == ["198.51.100.7", "203.0.113.9"]
    assert drops(whole) == [("line 2", reason)]


def test_wide_networks_need_a_word() -> None:
    document = b"10.0.0.0/8\n198.51.100.0/24\n"
    assert values(document) == ["198.51.100.0/24"]
    assert values(document, style="ranges") == ["10.0.0.0/8", "198.51.100.0/24"]


def test_several_keys_are_a_doubt() -> None:
    log = b"src=198.51.100.7 dst=203.0.113.1\nsrc=198.51.100.8 dst=203.0.113.1\n"
    with pytest.raises(InvalidInput, match="say by the options") as problem:
        values(log)
    alternatives = problem.value.details["alternatives"]
    assert [choice["options"]["key"] for choice in alternatives] == ["dst", "src"]
    choice = alternatives[1]
    reader = format_named(choice["format"]).parse(io.BytesIO(log), choice["options"])
    assert [indicator.value for batch in reader for indicator in batch.indicators] == ADDRESSES[:2]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b'{"list": ["8.8.8.8"], "matching_attributes": ["ip-dst"], "name": "x"}', "warning list"),
        (b'{"attributes": {}, "meta-category": "file", "name": "x"}', "object template"),
    ],
)
def test_what_holds_no_indicators_is_refused_by_name(document: bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        values(document)


separators = st.sampled_from([" ", ",", ";", "\t", "|", ", ", " | "])
ends = st.sampled_from(["\n", "\r\n", "\r"])
encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
addresses = st.lists(
    st.tuples(st.integers(11, 120), st.integers(0, 255), st.integers(0, 255), st.integers(1, 254)),
    min_size=2,
    max_size=12,
    unique=True,
)


@given(addresses, separators, ends, encodings, st.integers(2, 4))
def test_addresses_however_they_are_separated(
    numbers: list[tuple[int, ...]], separator: str, end: str, encoding: str, per_line: int
) -> None:
    texts = [".".join(map(str, address)) for address in numbers]
    lines = [separator.join(texts[at : at + per_line]) for at in range(0, len(texts), per_line)]
    try:
        addresses_read = values((end.join(lines) + end).encode(encoding))
    except InvalidInput:
        return  # two columns of addresses are a doubt
    assert addresses_read == texts
