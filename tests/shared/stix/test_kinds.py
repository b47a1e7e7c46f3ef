"""Types beyond the network's: wallets by their check sums, paths, fingerprints of clients."""

import pytest

from shared.stix import NotAnObservable, ObservableType, detect, normalise
from tests.shared.stix.strategies import WALLETS

T = ObservableType


@pytest.mark.parametrize("address", WALLETS)
def test_a_wallet_is_known_by_its_check_sum(address):
    assert detect(address).type is T.WALLET
    assert normalise(T.WALLET, address) == normalise(T.WALLET, normalise(T.WALLET, address))


@pytest.mark.parametrize("address", WALLETS)
def test_one_wrong_sign_makes_it_none(address):
    at = len(address) // 2
    # Another sign of the same alphabet, and of the same case, so that only the check sum can tell.
    other = next(sign for sign in "23456789" if sign != address[at])
    with pytest.raises(NotAnObservable, match="malformed wallet"):
        normalise(T.WALLET, address[:at] + other + address[at + 1 :])


def test_an_ethereum_address_gets_its_capitals():
    checked = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    assert normalise(T.WALLET, checked.lower()) == checked


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (r"c:\\windows\\temp\x.exe", r"C:\windows\temp\x.exe"),
        ("c:/windows/temp/", r"C:\windows\temp"),
        (r"%APPDATA%\x.exe", r"%APPDATA%\x.exe"),
        (r"\\server\share\x.exe", r"\\server\share\x.exe"),
        ("/tmp//x/", "/tmp/x"),  # noqa: S108  # a text
    ],
)
def test_paths(raw, expected):
    assert normalise(T.FILE_PATH, raw) == expected


@pytest.mark.parametrize("raw", ["x.exe", "tmp/x", "/", "C:"])
def test_what_is_not_absolute_is_no_path(raw):
    with pytest.raises(NotAnObservable):
        normalise(T.FILE_PATH, raw)


def test_fingerprints_of_clients():
    ja4 = "T13D1516H2_8DAAF6152771_B186095E22B6"
    assert detect(ja4).type is T.JA4
    assert normalise(T.JA4, ja4) == ja4.lower()
    assert (
        normalise(T.JA3, "E7D705A3286E19EA42F587B344EE6865") == "e7d705a3286e19ea42f587b344ee6865"
    )
    assert (
        normalise(T.USER_AGENT, " Mozilla/4.0  (compatible;  x) ")
        == "Mozilla/4.0  (compatible;  x)"
    ), "a double blank may be what tells a program"
    assert detect("e7d705a3286e19ea42f587b344ee6865").type is T.MD5


ONION = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion"
"""The address of Tor's own site."""


@pytest.mark.parametrize(
    "raw",
    ["bc1" + "\u017f" * 30, "t13d1516h2_8daaf615277\u017f_b186095e22b6", "0x" + "\u017f" * 40],
)
def test_letters_that_only_look_like_ascii_are_refused(raw):
    for kind in (T.WALLET, T.JA4):
        with pytest.raises(NotAnObservable):
            normalise(kind, raw)
    with pytest.raises(NotAnObservable):
        detect(raw)


@pytest.mark.parametrize("raw", ["C:\\ \\", "/a/\u00a0/", "/a / /", "c:\\x \\"])
def test_a_path_normalised_twice_is_the_same(raw):
    try:
        value = normalise(T.FILE_PATH, raw)
    except NotAnObservable:
        return
    assert normalise(T.FILE_PATH, value) == value


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (T.VULNERABILITY, "CVE-2021-0044228", "CVE-2021-44228"),
        (T.VULNERABILITY, "cve-2021-0001", "CVE-2021-0001"),
        (T.SSDEEP, "96:abcDEF:abc", "96:abcDEF:abc"),
        (T.REGISTRY_KEY, r"HKLM\\Software\\\\X", r"HKEY_LOCAL_MACHINE\Software\X"),
        (T.DOMAIN, "xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        (T.DOMAIN, f"www.{ONION}", f"www.{ONION}"),
        (T.DOMAIN, "expyuzz4wqqyqhjn.onion", "expyuzz4wqqyqhjn.onion"),
    ],
)
def test_a_value_has_one_form(kind, raw, value):
    assert normalise(kind, raw) == value
    assert normalise(kind, value) == value


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (T.SSDEEP, "7:abcDEF:abc"),
        (T.SSDEEP, "0:abcDEF:abc"),
        (T.DOMAIN, "xn--a.com"),
        (T.DOMAIN, ONION.replace("d.onion", "e.onion")),
        (T.DOMAIN, ONION.replace("2", "3", 1)),
        (T.URL, f"http://{ONION.replace('2', '3', 1)}/"),
        (T.URL, "mailto:x@bank.com"),
        (T.IPV4, "192.0.2.4/0"),
    ],
)
def test_what_its_own_checks_deny_is_refused(kind, raw):
    with pytest.raises(NotAnObservable):
        normalise(kind, raw)
