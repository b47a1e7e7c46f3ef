"""Canonical forms: by example, and by properties that hold for all of them."""

import ipaddress
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.stix import (
    NotAnObservable,
    Observable,
    ObservableType,
    defang,
    detect,
    normalise,
    refang,
)
from tests.shared.stix.strategies import RAW, SHAPELESS

T = ObservableType


def canonical(kind, raw):
    """`raw` normalised; examples that are no observables (loopback, a bad label) are left out."""
    try:
        return normalise(kind, raw)
    except NotAnObservable:
        assume(False)


def ask(attempt, raw):
    """The canonical value, or why there is none."""
    try:
        result = attempt(raw)
    except NotAnObservable as refusal:
        assert len(str(refusal)) < 400  # noqa: PT017  # it need not be raised
        return refusal.reason
    return result.value if isinstance(result, Observable) else result


typed = st.sampled_from(list(T)).flatmap(lambda kind: st.tuples(st.just(kind), RAW[kind]))


@given(typed)
def test_normalising_twice_changes_nothing(kind_and_raw):
    kind, raw = kind_and_raw
    value = canonical(kind, raw)
    assert normalise(kind, value) == value


@given(typed)
def test_a_canonical_value_is_detected_as_itself(kind_and_raw):
    kind, raw = kind_and_raw
    assume(kind not in SHAPELESS)
    value = canonical(kind, raw)
    assert detect(value) == Observable(kind, value)


@given(
    st.sampled_from([T.IPV4, T.IPV6, T.DOMAIN, T.URL, T.EMAIL]).flatmap(
        lambda k: st.tuples(st.just(k), RAW[k])
    )
)
def test_a_refanged_defang_is_the_original(kind_and_raw):
    kind, raw = kind_and_raw
    value = canonical(kind, raw)
    assert refang(defang(value)) == value
    assert normalise(kind, defang(value)) == value
    assert detect(defang(value)) == Observable(kind, value)


@given(
    st.text(st.characters())
    | st.text("[(.)]dot\\hxp:/@at1", max_size=40)
    | st.binary().map(lambda b: b.decode("latin1"))
)
def test_any_text_is_an_observable_or_has_a_reason(text):
    for attempt in (detect, *(lambda raw, kind=kind: normalise(kind, raw) for kind in T)):
        answer = ask(attempt, text)
        answer.encode()  # can be logged, can be stored
        assert answer
        assert "\x00" not in answer


@given(st.text("[(.)]dot\\hxp:/@at{}", max_size=30))
def test_refanging_reaches_its_end_at_once_for_brackets(text):
    once = refang(f"x{text}")
    assert "\\" in text or refang(once) == once


@given(st.ip_addresses())
def test_addresses_agree_with_the_standard_library(address):
    assume(not address.is_loopback and not address.is_unspecified)
    mapped = address.ipv4_mapped if address.version == 6 else None
    assume(mapped is None or not (mapped.is_loopback or mapped.is_unspecified))
    value = detect(str(address)).value
    assert ipaddress.ip_address(value) == (mapped or address)


@pytest.mark.parametrize(
    "filler",
    ["a", "1", ".", "[", "[.]", "a.", "/", ":", "@", "é", " ", "\x00", "http://", "\\", "a.a/"],
)
def test_a_megabyte_is_answered_at_once(filler):
    for size in (8_000, 1_000_000):
        text = (filler * (size // len(filler)))[:size]
        start = time.perf_counter()
        for raw in (text, f"a{text}", f"http://a.com/{text}", f"a@{text}.com"):
            for attempt in (detect, *(lambda raw, kind=kind: normalise(kind, raw) for kind in T)):
                assert ask(attempt, raw)
        assert time.perf_counter() - start < 2


DETECTED = [
    ("192.0.2.1", T.IPV4, "192.0.2.1"),
    (" 192.0.2.1\r\n", T.IPV4, "192.0.2.1"),
    ("192.0.2.1:8080", T.IPV4, "192.0.2.1"),
    ("192[.]0[.]2[.]1:80", T.IPV4, "192.0.2.1"),
    ("10.1.2.3", T.IPV4, "10.1.2.3"),
    ("192.0.2.77/24", T.IPV4, "192.0.2.77"),
    ("192.0.2.0/24", T.IPV4, "192.0.2.0/24"),
    ("198.51.100.77/255.255.0.0", T.IPV4, "198.51.100.77"),
    ("::ffff:192.0.2.1", T.IPV4, "192.0.2.1"),
    ("::ffff:c000:201", T.IPV4, "192.0.2.1"),
    ("fe80::1%eth0", T.IPV6, "fe80::1"),
    ("192.0.2.77/32", T.IPV4, "192.0.2.77"),
    ("2001:DB8:0:0:1:0:0:1", T.IPV6, "2001:db8::1:0:0:1"),
    ("[2001:db8::1]:443", T.IPV6, "2001:db8::1"),
    ("2001:db8::1/128", T.IPV6, "2001:db8::1"),
    ("2001:db8::1/32", T.IPV6, "2001:db8::1"),
    ("2001:db8::/32", T.IPV6, "2001:db8::/32"),
    ("EXAMPLE.com.", T.DOMAIN, "example.com"),
    ("*.example.com", T.DOMAIN, "example.com"),
    ("evil[dot]example(.)com", T.DOMAIN, "evil.example.com"),
    ("example.com:8443", T.DOMAIN, "example.com"),
    ("_dmarc.example.com", T.DOMAIN, "_dmarc.example.com"),
    ("bücher.example.com", T.DOMAIN, "xn--bcher-kva.example.com"),
    ("faß.de", T.DOMAIN, "xn--fa-hia.de"),
    ("例え。jp", T.DOMAIN, "xn--r8jz45g.jp"),
    ("expyuzz4wqqyqhjn.onion", T.DOMAIN, "expyuzz4wqqyqhjn.onion"),
    ("hxxps://Example[.]com:443/a b", T.URL, "https://example.com/a%20b"),
    ("hXXp[:]//example.com", T.URL, "http://example.com/"),
    ("http://example.com/a/../b", T.URL, "http://example.com/b"),
    ("http://example.com/.well-known", T.URL, "http://example.com/.well-known"),
    ("example.com/gate.php", T.URL, "http://example.com/gate.php"),
    ("192.0.2.1/gate.php", T.URL, "http://192.0.2.1/gate.php"),
    ("tcp://192.0.2.1:4444", T.URL, "tcp://192.0.2.1:4444"),
    ("Someone[at]EXAMPLE[.]com", T.EMAIL, "Someone@example.com"),
    ("mailto:a@example.com", T.EMAIL, "a@example.com"),
    ("00-1B-44-11-3A-B7", T.MAC, "00:1b:44:11:3a:b7"),
    ("001b.4411.3ab7", T.MAC, "00:1b:44:11:3a:b7"),
    ("as64500", T.ASN, "AS64500"),
    ("ASN 64500", T.ASN, "AS64500"),
    ("D41D8CD98F00B204E9800998ECF8427E", T.MD5, "d41d8cd98f00b204e9800998ecf8427e"),
    ("A" * 40, T.SHA1, "a" * 40),
    ("A" * 64, T.SHA256, "a" * 64),
    ("A" * 128, T.SHA512, "a" * 128),
    (
        "3:AXGBicFlgVNhBGcL6wCrFQEv:AXGHsNhxLsr2C",
        T.SSDEEP,
        "3:AXGBicFlgVNhBGcL6wCrFQEv:AXGHsNhxLsr2C",
    ),
    ("t1" + "a" * 70, T.TLSH, "A" * 70),
    ("cve-2021-44228", T.VULNERABILITY, "CVE-2021-44228"),
    ("hklm\\Software\\Run\\", T.REGISTRY_KEY, "HKEY_LOCAL_MACHINE\\Software\\Run"),
]


@pytest.mark.parametrize(("raw", "kind", "value"), DETECTED)
def test_detected(raw, kind, value):
    assert detect(raw) == Observable(kind, value)


REFUSED = [
    ("", "empty"),
    (" \t", "empty"),
    ("a" * 9000, "too long"),
    ("evil\x00.com", "control character"),
    ("ev\ufffdl.com", "not UTF-8"),
    ("127.0.0.1", "loopback address"),
    ("127.8.8.8:80", "loopback address"),
    ("127.0.0.0/8", "loopback address"),
    ("::1", "loopback address"),
    ("::ffff:127.0.0.1", "loopback address"),
    ("localhost", "loopback address"),
    ("http://localhost/x", "loopback address"),
    ("http://127.1/", "loopback address"),
    ("0.0.0.0", "unspecified address"),  # noqa: S104 - a text
    ("0.0.0.0/0", "unspecified address"),
    ("::/0", "unspecified address"),
    ("::", "unspecified address"),
    ("192.0.2.256", "malformed IPv4 address"),
    ("192.0.2.01", "malformed IPv4 address"),
    ("192.0.2.1/33", "malformed network"),
    ("evil", "single label"),
    ("setup.exe", "not a public suffix"),
    ("a..com", "malformed domain name"),
    ("evil example.com", "malformed domain name"),
    ("a" * 64 + ".com", "name too long"),
    ("a." * 130 + "com", "name too long"),
    ("/gate.php", "path without a host"),
    ("http://", "malformed URL"),
    ("file://x/y", "single label"),
    ("http://exa mple.com/", "malformed URL"),
    ("@example.com", "malformed domain name"),
    ("a b@example.com", "malformed e-mail address"),
    ("AS4294967296", "malformed AS number"),
    ("CVE-21-1", "malformed CVE id"),
    ("HKXX\\Software", "malformed registry key"),
    ("HKLM\\" + "a" * 8180, "too long"),
    ("http://example.com/" + "é" * 8000, "too long"),
]


@pytest.mark.parametrize(("raw", "reason"), REFUSED)
def test_refused(raw, reason):
    with pytest.raises(NotAnObservable) as refusal:
        detect(raw)
    assert reason == refusal.value.reason


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (T.FILE_NAME, "C:\\Windows\\evil.exe", "evil.exe"),
        (T.FILE_NAME, "/opt/[.]x", "[.]x"),
        (T.MUTEX, " Global\\abc ", "Global\\abc"),
        (T.ASN, "64500", "AS64500"),
        (T.URL, "example.com", "http://example.com/"),
        (T.X509_SHA1, "AB" * 20, "ab" * 20),
        (T.REGISTRY_KEY, "HKCU\\a[.]b", "HKEY_CURRENT_USER\\a[.]b"),
    ],
)
def test_normalised_when_the_type_is_known(kind, raw, value):
    assert value == normalise(kind, raw)


@pytest.mark.parametrize(
    ("kind", "raw", "reason"),
    [
        (T.DOMAIN, "192.0.2.1", "not a public suffix"),
        (T.MD5, "a" * 40, "malformed hash"),
        (T.SHA1, "g" * 40, "malformed hash"),
        (T.FILE_NAME, "/opt/", "malformed file name"),
        (T.FILE_NAME, "a" * 256, "name too long"),
        (T.IPV4, "2001:db8::1", "malformed IPv4 address"),
        (T.IPV6, "192.0.2.1", "malformed IPv6 address"),
        (T.MAC, "00:11:22", "malformed MAC address"),
        (T.SSDEEP, "abc", "malformed hash"),
        (T.TLSH, "abc", "malformed hash"),
        (T.URL, "data:text/html,x", "malformed URL"),
    ],
)
def test_refused_when_the_type_is_known(kind, raw, reason):
    with pytest.raises(NotAnObservable) as refusal:
        normalise(kind, raw)
    assert reason == refusal.value.reason


def test_an_unknown_type_is_a_mistake_of_the_caller():
    with pytest.raises(KeyError):
        normalise("file-sha0", "x")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("198.51.100.0/255.255.255.0", "198.51.100.0/24"),
        ("198.51.100.7/255.255.255.255", "198.51.100.7"),
        ("198.051.100.007", "198.51.100.7"),
        ("198.051.100.000/24", "198.51.100.0/24"),
    ],
)
def test_netmasks_and_padded_addresses(text, value):
    assert detect(text) == Observable(T.IPV4, value)
    assert normalise(T.IPV4, text) == value


@pytest.mark.parametrize(
    "text",
    [
        "01/08/2024",
        "1/2",
        "24/7",
        "0x7f/a",
        "2024/01/02",
        "http://1/a",
        "http://10.1/",
        "http://017.1.1.1/",
    ],
)
def test_numbers_that_are_no_dotted_address_are_no_host(text):
    with pytest.raises(NotAnObservable, match=r"IPv4 address|loopback"):
        detect(text)


@given(st.integers(0, 9999), st.integers(0, 9999), st.integers(0, 9999), st.sampled_from("/:.-"))
def test_dates_ratios_and_versions_are_no_observables(first, second, third, mark):
    assume(mark != "." or min(first, second, third) < 1000)  # 1234.5678.9012 is a MAC address
    for text in (f"{first}{mark}{second}", f"{first}{mark}{second}{mark}{third}"):
        with pytest.raises(NotAnObservable):
            detect(text)


@given(
    st.sampled_from(["mailto", "sip", "sips", "xmpp", "MAILTO", "user", "data", "news"]),
    st.sampled_from(["evil@example.com", "alice@example.com?x=1", "one.example.com,x", "a@b.co"]),
)
def test_what_has_a_scheme_without_a_host_is_no_url(scheme, rest):
    with pytest.raises(NotAnObservable, match="malformed URL"):
        normalise(T.URL, f"{scheme}:{rest}")


@given(st.sampled_from(["", "/", "/a:b", "?a=b:c", ":8080", ":8080/x", ":/x", ":80?a"]))
def test_a_url_without_a_scheme_may_have_a_port(rest):
    assert normalise(T.URL, f"one.example.com{rest}").startswith("http://one.example.com")
