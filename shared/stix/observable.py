"""Parses observables: `normalise` for a given type, `detect` for an unknown one."""

import re
from collections.abc import Callable

from shared.stix import addresses, files, fingerprints, names, wallets
from shared.stix.defang import refang
from shared.stix.vocabulary import (
    MAX_LENGTH,
    NotAnObservable,
    Observable,
    ObservableType,
    clean_token,
    excerpt,
)

_HASHES = {
    32: ObservableType.MD5,
    40: ObservableType.SHA1,
    64: ObservableType.SHA256,
    128: ObservableType.SHA512,
}
_HEX = re.compile("[0-9a-f]+")
_CVE = re.compile(r"CVE-[12][0-9]{3}-[0-9]{4,19}", re.ASCII)
_SSDEEP = re.compile(r"[0-9]{1,10}:[A-Za-z0-9/+]{1,128}:[A-Za-z0-9/+]{1,128}", re.ASCII)
_SSDEEP_BLOCK = 3
"""The least block size; others are its doubles."""
_TLSH = re.compile(r"[0-9A-F]{70}", re.ASCII)
_HIVES = {
    "HKLM": "HKEY_LOCAL_MACHINE",
    "HKCU": "HKEY_CURRENT_USER",
    "HKCR": "HKEY_CLASSES_ROOT",
    "HKU": "HKEY_USERS",
    "HKCC": "HKEY_CURRENT_CONFIG",
}
_HIVE_NAMES = frozenset(_HIVES.values())
_PORT = re.compile(r"(.+):[0-9]{1,5}", re.ASCII)
_SHAPES = (
    (ObservableType.URL, names.URL_SCHEME),
    (ObservableType.REGISTRY_KEY, re.compile(r"hk[a-z_]{1,20}\\", re.IGNORECASE)),
    (ObservableType.FILE_PATH, files.WINDOWS),
    (ObservableType.EMAIL, re.compile("^[^/@]+@[^/@]+$")),
    (ObservableType.JA4, re.compile(f"{fingerprints.JA4.pattern}$", re.IGNORECASE | re.ASCII)),
    (ObservableType.ASN, re.compile(r"asn?[ \t]{0,2}[0-9]{1,20}$", re.IGNORECASE | re.ASCII)),
    (ObservableType.VULNERABILITY, re.compile(r"cve-[0-9]+-[0-9]+$", re.IGNORECASE | re.ASCII)),
    # Times of day (12:30:45) and versions have the form of short fuzzy hashes.
    (
        ObservableType.SSDEEP,
        re.compile(
            r"[0-9]{1,10}:(?=[^:]*[A-Za-z])[A-Za-z0-9/+]{6,128}:[A-Za-z0-9/+]{3,128}$", re.ASCII
        ),
    ),
    (ObservableType.TLSH, re.compile(r"(?:T1)?[0-9A-F]{70}$", re.IGNORECASE | re.ASCII)),
)
"""Shapes that identify a type; the type's normaliser then reports what is wrong with the rest."""


def _hash(length: int) -> Callable[[str], str]:
    def normalised(text: str) -> str:
        value = text.lower()
        if len(value) != length or not _HEX.fullmatch(value):
            raise NotAnObservable(
                "malformed hash", f"{excerpt(text)}: {length} hexadecimal digits expected"
            )
        return value

    return normalised


def _cve(text: str) -> str:
    value = text.upper()
    if not _CVE.fullmatch(value):
        raise NotAnObservable("malformed CVE id", excerpt(text))
    head, _, number = value.rpartition("-")
    # Numbers have four digits or more, and no surplus zeros.
    return f"{head}-{number.lstrip('0'):0>4}"


def _ssdeep(text: str) -> str:
    if not _SSDEEP.fullmatch(text):
        raise NotAnObservable("malformed hash", f"{excerpt(text)}: size:hash:hash expected")
    size = int(text.partition(":")[0])
    if size < _SSDEEP_BLOCK or size % _SSDEEP_BLOCK or (size // _SSDEEP_BLOCK).bit_count() != 1:
        raise NotAnObservable("malformed hash", f"{excerpt(text)}: block sizes are 3, 6, 12, …")
    return text


def _tlsh(text: str) -> str:
    # STIX has the digest without its version.
    value = text.upper().removeprefix("T1")
    if not _TLSH.fullmatch(value):
        raise NotAnObservable("malformed hash", f"{excerpt(text)}: 70 hexadecimal digits expected")
    return value


def _registry_key(text: str) -> str:
    while (shorter := text.rstrip("\\").rstrip()) != text:
        text = shorter
    # Programs that escape backslashes write two of them, which no key has.
    hive, _, rest = re.sub(r"\\{2,}", r"\\", text).partition("\\")
    hive = _HIVES.get(hive.upper(), hive.upper())
    if hive not in _HIVE_NAMES or not rest:
        raise NotAnObservable(
            "malformed registry key", f"{excerpt(text)}: a hive, a backslash and a key expected"
        )
    if len(hive) + len(rest) >= MAX_LENGTH:
        raise NotAnObservable(
            "too long", f"{len(hive) + len(rest) + 1} characters, at most {MAX_LENGTH} are kept"
        )
    return f"{hive}\\{rest}"


def _file_name(text: str) -> str:
    # STIX stores directories apart, and another machine has the file in another directory.
    value = re.split(r"[\\/]", text)[-1].strip()
    if value in ("", ".", ".."):
        raise NotAnObservable("malformed file name", excerpt(text))
    if len(value) > 255:
        raise NotAnObservable(
            "name too long", f"a file name of {len(value)} characters, at most 255 expected"
        )
    return value


def _mutex(text: str) -> str:
    return text


_DEFANGED: dict[str, Callable[[str], str]] = {
    ObservableType.IPV4: addresses.ipv4,
    ObservableType.IPV6: addresses.ipv6,
    ObservableType.DOMAIN: names.domain,
    ObservableType.URL: names.url,
    ObservableType.EMAIL: names.email,
}
_NORMALISERS: dict[str, Callable[[str], str]] = {
    **_DEFANGED,
    ObservableType.MAC: addresses.mac,
    ObservableType.ASN: addresses.asn,
    ObservableType.MD5: _hash(32),
    ObservableType.SHA1: _hash(40),
    ObservableType.SHA256: _hash(64),
    ObservableType.SHA512: _hash(128),
    ObservableType.SSDEEP: _ssdeep,
    ObservableType.TLSH: _tlsh,
    ObservableType.IMPHASH: _hash(32),
    ObservableType.FILE_NAME: _file_name,
    ObservableType.FILE_PATH: files.file_path,
    ObservableType.JA3: fingerprints.ja3,
    ObservableType.JA4: fingerprints.ja4,
    ObservableType.USER_AGENT: fingerprints.user_agent,
    ObservableType.WALLET: wallets.wallet,
    ObservableType.X509_SHA1: _hash(40),
    ObservableType.X509_SHA256: _hash(64),
    ObservableType.VULNERABILITY: _cve,
    ObservableType.REGISTRY_KEY: _registry_key,
    ObservableType.MUTEX: _mutex,
}


def normalise(kind: ObservableType | str, raw: str) -> str:
    """Return the canonical form of a text as an observable of a type.

    Canonical values come back unchanged. White space around the value is removed, and defanged
    addresses, names, URLs and e-mail addresses are accepted.

    Raises:
        NotAnObservable: it is not of that type, or of no use (loopback, unspecified).
        KeyError: `kind` is no `ObservableType`.
    """
    normaliser = _NORMALISERS[kind]
    # Most values are canonical; to check that costs less than to normalise them.
    if kind == "ipv4-addr" and addresses.is_ipv4(raw):
        return addresses.check_ipv4(raw)
    if kind == "domain-name" and names.is_plain_domain(raw):
        return raw
    token = clean_token(raw)
    return normaliser(refang(token) if kind in _DEFANGED else token)


def canonical_type(text: str) -> ObservableType | None:
    """The type of a text that is a canonical address of IPv4 or a canonical name; else None.

    Of these `detect` gives the same, at three times the cost.
    """
    if text[-1:].isdigit():
        is_address = addresses.is_ipv4(text) and not text.startswith(("127.", "0."))
        return ObservableType.IPV4 if is_address else None
    return ObservableType.DOMAIN if names.is_plain_domain(text) else None


def detect(raw: str) -> Observable:
    """Return the observable that a token is, by its shape.

    Defanged forms are accepted; of `address:port` and `name:port` the port is dropped; `name/path`
    is an http URL. File names and mutexes have no distinctive form and are never detected; 40 and
    64 digits are the hash of a file.

    Raises:
        NotAnObservable: it has the shape of no type, or is of no use (loopback, unspecified).
    """
    if raw[-1:].isdigit() and addresses.is_ipv4(raw):
        return Observable(ObservableType.IPV4, addresses.check_ipv4(raw))
    token = clean_token(raw)
    if names.is_plain_domain(token):
        return Observable(ObservableType.DOMAIN, token)
    kind = _HASHES.get(len(token))
    if kind and _HEX.fullmatch(lower := token.lower()):
        return Observable(kind, lower)
    head, colon, port = token.partition(":")
    if colon and port.isdigit() and addresses.is_ipv4(head):
        return Observable(ObservableType.IPV4, addresses.check_ipv4(head))
    kind, value = _guess(refang(token))
    return as_meant(kind, _NORMALISERS[kind](value if kind in _DEFANGED else token))


def as_meant(kind: ObservableType, value: str) -> Observable:
    """A canonical value with the type that it has: a mapped IPv6 address is the IPv4 address."""
    if kind is ObservableType.IPV6 and (mapped := addresses.mapped_ipv4(value)) is not None:
        return Observable(ObservableType.IPV4, addresses.check_ipv4(mapped))
    return Observable(kind, value)


def _guess(token: str) -> tuple[ObservableType, str]:
    """Return the type whose shape a refanged token has, and the part that is the value."""
    for kind, shape in _SHAPES:
        if shape.match(token):
            return kind, token
    if wallets.is_wallet(token):
        return ObservableType.WALLET, token
    head, slash, tail = token.partition("/")
    if not head:
        raise NotAnObservable("path without a host", excerpt(token))
    if addresses.is_serial(head):
        raise NotAnObservable("serial number", excerpt(token))
    if addresses.is_ipv6(head) and (not slash or tail.isdigit()):
        return ObservableType.IPV6, token
    if slash and addresses.is_dotted(head) and (tail.isdigit() or addresses.is_ipv4(tail)):
        return ObservableType.IPV4, token
    if slash:
        return ObservableType.URL, token
    return _guess_host(token)


def _guess_host(token: str) -> tuple[ObservableType, str]:
    if addresses.is_mac(token):
        return ObservableType.MAC, token
    if port := _PORT.fullmatch(token):
        token = port[1]
    if token.startswith("[") and addresses.is_ipv6(token):
        return ObservableType.IPV6, token
    # A name never ends in a number: "1.2.3.256" is a malformed address.
    name, dot, last = token.rpartition(".")
    is_address = bool(name and dot and last.isdigit())
    return ObservableType.IPV4 if is_address else ObservableType.DOMAIN, token
