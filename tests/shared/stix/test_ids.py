"""Ids agree with OASIS' own library, and the objects are valid STIX."""

import uuid

import msgspec
import pytest
import stix2
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.stix import NotAnObservable, ObservableType, bucket, normalise, observable_uuid, sco, stix_id
from shared.stix.ids import SCO_NAMESPACE, SENTINELIQ_NAMESPACE, observable_id
from tests.shared.stix.strategies import RAW

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
    T.X509_SHA1: lambda value: stix2.v21.X509Certificate(hashes={"SHA-1": value}),
    T.X509_SHA256: lambda value: stix2.v21.X509Certificate(hashes={"SHA-256": value}),
    T.REGISTRY_KEY: lambda value: stix2.v21.WindowsRegistryKey(key=value),
    T.MUTEX: lambda value: stix2.v21.Mutex(name=value),
}


OWN = {T.IMPHASH, T.FILE_PATH, T.JA3, T.JA4, T.USER_AGENT, T.WALLET}
"""Types that STIX has no object, or no hash, for."""


def canonical(kind, raw):
    try:
        return normalise(kind, raw)
    except NotAnObservable:
        assume(False)


typed = st.sampled_from(list(T)).flatmap(lambda kind: st.tuples(st.just(kind), RAW[kind]))


def test_every_type_but_the_vulnerability_has_an_oracle():
    assert set(T) - {T.VULNERABILITY} - OWN == set(ORACLES)


@given(typed)
def test_the_id_is_the_one_oasis_computes(kind_and_raw):
    kind, raw = kind_and_raw
    assume(kind is not T.VULNERABILITY and kind not in OWN)
    value = canonical(kind, raw)
    assert ORACLES[kind](value).id == stix_id(kind, value)
    assert ORACLES[kind](value).id == stix_id(str(kind), value)


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_text_is_escaped_as_rfc_8785_asks(text):
    assert stix2.v21.Mutex(name=text).id == stix_id(T.MUTEX, text)


@given(typed)
def test_the_object_is_valid_stix(kind_and_raw):
    kind, raw = kind_and_raw
    value = canonical(kind, raw)
    parsed = stix2.parse(sco(kind, value), version="2.1", allow_custom=kind in OWN)
    assert (parsed["id"] if kind in OWN else parsed.id) == stix_id(kind, value)


@given(st.sampled_from(sorted(OWN)).flatmap(lambda kind: st.tuples(st.just(kind), RAW[kind])))
def test_what_stix_has_no_object_for_has_an_id_by_the_same_rule(kind_and_raw):
    kind, raw = kind_and_raw
    value = canonical(kind, raw)
    known = sco(kind, value)
    properties = {name: known[name] for name in ("value", "hashes") if name in known}
    said = msgspec.json.encode(properties).decode()
    assert uuid.uuid5(SCO_NAMESPACE, said).bytes == observable_uuid(kind, value)
    assert str(uuid.uuid5(SCO_NAMESPACE, said)) == observable_id(kind, value)


def test_a_vulnerability_has_an_id_in_our_namespace():
    expected = uuid.uuid5(SENTINELIQ_NAMESPACE, '{"name":"CVE-2021-44228"}')
    assert expected.bytes == observable_uuid(T.VULNERABILITY, "CVE-2021-44228")
    assert str(expected) == observable_id(T.VULNERABILITY, "CVE-2021-44228")
    assert f"vulnerability--{expected}" == stix_id("vulnerability", "CVE-2021-44228")
    assert str(SENTINELIQ_NAMESPACE) == "3c7bf983-e25e-5249-b1af-bd74f8efcbd4"


def test_known_ids_never_change():
    assert stix_id(T.IPV4, "198.51.100.3") == "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"
    assert stix_id(T.DOMAIN, "example.com") == "domain-name--bedb4899-d24b-5401-bc86-8f6b4cc18ec7"
    assert bucket(observable_uuid(T.IPV4, "198.51.100.3")) == 0x28BB3599 >> 27


@given(st.binary(min_size=16, max_size=16), st.integers(1, 1000))
def test_a_bucket_is_one_of_the_buckets(uuid_bytes, buckets):
    assert 0 <= bucket(uuid_bytes, buckets) < buckets


def test_an_unknown_type_has_no_id():
    with pytest.raises(KeyError):
        observable_uuid("file-sha0", "x")
    with pytest.raises(ValueError, match="file-sha0"):
        stix_id("file-sha0", "x")
