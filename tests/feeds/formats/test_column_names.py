"""What the names of columns and properties say: values of which type, or what describes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.formats.base import AmbiguousDocument
from services.feeds.formats.csv import CsvFormat
from services.feeds.formats.json import JsonFormat
from tests.feeds.formats.contract import drops, pairs, parse

SHA256 = ("a1b2c3d4e5f60718293a4b5c6d7e8f90" * 2, "0f8e7d6c5b4a39281706f5e4d3c2b1a9" * 2)
MD5 = ("9e107d9d372bb6826bd81d3542a419d6", "e4d909c290d0fb1ca068ffaddf22cbd0")
SHA1 = ("2fd4e1c67a2d28fced849ee1bb76e7391b93eb12", "de9f2c7fd25e1b3afad3e85a0bd17d9b100db4b3")
NAMES = ("paypal.com", "amazon.com")
ADDRESSES = ("198.51.100.7", "198.51.100.8")
URLS = ("http://one.example.com/a", "http://two.example.com/b")
VERSIONS = ("10.0.1.2", "1.2.3.4")
VALUES = (
    ("url", URLS, "url"), ("sha256", SHA256, "file-sha256"), ("ip", ADDRESSES, "ipv4-addr"),
    ("domain", ("one.example.com", "two.example.net"), "domain-name"),
    ("ioc", ADDRESSES, "ipv4-addr"), ("c2_server", ADDRESSES, "ipv4-addr"),
    ("Attacker IP", ADDRESSES, "ipv4-addr"), ("SHA-256", SHA256, "file-sha256"),
)  # fmt: skip
BESIDE = (
    ("brand", NAMES), ("title", NAMES), ("signer", NAMES), ("id", MD5), ("guid", MD5),
    ("version", VERSIONS), ("oid", ("1.3.6.1", "1.3.6.2")), ("site", NAMES), ("authentihash", MD5),
    ("serial", ("04:a3:12:9b:00:11:22:33", "04:a3:12:9b:00:11:22:34")), ("vhash", MD5),
    ("filename", ("install.sh", "setup.zip")), ("File Name", ("install.sh", "setup.zip")),
    ("report", URLS), ("sample_id", MD5), ("whitelisted", NAMES), ("meta.url", URLS),
)  # fmt: skip


def csv_of(columns: dict[str, tuple[str, ...]], delimiter: str = ",") -> bytes:
    lines = [[*columns], *zip(*columns.values(), strict=True)]
    return "".join(delimiter.join(line) + "\n" for line in lines).encode()


def json_of(columns: dict[str, tuple[str, ...]]) -> bytes:
    rows = zip(*columns.values(), strict=True)
    return json.dumps([dict(zip(columns, row, strict=True)) for row in rows]).encode()


@given(
    value=st.sampled_from(VALUES),
    beside=st.lists(st.sampled_from(BESIDE), max_size=3, unique_by=lambda column: column[0]),
    place=st.integers(0, 3),
    delimiter=st.sampled_from(",;\t|"),
)
def test_beside_a_named_column_others_are_left_aside_with_a_word(value, beside, place, delimiter):
    name, cells, kind = value
    columns = [*beside[:place], (name, cells), *beside[place:]]
    for whole in (
        parse(CsvFormat(), csv_of(dict(columns), delimiter)),
        parse(JsonFormat(), json_of(dict(columns))),
    ):
        assert pairs(whole) == [(kind, cell) for cell in cells]
        if any(column in ("brand", "id", "version", "filename") for column, _ in beside):
            assert any("left aside as context" in note for note in whole.notes)
        assert not any("`properties`" in note for note in whole.notes)


# A serial number is no observable at all.
@pytest.mark.parametrize(
    "column", [column for column in BESIDE if column[0] not in ("site", "serial")]
)
def test_a_table_of_what_describes_is_refused_with_the_option_that_reads_it(column):
    columns = {"actor": ("APT28", "APT29"), column[0]: column[1]}
    for format_, document in (
        (CsvFormat(), csv_of(columns)), (JsonFormat(), json_of(columns)),
    ):  # fmt: skip
        with pytest.raises(AmbiguousDocument, match="that describe others") as doubt:
            parse(format_, document)
        for choice in doubt.value.alternatives:
            assert parse(format_, document, **choice["options"]).indicators


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("ja3", MD5, "ja3"),
        ("JA3 hash", MD5, "ja3"),
        ("imphash", MD5, "file-imphash"),
        ("x509-sha1", SHA1, "x509-sha1"),
    ],
)
def test_a_header_that_names_the_type_is_not_overruled_by_the_shape(name, cells, kind):
    columns = {"ip": ADDRESSES, name: cells}
    expected = [
        *zip(["ipv4-addr", kind] * 2, sum(zip(ADDRESSES, cells, strict=True), ()), strict=True)
    ]
    assert sorted(pairs(parse(CsvFormat(), csv_of(columns)))) == sorted(expected)
    assert sorted(pairs(parse(JsonFormat(), json_of(columns)))) == sorted(expected)
    alone = parse(CsvFormat(), csv_of(columns), columns={"value": name})
    assert pairs(alone) == [(kind, cell) for cell in cells]
    alone = parse(JsonFormat(), json_of(columns), value=f'"{name}"')
    assert pairs(alone) == [(kind, cell) for cell in cells]


@pytest.mark.parametrize(
    ("word", "value", "kind"),
    [
        ("x509-fingerprint-sha1", SHA1[0], "x509-sha1"),
        ("FileHash-IMPHASH", MD5[0], "file-imphash"),
        ("FileHash-SHA256", SHA256[0], "file-sha256"),
        ("File Name", "install.sh", "file-name"),
        ("Intel::FILE_NAME", "svc.sh", "file-name"),
        ("Intel::ADDR", "198.51.100.7", "ipv4-addr"),
        ("ip:port", "198.51.100.7:443", "ipv4-addr"),
        ("ipv4-addr:value", "198.51.100.7", "ipv4-addr"),
        ("hash", MD5[0], "file-md5"),
        ("file", SHA256[0], "file-sha256"),
        ("file", "install.sh", None),
        ("process", "svc.sh", None),
        ("ip", "one.example.com", None),
        ("pehash", MD5[0], None),
        ("yara", "one.example.com", None),
    ],
)
def test_a_word_of_a_type_is_binding_and_other_words_cost_their_row(word, value, kind):
    rows = [("domain", "example.com"), (word, value)]
    expected = [("domain-name", "example.com"), *([(kind, value.split(":")[0])] if kind else [])]
    table = "type,value\n" + "".join(f"{first},{second}\n" for first, second in rows)
    items = [{"type": first, "value": second} for first, second in rows]
    for whole in (
        parse(CsvFormat(), table.encode()),
        parse(JsonFormat(), json.dumps(items).encode()),
        parse(CsvFormat(), table.encode(), columns={"value": "value", "type": "type"}),
        parse(JsonFormat(), json.dumps(items).encode(), value="value", type_at="type"),
    ):
        assert pairs(whole) == expected
        reasons = {reason for _, reason in drops(whole)}
        assert reasons <= {"unsupported type", "not of the declared type"}
        assert bool(reasons) == (kind is None)


def test_words_for_threats_are_no_types():
    table = b"type,ip\nscanner,198.51.100.7\nc2,198.51.100.8\n"
    assert [value for _, value in pairs(parse(CsvFormat(), table))] == [*ADDRESSES]


@pytest.mark.parametrize(
    ("start", "end"),
    [("start", "end"), ("first_ip", "last_ip"), ("range_start", "range_end"), ("StartIP", "EndIP")],
)
def test_the_ends_of_a_range(start, end):
    table = f"{start},{end}\n198.51.100.0,198.51.100.255\n203.0.113.4,203.0.113.7\n".encode()
    assert [value for _, value in pairs(parse(CsvFormat(), table))] == [
        "198.51.100.0/24",
        "203.0.113.4/30",
    ]


@pytest.mark.parametrize("names", ["from,to", "first,last", "from_ip,to_ip", "src,dst"])
def test_two_addresses_that_may_be_those_of_a_connection_are_a_doubt(names):
    table = f"{names}\n198.51.100.7,198.51.100.9\n203.0.113.4,203.0.113.20\n".encode()
    with pytest.raises(AmbiguousDocument):
        parse(CsvFormat(), table)


@pytest.mark.parametrize("names", ["ip,first,last", "ip,start,end", "ip,from,to", "start,end,x"])
def test_an_end_that_is_no_address_is_none(names):
    table = f"{names}\n198.51.100.7,2024-01-01,2024-01-02\n198.51.100.8,2024-01-01,2024-01-02\n"
    whole = parse(CsvFormat(), table.encode())
    assert ([value for _, value in pairs(whole)], drops(whole)) == ([*ADDRESSES], [])


def test_a_prefix_beside_an_address_within_its_network_makes_no_network():
    table = b"ip,prefix\n198.51.100.7,24\n198.51.100.8,24\n"
    assert [value for _, value in pairs(parse(CsvFormat(), table))] == [*ADDRESSES]


def test_the_names_in_files_of_zeek():
    table = (
        "#separator \\x09\n#fields\tindicator\tindicator_type\tmeta.source\tmeta.url\n"
        "#types\tstring\tstring\tstring\tstring\n"
        "198.51.100.7\tIntel::ADDR\tx\thttps://a.example.org/1\n"
        "svc.sh\tIntel::FILE_NAME\tx\thttps://b.example.org/1\n"
    )
    expected = [("ipv4-addr", "198.51.100.7"), ("file-name", "svc.sh")]
    assert pairs(parse(CsvFormat(), table.encode())) == expected


def test_rows_that_begin_with_their_number_are_no_comments():
    table = b"no,ip\n#1,198.51.100.7\n#2,198.51.100.8\n#3 is not yet known\n#198.51.100.9,old\n"
    whole = parse(CsvFormat(), table)
    assert [value for _, value in pairs(whole)] == [*ADDRESSES]
    assert whole.account is not None
    assert whole.account.context == {"header": 1, "comment": 2}
    assert pairs(parse(CsvFormat(), b"#,ip\n#1,198.51.100.7\n")) == [("ipv4-addr", ADDRESSES[0])]


@given(st.integers(0, 120), st.sampled_from(("csv", "json", "jsonl", "absent")))
def test_a_named_column_that_is_empty_at_first_is_read_further_down(rows, form):
    late = {"ip": "203.0.113.1", "domain": "late.example.com"}
    early = {"ip": "198.51.100.1"} if form == "absent" else {"ip": "198.51.100.1", "domain": ""}
    items = [early] * rows + [late]
    if form == "csv":
        lines = ["ip,domain", *(f"{item['ip']},{item['domain']}" for item in items)]
        whole = parse(CsvFormat(), "\n".join(lines).encode())
    elif form == "jsonl":
        whole = parse(JsonFormat(), "\n".join(map(json.dumps, items)).encode(), lines=True)
    else:
        whole = parse(JsonFormat(), json.dumps(items).encode())
    assert ("domain-name", "late.example.com") in pairs(whole)
    assert len(pairs(whole)) == rows + 2
