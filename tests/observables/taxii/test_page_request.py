"""Parameters and the token of the next page: what is wrong is told, and nothing is guessed."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.observables.taxii.cursor import decode_next, encode_next
from services.observables.taxii.page_request import (
    MAX_LIMIT,
    PageRequest,
    Place,
    read_parameters,
    read_request,
)
from shared.errors import InvalidInput
from shared.keys import Key

KEYS = [Key("observables.enrichers", "observables", "secret", bytes(range(32)))]
OTHER = [Key("observables.enrichers", "observables", "secret", bytes(32))]
COLLECTION = UUID(int=7)
INDICATOR = "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"
moments = st.datetimes(timezones=st.just(UTC))
requests = st.builds(
    PageRequest,
    limit=st.integers(1, MAX_LIMIT),
    added_after=st.none() | moments,
    place=st.none() | st.builds(Place, moments, st.integers(0, 2**62)),
    ids=st.lists(st.just(INDICATOR), max_size=2).map(tuple),
    types=st.lists(st.sampled_from(["indicator", "malware"])).map(tuple),
    versions=st.lists(moments, max_size=3).map(tuple),
    has_first=st.booleans(),
)


def test_all_filters_are_read() -> None:
    request = read_request(
        {
            "added_after": "2026-11-30T08:00:00Z",
            "limit": "5",
            "match[id]": f"{INDICATOR},{INDICATOR}",
            "match[type]": "indicator,malware",
            "match[version]": "first,2016-01-01T01:01:01.000Z",
            "match[spec_version]": "2.0,2.1",
        }
    )
    assert request == PageRequest(
        5,
        datetime(2026, 11, 30, 8, tzinfo=UTC),
        None,
        (INDICATOR,),
        ("indicator", "malware"),
        ("2.0", "2.1"),
        (datetime(2016, 1, 1, 1, 1, 1, tzinfo=UTC),),
        has_first=True,
        has_last=False,
    )
    assert read_request({}).has_last
    assert read_request({"limit": "999999999"}).limit == MAX_LIMIT


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("limit", text) for text in ("0", "-1", "ten", "1.5", "\u0661", "9" * 30)),
        *(("added_after", text) for text in ("yesterday", "2026-11-30", "0")),
        *(("match[id]", text) for text in ("indicator", f"{INDICATOR},", "indicator--1", "'; --")),
        *(("match[type]", text) for text in ("Indicator", "a,,b", "x" * 300, "a b")),
        *(("match[version]", text) for text in ("newest", "last,", "all,last", "2016")),
        *(("match[spec_version]", text) for text in ("2", "two", "2.1.0")),
        ("match[type]", ",".join(f"t{number}" for number in range(1_001))),
    ],
)
def test_wrong_values_are_named(name: str, text: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_request({name: text})
    assert refusal.value.details["field"] == name


def test_parameters_stand_once_and_are_those_of_the_resource() -> None:
    allowed = ("added_after", "limit")
    assert read_parameters([("limit", "3")], allowed) == {"limit": "3"}
    for pairs in (
        [("added_after", "a"), ("added_after", "b")],
        [("match[name]", "x")],
        [("limit", "")],
        [("limit", "1" * 70_000)],
    ):
        with pytest.raises(InvalidInput):
            read_parameters(pairs, allowed)


@given(requests)
def test_a_token_holds_its_request(request: PageRequest) -> None:
    token = encode_next(KEYS, COLLECTION, "objects", request)
    assert decode_next(KEYS, COLLECTION, "objects", token) == request
    assert decode_next([*OTHER, *KEYS], COLLECTION, "objects", token) == request


@given(st.data())
def test_a_changed_token_is_refused(data: st.DataObject) -> None:
    token = encode_next(KEYS, COLLECTION, "objects", PageRequest(place=Place(NOW, 5)))
    packed = bytearray(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))
    forged = urlsafe_b64encode(packed).rstrip(b"=").decode()
    with pytest.raises(InvalidInput):
        decode_next(KEYS, COLLECTION, "objects", forged)


@pytest.mark.parametrize("text", ["", "a", "ä", "====", "AAAA" * 20, "x" * 70_000, "a\0b"])
def test_other_texts_are_no_tokens(text: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        decode_next(KEYS, COLLECTION, "objects", text)
    assert refusal.value.details["field"] == "next"


def test_a_token_is_of_one_collection_one_resource_and_one_installation() -> None:
    token = encode_next(KEYS, COLLECTION, "objects", PageRequest())
    for keys, collection, resource in (
        (KEYS, UUID(int=8), "objects"),
        (KEYS, COLLECTION, "manifest"),
        (OTHER, COLLECTION, "objects"),
    ):
        with pytest.raises(InvalidInput):
            decode_next(keys, collection, resource, token)


NOW = datetime(2026, 11, 30, tzinfo=UTC)


def test_a_token_is_short() -> None:
    request = PageRequest(place=Place(NOW, 2**40), added_after=NOW)
    assert len(encode_next(KEYS, COLLECTION, "objects", request)) < 200
    assert msgspec.msgpack.encode(request)
