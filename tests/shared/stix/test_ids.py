"""Ids agree with OASIS' own library, and the objects are valid STIX."""

import contextlib
import uuid

import msgspec
import pytest
import stix2
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.stix import (
    NotAnObservable,
    ObservableType,
    bucket,
    normalise,
    observable_uuid,
    sco,
    stix_id,
)
from shared.stix.ids import BUCKETS, SCO_NAMESPACE, SENTINELIQ_NAMESPACE, observable_id, stix_type
from tests.shared.stix.strategies import RAW, WALLETS

T = ObservableType
ORACLES = {
    T.IPV4: lambda value: stix2.v21.IPv4Address(value=value),
    T.IPV6: lambda value: stix2.v21.IPv6Address(value=value),
    T.DOMAIN: lambda value: stix2.v21.DomainName(value=value),
    T.URL: lambda value: stix2.v21.URL(value=value),
    T.EMAIL: lambda value: stix2.v21.EmailAddress(value=value),
    T.MAC: lambda value: stix2.v21.MACAddress(value=value),
    T.ASN: lambda value: stix2.v21.AutonomousSystem(number=int(value[2:])),
    T.MD5: lambda value: stix2.v21.File(hashes={"MD5": value}),
    T.SHA1: lambda value: stix2.v21.File(hashes={"SHA-1": value}),
    T.SHA256: lambda value: stix2.v21.File(hashes={"SHA-256": value}),
    T.SHA512: lambda value: stix2.v21.File(hashes={"SHA-512": value}),
    T.SSDEEP: lambda value: stix2.v21.File(hashes={"SSDEEP": value}),
    T.TLSH: lambda value: stix2.v21.File(hashes={"TLSH": value}),
    T.FILE_NAME: lambda value: stix2.v21.File(name=value),
    T.REGISTRY_KEY: lambda value: stix2.v21.WindowsRegistryKey(key=value),
}


TYPED = {
    T.X509_SHA1: lambda value: {"hashes": {"SHA-1": value}},
    T.X509_SHA256: lambda value: {"hashes": {"SHA-256": value}},
    T.MUTEX: lambda value: {"name": value},
    **dict.fromkeys(
        (T.FILE_PATH, T.JA3, T.JA4, T.USER_AGENT, T.WALLET), lambda value: {"value": value}
    ),
}
"""Types whose ids say the type, because their properties are those of another type as well."""


def canonical(kind, raw):
    try:
        return normalise(kind, raw)
    except NotAnObservable:
        assume(False)


def of(kinds):
    """A type out of some, and a text of it as people write it."""
    return st.sampled_from(sorted(kinds)).flatmap(lambda kind: st.tuples(st.just(kind), RAW[kind]))


typed = of(T)
texts = st.text(st.characters(codec="utf-8"), min_size=1)


def test_every_type_is_held_against_something():
    assert {*ORACLES, *TYPED, T.IMPHASH, T.VULNERABILITY} == set(T)


@given(of(ORACLES))
def test_the_id_is_the_one_oasis_computes(kind_and_raw):
    kind, raw = kind_and_raw
    value = canonical(kind, raw)
    assert ORACLES[kind](value).id == stix_id(kind, value)
    assert ORACLES[kind](value).id == stix_id(str(kind), value)


@given(texts)
def test_any_text_is_escaped_as_rfc_8785_asks(text):
    assert stix2.v21.File(name=text).id == stix_id(T.FILE_NAME, text)


@given(of(ORACLES))
def test_what_stix_tells_apart_has_an_id_of_the_properties_in_its_namespace(kind_and_raw):
    kind, raw = kind_and_raw
    value = canonical(kind, raw)
    properties = {
        name: content
        for name, content in sco(kind, value).items()
        if name not in ("type", "spec_version", "id", "defanged")
    }
    assert len(properties) == 1
    assert_id(uuid.uuid5(SCO_NAMESPACE, msgspec.json.encode(properties).decode()), kind, value)


@given(of({T.IMPHASH}))
def test_an_imphash_has_a_key_of_its_own_inside(kind_and_raw):
    kind, raw = kind_and_raw
    value = canonical(kind, raw)
    name = f'{{"hashes":{{"IMPHASH":"{value}"}}}}'
    assert_id(uuid.uuid5(SCO_NAMESPACE, name), kind, value)


@given(st.sampled_from(sorted(TYPED)), texts)
def test_what_it_tells_apart_by_the_type_alone_has_the_type_in_its_id(kind, text):
    properties = {"type": str(kind), **TYPED[kind](text)}
    name = msgspec.json.encode(properties).decode()
    assert_id(uuid.uuid5(SENTINELIQ_NAMESPACE, name), kind, text)
    stix_object = sco(kind, text)
    assert {name: stix_object[name] for name in TYPED[kind](text)} == TYPED[kind](text)
    assert stix_object["type"] == stix_type(kind) == stix_object["id"].partition("--")[0]


def assert_id(expected, kind, value):
    assert expected.bytes == observable_uuid(kind, value) == observable_uuid(str(kind), value)
    assert str(expected) == observable_id(kind, value) == observable_id(str(kind), value)


@given(st.one_of(*RAW.values(), texts))
def test_no_two_types_share_an_id(text):
    ids = {}
    for kind in T:
        with contextlib.suppress(NotAnObservable):
            ids[kind] = observable_id(kind, normalise(kind, text))
    assert len(set(ids.values())) == len(ids), ids


@given(of(TYPED), st.sampled_from(sorted(T)))
def test_an_id_with_the_type_in_it_is_unique_for_any_text(kind_and_text, second):
    kind, text = kind_and_text
    assume(kind is not second and second is not T.ASN)  # an AS is a number: no text
    assert observable_id(kind, text) != observable_id(second, text)


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (T.MUTEX, T.FILE_NAME, "update.exe"),
        (T.USER_AGENT, T.DOMAIN, "evil.com"),
        (T.FILE_PATH, T.USER_AGENT, "/bin/sh"),
        (T.JA3, T.USER_AGENT, "e7d705a3286e19ea42f587b344ee6865"),
        (T.JA4, T.USER_AGENT, "t13d1516h2_8daaf6152771_b186095e22b6"),
        (T.WALLET, T.USER_AGENT, WALLETS[0]),
        (T.X509_SHA1, T.SHA1, "a" * 40),
        (T.X509_SHA256, T.SHA256, "a" * 64),
    ],
)
def test_what_once_shared_an_id_does_no_more(first, second, text):
    assert normalise(first, text) == normalise(second, text) == text
    assert observable_uuid(first, text) != observable_uuid(second, text)


def test_a_vulnerability_has_an_id_in_our_namespace():
    expected = uuid.uuid5(SENTINELIQ_NAMESPACE, '{"name":"CVE-2021-44228"}')
    assert expected.bytes == observable_uuid(T.VULNERABILITY, "CVE-2021-44228")
    assert str(expected) == observable_id(T.VULNERABILITY, "CVE-2021-44228")
    assert f"vulnerability--{expected}" == stix_id("vulnerability", "CVE-2021-44228")
    assert str(SENTINELIQ_NAMESPACE) == "3c7bf983-e25e-5249-b1af-bd74f8efcbd4"


def test_known_ids_never_change():
    assert stix_id(T.IPV4, "198.51.100.3") == "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"
    assert stix_id(T.DOMAIN, "example.com") == "domain-name--bedb4899-d24b-5401-bc86-8f6b4cc18ec7"
    assert stix_id(T.FILE_NAME, "update.exe") == "file--8ee0fecf-bf50-5a12-832e-8e2da1cdacf4"
    assert stix_id(T.MUTEX, "update.exe") == "mutex--e8607404-7a98-5f82-85e3-b48a9da4bd9e"
    assert bucket(observable_id(T.IPV4, "198.51.100.3")) == 0x28BB3599 >> 27


@given(st.uuids(), st.uuids())
def test_a_bucket_is_a_range_of_ids(first, second):
    buckets = [bucket(str(identity)) for identity in sorted((first, second))]
    assert 0 <= buckets[0] <= buckets[1] < BUCKETS


def test_an_unknown_type_has_no_id():
    with pytest.raises(KeyError):
        observable_uuid("file-sha0", "x")
    with pytest.raises(ValueError, match="file-sha0"):
        stix_id("file-sha0", "x")
