"""Files that other tools write: both ends of a connection, flags, markings, objects in items."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.formats.base import AmbiguousDocument, ParsedBatch
from services.feeds.formats.registry import format_named
from shared.errors import InvalidInput
from shared.stix.markings import marking_of
from tests.feeds.formats.contract import parse

OWN: Final = ("10.0.0.4", "10.1.2.3", "192.168.7.9", "172.16.4.4")
PUBLIC: Final = ("45.33.32.156", "45.33.32.157", "51.77.3.9", "62.4.5.6")
ENDS: Final = (
    ("src_ip", "dst_ip"),
    ("src_ip", "dest_ip"),
    ("Source", "Destination"),
    ("client_ip", "server_ip"),
    ("local_addr", "remote_addr"),
    ("saddr", "daddr"),
    ("ip_src", "ip_dest"),
    ("SourceIp", "DestinationIp"),
)
SHA256: Final = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
JA3: Final = "e7d705a3286e19ea42f587b344ee6865"


def read(name: str, document: bytes, options: Mapping[str, Any] | None = None) -> ParsedBatch:
    """A document read with options."""
    return parse(format_named(name), document, **(options or {}))


@given(
    st.sampled_from(ENDS),
    st.booleans(),
    st.permutations([(PUBLIC[0], OWN[0]), (OWN[1], PUBLIC[1]), (PUBLIC[2], OWN[2])]),
    st.sampled_from(",;\t"),
)
def test_two_ends_of_connections_are_a_doubt_that_each_alternative_settles(
    names: tuple[str, str], is_turned: bool, rows: list[tuple[str, str]], delimiter: str
) -> None:
    turn = slice(None, None, -1 if is_turned else 1)
    lines = [delimiter.join(row[turn]) for row in (names, *rows)]
    document = "\n".join(lines).encode()
    with pytest.raises(AmbiguousDocument) as doubt:
        read("csv", document)
    *_, both = doubt.value.alternatives
    result = read("csv", document, both["options"])
    # The own hosts beside those of the Internet are where these were seen.
    assert {item.value for item in result.indicators} == set(PUBLIC[:3])
    assert [item.reason for item in result.dropped] == ["context"] * 3


def items_of(names: tuple[str, str]) -> list[dict[str, Any]]:
    first, second = names
    return [
        {first: PUBLIC[0], second: OWN[0], "dns": {"rrname": "evil-updates.top"}},
        {first: OWN[1], second: PUBLIC[1], "tls": {"sni": "c2.badcdn.net", "ja3": {"hash": JA3}}},
        {first: OWN[2], second: PUBLIC[2], "fileinfo": {"sha256": SHA256}},
    ]


@pytest.mark.parametrize("names", ENDS[:2])
def test_objects_within_items_are_told_with_the_doubt_and_read_by_its_option(
    names: tuple[str, str],
) -> None:
    document = json.dumps(items_of(names)).encode()
    with pytest.raises(AmbiguousDocument, match=r"dns\.rrname.*tls\.ja3\.hash \(ja3\)") as doubt:
        read("json", document)
    result = read("json", document, doubt.value.alternatives[-1]["options"])
    pairs = {(str(item.type), item.value) for item in result.indicators}
    assert {("ja3", JA3), ("file-sha256", SHA256), ("domain-name", "c2.badcdn.net")} <= pairs
    assert not {value for _, value in pairs} & set(OWN)


def test_objects_within_items_are_told_where_the_items_are_clear() -> None:
    entries = [
        {"serverIPAddress": address, "request": {"url": f"http://evil{at}.badcdn.net/x"}}
        for at, address in enumerate(PUBLIC)
    ]
    result = read("json", json.dumps(entries).encode())
    (note,) = [note for note in result.notes if "within objects" in note]
    assert "request.url (url)" in note
    option = note.split("value=", 1)[1].split("]", 1)[0] + "]"
    both = read("json", json.dumps(entries).encode(), {"value": json.loads(option)})
    assert len(both.indicators) == 2 * len(PUBLIC)


def test_a_number_that_is_no_observable_is_not_offered() -> None:
    items = [{"ip": 764136937 + at, "ip_str": value} for at, value in enumerate(PUBLIC)]
    result = read("json", json.dumps(items).encode())
    assert {item.value for item in result.indicators} == set(PUBLIC)
    assert not [note for note in result.notes if "'ip'" in note]


def test_alternatives_carry_the_options_that_are_given() -> None:
    items = [{"src_ip": PUBLIC[0], "dest_ip": PUBLIC[1]}]
    document = json.dumps({"log": {"pages": items, "entries": items}}).encode()
    with pytest.raises(AmbiguousDocument) as doubt:
        read("json", document, {"items": "log.pages"})
    for choice in doubt.value.alternatives:
        assert read("json", document, choice["options"]).indicators


@pytest.mark.parametrize("flag", ["ioc", "to_ids", "is_ioc"])
def test_an_item_that_says_that_it_is_no_indicator_is_none(flag: str) -> None:
    items = [{"data": PUBLIC[0], flag: True}, {"data": "google.com", flag: False}]
    result = read("json", json.dumps(items).encode())
    assert [item.value for item in result.indicators] == [PUBLIC[0]]
    assert [item.reason for item in result.dropped] == ["not for detection"]


MARKINGS: Final = [
    ("tlp", "amber", "amber"),
    ("tlp", "TLP:RED", "red"),
    ("TLP", "white", "clear"),
    ("tlp", 3, "red"),
    ("tlp", 2, "amber"),
    ("objectMarking", "TLP:AMBER+STRICT", "amber+strict"),
    ("tlp", "mauve", "closed"),
    ("pap", "red", "closed"),
    ("pap", "green", None),
    ("objectMarking", "of the house", "closed"),
    ("tlp", "", None),
]


@pytest.mark.parametrize(("name", "level", "marking"), MARKINGS)
@pytest.mark.parametrize("format_name", ["csv", "json"])
@pytest.mark.parametrize("has_options", [False, True])
def test_a_marking_beside_a_value_binds(
    name: str, level: Any, marking: str | None, format_name: str, has_options: bool
) -> None:
    options: dict[str, Any] = {}
    if format_name == "csv":
        document = f"ip,comment,{name}\n{PUBLIC[0]},seen,{level}\n{PUBLIC[1]},seen,{level}\n"
        options = {"columns": {"value": "ip", "description": "comment"}} if has_options else {}
    else:
        document = json.dumps([{"ip": value, name: level} for value in PUBLIC])
        options = {"value": "ip", "description": "comment"} if has_options else {}
    result = read(format_name, document.encode(), options)
    assert result.indicators
    assert {marking_of(tuple(item.tags)) for item in result.indicators} == {marking}


def test_an_unknown_word_for_a_type_names_the_option_that_settles_it() -> None:
    document = f"type,value\nStixFile,{SHA256}\nipv4,{PUBLIC[0]}\n".encode()
    (dropped,) = read("csv", document).dropped
    assert "`types`" in (dropped.detail or "")
    settled = read("csv", document, {"types": {"StixFile": "file-sha256"}})
    assert SHA256 in {item.value for item in settled.indicators}


def test_an_incomplete_option_is_refused_in_words_that_name_it() -> None:
    with pytest.raises(InvalidInput, match=r"option `columns` needs `value`") as refusal:
        read("csv", f"ip,kind\n{PUBLIC[0]},c2\n".encode(), {"columns": {"tags": "kind"}})
    assert "$" not in refusal.value.message
