"""What leaves the house: ids as OASIS' own library computes them, objects that it reads back."""

import json
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import stix2
import stix2validator
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.stix import NotAnObservable, ObservableType, normalise, sco, standard_id, stix_id
from shared.stix.exchange import extension_definitions, extensions_bundle, has_standard_key
from tests.shared.stix.strategies import RAW, WALLETS

T = ObservableType
ROOT: Final = Path(__file__).parents[3]
OBJECTS: Final = 20_000
OWN: Final = {T.FILE_PATH, T.JA3, T.JA4, T.USER_AGENT, T.WALLET}
LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABC0123456789 _.-äß€\"\\/'"


def image(imphash: str) -> Any:
    extension = stix2.v21.WindowsPEBinaryExt(pe_type="exe", imphash=imphash)
    hashes = {"x_imphash": imphash}  # a file has a hash or a name
    return stix2.v21.File(
        hashes=hashes, extensions={"windows-pebinary-ext": extension}, allow_custom=True
    )


ORACLES: Final[dict[T, Callable[[str], Any]]] = {
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
    T.IMPHASH: image,
    T.FILE_NAME: lambda value: stix2.v21.File(name=value),
    T.X509_SHA1: lambda value: stix2.v21.X509Certificate(hashes={"SHA-1": value}),
    T.X509_SHA256: lambda value: stix2.v21.X509Certificate(hashes={"SHA-256": value}),
    T.REGISTRY_KEY: lambda value: stix2.v21.WindowsRegistryKey(key=value),
    T.MUTEX: lambda value: stix2.v21.Mutex(name=value),
}
"""Every type that STIX has an object for whose id the standard describes."""


def register(kind: T) -> type:
    """Tell the library of an own type, as a program does that reads its extension definition."""
    name = sco(kind, "x")["type"]
    (extension,) = sco(kind, "x")["extensions"]
    properties = [("value", stix2.properties.StringProperty(required=True))]
    decorate = stix2.v21.CustomObservable(name, properties, ["value"], extension_name=extension)
    return decorate(type("Registered", (), {}))


REGISTERED: Final = {kind: register(kind) for kind in sorted(OWN)}


def random_value(kind: T, chance: random.Random) -> str:
    def digits(count: int) -> str:
        return f"{chance.getrandbits(count * 4):0{count}x}"

    def text(length: int) -> str:
        return "".join(chance.choices(LETTERS, k=chance.randint(1, length))).strip() or "x"

    lengths = {T.MD5: 32, T.IMPHASH: 32, T.SHA1: 40, T.SHA256: 64, T.SHA512: 128}
    lengths |= {T.X509_SHA1: 40, T.X509_SHA256: 64, T.JA3: 32}
    if kind in lengths:
        return digits(lengths[kind])
    name = f"{digits(6)}.example.com"
    values: dict[T, Callable[[], str]] = {
        T.IPV4: lambda: f"45.{chance.randrange(256)}.{chance.randrange(256)}.7",
        T.IPV6: lambda: f"2001:db8::{digits(4)}",
        T.DOMAIN: lambda: name,
        T.URL: lambda: f"https://{name}/{digits(5)}?q={digits(3)}",
        T.EMAIL: lambda: f"{digits(5)}@{name}",
        T.MAC: lambda: ":".join(digits(2) for _ in range(6)),
        T.ASN: lambda: f"AS{chance.randrange(1, 1 << 32)}",
        T.SSDEEP: lambda: f"96:{digits(20)}:{digits(10)}",
        T.TLSH: lambda: digits(70),
        T.REGISTRY_KEY: lambda: f"HKEY_LOCAL_MACHINE\\Software\\{text(20)}",
        T.JA4: lambda: f"t13d1516h2_{digits(12)}_{digits(12)}",
        T.VULNERABILITY: lambda: f"CVE-2026-{chance.randrange(1_000, 99_999)}",
        T.FILE_PATH: lambda: f"C:\\Users\\{digits(6)}",
        T.WALLET: lambda: chance.choice(WALLETS),
    }
    return normalise(
        kind, values.get(kind, lambda: text(40).replace("/", "").strip("\\.") or "x")()
    )


def random_observables(kinds: set[T], count: int, seed: int) -> Iterator[tuple[T, str]]:
    chance = random.Random(seed)  # noqa: S311  # a test's
    ordered = sorted(kinds)
    for number in range(count):
        kind = ordered[number % len(ordered)]
        try:
            yield kind, random_value(kind, chance)
        except NotAnObservable:
            yield T.FILE_NAME, f"file {number}"


def test_every_type_is_held_against_something() -> None:
    assert {*ORACLES, *OWN, T.VULNERABILITY} == set(T)


def test_the_ids_of_20_000_random_objects_are_those_of_oasis() -> None:
    values = list(random_observables(set(ORACLES), OBJECTS, 5))
    assert {kind for kind, _ in values} == set(ORACLES)
    for kind, value in values:
        assert ORACLES[kind](value).id == standard_id(kind, value), (kind, value)


@pytest.mark.parametrize("kind", sorted(ORACLES))
def test_the_id_is_the_one_oasis_computes(kind: T) -> None:
    @given(RAW[kind])
    def check(raw: str) -> None:
        try:
            value = normalise(kind, raw)
        except NotAnObservable:
            assume(False)
        assert ORACLES[kind](value).id == standard_id(str(kind), value)

    check()


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.sampled_from(sorted(OWN)))
def test_the_id_of_an_own_type_is_of_its_value_alone(text: str, kind: T) -> None:
    assert standard_id(kind, text) == REGISTERED[kind](value=text).id


def test_inside_a_mutex_and_a_file_have_two_keys() -> None:
    assert stix_id(T.MUTEX, "x")[-36:] != stix_id(T.FILE_NAME, "x")[-36:]
    assert standard_id(T.MUTEX, "x")[-36:] == standard_id(T.FILE_NAME, "x")[-36:]


@pytest.mark.parametrize("kind", sorted(T))
def test_a_type_has_a_standard_key_or_another_one(kind: T) -> None:
    ((kind, value),) = random_observables({kind}, 1, 9)
    assert has_standard_key(kind) == (standard_id(kind, value) == stix_id(kind, value))


def test_a_bundle_of_every_type_comes_back_as_it_was() -> None:
    # An imphash has a hash that STIX does not list, which the library calls custom.
    values = list(random_observables(set(T) - {T.IMPHASH}, 500, 7))
    by_id = {}
    for kind, value in values:
        by_id[sco(kind, value)["id"]] = sco(kind, value)
    objects = [*extension_definitions(), *by_id.values()]
    bundle = {"type": "bundle", "id": stix2.v21.Bundle().id, "objects": objects}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parsed = stix2.parse(bundle, version="2.1", allow_custom=False)
        back = json.loads(parsed.serialize())["objects"]
    assert len(back) == len(objects)
    for before, after in zip(objects, back, strict=True):
        assert {**after, "spec_version": "2.1"} == before


def test_the_validator_of_oasis_warns_of_nothing_in_objects_of_every_type() -> None:
    values = list(random_observables(set(T), 2_000, 11))
    objects = {standard_id(kind, value): sco(kind, value) for kind, value in values}
    bundle = {
        "type": "bundle",
        "id": stix2.v21.Bundle().id,
        "objects": [*extension_definitions(), *objects.values()],
    }
    options = stix2validator.ValidationOptions(version="2.1")
    result = stix2validator.validate_instance(bundle, options)
    assert result.is_valid, [str(error) for error in result.errors]
    # It wants random ids of whatever is no object of the standard's own: §2.9 lets new objects that
    # extensions define have derived ones, and of domain objects it is a recommendation.
    own = {sco(kind, "x")["type"] for kind in OWN} | {"vulnerability"}
    others = [
        str(warning)
        for warning in result.warnings
        if str(warning).partition("--")[0] not in own or "not a valid UUIDv4" not in str(warning)
    ]
    assert others == []


def test_an_own_type_comes_with_its_extension_definition() -> None:
    definitions = {item["id"]: item for item in extension_definitions()}
    for kind in OWN:
        (identity,) = sco(kind, random_value(kind, random.Random(1)))["extensions"]  # noqa: S311
        assert definitions[identity]["name"] == sco(kind, "x")["type"]
    assert extension_definitions([T.MD5]) == []


def test_an_imphash_is_a_property_of_an_image() -> None:
    extension = {"imphash": "a" * 32, "pe_type": "exe"}
    assert sco(T.IMPHASH, "a" * 32)["extensions"] == {"windows-pebinary-ext": extension}


def test_the_published_definitions_are_current() -> None:
    assert (ROOT / "docs" / "stix-extensions.json").read_bytes() == extensions_bundle()
